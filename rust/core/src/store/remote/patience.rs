//! When failed requests are repeated.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

use chrono::DateTime;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The first pause; each further one is twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How often and for how long a failed request is repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryPolicy {
    /// Maximum number of retries.
    pub(super) retries: usize,
    /// Time after the first failure in which the request is repeated.
    pub(super) timeout: Duration,
}

/// The failures of a request so far.
#[derive(Debug)]
pub(super) struct Patience {
    policy: RetryPolicy,
    /// Time of the first failure.
    since: Option<Instant>,
    failures: usize,
}

impl Patience {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, since: None, failures: 0 }
    }

    /// Counts a failure. Returns the pause before the next try, which the server may have `asked` for; `None` if the
    /// request has failed for good.
    pub(super) fn pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let double = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        // Clients that failed together do not return together.
        let share = RandomState::new().hash_one(self.failures) % 256;
        let pause = asked.unwrap_or_else(|| double.mul_f64(0.75 + share as f64 / 512.0));
        let left = self.policy.timeout.saturating_sub(since.elapsed());
        (self.failures <= self.policy.retries && pause <= left).then_some(pause)
    }

    /// Starts again after a part of the answer has arrived.
    pub(super) fn reset(&mut self) {
        (self.since, self.failures) = (None, 0);
    }

    /// Returns the number of requests that failed.
    pub(super) fn failures(&self) -> usize {
        self.failures
    }
}

/// Whether a request with this status may succeed a moment later.
pub(super) fn is_passing(status: StatusCode) -> bool {
    match status.as_u16() {
        408 | 429 => true,
        // Not implemented, version not supported, loop, not extended, login needed.
        501 | 505 | 508 | 510 | 511 => false,
        code => code >= 500,
    }
}

/// Returns how long the header `Retry-After` asks to wait: a number of seconds or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = http_date(text)?;
    // Counted on the server's clock, if it tells the time.
    let now = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)).unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

/// Parses a date of a header.
pub(super) fn http_date(text: &str) -> Option<SystemTime> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_the_time_is_over() {
        let mut patience = Patience::new(RetryPolicy { retries: usize::MAX, timeout: Duration::from_secs(30) });
        let pauses: Vec<_> = (0..9).map(|_| patience.pause(None).unwrap()).collect();
        assert!(pauses[0] < Duration::from_millis(130) && pauses[8] > Duration::from_secs(3), "{pauses:?}");
        assert_eq!(patience.pause(Some(Duration::from_secs(2))), Some(Duration::from_secs(2)));
        assert_eq!(patience.pause(Some(Duration::from_secs(31))), None);
        let mut none = Patience::new(RetryPolicy { retries: 0, timeout: Duration::from_secs(30) });
        assert_eq!((none.pause(None), none.failures()), (None, 1));
    }

    #[test]
    fn servers_ask_for_seconds_or_a_date() {
        let headers = |fields: &[(&str, &str)]| {
            let name = |name: &str| reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            fields.iter().map(|(key, value)| (name(key), value.parse().unwrap())).collect::<HeaderMap>()
        };
        let seconds = |fields: &[(&str, &str)]| retry_after(&headers(fields)).map(|time| time.as_secs());
        assert_eq!(seconds(&[("retry-after", "7")]), Some(7));
        let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(seconds(&[("retry-after", "Wed, 21 Oct 2015 07:28:03 GMT"), date]), Some(3));
        assert_eq!(seconds(&[("retry-after", "Wed, 21 Oct 2015 07:27:03 GMT"), date]), Some(0));
        assert_eq!(seconds(&[("retry-after", "soon")]), None);
        assert_eq!(seconds(&[]), None);
    }
}

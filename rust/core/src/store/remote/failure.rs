//! Causes of failed requests, without secrets: URLs may be signed, and servers repeat what they were sent.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::ops::Range;

use futures_util::StreamExt;
use object_store::client::HttpError;
use reqwest::StatusCode;
use tokio::time::timeout;

use super::answer::Head;
use super::transport::{Answer, Lost, Service, Settings, without_secrets};
use crate::error::Error;

/// The part of an object that is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Head,
    Whole,
    From(u64),
    Part(Range<u64>),
    Suffix(u64),
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("HEAD"),
            Self::Whole => f.write_str("GET"),
            Self::From(start) => write!(f, "GET of bytes {start}-"),
            Self::Part(range) => write!(f, "GET of bytes {}-{}", range.start, range.end.saturating_sub(1)),
            Self::Suffix(length) => write!(f, "GET of the last {length} bytes"),
        }
    }
}

/// How the crate `object_store` begins the message of an answer with an error status; status and body follow.
const STATUS: &str = "Server returned non-2xx status code: ";

/// Why a request has no usable answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such object, by the status of the answer.
    Missing(StatusCode),
    /// The object no longer has the required version.
    Changed,
    /// An error status: the cause, and whether it is that access is denied.
    Refused { cause: String, is_forbidden: bool },
    /// No answer to what was asked.
    Lost(String, Lost),
    /// An error of the crate `object_store`.
    Answer(object_store::Error),
    /// An answer that contradicts itself or is too large.
    Wrong(Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Answer(error)
    }
}

impl Failure {
    /// Describes an answer that is not one to what was asked.
    pub(super) fn wrong(asked: &Asked, what: impl fmt::Display) -> Self {
        Self::Wrong(Error::store(format!("{asked}: {what}")))
    }

    pub(super) fn wrong_range(asked: &Asked, head: &Head) -> Self {
        let what = match &head.range_text {
            Some(text) => format!("206 Partial Content with the range {text:?}"),
            None => "206 Partial Content without the header Content-Range".to_owned(),
        };
        Self::wrong(asked, format!("the server gave a wrong answer: {what}"))
    }

    /// Returns the error that callers get.
    pub(super) fn into_error(self, settings: &Settings) -> Error {
        match self {
            Self::Missing(status) => Error::store(format!("the server answered {status}: there is no such object")),
            Self::Changed => Error::store("the object changed while it was read"),
            Self::Refused { cause, is_forbidden: false } => Error::store(cause),
            Self::Refused { cause, is_forbidden: true } => Error::store(cause).forbidden(),
            Self::Lost(asked, lost) => Error::store(format!("{asked}: {lost}")),
            Self::Answer(error) => match &error {
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                    Error::store(cause_of(&error) + &access_hint(settings)).forbidden()
                }
                _ => Error::store(cause_of(&error)),
            },
            Self::Wrong(error) => error,
        }
    }
}

/// Returns the failure of an answer with an error status.
pub(super) async fn refusal(asked: &Asked, answer: Answer, settings: &Settings) -> Failure {
    let Answer { response, tries } = answer;
    let status = response.status();
    let region =
        response.headers().get("x-amz-bucket-region").and_then(|region| region.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    let mut stream = response.into_body().bytes_stream();
    while body.len() < 1 << 16
        && let Ok(Some(Ok(piece))) = timeout(settings.silence, stream.next()).await
    {
        body.extend_from_slice(&piece);
    }
    let code = error_code(&String::from_utf8_lossy(&body)).map(|code| format!(" ({code})")).unwrap_or_default();
    let mut cause = format!("the server answered {status}{code} to {asked}");
    if tries > 1 {
        let _ = write!(cause, ", tried {tries} times");
    }
    let is_forbidden = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    match region {
        Some(region) if !is_forbidden => {
            let _ = write!(cause, "; the bucket is in another region: pass region={region:?}");
        }
        _ if is_forbidden => cause += &access_hint(settings),
        _ if status.is_redirection() => cause += " without an address to go on",
        _ => {}
    }
    Failure::Refused { cause, is_forbidden }
}

/// Says what can be done if access is denied.
fn access_hint(settings: &Settings) -> String {
    let access = match (settings.service, settings.anonymous) {
        (Service::Http, _) => "pass credentials, such as headers={\"Authorization\": ...}",
        (_, false) => "check the credentials, or pass anonymous=True if the data are public",
        (_, true) => "pass credentials instead of anonymous=True if the data are not public",
    };
    format!(
        ". To get access, {access}. If the server answers so for objects that do not exist, pass missing_statuses=(403, 404)"
    )
}

/// Returns the cause of an error.
pub(super) fn cause_of(error: &object_store::Error) -> String {
    let mut causes: Vec<&dyn StdError> = vec![error];
    while let Some(cause) = causes.last().copied().and_then(StdError::source) {
        causes.push(cause);
    }
    for cause in &causes {
        if let Some(answer) = cause.to_string().strip_prefix(STATUS) {
            let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
            let code = error_code(body).map(|code| format!(" ({code})")).unwrap_or_default();
            let status = status.trim_end_matches([':', ' ']);
            return format!("the server answered {status}{code}") + credentials_hint(error);
        }
        if let Some(lost) = cause.downcast_ref::<Lost>() {
            return lost.to_string() + credentials_hint(error);
        }
        if let Some(http) = cause.downcast_ref::<HttpError>()
            && !http.source().is_some_and(<dyn StdError>::is::<Lost>)
        {
            return Lost::from_error(http).to_string() + credentials_hint(error);
        }
    }
    without_secrets(&causes.last().map_or_else(|| error.to_string(), ToString::to_string)) + credentials_hint(error)
}

/// Explains failed requests to the addresses where machines in a cloud get their credentials.
fn credentials_hint(error: &object_store::Error) -> &'static str {
    let text = error.to_string();
    if text.contains("169.254.169.254") || text.contains("metadata.google") {
        " (no credentials were found; to read public data, pass anonymous=True)"
    } else {
        ""
    }
}

/// Returns the error code that S3 and Azure put in the body of an answer.
fn error_code(body: &str) -> Option<&str> {
    let (code, _) = body.split_once("<Code>")?.1.split_once("</Code>")?;
    Some(code).filter(|code| code.len() < 64 && code.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        assert_eq!(without_secrets("cannot GET https://me:pass@h/x?sig=1 at all"), "cannot GET https://h/x at all");
        let body = "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(error_code(body), Some("SignatureDoesNotMatch"));
        assert_eq!(error_code("<html>?</html>"), None);
        assert_eq!(error_code("<Code>a secret: 7</Code>"), None);
    }
}

//! Sends requests: adds headers, follows redirects, limits the time without an answer, and repeats what failed.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION, RANGE,
};
use reqwest::{Method, StatusCode};
use tokio::time::{sleep, timeout};
use url::Url;

use super::connect;
use super::patience::{Patience, RetryPolicy, is_passing, retry_after};
use crate::runtime::lock;

/// The protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Service {
    Http,
    S3,
    Google,
    Azure,
}

/// Maximum number of redirects that a request follows.
const REDIRECTS: usize = 10;

/// Bytes that a slow link uploads in a second.
const UPLOAD: f64 = 65536.0;

/// Maximum number of retries if the name of the server is unknown.
const UNKNOWN_NAME: usize = 4;

/// How a client sends requests.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Headers of every request to the server. They may be secret.
    pub(super) headers: HeaderMap,
    /// Time without any byte from the server after which a request has failed.
    pub(super) silence: Duration,
    pub(super) policy: RetryPolicy,
    /// Statuses that mean that there is no such object.
    pub(super) missing: Vec<StatusCode>,
    /// Maximum number of bytes of an object that is read whole because it cannot be read in parts.
    pub(super) max_download: u64,
    pub(super) service: Service,
    /// Whether requests are not signed.
    pub(super) anonymous: bool,
}

impl Settings {
    /// Whether the server is a plain one: its answers can be compressed, or pages for people.
    pub(super) fn is_http(&self) -> bool {
        self.service == Service::Http
    }
}

/// Counts of requests and bytes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) heads: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) written: AtomicU64,
}

/// A request for an object whose answer goes to [`take`](Self::take) instead of `object_store`, which accepts fewer
/// answers than servers give. It is an extension of the request.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Whether another kind of request can take the place of this one if the server does not understand it.
    is_trial: bool,
    answer: Mutex<Option<Result<Answer, Lost>>>,
}

impl Exchange {
    pub(super) fn new(is_trial: bool) -> Self {
        Self { is_trial, ..Self::default() }
    }

    pub(super) fn take(&self) -> Option<Result<Answer, Lost>> {
        lock(&self.answer).take()
    }
}

/// An answer with any status, and the number of tries that it took.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: HttpResponse,
    pub(super) tries: usize,
}

/// Why a request got no answer.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    cause: String,
    /// Whether the request may succeed later.
    is_passing: bool,
    /// Whether the server may have received the request.
    pub(super) was_sent: bool,
    is_unknown_name: bool,
    pub(super) tries: usize,
}

impl Lost {
    fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), is_passing: false, was_sent: false, is_unknown_name: false, tries: 1 }
    }

    /// Describes an error of the connection.
    pub(super) fn from_error(error: &HttpError) -> Self {
        let (mut detail, mut is_certificate) = (error.to_string(), false);
        let mut source: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = source {
            detail = error.to_string();
            let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            is_certificate |= inner.is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>);
            source = error.source();
        }
        let is_unknown_name = detail.contains("failed to lookup address") || detail.contains("nodename nor servname");
        let (what, is_passing, was_sent) = match error.kind() {
            HttpErrorKind::Connect => ("cannot connect", !is_certificate, false),
            HttpErrorKind::Timeout => ("no answer before the timeout", true, true),
            HttpErrorKind::Interrupted | HttpErrorKind::Request => ("the connection was closed", true, true),
            _ => ("the answer is not valid HTTP", false, true),
        };
        let cause = format!("{what}: {}", without_secrets(&detail));
        Self { is_passing, was_sent, is_unknown_name, ..Self::new(cause) }
    }

    pub(super) fn silent(silence: Duration) -> Self {
        let cause = format!(
            "no answer within the timeout of {} s; the option \"timeout\" allows longer silence",
            silence.as_secs_f64()
        );
        Self { is_passing: true, was_sent: true, ..Self::new(cause) }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)?;
        if self.tries > 1 { write!(f, " (tried {} times)", self.tries) } else { Ok(()) }
    }
}

impl StdError for Lost {}

/// Creates the transports of a client.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) settings: Arc<Settings>,
    pub(super) counters: Arc<Counters>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Transport {
            client: connect::client(options)?,
            allow_http: connect::flag(options, ClientConfigKey::AllowHttp),
            settings: self.settings.clone(),
            counters: self.counters.clone(),
        }))
    }
}

#[derive(Debug)]
struct Transport {
    client: HttpClient,
    allow_http: bool,
    settings: Arc<Settings>,
    counters: Arc<Counters>,
}

impl HttpService for Transport {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let Some(exchange) = request.extensions().get::<Arc<Exchange>>().cloned() else {
                return self.finish(request).await;
            };
            let answer = self.persist(request, exchange.is_trial).await;
            *lock(&exchange.answer) = Some(answer);
            // Never shown: the client takes the answer.
            Err(HttpError::new(HttpErrorKind::Unknown, Lost::new("the answer was taken")))
        })
    }
}

impl Transport {
    /// Answers a request of `object_store`'s own, with the whole body.
    async fn finish(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // Where machines in a cloud get their credentials; on other machines nobody answers.
        if matches!(request.uri().host(), Some("169.254.169.254" | "169.254.170.2" | "metadata.google.internal")) {
            return self.client.execute(request).await;
        }
        // The crate would retry, too.
        let failed = |lost: Lost| HttpError::new(HttpErrorKind::Unknown, lost);
        let Answer { response, tries } = self.persist(request, false).await.map_err(failed)?;
        let status = response.status();
        if is_passing(status) {
            return Err(failed(Lost { tries, ..Lost::new(format!("the server answered {status}")) }));
        }
        let (parts, body) = response.into_parts();
        let silence = self.settings.silence;
        let mut stream = body.bytes_stream();
        let mut bytes = Vec::new();
        loop {
            let piece = timeout(silence, futures_util::StreamExt::next(&mut stream)).await;
            match piece.map_err(|_| failed(Lost::silent(silence)))? {
                Some(piece) => bytes.extend_from_slice(&piece?),
                None => return Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(bytes))),
            }
        }
    }

    /// Sends a request until it has an answer that waiting does not change, as long as the policy allows.
    async fn persist(&self, request: HttpRequest, is_trial: bool) -> Result<Answer, Lost> {
        let request = self.prepare(request)?;
        let conditional = request.headers().contains_key(IF_MATCH) || request.headers().contains_key(IF_NONE_MATCH);
        let is_idempotent = request.method().is_safe()
            || *request.method() == Method::DELETE
            || (*request.method() == Method::PUT && !conditional);
        let mut patience = Patience::new(self.settings.policy);
        loop {
            let sent = self.send(request.clone()).await;
            let tries = patience.failures() + 1;
            let (asked, cause, is_final) = match &sent {
                Ok(response) if is_passing(response.status()) => {
                    let asked = retry_after(response.headers());
                    (asked, response.status().to_string(), is_trial && response.status() == 500)
                }
                Ok(_) => return sent.map(|response| Answer { response, tries }),
                Err(lost) => {
                    let unknown = lost.is_unknown_name && tries > UNKNOWN_NAME;
                    let is_final = !lost.is_passing || unknown || (lost.was_sent && (is_trial || !is_idempotent));
                    (None, lost.cause.clone(), is_final)
                }
            };
            let Some(pause) = (!is_final).then(|| patience.pause(asked)).flatten() else {
                return match sent {
                    Ok(response) => Ok(Answer { response, tries }),
                    Err(lost) => Err(Lost { tries, ..lost }),
                };
            };
            let url = without_secrets(&request.uri().to_string());
            log::debug!(target: "tegula.remote", "{url}: {cause}; retry {tries} in {:.1} s", pause.as_secs_f64());
            sleep(pause).await;
        }
    }

    /// Adds the headers of the user and of the URL.
    fn prepare(&self, mut request: HttpRequest) -> Result<HttpRequest, Lost> {
        let mut url = parsed(&request)?;
        let headers = request.headers_mut();
        for (name, value) in &self.settings.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if self.settings.is_http() {
            headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let user = format!("{}:{}", unescaped(url.username()), unescaped(url.password().unwrap_or_default()));
            let mut basic = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user)))
                .map_err(|_| Lost::new("the user and password of the URL cannot be sent"))?;
            basic.set_sensitive(true);
            headers.entry(AUTHORIZATION).or_insert(basic);
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            direct(&mut request, &url)?;
        }
        Ok(request)
    }

    /// Sends a request once and follows redirects.
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, Lost> {
        let method = request.method().clone();
        for _ in 0..=REDIRECTS {
            let url = parsed(&request)?;
            if url.scheme() == "http" && !self.allow_http {
                return Err(Lost::new(format!(
                    "cannot send a request to {}: it is not encrypted. Pass allow_http=True to allow that, or use \
                     https",
                    url.origin().ascii_serialization()
                )));
            }
            self.counters.requests.fetch_add(1, Ordering::Relaxed);
            self.counters.heads.fetch_add((method == Method::HEAD).into(), Ordering::Relaxed);
            // The silence of an upload cannot be told from its progress.
            let upload = Duration::from_secs_f64(request.body().content_length() as f64 / UPLOAD);
            let silence = self.settings.silence;
            let begun = Instant::now();
            let sent = timeout(silence.saturating_add(upload), self.client.execute(request.clone())).await;
            let sent = match sent {
                Ok(sent) => sent.map_err(|error| Lost::from_error(&error)),
                Err(_) => Err(Lost::silent(silence)),
            };
            if log::log_enabled!(target: "tegula.remote", log::Level::Debug) {
                let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok()).unwrap_or("whole");
                let answer = sent.as_ref().map_or_else(Lost::to_string, |response| response.status().to_string());
                let (url, time) = (without_secrets(url.as_str()), begun.elapsed().as_millis());
                log::debug!(target: "tegula.remote", "{method} {url} ({range}): {answer} after {time} ms");
            }
            let response = sent?;
            let status = response.status().as_u16();
            let follows = matches!(status, 307 | 308) || (matches!(status, 301..=303) && method.is_safe());
            let Some(location) = response.headers().get(LOCATION).filter(|_| follows) else { return Ok(response) };
            let target = location.to_str().ok().and_then(|location| url.join(location).ok());
            let target = target.filter(|target| matches!(target.scheme(), "http" | "https"));
            let mut target = target.ok_or_else(|| Lost::new("the server redirects to an address that is not valid"))?;
            let _ = target.set_username("").and_then(|()| target.set_password(None));
            if url.scheme() == "https" && target.scheme() == "http" {
                return Err(Lost::new(format!(
                    "the server redirects to {}, which is not encrypted",
                    without_secrets(target.as_str())
                )));
            }
            if !shares_secrets(&url, &target) {
                let kept = |name: &HeaderName| *name == RANGE || *name == IF_MATCH || *name == ACCEPT_ENCODING;
                let headers = request.headers_mut();
                *headers =
                    headers.drain().filter_map(|(name, value)| Some((name?, value))).filter(|(n, _)| kept(n)).collect();
            }
            direct(&mut request, &target)?;
        }
        Err(Lost::new(format!("the server redirects more than {REDIRECTS} times")))
    }
}

fn parsed(request: &HttpRequest) -> Result<Url, Lost> {
    Url::parse(&request.uri().to_string()).map_err(|error| Lost::new(format!("not a URL: {error}")))
}

fn direct(request: &mut HttpRequest, url: &Url) -> Result<(), Lost> {
    let mut url = url.clone();
    url.set_fragment(None);
    *request.uri_mut() = url.as_str().parse().map_err(|_| Lost::new("the URL is not valid in a request"))?;
    Ok(())
}

/// Whether a server that redirects to another URL may pass on the secrets of a request: only to itself.
fn shares_secrets(from: &Url, to: &Url) -> bool {
    let upgrade = (from.scheme(), to.scheme()) == ("http", "https")
        && (from.port_or_known_default(), to.port_or_known_default()) == (Some(80), Some(443));
    from.host_str() == to.host_str() && (from.origin() == to.origin() || upgrade)
}

/// Decodes `%20` and the like.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        decoded.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Returns a message with the queries and users of its URLs removed.
pub(super) fn without_secrets(text: &str) -> String {
    let word = |word: &str| {
        let word = word.split_once('?').map_or(word, |(before, _)| before);
        match word.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('@'))) {
            Some((scheme, Some((_, rest)))) => format!("{scheme}://{rest}"),
            _ => word.to_owned(),
        }
    };
    text.chars().take(300).collect::<String>().split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_with_their_server() {
        let shares = |from: &str, to: &str| shares_secrets(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
        assert!(shares("https://h/a", "https://h/b"));
        assert!(shares("http://h/a", "https://h/a"));
        assert!(!shares("https://h/a", "https://h:8443/a"));
        assert!(!shares("https://h/a", "https://other/a"));
        assert!(!shares("http://h:8080/a", "https://h/a"));
    }

    #[test]
    fn users_and_passwords_are_decoded() {
        assert_eq!(unescaped("me%40there%3Ax%2"), "me@there:x%2");
    }
}

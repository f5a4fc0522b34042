//! Requests for objects: their size, parts of them, and the whole where the server has no parts.

use std::ops::Range;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{GetOptions, GetRange};
use reqwest::StatusCode;
use tokio::sync::Semaphore;

use super::answer::{ContentRange, Head, Seen};
use super::client::Client;
use super::failure::{Asked, Failure, refusal};
use super::patience::is_passing;
use super::transport::{Answer, Exchange};
use super::whole::Whole;
use crate::error::Error;
use crate::runtime::PerProcess;
use crate::store::{ByteRange, clipped};

/// An object of at most this size is taken whole if the server sends it in place of its end.
const SMALL: u64 = 1 << 20;

/// MiB of whole objects that are being read.
static DOWNLOADS: PerProcess<Semaphore> = PerProcess::new(|| Semaphore::new(DOWNLOADS_MIB as usize));
const DOWNLOADS_MIB: u32 = 1024;

pub(super) type Outcome<T> = Result<T, Failure>;

impl Client {
    /// Sends a request for an object; returns an answer with any status that says something about it.
    pub(super) async fn exchange(
        &self,
        path: &Path,
        asked: &Asked,
        held: Option<&Seen>,
        is_trial: bool,
    ) -> Outcome<Answer> {
        let exchange = Arc::new(Exchange::new(is_trial));
        let mut options = GetOptions {
            range: match asked {
                Asked::Head | Asked::Whole => None,
                Asked::From(start) => Some(GetRange::Offset(*start)),
                Asked::Part(range) => Some(GetRange::Bounded(range.clone())),
                Asked::Suffix(length) => Some(GetRange::Suffix(*length)),
            },
            head: *asked == Asked::Head,
            if_match: held.and_then(Seen::strong_etag).map(str::to_owned),
            ..GetOptions::default()
        };
        options.extensions.insert(exchange.clone());
        let result = self.store().get_opts(path, options).await;
        let answer = match (exchange.take(), result) {
            (Some(answer), _) => answer.map_err(|lost| Failure::Lost(asked.to_string(), lost))?,
            // No request was sent, such as without credentials.
            (None, Err(error)) => return Err(error.into()),
            (None, Ok(_)) => return Err(Failure::wrong(asked, "the request was not sent")),
        };
        let status = answer.response.status();
        if status == StatusCode::NOT_FOUND || status == StatusCode::GONE || self.settings().missing.contains(&status) {
            return Err(Failure::Missing(status));
        }
        if status == StatusCode::PRECONDITION_FAILED {
            self.record(path, None);
            return Err(Failure::Changed);
        }
        Ok(answer)
    }

    pub(super) async fn refuse<T>(&self, asked: &Asked, answer: Answer) -> Outcome<T> {
        Err(refusal(asked, answer, self.settings()).await)
    }

    /// Gets size and version of an object without reading it.
    pub(super) async fn head(&self, path: &Path) -> Outcome<Seen> {
        let seen = match self.told(path).await? {
            Some(seen) => seen,
            None => self.whole(path, None, None).await?.seen.clone(),
        };
        self.record(path, Some(seen.clone()));
        Ok(seen)
    }

    /// Asks for size and version with HEAD, or for one byte; `None` if the server does not tell.
    pub(super) async fn told(&self, path: &Path) -> Outcome<Option<Seen>> {
        match self.exchange(path, &Asked::Head, None, true).await {
            Ok(answer) if answer.response.status() == StatusCode::OK => {
                let head = Head::new(answer.response.headers());
                // Servers that do not implement HEAD answer with no bytes, too.
                let size = head.length.filter(|size| *size > 0 && !self.is_encoded(&head));
                match size {
                    Some(size) => Ok(Some(head.seen(size))),
                    None => self.probe(path).await,
                }
            }
            Ok(answer) if is_passing(answer.response.status()) && answer.response.status() != 500 => {
                self.refuse(&Asked::Head, answer).await
            }
            Ok(_) => self.probe(path).await,
            Err(Failure::Lost(_, lost)) if lost.was_sent => self.probe(path).await,
            Err(failure) => Err(failure),
        }
    }

    /// Gets size and version of an object from the headers of an answer with one byte.
    async fn probe(&self, path: &Path) -> Outcome<Option<Seen>> {
        let asked = Asked::Part(0..1);
        let answer = self.exchange(path, &asked, None, false).await?;
        let head = Head::new(answer.response.headers());
        let size = match answer.response.status() {
            StatusCode::PARTIAL_CONTENT => head.range.and_then(|range| range.size),
            StatusCode::OK => head.length,
            StatusCode::RANGE_NOT_SATISFIABLE => head.size_beyond,
            status if is_no_range(status) => None,
            _ => return self.refuse(&asked, answer).await,
        };
        Ok(size.filter(|_| !self.is_encoded(&head)).map(|size| head.seen(size)))
    }

    /// Whether a body must be decoded. Objects of S3 and the like are read as they are stored.
    pub(super) fn is_encoded(&self, head: &Head) -> bool {
        self.settings().is_http() && head.encoding.is_some()
    }

    /// Reads the part of a range that is inside an object, in the version `held` if one is given; fails before reading
    /// if that are more than `limit` bytes.
    pub(super) async fn get(
        &self,
        path: &Path,
        range: ByteRange,
        held: Option<&Seen>,
        limit: u64,
    ) -> Outcome<(Vec<u8>, Seen)> {
        let (bytes, seen) = self.get_any(path, range, held, limit).await?;
        self.record(path, Some(seen.clone()));
        if held.is_some_and(|held| held.stat != seen.stat) { Err(Failure::Changed) } else { Ok((bytes, seen)) }
    }

    async fn get_any(
        &self,
        path: &Path,
        range: ByteRange,
        held: Option<&Seen>,
        limit: u64,
    ) -> Outcome<(Vec<u8>, Seen)> {
        if range == ByteRange::All {
            return self.collect(path, None, None, held, limit).await;
        }
        if let Some(slot) = self.wholes().find(path)
            && slot.lock().await.is_some()
        {
            let whole = self.whole(path, None, held).await?;
            return Ok((whole.part(range), whole.seen.clone()));
        }
        let part = match range {
            ByteRange::Suffix(length) => {
                if self.serves_suffixes()
                    && let Some(found) = self.suffix(path, length, held).await?
                {
                    return Ok(found);
                }
                let size = match held {
                    Some(held) => held.stat.size,
                    None => self.head(path).await?.stat.size,
                };
                clipped(range, size)
            }
            ByteRange::Range { offset, length } => (offset, length),
            ByteRange::All => (0, limit),
        };
        let end = part.0.checked_add(part.1).ok_or_else(|| Failure::Wrong(Error::corrupt("a range ends past 2^64")))?;
        if part.1 == 0 {
            return Ok((Vec::new(), self.head(path).await?));
        }
        self.collect(path, Some(part.0..end), None, held, limit).await
    }

    /// Reads the end of an object; `None` if the server cannot do that.
    async fn suffix(&self, path: &Path, length: u64, held: Option<&Seen>) -> Outcome<Option<(Vec<u8>, Seen)>> {
        let asked = Asked::Suffix(length);
        let is_trial = !self.suffixes_are_proven();
        let answer = match self.exchange(path, &asked, held, is_trial).await {
            Err(Failure::Lost(_, lost)) if is_trial && lost.was_sent => {
                self.suspect_suffixes(false);
                log::debug!(target: "tegula.remote", "{}: {lost} to {asked}; trying another request", self.url(path));
                return Ok(None);
            }
            answer => answer?,
        };
        let status = answer.response.status();
        let head = Head::new(answer.response.headers());
        match (status, head.range) {
            (StatusCode::PARTIAL_CONTENT, Some(ContentRange { start, end, size }))
                if size.is_none_or(|size| size == end) && end - start == length.min(end) && !self.is_encoded(&head) =>
            {
                self.prove_suffixes();
                return self.collect(path, Some(start..end), Some((answer, end)), held, length).await.map(Some);
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, _) if head.size_beyond == Some(0) => {
                return Ok(Some((Vec::new(), head.seen(0))));
            }
            (StatusCode::OK, _) if head.length.is_none_or(|size| size <= SMALL) || !self.serves_ranges() => {
                let whole = self.whole(path, Some(answer), held).await?;
                return Ok(Some((whole.part(ByteRange::Suffix(length)), whole.seen.clone())));
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED, _) => {
                return self.refuse(&asked, answer).await;
            }
            _ => {}
        }
        // An error of the server itself may have another reason.
        self.suspect_suffixes(!status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED);
        log::debug!(target: "tegula.remote", "{}: {status} to {asked}; trying another request", self.url(path));
        Ok(None)
    }

    /// Reads a range of an object whose server does not answer requests for ranges.
    pub(super) async fn part_of_whole(
        &self,
        path: &Path,
        part: Option<Range<u64>>,
        answer: Option<Answer>,
        held: Option<&Seen>,
    ) -> Outcome<(Vec<u8>, Seen)> {
        if self.forgo_ranges() {
            log::warn!(
                target: "tegula.remote",
                "{} does not answer requests for byte ranges: objects are read whole and stay in memory for a while",
                self.url(path)
            );
        }
        let whole = self.whole(path, answer, held).await?;
        let part = part.map(|part| ByteRange::Range { offset: part.start, length: part.end - part.start });
        Ok((whole.part(part.unwrap_or(ByteRange::All)), whole.seen.clone()))
    }

    /// Reads a whole object, or returns it if it was read a moment ago and has not changed. `answer` has it as its body.
    async fn whole(&self, path: &Path, answer: Option<Answer>, held: Option<&Seen>) -> Outcome<Arc<Whole>> {
        let slot = self.wholes().slot(path);
        let kept = slot.lock().await.clone();
        if let Some(whole) = &kept {
            let now = if let Some(answer) = &answer {
                Head::new(answer.response.headers()).seen(0)
            } else {
                let answer = self.exchange(path, &Asked::Head, None, true).await?;
                Head::new(answer.response.headers()).seen(0)
            };
            // Without a version, only a handle that has read this object before may find it the same.
            if now.stat.version == whole.seen.stat.version && (whole.seen.is_distinct || held.is_some()) {
                return Ok(whole.clone());
            }
        }
        let mut place = slot.lock().await;
        if let Some(whole) = &*place
            && kept.is_none_or(|kept| !Arc::ptr_eq(&kept, whole))
        {
            // It was read while this request waited for the lock.
            return Ok(whole.clone());
        }
        log::debug!(target: "tegula.remote", "{}: reading the whole object", self.url(path));
        let whole = self.download(path, answer, held).await?;
        *place = Some(whole.clone());
        drop(place);
        self.wholes().shrink(self.settings().max_download);
        Ok(whole)
    }

    async fn download(&self, path: &Path, answer: Option<Answer>, held: Option<&Seen>) -> Outcome<Arc<Whole>> {
        let limit = self.settings().max_download;
        let answer = match answer {
            Some(answer) => answer,
            None => self.exchange(path, &Asked::Whole, held, false).await?,
        };
        let length = Head::new(answer.response.headers()).length;
        if let Some(length) = length.filter(|length| *length > limit) {
            return Err(Failure::Wrong(Error::store(format!(
                "the server does not answer requests for byte ranges, and the object has {length} bytes, more than the \
                 {limit} that are read whole; raise the option \"max_download\", or download it"
            ))));
        }
        let mib = length.unwrap_or(64 << 20).div_ceil(1 << 20).clamp(1, DOWNLOADS_MIB.into());
        let _share = DOWNLOADS.get().acquire_many(mib as u32).await;
        let size = length.unwrap_or(0);
        let (bytes, seen) = Box::pin(self.collect(path, None, Some((answer, size)), held, limit)).await?;
        Ok(Arc::new(Whole { seen, bytes }))
    }
}

/// Whether servers that know no ranges answer with this status.
pub(super) fn is_no_range(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405 | 406 | 501)
}

/// Whether an object is a page by its name.
pub(super) fn is_named_page(path: &Path) -> bool {
    matches!(path.extension(), Some("html" | "htm" | "xhtml" | "xml"))
}

//! Reads the bodies of answers, which may end early, be longer than wanted, or not tell their size.

use std::ops::Range;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use object_store::client::HttpResponse;
use object_store::path::Path;
use reqwest::StatusCode;
use tokio::time::{sleep, timeout};

use super::answer::{ContentRange, Head, Seen, decode, is_page};
use super::client::Client;
use super::failure::{Asked, Failure};
use super::patience::Patience;
use super::reading::{Outcome, is_named_page, is_no_range};
use super::transport::{Answer, Lost};
use crate::error::Error;

/// Maximum number of bytes allocated before any of them has arrived.
const FIRST: u64 = 16 << 20;

/// Number of bytes after which a body that was cut counts as progress.
const PROGRESS: usize = 64 << 10;

/// A read of an object, or of a part of it, that may take several requests.
struct Reading {
    /// The wanted bytes; `None`: all.
    part: Option<Range<u64>>,
    limit: u64,
    bytes: Vec<u8>,
    /// The version of these bytes, if the next request can go on from there.
    seen: Option<Seen>,
}

/// What the body of an answer is.
struct Body {
    /// Bytes before the first one that is wanted.
    skip: u64,
    /// Size of the object.
    size: Option<u64>,
    /// Offset in the object at which the body ends.
    end: Option<u64>,
}

impl Reading {
    fn start(&self) -> u64 {
        self.part.as_ref().map_or(0, |part| part.start)
    }

    /// Returns the offset in the object of the next byte.
    fn at(&self) -> u64 {
        self.start() + self.bytes.len() as u64
    }

    fn asked(&self) -> Asked {
        match &self.part {
            Some(part) => Asked::Part(self.at()..part.end),
            None if self.bytes.is_empty() => Asked::Whole,
            None => Asked::From(self.at()),
        }
    }

    /// Returns how many bytes there will be, for the size of the object.
    fn length(&self, size: Option<u64>) -> Option<u64> {
        let stop = match &self.part {
            Some(part) => Some(part.end.min(size.unwrap_or(u64::MAX))),
            None => size,
        };
        stop.map(|stop| stop.saturating_sub(self.start()))
    }

    /// Appends a piece of a body; returns whether no more is wanted. A false length takes no more memory than the bytes
    /// that arrive.
    fn append(&mut self, piece: &[u8], length: Option<u64>) -> Outcome<bool> {
        let no_memory = || Failure::Wrong(Error::memory("the answer"));
        let most = length.unwrap_or(self.limit.saturating_add(1)).saturating_sub(self.bytes.len() as u64);
        let piece = &piece[..most.min(piece.len() as u64) as usize];
        if self.bytes.capacity() == 0
            && let Some(length) = length
        {
            self.bytes.try_reserve_exact(length.min(FIRST) as usize).map_err(|_| no_memory())?;
        }
        self.bytes.try_reserve(piece.len()).map_err(|_| no_memory())?;
        self.bytes.extend_from_slice(piece);
        if length.is_none() && self.bytes.len() as u64 > self.limit {
            let what = format!("the object has more than the {} bytes that it can have", self.limit);
            return Err(Failure::Wrong(Error::corrupt(what)));
        }
        Ok(self.part.is_some() && Some(self.bytes.len() as u64) == length)
    }
}

impl Client {
    /// Reads the part of a range that is inside an object, or all of it. What was read when an answer ends early is
    /// kept if the server can go on from there. `first` is an answer that is there already, and the object's size.
    pub(super) async fn collect(
        &self,
        path: &Path,
        part: Option<Range<u64>>,
        first: Option<(Answer, u64)>,
        held: Option<&Seen>,
        limit: u64,
    ) -> Outcome<(Vec<u8>, Seen)> {
        let (mut patience, mut farthest) = (Patience::new(self.settings().policy), 0);
        let mut reading = Reading { part, limit, bytes: Vec::new(), seen: None };
        let (mut next, known) = match first {
            Some((answer, size)) => (Some(answer), Some(size)),
            None => (None, held.map(|held| held.stat.size)),
        };
        loop {
            let asked = reading.asked();
            let answer = match next.take() {
                Some(answer) => answer,
                None => self.exchange(path, &asked, reading.seen.as_ref().or(held), false).await?,
            };
            let (status, head) = (answer.response.status(), Head::new(answer.response.headers()));
            let is_encoded = self.is_encoded(&head);
            let is_part = reading.part.is_some();
            let body = match status {
                StatusCode::PARTIAL_CONTENT if !is_encoded => match self.partial(path, &reading, &head, known).await? {
                    Some(body) => body,
                    None if is_part => return self.part_of_whole(path, reading.part, None, held).await,
                    None => return Err(Failure::wrong_range(&asked, &head)),
                },
                StatusCode::OK if !is_part => {
                    reading.bytes.clear();
                    Body { skip: 0, size: head.length, end: head.length }
                }
                StatusCode::OK => return self.part_of_whole(path, reading.part, Some(answer), held).await,
                StatusCode::RANGE_NOT_SATISFIABLE if is_part => {
                    let seen = match head.size_beyond {
                        Some(size) if head.has_version() => head.seen(size),
                        _ => self.head(path).await?,
                    };
                    if reading.at() >= seen.stat.size {
                        return Ok((reading.bytes, seen));
                    }
                    return self.part_of_whole(path, reading.part, None, held).await;
                }
                StatusCode::PARTIAL_CONTENT => return self.part_of_whole(path, reading.part, None, held).await,
                status if is_no_range(status) && is_part => {
                    return self.part_of_whole(path, reading.part, None, held).await;
                }
                StatusCode::RANGE_NOT_SATISFIABLE if !reading.bytes.is_empty() => {
                    // A body without a length had ended.
                    reading = Reading { bytes: Vec::new(), seen: None, ..reading };
                    continue;
                }
                StatusCode::METHOD_NOT_ALLOWED => return Err(Failure::Missing(status)),
                _ => return self.refuse(&asked, answer).await,
            };
            let now = head.seen(body.size.unwrap_or(0));
            if reading.seen.as_ref().is_some_and(|seen| seen.stat != now.stat) {
                return Err(Failure::Changed);
            }
            let before = reading.bytes.len();
            let cut = self.pull(path, &mut reading, answer.response, &body, is_encoded).await?;
            let (length, read) = (reading.length(body.size), reading.bytes.len() as u64);
            let cause = match (cut, length) {
                (None, Some(length)) if read >= length => None,
                (None, None) if head.has_end => None,
                // The connection was closed, which may be the end of the object.
                (None, None) => match self.told(path).await {
                    Ok(Some(whole)) if whole.stat.size > read => Some("the connection was closed".to_owned()),
                    _ => None,
                },
                // A server may answer with a part of what was asked for.
                (None, Some(_)) if body.end == Some(reading.at()) && reading.bytes.len() > before => {
                    reading.seen = Some(now);
                    continue;
                }
                (None, Some(length)) => Some(format!("the answer ends after {read} bytes of {length}")),
                (cause, _) => cause,
            };
            let Some(cause) = cause else {
                if is_encoded {
                    let encoding = head.encoding.as_deref().unwrap_or_default();
                    let bytes = decode(encoding, reading.bytes, limit).map_err(Failure::Wrong)?;
                    let seen = head.seen(bytes.len() as u64);
                    return Ok((bytes, seen));
                }
                return Ok((reading.bytes, head.seen(body.size.unwrap_or(read))));
            };
            // Reading the same bytes again is none.
            if reading.bytes.len() >= farthest + PROGRESS {
                patience.reset();
                farthest = reading.bytes.len();
            }
            let Some(pause) = patience.pause(None) else {
                return Err(Failure::wrong(&asked, format!("{cause} (tried {} times)", patience.failures())));
            };
            log::debug!(target: "tegula.remote", "{}: {cause} to {asked}; going on", self.url(path));
            reading.seen = body.size.filter(|_| head.has_version() && !is_encoded).map(|_| now);
            if reading.seen.is_none() {
                reading.bytes.clear();
            }
            sleep(pause).await;
        }
    }

    /// Checks the range of an answer with a part of an object; `None` if the object's size cannot be found out.
    async fn partial(&self, path: &Path, reading: &Reading, head: &Head, known: Option<u64>) -> Outcome<Option<Body>> {
        let (asked, at) = (reading.asked(), reading.at());
        let told = head.range.and_then(|range| range.size).or(known);
        let size = match told.or(reading.seen.as_ref().map(|seen| seen.stat.size)) {
            Some(size) => size,
            None => match self.told(path).await? {
                Some(seen) => seen.stat.size,
                None => return Ok(None),
            },
        };
        let range = match (head.range, &head.range_text, &asked) {
            (Some(range), _, _) => range,
            // Without the header, the length says what it is.
            (None, None, Asked::Part(part)) if head.length == part.end.min(size).checked_sub(part.start) => {
                ContentRange { start: part.start, end: part.end.min(size), size: None }
            }
            _ => return Err(Failure::wrong_range(&asked, head)),
        };
        if range.start > at || range.end <= at {
            return Err(Failure::wrong_range(&asked, head));
        }
        Ok(Some(Body { skip: at - range.start, size: Some(size), end: Some(range.end) }))
    }

    /// Reads a body as far as it is wanted; returns why it ended early if it did.
    async fn pull(
        &self,
        path: &Path,
        reading: &mut Reading,
        response: HttpResponse,
        body: &Body,
        is_encoded: bool,
    ) -> Outcome<Option<String>> {
        let (asked, length, silence) = (reading.asked(), reading.length(body.size), self.settings().silence);
        let can_be_page = self.settings().is_http() && response.status() == StatusCode::OK && !is_named_page(path);
        let (mut skip, mut is_first) = (body.skip, true);
        let mut stream = response.into_body().bytes_stream();
        loop {
            let piece = match timeout(silence, stream.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(error))) => return Ok(Some(Lost::from_error(&error).to_string())),
                Err(_) => return Ok(Some(Lost::silent(silence).to_string())),
                Ok(None) => return Ok(None),
            };
            if std::mem::take(&mut is_first) && can_be_page && is_page(&piece) {
                let what = "the server answered 200 OK with a page in HTML or XML instead of the object";
                return Err(Failure::wrong(&asked, what));
            }
            if let Some(length) = length.filter(|length| *length > reading.limit && !is_encoded) {
                let what = format!("the object has {length} bytes, more than the {} that it can have", reading.limit);
                return Err(Failure::Wrong(Error::corrupt(what)));
            }
            self.counters().read.fetch_add(piece.len() as u64, Ordering::Relaxed);
            let skipped = skip.min(piece.len() as u64);
            skip -= skipped;
            if reading.append(&piece[skipped as usize..], length)? {
                return Ok(None);
            }
        }
    }
}

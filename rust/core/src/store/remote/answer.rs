//! What the headers of answers tell about objects.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use libdeflater::{DecompressionError, Decompressor};
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
    TRANSFER_ENCODING,
};

use super::patience::http_date;
use crate::error::{Error, Result};
use crate::store::Stat;

/// Headers in which services give the version of an object.
const VERSIONS: [HeaderName; 3] = [
    HeaderName::from_static("x-amz-version-id"),
    HeaderName::from_static("x-goog-generation"),
    HeaderName::from_static("x-ms-version-id"),
];

/// Size and version of an object.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) stat: Stat,
    pub(super) etag: Option<String>,
    /// The version that some services give instead of an etag.
    pub(super) version: Option<String>,
    /// Whether the next version cannot look like this one.
    pub(super) is_distinct: bool,
}

impl Seen {
    pub(super) fn new(size: u64, etag: Option<String>, version: Option<String>, modified: Option<&str>) -> Self {
        let mut hasher = DefaultHasher::new();
        match &etag {
            Some(etag) => etag.hash(&mut hasher),
            None => modified.hash(&mut hasher),
        }
        let stat = Stat { size, version: hasher.finish(), settled: etag.is_some() };
        Self { stat, is_distinct: etag.is_some(), etag, version }
    }

    /// Returns the etag if it is a strong one, which a request may require.
    pub(super) fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }
}

/// The header `Content-Range`: first byte, byte after the last one, and the size of the object if the server tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) size: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, size) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
        let (start, last) = range.trim().split_once('-')?;
        let size = match size.trim() {
            "*" => None,
            size => Some(size.parse().ok()?),
        };
        let (start, end) = (start.trim().parse().ok()?, last.trim().parse::<u64>().ok()?.checked_add(1)?);
        (start < end && size.is_none_or(|size| end <= size)).then_some(Self { start, end, size })
    }
}

/// The headers of an answer.
#[derive(Debug)]
pub(super) struct Head {
    /// Number of bytes of the body.
    pub(super) length: Option<u64>,
    /// Whether the end of the body can be told from a closed connection.
    pub(super) has_end: bool,
    pub(super) range: Option<ContentRange>,
    /// `Content-Range` as it is, for messages.
    pub(super) range_text: Option<String>,
    /// Size of the object if a range is outside it.
    pub(super) size_beyond: Option<u64>,
    /// How the body is compressed.
    pub(super) encoding: Option<String>,
    etag: Option<String>,
    version: Option<String>,
    modified: Option<String>,
    is_old: bool,
}

impl Head {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let length: Option<u64> = text(&CONTENT_LENGTH).and_then(|length| length.trim().parse().ok());
        let range_text = text(&CONTENT_RANGE);
        let modified = text(&LAST_MODIFIED);
        let date = |text: Option<&String>| text.and_then(|text| http_date(text));
        let age = date(text(&DATE).as_ref()).zip(date(modified.as_ref()));
        let age = age.and_then(|(now, modified)| now.duration_since(modified).ok());
        let encoding = text(&CONTENT_ENCODING).map(|encoding| encoding.trim().to_ascii_lowercase());
        Self {
            length,
            has_end: length.is_some() || headers.contains_key(TRANSFER_ENCODING),
            range: range_text.as_deref().and_then(ContentRange::parse),
            size_beyond: range_text.as_deref().and_then(|text| text.trim().strip_prefix("bytes */")?.parse().ok()),
            range_text,
            encoding: encoding.filter(|encoding| !matches!(&**encoding, "" | "identity" | "aws-chunked")),
            etag: text(&ETAG).filter(|etag| !etag.is_empty()),
            version: VERSIONS.iter().find_map(text),
            modified,
            is_old: age.is_some_and(|age| age > Duration::from_secs(2)),
        }
    }

    /// Returns size and version of the object, whose size is not always in a header.
    pub(super) fn seen(&self, size: u64) -> Seen {
        let mut seen = Seen::new(size, self.etag.clone(), self.version.clone(), self.modified.as_deref());
        seen.is_distinct |= self.is_old;
        seen
    }

    /// Whether another answer with the same version can be told from one with the next.
    pub(super) fn has_version(&self) -> bool {
        self.etag.is_some() || self.modified.is_some()
    }
}

/// Whether a body is a page for people or an error in XML. Such answers come with status 200 from servers that have no
/// such object, from login pages and from proxies.
pub(super) fn is_page(body: &[u8]) -> bool {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let starts =
        |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
    ["<!doctype html", "<html", "<?xml", "<error>"].into_iter().any(starts)
}

/// Decodes a compressed body to at most `limit` bytes.
pub(super) fn decode(encoding: &str, body: Vec<u8>, limit: u64) -> Result<Vec<u8>> {
    encoding.split(',').rev().try_fold(body, |body, name| {
        let decoded = match name.trim() {
            "gzip" | "x-gzip" => inflate(&body, limit, Decompressor::gzip_decompress),
            "deflate" => inflate(&body, limit, Decompressor::zlib_decompress),
            "zstd" => unzstd(&body, limit),
            "identity" => return Ok(body),
            other => {
                return Err(Error::store(format!(
                    "the server sent the object compressed with {other:?}, although it was asked not to; configure it \
                     to serve the object as it is"
                )));
            }
        };
        decoded.ok_or_else(|| Error::store(format!("the server sent a damaged body of encoding {name:?}")))?
    })
}

type Inflate = fn(&mut Decompressor, &[u8], &mut [u8]) -> Result<usize, DecompressionError>;

fn inflate(body: &[u8], limit: u64, inflate: Inflate) -> Option<Result<Vec<u8>>> {
    // No deflate stream grows more than this.
    let most = (body.len() as u64).saturating_mul(1032).saturating_add(64);
    let mut size = (body.len() as u64).saturating_mul(4).max(1024);
    loop {
        size = size.min(most).min(limit.saturating_add(1));
        let mut decoded = Vec::new();
        if decoded.try_reserve_exact(size as usize).is_err() {
            return Some(Err(Error::store(format!("no memory for {size} bytes"))));
        }
        decoded.resize(size as usize, 0);
        match inflate(&mut Decompressor::new(), body, &mut decoded) {
            Ok(length) => {
                decoded.truncate(length);
                return Some(if length as u64 > limit { Err(too_large(limit)) } else { Ok(decoded) });
            }
            Err(DecompressionError::InsufficientSpace) if size > limit => {
                return Some(Err(too_large(limit)));
            }
            Err(DecompressionError::InsufficientSpace) if size < most => size = size.saturating_mul(4),
            Err(_) => return None,
        }
    }
}

fn unzstd(body: &[u8], limit: u64) -> Option<Result<Vec<u8>>> {
    let mut context = zstd_safe::DCtx::create();
    let (mut decoded, mut input) = (Vec::new(), zstd_safe::InBuffer::around(body));
    loop {
        let from = decoded.len();
        if from as u64 > limit {
            return Some(Err(too_large(limit)));
        }
        decoded.resize(from + (64 << 10), 0);
        let mut output = zstd_safe::OutBuffer::around(&mut decoded[from..]);
        let left = context.decompress_stream(&mut output, &mut input).ok()?;
        let wrote = output.pos();
        decoded.truncate(from + wrote);
        match (left, input.pos() == body.len(), wrote) {
            (0, true, _) => {
                return Some(if decoded.len() as u64 > limit { Err(too_large(limit)) } else { Ok(decoded) });
            }
            (_, true, 0) => return None,
            _ => {}
        }
    }
}

fn too_large(limit: u64) -> Error {
    Error::store(format!("the server sent a compressed body of more than {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_parsed() {
        let range = |start, end, size| Some(ContentRange { start, end, size });
        assert_eq!(ContentRange::parse("bytes 0-9/100"), range(0, 10, Some(100)));
        assert_eq!(ContentRange::parse(" bytes 5-5/* "), range(5, 6, None));
        for text in
            ["bytes */100", "bytes 9-0/100", "bytes 0-9/5", "0-9/10", "bytes 0-18446744073709551615/*", "bytes -"]
        {
            assert_eq!(ContentRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn pages_are_recognized() {
        assert!(
            is_page(b"<!DOCTYPE HTML><p>") && is_page(b"\xef\xbb\xbf\n <html lang=en>") && is_page(b"<Error><Code>")
        );
        assert!(!is_page(b"{\"zarr_format\": 3}") && !is_page(b"#ASDF 1.0.0\n") && !is_page(b"<") && !is_page(b""));
    }

    #[test]
    fn bodies_are_decoded_within_a_limit() {
        let plain = vec![7u8; 100_000];
        let mut packed = vec![0; 10_000];
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let length = compressor.gzip_compress(&plain, &mut packed).unwrap();
        packed.truncate(length);
        assert_eq!(decode("gzip", packed.clone(), 1 << 20).unwrap(), plain);
        assert_eq!(decode("gzip", packed.clone(), 100_000).unwrap(), plain);
        assert!(decode("gzip", packed.clone(), 99_999).unwrap_err().message().contains("more than 99999"));
        assert!(decode("gzip", packed[..length / 2].to_vec(), 1 << 20).unwrap_err().message().contains("damaged"));
        let mut frame = vec![0; 1000];
        let length = zstd_safe::compress(&mut frame[..], &plain, 3).unwrap();
        frame.truncate(length);
        assert_eq!(decode("zstd", frame.clone(), 1 << 20).unwrap(), plain);
        assert!(decode("zstd", frame[..length - 3].to_vec(), 1 << 20).is_err());
        assert!(decode("zstd", frame, 1000).unwrap_err().message().contains("more than"));
        assert!(decode("br", packed, 1 << 20).unwrap_err().message().contains("\"br\""));
    }
}

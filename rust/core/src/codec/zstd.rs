//! `zstd`: Zstandard.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/zstd>, RFC 8878
//!
//! ```json
//! {"name": "zstd", "configuration": {"level": 3, "checksum": false}}
//! ```
//!
//! A chunk may consist of several frames, among them ones to be skipped, and frames need not tell their size.

use std::cell::RefCell;
use std::sync::Arc;

use serde::Deserialize;
use zstd_safe::zstd_sys::{ZSTD_EndDirective, ZSTD_ErrorCode};
use zstd_safe::{CCtx, CParameter, DCtx, ErrorCode, InBuffer, OutBuffer};

use super::append::{append, append_growing};
use super::sizes::exactly;
use super::{BytesToBytes, Codec, Configuration, Size, TakeEncoded, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Zstd {
    /// Numbers beyond the levels mean the last one, and 0 zstd's own default, as in numcodecs.
    #[serde(default)]
    level: i32,
    #[serde(default)]
    checksum: bool,
}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let mut zstd: Zstd = configure(configuration)?;
    zstd.level = zstd.level.clamp(zstd_safe::min_c_level(), zstd_safe::max_c_level());
    Ok(Codec::BytesToBytes(Arc::new(zstd)))
}

thread_local! {
    static DECODER: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
    static ENCODER: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
}

fn cause(code: ErrorCode) -> &'static str {
    zstd_safe::get_error_name(code)
}

/// Decodes a frame; `None` if it does not fit.
fn decode_frame(frame: &Frame, decoded: &mut [u8]) -> Result<Option<usize>> {
    const TOO_SMALL: usize = (ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize).wrapping_neg();
    match DECODER.with_borrow_mut(|decoder| decoder.decompress(decoded, frame.bytes)) {
        Ok(size) => Ok(Some(size)),
        Err(TOO_SMALL) => Ok(None),
        Err(code) => Err(Error::corrupt(format!("zstd: the frame at byte {}: {}", frame.at, cause(code)))),
    }
}

struct Frame<'a> {
    bytes: &'a [u8],
    /// Where it starts.
    at: usize,
    /// The decoded size, if it tells.
    size: Option<usize>,
}

impl<'a> Frame<'a> {
    /// The frame at a byte, if its decoded size is not larger than `limit`.
    fn find(encoded: &'a [u8], at: usize, limit: usize) -> Result<Self> {
        let rest = &encoded[at..];
        let bad = |cause: &str| Error::corrupt(format!("zstd: the frame at byte {at} of {}: {cause}", encoded.len()));
        let size = zstd_safe::get_frame_content_size(rest).map_err(|_| bad("no frame of zstd, or cut off"))?;
        if let Some(size) = size.filter(|&size| size > limit as u64) {
            return Err(bad(&format!("decodes to {size} bytes where at most {limit} belong")));
        }
        let length = zstd_safe::find_frame_compressed_size(rest).map_err(|code| bad(cause(code)))?;
        let bytes = rest.get(..length).ok_or_else(|| bad("cut off"))?;
        Ok(Self { bytes, at, size: size.map(|size| size as usize) })
    }

    fn end(&self) -> usize {
        self.at + self.bytes.len()
    }
}

fn too_long(limit: usize) -> Error {
    Error::corrupt(format!("zstd: decodes to more than {limit} bytes"))
}

impl BytesToBytes for Zstd {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let (mut at, mut filled) = (0, 0);
        loop {
            let frame = Frame::find(encoded, at, decoded.len() - filled)?;
            filled += decode_frame(&frame, &mut decoded[filled..])?.ok_or_else(|| too_long(decoded.len()))?;
            at = frame.end();
            if at == encoded.len() {
                break;
            }
        }
        exactly("zstd", filled, decoded.len())
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let (mut at, mut filled) = (0, 0);
        loop {
            let room = limit - filled;
            let frame = Frame::find(encoded, at, room)?;
            let decode = |slice: &mut [u8]| decode_frame(&frame, slice);
            filled += match frame.size {
                Some(size) => append(decoded, size, |slice| decode(slice)?.ok_or_else(|| too_long(limit)))?,
                None => append_growing(decoded, frame.bytes.len().saturating_mul(4), room, decode)?
                    .ok_or_else(|| too_long(limit))?,
            };
            at = frame.end();
            if at == encoded.len() {
                return Ok(());
            }
        }
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let failed = |code| Error::unsupported(format!("zstd: cannot encode: {}", cause(code)));
        ENCODER.with_borrow_mut(|encoder| {
            encoder.set_parameter(CParameter::CompressionLevel(self.level)).map_err(failed)?;
            encoder.set_parameter(CParameter::ChecksumFlag(self.checksum)).map_err(failed)?;
            append(encoded, zstd_safe::compress_bound(decoded.len()), |slice| {
                encoder.compress2(slice, decoded).map_err(failed)
            })
        })?;
        Ok(())
    }

    /// One frame, which zstd's own threads make.
    fn encode_to(&self, decoded: &[u8], threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let failed = |code| Error::unsupported(format!("zstd: cannot encode: {}", cause(code)));
        let workers = if decoded.len() > ALONE { threads.min(MOST_THREADS) } else { 1 };
        if workers < 2 {
            let mut encoded = Vec::new();
            self.encode(decoded, &mut encoded)?;
            return take(encoded);
        }
        let mut encoder = CCtx::try_create().ok_or_else(|| Error::store("zstd: there is no memory"))?;
        encoder.set_parameter(CParameter::CompressionLevel(self.level)).map_err(failed)?;
        encoder.set_parameter(CParameter::ChecksumFlag(self.checksum)).map_err(failed)?;
        encoder.set_parameter(CParameter::NbWorkers(workers as u32)).map_err(failed)?;
        encoder.set_pledged_src_size(Some(decoded.len() as u64)).map_err(failed)?;
        let mut input = InBuffer::around(decoded);
        loop {
            let mut encoded = Vec::with_capacity(HANDED_ON);
            let mut output = OutBuffer::around(&mut encoded);
            let left = encoder.compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_end);
            let left = left.map_err(failed)?;
            if !encoded.is_empty() {
                take(encoded)?;
            }
            if left == 0 {
                return Ok(());
            }
        }
    }
}

/// Smaller chunks are not worth threads: zstd gives each thread some MiB.
const ALONE: usize = 4 << 20;

/// More take more memory than they save time.
const MOST_THREADS: usize = 64;

/// Encoded bytes that are handed on at once.
const HANDED_ON: usize = 1 << 20;

//! `zstd`: Zstandard.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/zstd>, RFC 8878
//!
//! ```json
//! {"name": "zstd", "configuration": {"level": 3, "checksum": false}}
//! ```
//!
//! A chunk may consist of several frames. Skippable frames, and frames that do not declare their size, are read.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Deserialize;
use zstd_safe::zstd_sys::{ZSTD_EndDirective, ZSTD_ErrorCode};
use zstd_safe::{CCtx, CParameter, DCtx, ErrorCode, InBuffer, OutBuffer};

use super::sizes::check_size;
use crate::codec::append::{append, append_growing};
use crate::codec::{BytesToBytes, Codec, Configuration, Size, TakeEncoded, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::runtime::parallel_map;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Zstd {
    /// Clamped to zstd's levels; 0 is zstd's default, as in numcodecs.
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

/// Decodes a frame; `None` if `decoded` is too small.
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
    /// Offset in the encoded bytes.
    at: usize,
    /// The decoded size, if the frame declares it.
    size: Option<usize>,
}

impl<'a> Frame<'a> {
    /// Finds the frame at an offset; an error if it declares a decoded size over `limit`.
    fn find(encoded: &'a [u8], at: usize, limit: usize) -> Result<Self> {
        let rest = &encoded[at..];
        let bad = |cause: &str| Error::corrupt(format!("zstd: the frame at byte {at} of {}: {cause}", encoded.len()));
        let size = zstd_safe::get_frame_content_size(rest).map_err(|_| bad("not a zstd frame, or truncated"))?;
        if let Some(size) = size.filter(|&size| size > limit as u64) {
            return Err(bad(&format!("decodes to {size} bytes, but at most {limit} are possible")));
        }
        let length = zstd_safe::find_frame_compressed_size(rest).map_err(|code| bad(cause(code)))?;
        let bytes = rest.get(..length).ok_or_else(|| bad("truncated"))?;
        Ok(Self { bytes, at, size: size.map(|size| size as usize) })
    }

    fn end(&self) -> usize {
        self.at + self.bytes.len()
    }
}

fn failed(code: ErrorCode) -> Error {
    Error::unsupported(format!("zstd: cannot encode: {}", cause(code)))
}

fn too_long(limit: usize) -> Error {
    Error::corrupt(format!("zstd: decodes to more than {limit} bytes"))
}

impl Zstd {
    fn prepare(&self, encoder: &mut CCtx<'_>, level: i32) -> Result<()> {
        encoder.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
        encoder.set_parameter(CParameter::ChecksumFlag(self.checksum)).map_err(failed)?;
        Ok(())
    }

    fn encode_at(&self, level: i32, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        ENCODER.with_borrow_mut(|encoder| {
            self.prepare(encoder, level)?;
            append(encoded, zstd_safe::compress_bound(decoded.len()), |slice| {
                encoder.compress2(slice, decoded).map_err(failed)
            })
        })?;
        Ok(())
    }

    /// Returns a faster level if it makes samples of the data no larger than the configured level. This is common for
    /// numbers whose last bits are noise, because few of their matches are worth the search.
    fn quickest_level(&self, data: &[u8], threads: usize) -> Result<i32> {
        let count = (data.len() / SAMPLED).min(MAX_SAMPLES);
        if count == 0 || !(self.level == 0 || SMALL_WINDOW.contains(&self.level)) {
            return Ok(self.level);
        }
        let samples: Vec<_> =
            data.chunks_exact(data.len() / count).map(|part| &part[part.len() / 2..][..SAMPLE]).collect();
        let levels: Vec<_> = [1, 2].into_iter().filter(|level| *level != self.level).chain([self.level]).collect();
        let trials: Vec<_> = levels.iter().flat_map(|level| samples.iter().map(|part| (*level, *part))).collect();
        let sizes = parallel_map(&trials, threads, |(level, sample)| {
            let mut encoded = Vec::new();
            self.encode_at(*level, sample, &mut encoded)?;
            Ok(encoded.len())
        })?;
        let sums: Vec<usize> = sizes.chunks(samples.len()).map(|sizes| sizes.iter().sum()).collect();
        // The last level is the configured one.
        let quickest = levels.into_iter().zip(&sums).find(|(_, sum)| Some(*sum) <= sums.last());
        Ok(quickest.map_or(self.level, |(level, _)| level))
    }
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
        check_size("zstd", filled, decoded.len())
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let (mut at, mut filled) = (0, 0);
        loop {
            let left = limit - filled;
            let frame = Frame::find(encoded, at, left)?;
            let decode = |slice: &mut [u8]| decode_frame(&frame, slice);
            filled += match frame.size {
                Some(size) => append(decoded, size, |slice| decode(slice)?.ok_or_else(|| too_long(limit)))?,
                None => append_growing(decoded, frame.bytes.len().saturating_mul(4), left, decode)?
                    .ok_or_else(|| too_long(limit))?,
            };
            at = frame.end();
            if at == encoded.len() {
                return Ok(());
            }
        }
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        self.encode_at(self.level, decoded, encoded)
    }

    /// Encodes one frame with zstd's threads.
    fn encode_to(&self, decoded: &[u8], threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let level = self.quickest_level(decoded, threads)?;
        let workers = if decoded.len() > SINGLE_THREADED { threads.min(MAX_THREADS) } else { 1 };
        if workers < 2 {
            let mut encoded = Vec::new();
            self.encode_at(level, decoded, &mut encoded)?;
            return take(encoded);
        }
        let mut encoder = CCtx::try_create().ok_or_else(|| Error::memory("the encoder of zstd"))?;
        self.prepare(&mut encoder, level)?;
        encoder.set_parameter(CParameter::NbWorkers(workers as u32)).map_err(failed)?;
        encoder.set_pledged_src_size(Some(decoded.len() as u64)).map_err(failed)?;
        let mut input = InBuffer::around(decoded);
        loop {
            let mut encoded = Vec::with_capacity(PART);
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

/// Largest size in bytes that one thread encodes: zstd gives each thread some MiB.
const SINGLE_THREADED: usize = 4 << 20;

/// More threads cost more memory than they save time.
const MAX_THREADS: usize = 64;

/// Bytes per sample. Encoding a sample at three levels takes less than a twelfth of the time for these bytes.
const SAMPLED: usize = 64 << 20;
const MAX_SAMPLES: usize = 4;
/// Size of a sample in bytes.
const SAMPLE: usize = 2 << 20;

/// Levels whose window is not larger than a sample.
const SMALL_WINDOW: RangeInclusive<i32> = 2..=8;

/// Size in bytes of the encoded parts.
const PART: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Iterates over pseudo-random numbers (xorshift).
    fn noise(count: usize) -> impl Iterator<Item = u32> {
        let mut state = 1u32;
        (0..count).map(move |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        })
    }

    #[test]
    fn large_data_use_the_fastest_level_that_makes_them_no_larger() {
        let zstd = |level| Zstd { level, checksum: false };
        // Like a detector's: most values are near the middle.
        let pixel = |i: u32| i.to_le_bytes().iter().map(|byte| f32::from(*byte) / 16.0).sum::<f32>() / 4.0;
        let pixels: Vec<u8> = noise(SAMPLED / 4 + 1).flat_map(|i| pixel(i).to_le_bytes()).collect();
        assert_eq!(zstd(3).quickest_level(&pixels, 2).unwrap(), 2);
        assert_eq!(zstd(0).quickest_level(&pixels, 1).unwrap(), 2);
        assert_eq!(zstd(3).quickest_level(&pixels[..SAMPLED - 1], 2).unwrap(), 3);
        assert_eq!(zstd(19).quickest_level(&pixels, 2).unwrap(), 19);
        assert_eq!(zstd(-3).quickest_level(&pixels, 2).unwrap(), -3);

        // Repeats within the window of this level, but beyond that of level 1.
        let frame: Vec<u8> = noise(300_000).flat_map(u32::to_le_bytes).collect();
        let frames = frame.repeat(SAMPLED / frame.len() + 1);
        assert_eq!(zstd(3).quickest_level(&frames, 2).unwrap(), 3);

        for (data, threads) in [(&pixels, 1), (&pixels, 2), (&frames, 2)] {
            let mut encoded = Vec::new();
            let take = &mut |part| {
                encoded.extend::<Vec<u8>>(part);
                Ok(())
            };
            zstd(3).encode_to(data, threads, take).unwrap();
            let mut decoded = vec![0; data.len()];
            zstd(3).decode_into(&encoded, &mut decoded).unwrap();
            assert!(&decoded == data);
        }
    }
}

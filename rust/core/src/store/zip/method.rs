//! Compression methods of entries.

use std::cell::RefCell;
use std::io::Read;

use bzip2::bufread::MultiBzDecoder;
use libdeflater::{Crc, DecompressionError, Decompressor};
use liblzma::stream::{Action, Status, Stream};

use crate::error::{Error, Result};

pub(super) const STORED: u16 = 0;
const DEFLATE: u16 = 8;
const BZIP2: u16 = 12;
const LZMA: u16 = 14;
const ZSTD: u16 = 93;

/// Names of methods that are not supported, for errors.
const OTHERS: &[(u16, &str)] = &[
    (1, "shrink"),
    (2, "reduce"),
    (3, "reduce"),
    (4, "reduce"),
    (5, "reduce"),
    (6, "implode"),
    (9, "deflate64"),
    (20, "zstd, by its old number"),
    (95, "xz"),
    (98, "PPMd"),
    (99, "AES encryption"),
];

thread_local! {
    static INFLATE: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Checks that a method is supported and that `compressed` bytes can decode to `size`, before memory is allocated.
pub(super) fn check(method: u16, compressed: u64, size: u64) -> Result<()> {
    // The highest possible compression ratio of the method.
    let most = match method {
        STORED => 1,
        DEFLATE => 1032,
        BZIP2 | LZMA | ZSTD => 1 << 20,
        _ => {
            let name = OTHERS.iter().find(|(number, _)| *number == method).map_or("unknown", |(_, name)| name);
            return Err(Error::unsupported(format!(
                "compression method {method} ({name}) of a zip entry; supported are stored, deflate, bzip2, lzma and zstd"
            )));
        }
    };
    if (method == STORED && compressed != size) || size > compressed.saturating_mul(most) {
        return Err(Error::corrupt(format!("a zip entry of {compressed} bytes cannot hold {size}")));
    }
    Ok(())
}

/// Decompresses an entry into all of `into`.
pub(super) fn decompress(method: u16, compressed: &[u8], into: &mut [u8]) -> Result<()> {
    let expected = into.len();
    let size = match method {
        DEFLATE => INFLATE.with_borrow_mut(|inflate| match inflate.deflate_decompress(compressed, into) {
            Ok(size) => Ok(size),
            Err(DecompressionError::BadData) => Err(Error::corrupt("deflate: damaged or cut off")),
            Err(DecompressionError::InsufficientSpace) => {
                Err(Error::corrupt(format!("deflate: decodes to more than {expected} bytes")))
            }
        })?,
        BZIP2 => {
            let mut decoder = MultiBzDecoder::new(compressed);
            let mut read = || {
                decoder.read_exact(into)?;
                decoder.read(&mut [0])
            };
            expected + read().map_err(|error| Error::corrupt(format!("bzip2: {error}")))?
        }
        LZMA => unpack_lzma(compressed, into)?,
        ZSTD => zstd_safe::decompress(into, compressed)
            .map_err(|code| Error::corrupt(format!("zstd: {}", zstd_safe::get_error_name(code))))?,
        _ => return Err(Error::unsupported(format!("compression method {method}"))),
    };
    if size == expected {
        Ok(())
    } else {
        Err(Error::corrupt(format!("a zip entry decodes to {size} bytes, not {expected}")))
    }
}

/// Decompresses LZMA with zip's header: a version of two bytes, the size of the properties, and the properties. Because
/// the decoder knows the decoded size, a stream may have an end marker or not.
fn unpack_lzma(compressed: &[u8], into: &mut [u8]) -> Result<usize> {
    const SMALLEST: u32 = 4 << 10;
    let bad = |cause: &str| Error::corrupt(format!("lzma: {cause}"));
    let damaged = |cause: liblzma::stream::Error| bad(&cause.to_string());
    let Some(([_, _, 5, 0, context, dictionary @ ..], stream)) = compressed.split_first_chunk::<9>() else {
        return Err(bad("no properties of five bytes"));
    };
    // A dictionary larger than the output would only take memory.
    let useful = u32::try_from(into.len()).unwrap_or(u32::MAX).max(SMALLEST);
    let dictionary = u32::from_le_bytes(*dictionary).min(useful).to_le_bytes();
    let header = [&[*context], &dictionary[..], &(into.len() as u64).to_le_bytes()].concat();
    let mut decoder = Stream::new_lzma_decoder(u64::MAX).map_err(damaged)?;
    // The decoder stops reading when its output is full; one spare byte lets it reach the end marker.
    let mut spare = [0];
    decoder.process(&header, &mut spare, Action::Run).map_err(damaged)?;
    let mut status = decoder.process(stream, into, Action::Finish).map_err(damaged)?;
    let rest = &stream[(decoder.total_in() as usize).saturating_sub(header.len())..];
    if status != Status::StreamEnd {
        status = decoder.process(rest, &mut spare, Action::Finish).map_err(damaged)?;
    }
    match status {
        Status::StreamEnd if decoder.total_in() == (header.len() + stream.len()) as u64 => {
            Ok(decoder.total_out() as usize)
        }
        Status::StreamEnd => Err(bad("bytes after its end")),
        _ => Err(bad("cut off")),
    }
}

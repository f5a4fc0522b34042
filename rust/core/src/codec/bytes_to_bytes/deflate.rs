//! `gzip` and `zlib`: deflate in two containers.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/gzip/index.html>, RFC 1952;
//! <https://numcodecs.readthedocs.io/en/stable/compression/zlib.html>, RFC 1950
//!
//! ```json
//! {"name": "gzip", "configuration": {"level": 5}}
//! {"name": "zlib", "configuration": {"level": 5}}
//! ```
//!
//! As the programs do, this reads gzip of several members followed by zeros, and ignores bytes after the end of zlib.
//! Both end with a checksum, which is checked.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Arc;

use libdeflate_sys as sys;
use libdeflater::{CompressionLvl, Compressor};
use serde::Deserialize;

use super::sizes::check_size;
use crate::codec::append::{append, append_growing};
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Gzip,
    Zlib,
}

#[derive(Debug)]
struct Deflate {
    container: Container,
    level: CompressionLvl,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    /// 0 to 9, or -1 for deflate's default. The default of the configuration is that of numcodecs.
    #[serde(default = "fast")]
    level: i32,
}

fn fast() -> i32 {
    1
}

pub(super) fn create_gzip(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    create(configuration, Container::Gzip)
}

pub(super) fn create_zlib(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    create(configuration, Container::Zlib)
}

fn create(configuration: &Configuration, container: Container) -> Result<Codec> {
    let Level { level } = configure(configuration)?;
    let level = match level {
        0..=9 => CompressionLvl::new(level).unwrap_or_default(),
        -1 => CompressionLvl::default(),
        _ => return Err(Error::metadata(format!("level {level} is not in -1 to 9"))),
    };
    Ok(Codec::BytesToBytes(Arc::new(Deflate { container, level })))
}

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::new());
    /// The encoder of the level used last.
    static ENCODER: RefCell<Option<(CompressionLvl, Compressor)>> = const { RefCell::new(None) };
}

/// A decoder that, unlike libdeflater's, reports where a stream ends.
struct Decoder(NonNull<sys::libdeflate_decompressor>);

/// The sizes of a stream in bytes.
struct Stream {
    encoded: usize,
    decoded: usize,
}

impl Decoder {
    fn new() -> Self {
        // SAFETY: no arguments; returns a new decompressor or null.
        let decoder = unsafe { sys::libdeflate_alloc_decompressor() };
        Self(NonNull::new(decoder).expect("memory for a decompressor"))
    }

    /// Decodes the stream at the start of `encoded`; `None` if `decoded` is too small.
    fn decode(&mut self, container: Container, encoded: &[u8], decoded: &mut [u8]) -> Result<Option<Stream>> {
        let decode = match container {
            Container::Gzip => sys::libdeflate_gzip_decompress_ex,
            Container::Zlib => sys::libdeflate_zlib_decompress_ex,
        };
        let mut stream = Stream { encoded: 0, decoded: 0 };
        // SAFETY: the decompressor is alive and borrowed mutably; the pointers are to slices of the lengths passed with
        // them, one of them mutable, and to two numbers.
        let result = unsafe {
            decode(
                self.0.as_ptr(),
                encoded.as_ptr().cast(),
                encoded.len(),
                decoded.as_mut_ptr().cast(),
                decoded.len(),
                &raw mut stream.encoded,
                &raw mut stream.decoded,
            )
        };
        match result {
            sys::libdeflate_result_LIBDEFLATE_SUCCESS => Ok(Some(stream)),
            sys::libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE => Ok(None),
            _ => Err(Error::corrupt("damaged or truncated")),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: it was allocated in `new`, and nothing else refers to it.
        unsafe { sys::libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}

impl Container {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
        }
    }

    /// Calls `decode` for each stream; it returns the encoded size of the stream.
    fn for_each(self, encoded: &[u8], mut decode: impl FnMut(&mut Decoder, &[u8]) -> Result<usize>) -> Result<()> {
        let place = |at, error: Error| error.at(format_args!("{}: byte {at} of {}", self.name(), encoded.len()));
        DECODER.with_borrow_mut(|decoder| {
            let mut at = 0;
            loop {
                at += decode(decoder, &encoded[at..]).map_err(|error| place(at, error))?;
                let next = match self {
                    Self::Gzip => encoded[at..].iter().position(|&byte| byte != 0),
                    Self::Zlib => None,
                };
                let Some(zeros) = next else { return Ok(()) };
                at += zeros;
            }
        })
    }

    /// Estimates the decoded size of a stream.
    fn guess(self, encoded: &[u8]) -> usize {
        // Gzip ends with the decoded size of its last member, and deflate compresses at most 1032 times.
        match (self, encoded.last_chunk()) {
            (Self::Gzip, Some(&size)) => (u32::from_le_bytes(size) as usize).min(encoded.len().saturating_mul(1032)),
            _ => encoded.len().saturating_mul(4),
        }
    }
}

fn too_long(limit: usize) -> Error {
    Error::corrupt(format!("decodes to more than {limit} bytes"))
}

impl BytesToBytes for Deflate {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let size = decoded.len();
        let mut filled = 0;
        self.container.for_each(encoded, |decoder, rest| {
            let stream = decoder.decode(self.container, rest, &mut decoded[filled..])?.ok_or_else(|| too_long(size))?;
            filled += stream.decoded;
            Ok(stream.encoded)
        })?;
        check_size(self.container.name(), filled, size)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let mut left = limit;
        self.container.for_each(encoded, |decoder, rest| {
            let mut length = 0;
            let filled = append_growing(decoded, self.container.guess(rest), left, |slice| {
                let stream = decoder.decode(self.container, rest, slice)?;
                length = stream.as_ref().map_or(0, |stream| stream.encoded);
                Ok(stream.map(|stream| stream.decoded))
            })?;
            left -= filled.ok_or_else(|| too_long(limit))?;
            Ok(length)
        })
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        ENCODER.with_borrow_mut(|encoder| {
            if encoder.as_ref().is_none_or(|(level, _)| *level != self.level) {
                *encoder = None;
            }
            let (_, encoder) = encoder.get_or_insert_with(|| (self.level, Compressor::new(self.level)));
            let bound = match self.container {
                Container::Gzip => encoder.gzip_compress_bound(decoded.len()),
                Container::Zlib => encoder.zlib_compress_bound(decoded.len()),
            };
            append(encoded, bound, |slice| {
                let size = match self.container {
                    Container::Gzip => encoder.gzip_compress(decoded, slice),
                    Container::Zlib => encoder.zlib_compress(decoded, slice),
                };
                size.map_err(|error| Error::unsupported(format!("{}: {error}", self.container.name())))
            })
        })?;
        Ok(())
    }
}

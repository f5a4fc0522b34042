//! `gzip` and `zlib`: the same compressor, deflate, in two wrappers.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/gzip/index.html>, RFC 1952;
//! <https://numcodecs.readthedocs.io/en/stable/compression/zlib.html>, RFC 1950
//!
//! ```json
//! {"name": "gzip", "configuration": {"level": 5}}
//! {"name": "zlib", "configuration": {"level": 5}}
//! ```
//!
//! As with the programs of these names, gzip may have several members, with zeros behind them, and what is behind the
//! end of zlib does not count. Both end with a checksum, which is checked.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Arc;

use libdeflate_sys as sys;
use libdeflater::{CompressionLvl, Compressor};
use serde::Deserialize;

use super::sizes::exactly;
use crate::codec::append::{append, append_growing};
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapper {
    Gzip,
    Zlib,
}

#[derive(Debug)]
struct Deflate {
    wrapper: Wrapper,
    level: CompressionLvl,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    /// 0 to 9, or -1 for the compressor's own default. The default here is that of numcodecs.
    #[serde(default = "fast")]
    level: i32,
}

fn fast() -> i32 {
    1
}

pub(super) fn create_gzip(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    create(configuration, Wrapper::Gzip)
}

pub(super) fn create_zlib(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    create(configuration, Wrapper::Zlib)
}

fn create(configuration: &Configuration, wrapper: Wrapper) -> Result<Codec> {
    let Level { level } = configure(configuration)?;
    let level = match level {
        0..=9 => CompressionLvl::new(level).unwrap_or_default(),
        -1 => CompressionLvl::default(),
        _ => return Err(Error::metadata(format!("level {level} is not in -1 to 9"))),
    };
    Ok(Codec::BytesToBytes(Arc::new(Deflate { wrapper, level })))
}

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::new());
    /// That of the last level.
    static ENCODER: RefCell<Option<(CompressionLvl, Compressor)>> = const { RefCell::new(None) };
}

/// A decoder that, unlike libdeflater's, tells where a stream ends.
struct Decoder(NonNull<sys::libdeflate_decompressor>);

/// The sizes of a stream.
struct Stream {
    encoded: usize,
    decoded: usize,
}

impl Decoder {
    fn new() -> Self {
        // SAFETY: it takes nothing, and gives a decompressor of ours or null.
        let decoder = unsafe { sys::libdeflate_alloc_decompressor() };
        Self(NonNull::new(decoder).expect("memory for a decompressor"))
    }

    /// Decodes the stream that `encoded` begins with; `None` if it does not fit.
    fn decode(&mut self, wrapper: Wrapper, encoded: &[u8], decoded: &mut [u8]) -> Result<Option<Stream>> {
        let decode = match wrapper {
            Wrapper::Gzip => sys::libdeflate_gzip_decompress_ex,
            Wrapper::Zlib => sys::libdeflate_zlib_decompress_ex,
        };
        let mut stream = Stream { encoded: 0, decoded: 0 };
        // SAFETY: the decompressor lives and is borrowed mutably; the pointers are to slices of the lengths with them,
        // one of them mutable; and to two numbers.
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
            _ => Err(Error::corrupt("damaged or cut off")),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody has it any more.
        unsafe { sys::libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}

impl Wrapper {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
        }
    }

    /// Hands stream after stream to `decode`, which gives the size of the stream's encoded bytes.
    fn for_each(self, encoded: &[u8], mut decode: impl FnMut(&mut Decoder, &[u8]) -> Result<usize>) -> Result<()> {
        let place = |at, error: Error| error.at(format_args!("{}: byte {at} of {}", self.name(), encoded.len()));
        DECODER.with_borrow_mut(|decoder| {
            let mut at = 0;
            loop {
                at += decode(decoder, &encoded[at..]).map_err(|error| place(at, error))?;
                let behind = match self {
                    Self::Gzip => encoded[at..].iter().position(|&byte| byte != 0),
                    Self::Zlib => None,
                };
                let Some(zeros) = behind else { return Ok(()) };
                at += zeros;
            }
        })
    }

    /// What a stream may decode to, if all is well.
    fn guess(self, encoded: &[u8]) -> usize {
        // The last member of gzip ends with its size; and deflate makes nothing smaller than this.
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
        let due = decoded.len();
        let mut filled = 0;
        self.wrapper.for_each(encoded, |decoder, rest| {
            let stream = decoder.decode(self.wrapper, rest, &mut decoded[filled..])?.ok_or_else(|| too_long(due))?;
            filled += stream.decoded;
            Ok(stream.encoded)
        })?;
        exactly(self.wrapper.name(), filled, due)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let mut room = limit;
        self.wrapper.for_each(encoded, |decoder, rest| {
            let mut length = 0;
            let filled = append_growing(decoded, self.wrapper.guess(rest), room, |slice| {
                let stream = decoder.decode(self.wrapper, rest, slice)?;
                length = stream.as_ref().map_or(0, |stream| stream.encoded);
                Ok(stream.map(|stream| stream.decoded))
            })?;
            room -= filled.ok_or_else(|| too_long(limit))?;
            Ok(length)
        })
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        ENCODER.with_borrow_mut(|encoder| {
            if encoder.as_ref().is_none_or(|(level, _)| *level != self.level) {
                *encoder = None;
            }
            let (_, encoder) = encoder.get_or_insert_with(|| (self.level, Compressor::new(self.level)));
            let bound = match self.wrapper {
                Wrapper::Gzip => encoder.gzip_compress_bound(decoded.len()),
                Wrapper::Zlib => encoder.zlib_compress_bound(decoded.len()),
            };
            append(encoded, bound, |slice| {
                let size = match self.wrapper {
                    Wrapper::Gzip => encoder.gzip_compress(decoded, slice),
                    Wrapper::Zlib => encoder.zlib_compress(decoded, slice),
                };
                size.map_err(|error| Error::unsupported(format!("{}: {error}", self.wrapper.name())))
            })
        })?;
        Ok(())
    }
}

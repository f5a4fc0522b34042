//! `blosc`: blocks of shuffled bytes, compressed by one of several compressors.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/blosc/index.html>,
//! <https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst>
//!
//! ```json
//! {"name": "blosc", "configuration":
//!     {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}}
//! ```
//!
//! What is missing is as in numcodecs, whose numbers for `shuffle` are known, too; a missing `typesize` is the data
//! type's. The bytes say themselves how they were made: decoding needs none of this.

pub(crate) mod blosc2;
mod blosc2_chunk;
mod pieces;
mod snappy;

use std::ffi::{CStr, c_int};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use self::pieces::{due, out_of_bounds, read_header};
use self::snappy::Layout;
use crate::codec::append::append;
use crate::codec::bytes_to_bytes::sizes::at_most;
use crate::codec::{BytesToBytes, Codec, Configuration, Pieces, ReadEncoded, Size, TakeEncoded, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

pub(super) const EXAMPLE: &str =
    r#"{"cname": "zstd", "clevel": 5, "shuffle": "bitshuffle", "typesize": 4, "blocksize": 0}"#;

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Compressor {
    #[default]
    Lz4,
    Lz4hc,
    Blosclz,
    Zstd,
    Zlib,
    Snappy,
}

impl Compressor {
    fn name(self) -> &'static CStr {
        match self {
            Self::Lz4 => c"lz4",
            Self::Lz4hc => c"lz4hc",
            Self::Blosclz => c"blosclz",
            Self::Zstd => c"zstd",
            Self::Zlib => c"zlib",
            Self::Snappy => c"snappy",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(try_from = "Value")]
enum Shuffle {
    None,
    #[default]
    Bytes,
    Bits,
    /// Bits of elements of one byte, bytes of larger ones.
    Auto,
}

impl TryFrom<Value> for Shuffle {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match (value.as_str(), value.as_i64()) {
            (Some("noshuffle"), _) | (_, Some(0)) => Ok(Self::None),
            (Some("shuffle"), _) | (_, Some(1)) => Ok(Self::Bytes),
            (Some("bitshuffle"), _) | (_, Some(2)) => Ok(Self::Bits),
            (_, Some(-1)) => Ok(Self::Auto),
            _ => Err(format!("shuffle is {value}, not noshuffle, shuffle or bitshuffle")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BloscConfiguration {
    #[serde(default)]
    cname: Compressor,
    #[serde(default = "medium")]
    clevel: u8,
    #[serde(default)]
    shuffle: Shuffle,
    typesize: Option<u64>,
    #[serde(default)]
    blocksize: u64,
}

fn medium() -> u8 {
    5
}

#[derive(Debug)]
struct Blosc {
    compressor: Compressor,
    level: u8,
    shuffle: u8,
    type_size: u8,
    /// 0 leaves it to blosc.
    block_size: usize,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let given: BloscConfiguration = configure(configuration)?;
    if given.clevel > 9 {
        return Err(Error::metadata(format!("clevel {} is not in 0 to 9", given.clevel)));
    }
    if given.typesize == Some(0) {
        return Err(Error::metadata("typesize 0 is not positive"));
    }
    // A larger one has no place in the header: these are bytes, then.
    let type_size = given.typesize.unwrap_or(data_type.size() as u64);
    let type_size = u8::try_from(type_size).unwrap_or(1).max(1);
    Ok(Codec::BytesToBytes(Arc::new(Blosc {
        compressor: given.cname,
        level: given.clevel,
        shuffle: match (given.shuffle, type_size) {
            (Shuffle::None, _) => 0,
            (Shuffle::Bits, _) | (Shuffle::Auto, 1) => 2,
            (Shuffle::Bytes | Shuffle::Auto, _) => 1,
        },
        type_size,
        block_size: given.blocksize.min(MAX_SIZE as u64) as usize,
    })))
}

pub(super) const HEADER: usize = 16;

/// The most bytes that blosc can take.
pub(super) const MAX_SIZE: usize = i32::MAX as usize - HEADER;

/// What a header says, checked against the bytes that are there.
struct Buffer<'a> {
    /// The bytes that belong to it.
    encoded: &'a [u8],
    decoded_size: usize,
    layout: Layout,
}

impl<'a> Buffer<'a> {
    fn new(encoded: &'a [u8]) -> Result<Self> {
        let bad = |cause: String| Error::corrupt(format!("blosc: {cause}"));
        let Some(header) = encoded.first_chunk::<HEADER>() else {
            return Err(bad(format!("{} bytes hold no header", encoded.len())));
        };
        let (layout, decoded_size, encoded_size) = read_header(header, encoded.len())?;
        let encoded = &encoded[..encoded_size];
        let mut validated = 0;
        // SAFETY: the pointer is to a slice of that length, the other to a number.
        let result =
            unsafe { blosc_src::blosc_cbuffer_validate(encoded.as_ptr().cast(), encoded.len(), &raw mut validated) };
        if result != 0 || validated != decoded_size {
            return Err(bad("a header that makes no sense".into()));
        }
        Ok(Self { encoded, decoded_size, layout })
    }

    /// A buffer that decodes to so many bytes.
    fn due(encoded: &'a [u8], size: usize) -> Result<Self> {
        let buffer = Self::new(encoded)?;
        due(buffer.decoded_size, size)?;
        Ok(buffer)
    }

    /// Decodes into a slice that has the decoded size.
    fn decode(&self, decoded: &mut [u8]) -> Result<()> {
        assert_eq!(decoded.len(), self.decoded_size);
        if decoded.is_empty() {
            return Ok(());
        }
        if self.layout.flags >> 5 == snappy::FORMAT && !self.layout.is_copy() {
            return self.layout.decode(self.encoded, decoded);
        }
        // SAFETY: blosc trusts the sizes in the header, which `new` has checked against the slice; it checks all that
        // follows against them. It writes no more than the length of the slice, which is passed.
        let size = unsafe {
            blosc_src::blosc_decompress_ctx(self.encoded.as_ptr().cast(), decoded.as_mut_ptr().cast(), decoded.len(), 1)
        };
        if usize::try_from(size) != Ok(decoded.len()) {
            return Err(Error::corrupt(format!("blosc: damaged ({size} instead of {} bytes)", decoded.len())));
        }
        Ok(())
    }

    /// Decodes the blocks that a part of the decoded bytes is in; `false`: these are all blocks.
    fn decode_range(&self, offset: usize, into: &mut [u8]) -> Result<bool> {
        let end = offset.checked_add(into.len()).filter(|&end| end <= self.decoded_size);
        let end = end.expect("a range of the decoded bytes");
        if into.is_empty() {
            return Ok(true);
        }
        if self.layout.is_copy() {
            let copy = &self.encoded[HEADER..];
            if copy.len() != self.decoded_size {
                let sizes = format!("{} instead of {}", copy.len(), self.decoded_size);
                return Err(Error::corrupt(format!("blosc: damaged ({sizes} bytes)")));
            }
            into.copy_from_slice(&copy[offset..end]);
            return Ok(true);
        }
        let size = self.layout.block_size;
        let blocks = offset / size..end.div_ceil(size);
        if blocks.len() == self.decoded_size.div_ceil(size) {
            return Ok(false);
        }
        let mut scratch = Vec::new();
        for block in blocks {
            let start = block * size;
            let length = size.min(self.decoded_size - start);
            let number = HEADER + 4 * block;
            let from = self.encoded.get(number..).and_then(<[u8]>::first_chunk).map(|from| u32::from_le_bytes(*from));
            let bytes = from.and_then(|from| self.encoded.get(from as usize..)).ok_or_else(out_of_bounds)?;
            let encoded = self.layout.single(self.encoded, bytes, length)?;
            let single = Buffer::new(&encoded)?;
            let part = offset.max(start)..end.min(start + length);
            let target = &mut into[part.start - offset..part.end - offset];
            if target.len() == length {
                single.decode(target)?;
            } else {
                scratch.resize(length, 0);
                single.decode(&mut scratch)?;
                target.copy_from_slice(&scratch[part.start - start..part.end - start]);
            }
        }
        Ok(true)
    }
}

/// Decodes one stream of a block into all that it becomes; `format` is a compressor's number.
pub(super) fn decode_stream(format: u8, stream: &[u8], decoded: &mut [u8]) -> Result<()> {
    let bytes = [&(stream.len() as u32).to_le_bytes(), stream].concat();
    let layout = Layout { flags: format << 5 | snappy::NOT_SPLIT, type_size: 1, block_size: decoded.len() };
    let encoded = layout.single(&[2, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &bytes, decoded.len())?;
    Buffer::due(&encoded, decoded.len())?.decode(decoded)
}

/// Blosc has no more.
const MOST_THREADS: usize = 64;

impl Blosc {
    /// Encodes with so many of blosc's own threads.
    fn encode_with(&self, threads: c_int, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        if decoded.len() > MAX_SIZE {
            let size = decoded.len();
            return Err(Error::unsupported(format!("blosc: {size} bytes are more than the {MAX_SIZE} it can take")));
        }
        if self.compressor == Compressor::Snappy {
            let layout = Layout::new(decoded.len(), self.shuffle, self.type_size.into(), self.block_size);
            return layout.encode(self.level > 0, decoded, encoded);
        }
        // With these extra bytes it succeeds always, storing what it cannot make smaller.
        append(encoded, decoded.len() + HEADER, |slice| {
            // SAFETY: the pointers are to slices of the lengths passed with them, one of them mutable, and to a string
            // that ends with a zero.
            let size = unsafe {
                blosc_src::blosc_compress_ctx(
                    c_int::from(self.level),
                    c_int::from(self.shuffle),
                    self.type_size.into(),
                    decoded.len(),
                    decoded.as_ptr().cast(),
                    slice.as_mut_ptr().cast(),
                    slice.len(),
                    self.compressor.name().as_ptr(),
                    self.block_size,
                    threads,
                )
            };
            usize::try_from(size)
                .ok()
                .filter(|&size| size >= HEADER)
                .ok_or_else(|| Error::unsupported(format!("blosc: cannot encode: error {size}")))
        })?;
        Ok(())
    }
}

impl BytesToBytes for Blosc {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        Buffer::due(encoded, decoded.len())?.decode(decoded)
    }

    fn decode_range(&self, encoded: &[u8], decoded_size: usize, offset: usize, into: &mut [u8]) -> Result<bool> {
        Buffer::due(encoded, decoded_size)?.decode_range(offset, into)
    }

    fn has_pieces(&self) -> bool {
        true
    }

    fn pieces(&self, encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        pieces::find(encoded_size, decoded_size, read)
    }

    fn decode_piece(&self, pieces: &Pieces, _: usize, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let header = pieces.head().first_chunk().ok_or_else(out_of_bounds)?;
        let (layout, ..) = read_header(header, usize::MAX)?;
        if layout.is_copy() && encoded.len() == decoded.len() {
            decoded.copy_from_slice(encoded);
            return Ok(());
        }
        let encoded = layout.single(header, encoded, decoded.len())?;
        Buffer::due(&encoded, decoded.len())?.decode(decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let buffer = Buffer::new(encoded)?;
        let size = buffer.decoded_size;
        at_most("blosc", size, limit)?;
        append(decoded, size, |slice| buffer.decode(slice).map(|()| size))?;
        Ok(())
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        self.encode_with(1, decoded, encoded)
    }

    fn encode_to(&self, decoded: &[u8], threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let mut encoded = Vec::new();
        self.encode_with(c_int::try_from(threads.min(MOST_THREADS)).unwrap_or(1), decoded, &mut encoded)?;
        take(encoded)
    }
}

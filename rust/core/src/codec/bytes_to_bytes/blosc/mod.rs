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
//! Defaults are those of numcodecs, whose numbers for `shuffle` are read, too; `typesize` defaults to the item size.
//! The configuration is only for encoding: encoded bytes describe themselves.

mod bitshuffle;
pub(crate) mod blosc2;
mod blosc2_chunk;
mod c_blosc;
mod header;
mod pieces;
mod snappy;

use std::ffi::{CStr, c_int};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use self::c_blosc::{Buffer, Parameters, compress};
use self::header::{HEADER, Layout, MAX_SIZE, out_of_bounds, read_header};
use crate::codec::append::append;
use crate::codec::bytes_to_bytes::sizes::check_limit;
use crate::codec::{BytesToBytes, Codec, Configuration, Pieces, ReadEncoded, Size, TakeEncoded, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

pub(super) const EXAMPLE: &str = r#"{"cname": "zstd", "clevel": 5, "shuffle": 2, "typesize": 4, "blocksize": 0}"#;

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
    /// Bits for elements of one byte, bytes for larger ones.
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
    // The header has one byte for it. Larger elements are shuffled as bytes.
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

/// Maximum number of threads that C-Blosc can use.
const MAX_THREADS: usize = 64;

impl Blosc {
    /// Encodes with `threads` threads of C-Blosc.
    fn encode_with(&self, threads: c_int, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        if decoded.len() > MAX_SIZE {
            let size = decoded.len();
            return Err(Error::unsupported(format!(
                "blosc: cannot encode {size} bytes; at most {MAX_SIZE} are possible"
            )));
        }
        if self.compressor == Compressor::Snappy {
            let layout = Layout::new(decoded.len(), self.shuffle, self.type_size.into(), self.block_size);
            return layout.encode(self.level > 0, decoded, encoded);
        }
        let parameters = Parameters {
            compressor: self.compressor.name(),
            level: self.level,
            shuffle: self.shuffle,
            type_size: self.type_size,
            block_size: self.block_size,
            threads,
        };
        append(encoded, decoded.len() + HEADER, |slice| compress(&parameters, decoded, slice)).map(drop)
    }
}

impl BytesToBytes for Blosc {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        Buffer::with_size(encoded, decoded.len())?.decode(decoded)
    }

    fn decode_range(&self, encoded: &[u8], decoded_size: usize, offset: usize, into: &mut [u8]) -> Result<bool> {
        Buffer::with_size(encoded, decoded_size)?.decode_range(offset, into)
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
        Buffer::with_size(&encoded, decoded.len())?.decode(decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let buffer = Buffer::new(encoded)?;
        let size = buffer.decoded_size;
        check_limit("blosc", size, limit)?;
        append(decoded, size, |slice| buffer.decode(slice).map(|()| size))?;
        Ok(())
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        self.encode_with(1, decoded, encoded)
    }

    fn encode_to(&self, decoded: &[u8], threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let mut encoded = Vec::new();
        self.encode_with(c_int::try_from(threads.min(MAX_THREADS)).unwrap_or(1), decoded, &mut encoded)?;
        take(encoded)
    }
}

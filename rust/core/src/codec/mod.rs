//! Codecs encode and decode elements and bytes. They know no keys, stores or other codecs.
//!
//! Zarr has three kinds of codec, each with a folder: array-to-array, array-to-bytes and bytes-to-bytes. A codec is
//! used in this order: its row is found by name; `create` turns its configuration into a [`Codec`];
//! [`Chain::new`](chain::Chain::new) binds a list of codecs to a chunk shape and data type when an array is opened; the
//! chain then decodes and encodes chunks from many threads.
//!
//! To add a codec, copy the smallest of its kind (`base64.rs`, `astype.rs`, `pcodec.rs` or `vlen.rs`), and add `mod`
//! and a row to the `mod.rs` of the folder. The tests walk the rows, so that they test the new codec.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/index.html>

mod append;
mod array_codecs;
mod array_to_array;
mod array_to_bytes;
mod build;
mod bytes_to_bytes;
pub mod chain;
mod decoded;
mod extension;
mod named;
mod pieces;
mod row;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use array_to_array::reshape::Reshape;
pub use array_to_bytes::bytes::Endian;
pub use array_to_bytes::sharding::{IndexLocation, ShardingConfiguration};
pub(crate) use bytes_to_bytes::blosc::blosc2::Blosc2;
pub use extension::{Extension, register_codecs};
pub(crate) use named::parse_named;
pub use named::{Named, parse_named_list};
pub use pieces::{Piece, Pieces, ReadEncoded};

use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::slot::Slot;

/// The configuration of a codec in an array's metadata.
pub type Configuration = serde_json::Map<String, serde_json::Value>;

/// The size of encoded bytes, as far as it is known before they are encoded or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The exact number of bytes.
    Exact(u64),
    /// An upper bound of the number of bytes. It is generous, because other writers may compress less.
    Bounded(u64),
}

impl Size {
    /// Returns the exact size, or the bound.
    pub fn bound(self) -> u64 {
        match self {
            Self::Exact(size) | Self::Bounded(size) => size,
        }
    }

    /// Returns the bound for a compressor, which may make incompressible bytes larger.
    pub(crate) fn compressed(self) -> Self {
        Self::Bounded(self.bound().saturating_mul(2).saturating_add(64 << 10))
    }
}

/// A bytes-to-bytes codec. Calls share no state, except contexts in thread-locals that make the next call faster.
///
/// Encoded bytes may be hostile: a declared size other than the expected one is
/// [`CorruptData`](crate::ErrorKind::CorruptData) *before* memory of that size is allocated, and nothing may panic.
pub trait BytesToBytes: Send + Sync + fmt::Debug {
    /// Returns the encoded size for a decoded size.
    fn encoded_size(&self, decoded: Size) -> Size;

    /// Decodes `encoded` into `decoded`; fails unless the decoded size is exactly that of `decoded`.
    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()>;

    /// Decodes `encoded` and appends to `decoded`; fails if that takes more than `limit` bytes.
    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()>;

    /// Returns the decoded bytes without a copy, for codecs that only add bytes around them, which `validate` checks.
    fn strip<'a>(&self, _encoded: &'a [u8], _validate: bool) -> Result<Option<&'a [u8]>> {
        Ok(None)
    }

    /// Decodes only the blocks that contain the decoded bytes `offset..offset + into.len()`, and copies these to
    /// `into`. Returns false, and decodes nothing, if these are all blocks or the codec has none.
    fn decode_range(&self, _encoded: &[u8], _decoded_size: usize, _offset: usize, _into: &mut [u8]) -> Result<bool> {
        Ok(false)
    }

    /// Whether a stream may have [`pieces`](Self::pieces).
    fn has_pieces(&self) -> bool {
        false
    }

    /// Returns the ranges of the pieces that decode independently; `None` if this stream has none. `read` reads parts
    /// of the stream, such as its header.
    fn pieces(&self, _encoded_size: u64, _decoded_size: u64, _read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        Ok(None)
    }

    /// Decodes the bytes of a piece into `decoded`, which has its decoded size.
    fn decode_piece(&self, _pieces: &Pieces, _number: usize, _encoded: &[u8], _decoded: &mut [u8]) -> Result<()> {
        Err(Error::unsupported(format!("{self:?} cannot decode pieces")))
    }

    /// Encodes `decoded` and appends to `encoded`.
    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()>;

    /// Encodes large data with at most `threads` threads, and passes encoded parts to `take` as they come. Codecs that
    /// cannot divide the work pass one part at the end.
    fn encode_to(&self, decoded: &[u8], _threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let mut encoded = Vec::new();
        self.encode(decoded, &mut encoded)?;
        take(encoded)
    }
}

/// Receives encoded bytes, one part at a time.
pub type TakeEncoded<'a> = dyn FnMut(Vec<u8>) -> Result<()> + Send + 'a;

/// An array-to-array codec that changes elements. Decoded and encoded elements are native-endian and of fixed size;
/// `create` passes the data type of the decoded ones.
pub trait ArrayToArray: Send + Sync + fmt::Debug {
    /// Returns the data type of the encoded elements.
    fn encoded_type(&self) -> &DataType;

    /// Whether each element is encoded independently, so that any part can be decoded alone.
    fn elementwise(&self) -> bool {
        true
    }

    /// Whether metadata are invalid if the codec cannot encode and decode the fill value.
    fn needs_fill_value(&self) -> bool {
        false
    }

    /// Decodes elements; both slices have the same number of elements.
    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()>;

    /// Encodes elements; both slices have the same number of elements.
    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()>;
}

/// An array-to-bytes codec other than `bytes` and `sharding_indexed`. Elements are native-endian, in C order, and of
/// fixed size. `shape` is the shape of the chunk that this codec sees.
pub trait ArrayToBytes: Send + Sync + fmt::Debug {
    /// Returns the encoded size of a chunk.
    fn encoded_size(&self, shape: &[u64]) -> Size;

    /// Decodes a chunk into `decoded`, which has exactly the size of its elements.
    fn decode(&self, encoded: &[u8], shape: &[u64], decoded: &mut [u8]) -> Result<()>;

    /// Encodes a chunk and appends to `encoded`.
    fn encode(&self, decoded: &[u8], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()>;

    /// Returns the byte range that is enough to decode elements `first..first + count`; `None` if only whole chunks can
    /// be decoded.
    fn part(&self, _first: u64, _count: u64, _shape: &[u64]) -> Option<Range<u64>> {
        None
    }

    /// Decodes the bytes of [`part`](Self::part) into `decoded`, which begins with element `first`.
    fn decode_part(&self, _part: &[u8], _first: u64, _decoded: &mut [u8]) -> Result<()> {
        Err(Error::unsupported(format!("{self:?} cannot decode parts")))
    }

    /// Whether the encoded bytes are elements of `uint8`, so that the codec `bytes` may follow.
    fn leaves_array(&self) -> bool {
        false
    }
}

/// An array-to-bytes codec of elements of variable length.
pub trait VariableToBytes: Send + Sync + fmt::Debug {
    /// Decodes a chunk: a [`Slot`] for each element in C order. The slots point into the returned heap; without one,
    /// into `encoded`.
    fn decode(&self, encoded: &[u8], shape: &[u64]) -> Result<(Vec<Slot>, Option<Vec<u8>>)>;

    /// Encodes the elements of a chunk, in C order, and appends to `encoded`.
    fn encode(&self, elements: &[&[u8]], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()>;
}

/// A codec that is not yet bound to a chunk shape.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Codec {
    /// Array to array: axis `k` of the encoded chunk is axis `order[k]` of the decoded one.
    Transpose(Vec<usize>),
    /// Array to array: the same elements in C order, with another shape.
    Reshape(Reshape),
    /// Array to array: other elements.
    ArrayToArray(Arc<dyn ArrayToArray>),
    /// Array to bytes: the elements in C order.
    Bytes(Endian),
    /// Array to bytes: inner chunks and an index of them.
    Sharding(Box<ShardingConfiguration>),
    /// Array to bytes: elements in another form.
    ArrayToBytes(Arc<dyn ArrayToBytes>),
    /// Array to bytes, for elements of variable length.
    VariableToBytes(Arc<dyn VariableToBytes>),
    /// Bytes to bytes.
    BytesToBytes(Arc<dyn BytesToBytes>),
}

/// Returns all rows.
fn rows() -> impl Iterator<Item = &'static row::Row> {
    [array_to_array::TABLE, array_to_bytes::TABLE, bytes_to_bytes::TABLE].into_iter().flatten()
}

/// Returns the row of a codec, by its name or an alias.
fn find(name: &str) -> Option<&'static row::Row> {
    rows().find(|row| row.is_named(name))
}

/// Whether the tables have an array-to-bytes codec of a name.
pub fn is_array_to_bytes(name: &str) -> bool {
    array_to_bytes::TABLE.iter().any(|row| row.is_named(name))
}

/// Whether the tables have a bytes-to-bytes codec of a name.
pub(crate) fn is_bytes_to_bytes(name: &str) -> bool {
    bytes_to_bytes::TABLE.iter().any(|row| row.is_named(name))
}

/// Whether the tables have a codec; registered codecs do not count.
pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// Returns the name of a codec in numcodecs; `None` if numcodecs has no such codec.
pub(crate) fn numcodecs_id(name: &str) -> Option<&str> {
    let stripped = |name: &'static str| name.strip_prefix("numcodecs.");
    name.strip_prefix("numcodecs.").or_else(|| {
        let row = find(name)?;
        stripped(row.name).or_else(|| row.aliases.iter().copied().find_map(stripped))
    })
}

/// Creates a codec from its metadata, for elements of a data type. Tries [registered](register_codecs) codecs last.
pub fn create(named: &Named, data_type: &DataType) -> Result<Codec> {
    create_for(named, data_type, false)
}

/// Like [`create`]; `of_bytes` says whether the codec follows an array-to-bytes codec.
pub(crate) fn create_for(named: &Named, data_type: &DataType, of_bytes: bool) -> Result<Codec> {
    let place = || format!("codec {}", named.name);
    // A configuration of numcodecs may repeat the name.
    let bare = named.name.strip_prefix("numcodecs.");
    let repeats = |id: &serde_json::Value| bare.is_some() && id.as_str() == bare;
    let mut named = Cow::Borrowed(named);
    if named.configuration.get("id").is_some_and(repeats) {
        named.to_mut().configuration.shift_remove("id");
    }
    if let Some(row) = find(&named.name) {
        return (row.create)(&named.configuration, data_type).place(place);
    }
    if let Some(codec) = extension::create(&named, data_type, of_bytes).place(place)? {
        return Ok(codec);
    }
    Err(Error::unsupported(format!("unknown codec {:?}; known are {}", named.name, names().join(", "))))
}

/// Returns the names of all codecs, without registered ones.
pub fn names() -> Vec<&'static str> {
    rows().map(|row| row.name).collect()
}

/// An empty configuration.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoConfiguration {}

/// Deserializes a configuration. `T` should refuse unknown members.
pub(crate) fn configure<T: DeserializeOwned>(configuration: &Configuration) -> Result<T> {
    T::deserialize(serde_json::Value::Object(configuration.clone())).map_err(|error| Error::metadata(error.to_string()))
}

#[cfg(test)]
mod tests;

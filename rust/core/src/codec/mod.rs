//! Codecs: plain functions of bytes and elements, which know no keys, stores or other codecs.
//!
//! A codec is used in this order: its row in one of the three tables is found by name; `create` turns its configuration into a
//! [`Codec`]; [`Chain::new`](chain::Chain::new) binds a list of them to a chunk's shape and data type, once, when the
//! array is opened; then the chain's codecs decode and encode many chunks from many threads.
//!
//! A folder for each kind of codec holds a file for each codec, and the kind's table in its `mod.rs`. To add a codec of bytes,
//! copy the smallest file, `bytes_to_bytes/crc32c.rs`, and add a row to the table beside it: the tests walk all tables.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/index.html>

mod append;
mod array_to_array;
mod array_to_bytes;
mod bytes_to_bytes;
pub mod chain;
mod decoded;
mod extension;
mod links;
mod named;
pub(crate) mod packed;
mod pieces;

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

/// What can be known of the size of encoded bytes before they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Exactly so many bytes.
    Exact(u64),
    /// At most so many bytes. Generous: other writers may encode worse than we do.
    Bounded(u64),
}

impl Size {
    /// The size, or its bound.
    pub fn bound(self) -> u64 {
        match self {
            Self::Exact(size) | Self::Bounded(size) => size,
        }
    }

    /// The bound of a compressor that is free to make things larger.
    pub(crate) fn compressed(self) -> Self {
        Self::Bounded(self.bound().saturating_mul(2).saturating_add(64 << 10))
    }
}

/// A codec of bytes. It keeps no state between calls but what speeds up the next (contexts in thread-locals).
///
/// Bytes from outside are hostile: an encoded size that does not fit what is due is
/// [`CorruptData`](crate::ErrorKind::CorruptData) *before* anything of that size is allocated, and never a panic.
pub trait BytesToBytes: Send + Sync + fmt::Debug {
    /// The size after encoding.
    fn encoded_size(&self, decoded: Size) -> Size;

    /// Decodes `encoded` into `decoded`, which has exactly the size that is due; any other size is an error.
    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()>;

    /// Decodes `encoded` to the end of `decoded`, where only a limit of the decoded size is known.
    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()>;

    /// For codecs that only add bytes around the decoded ones: those, checked if asked for, without a copy.
    fn strip<'a>(&self, _encoded: &'a [u8], _validate: bool) -> Result<Option<&'a [u8]>> {
        Ok(None)
    }

    /// For codecs of blocks: decodes, out of the `decoded_size` bytes that are due, those from `offset` on that fill
    /// `into`, and no more blocks than that takes. `false`: nothing is done, as it takes all that there is.
    fn decode_range(&self, _encoded: &[u8], _decoded_size: usize, _offset: usize, _into: &mut [u8]) -> Result<bool> {
        Ok(false)
    }

    /// Whether there may be [`pieces`](Self::pieces).
    fn has_pieces(&self) -> bool {
        false
    }

    /// For codecs of pieces that decode without each other: where they lie in `encoded_size` bytes, of which `read` hands
    /// out what is asked of it, and which of the `decoded_size` bytes that are due they become. `None`: these bytes have no
    /// such pieces.
    fn pieces(&self, _encoded_size: u64, _decoded_size: u64, _read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        Ok(None)
    }

    /// Decodes a piece, out of the bytes that [`pieces`](Self::pieces) told, into all that it becomes.
    fn decode_piece(&self, _pieces: &Pieces, _number: usize, _encoded: &[u8], _decoded: &mut [u8]) -> Result<()> {
        Err(Error::unsupported(format!("{self:?} decodes no pieces")))
    }

    /// Encodes `decoded` to the end of `encoded`.
    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()>;

    /// Encodes what is large with at most so many threads, and hands on what is encoded as it comes. Codecs that cannot
    /// divide the work hand on all of it at the end.
    fn encode_to(&self, decoded: &[u8], _threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let mut encoded = Vec::new();
        self.encode(decoded, &mut encoded)?;
        take(encoded)
    }
}

/// Takes encoded bytes, a part at a time.
pub type TakeEncoded<'a> = dyn FnMut(Vec<u8>) -> Result<()> + Send + 'a;

/// A codec from elements to elements, in the order in which the codecs behind it see them: `create` gives it the type of
/// the decoded elements, and it tells that of the encoded ones. Elements are native-endian on both sides, and of fixed
/// size.
pub trait ArrayToArray: Send + Sync + fmt::Debug {
    /// The type of the encoded elements.
    fn encoded_type(&self) -> &DataType;

    /// Whether each element is encoded for itself, so that any part can be decoded alone.
    fn elementwise(&self) -> bool {
        true
    }

    /// Whether metadata are wrong whose fill value this codec cannot encode and decode.
    fn needs_fill_value(&self) -> bool {
        false
    }

    /// Decodes as many elements as `decoded` has room for, which are as many as `encoded` has.
    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()>;

    /// Encodes as many elements as `encoded` has room for, which are as many as `decoded` has.
    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()>;
}

/// A codec from elements to bytes, other than plain elements and shards. Elements are native-endian, in C order of the
/// shape that they have here, and of fixed size.
pub trait ArrayToBytes: Send + Sync + fmt::Debug {
    /// The size after encoding of a chunk of a shape.
    fn encoded_size(&self, shape: &[u64]) -> Size;

    /// Decodes a chunk of a shape into `decoded`, which has exactly the size of its elements.
    fn decode(&self, encoded: &[u8], shape: &[u64], decoded: &mut [u8]) -> Result<()>;

    /// Encodes a chunk of a shape to the end of `encoded`.
    fn encode(&self, decoded: &[u8], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()>;

    /// The encoded bytes that elements `first..first + count` of a chunk of a shape are in, where these suffice to decode
    /// them; `None`: only the whole is decoded.
    fn part(&self, _first: u64, _count: u64, _shape: &[u64]) -> Option<Range<u64>> {
        None
    }

    /// Decodes the elements from `first` on, as many as `decoded` has room for, out of the bytes that
    /// [`part`](Self::part) told.
    fn decode_part(&self, _part: &[u8], _first: u64, _decoded: &mut [u8]) -> Result<()> {
        Err(Error::unsupported(format!("{self:?} decodes no parts")))
    }

    /// Whether the bytes are themselves elements of `uint8`, so that the codec `bytes` may follow.
    fn leaves_array(&self) -> bool {
        false
    }
}

/// A codec from elements of variable length to bytes.
pub trait VariableToBytes: Send + Sync + fmt::Debug {
    /// Finds the elements of a chunk of a shape: a [`Slot`] for each in C order, as many as the shape says. They lie in
    /// `encoded`, or in the heap that comes back with them.
    fn decode(&self, encoded: &[u8], shape: &[u64]) -> Result<(Vec<Slot>, Option<Vec<u8>>)>;

    /// Encodes the elements of a chunk of a shape, in C order, to the end of `encoded`.
    fn encode(&self, elements: &[&[u8]], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()>;
}

/// A codec, not yet bound to chunks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Codec {
    /// Array to array: axis `k` of the encoded chunk is axis `order[k]` of the decoded one.
    Transpose(Vec<usize>),
    /// Array to array: another shape of the same elements in C order.
    Reshape(Reshape),
    /// Array to array: other elements.
    ArrayToArray(Arc<dyn ArrayToArray>),
    /// Array to bytes: the elements in C order.
    Bytes(Endian),
    /// Array to bytes: inner chunks and an index of them.
    Sharding(Box<ShardingConfiguration>),
    /// Array to bytes: elements in some other form.
    ArrayToBytes(Arc<dyn ArrayToBytes>),
    /// Array to bytes, for elements of variable length.
    VariableToBytes(Arc<dyn VariableToBytes>),
    /// Bytes to bytes.
    BytesToBytes(Arc<dyn BytesToBytes>),
}

/// A codec's row: everything that is not in its file.
pub(crate) struct Row {
    /// The name in metadata.
    pub(crate) name: &'static str,
    /// Other names that mean the same.
    pub(crate) aliases: &'static [&'static str],
    /// Makes the codec out of its configuration, for elements of a data type.
    pub(crate) create: fn(&Configuration, &DataType) -> Result<Codec>,
    /// An example of a configuration for a chunk of two dimensions, of shape 8 x 12.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(crate) example: &'static str,
}

/// All codecs.
const TABLES: [&[Row]; 3] = [array_to_array::TABLE, array_to_bytes::TABLE, bytes_to_bytes::TABLE];

fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.into_iter().flatten()
}

fn find(name: &str) -> Option<&'static Row> {
    rows().find(|row| row.name == name || row.aliases.contains(&name))
}

/// Whether there is a codec of a name, registered ones not counted.
pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// Makes a codec out of its metadata, for elements of a data type: one of our own, else one that was
/// [registered](register_codecs).
pub fn create(named: &Named, data_type: &DataType) -> Result<Codec> {
    create_for(named, data_type, false)
}

/// As [`create`], where it is known whether the codec will see bytes or elements.
pub(crate) fn create_for(named: &Named, data_type: &DataType, of_bytes: bool) -> Result<Codec> {
    let place = || format!("codec {}", named.name);
    // What numcodecs takes as a configuration may repeat the name.
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
    Err(Error::unsupported(format!("unknown codec {:?}; there are {}", named.name, names().join(", "))))
}

/// The names of all codecs, registered ones not counted.
pub fn names() -> Vec<&'static str> {
    rows().map(|row| row.name).collect()
}

/// The configuration of a codec that has none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoConfiguration {}

/// Reads a configuration into a typed one, which refuses members that it does not know.
pub(crate) fn configure<T: DeserializeOwned>(configuration: &Configuration) -> Result<T> {
    T::deserialize(serde_json::Value::Object(configuration.clone())).map_err(|error| Error::metadata(error.to_string()))
}

#[cfg(test)]
mod tests;

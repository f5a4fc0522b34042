//! Codecs: plain functions of bytes and elements, which know no keys, stores or other codecs.
//!
//! A codec is used in this order: its row in `TABLE` is found by name; `create` turns its configuration into a
//! [`Codec`]; [`Chain::new`](chain::Chain::new) binds a list of them to a chunk's shape and data type, once, when the
//! array is opened; then the chain's codecs decode and encode many chunks from many threads.
//!
//! To add a codec of bytes, copy the smallest file here, `crc32c.rs`, and add a row to `TABLE`: the tests walk it.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/index.html>

mod append;
mod base64;
mod blosc;
mod blosc_snappy;
mod bytes;
mod bz2;
pub mod chain;
mod checksum;
mod conditional;
mod crc32c;
mod deflate;
mod lz4;
mod lzma;
mod lzma_filter;
mod named;
mod sharding;
mod shuffle;
mod transpose;
mod zstd;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use bytes::Endian;
pub(crate) use named::parse_named;
pub use named::{Named, parse_named_list};
pub use sharding::{IndexLocation, ShardingConfiguration};

use crate::data_type::DataType;
use crate::error::{Error, Place, Result};

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

    /// Encodes `decoded` to the end of `encoded`.
    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()>;
}

/// A codec, not yet bound to chunks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Codec {
    /// Array to array: axis `k` of the encoded chunk is axis `order[k]` of the decoded one.
    Transpose(Vec<usize>),
    /// Array to bytes: the elements in C order.
    Bytes(Endian),
    /// Array to bytes: inner chunks and an index of them.
    Sharding(Box<ShardingConfiguration>),
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
pub(crate) const TABLE: &[Row] = &[
    Row { name: "transpose", aliases: &[], create: transpose::create, example: r#"{"order": [1, 0]}"# },
    Row { name: "bytes", aliases: &["endian"], create: bytes::create, example: r#"{"endian": "big"}"# },
    Row { name: "sharding_indexed", aliases: &[], create: sharding::create, example: sharding::EXAMPLE },
    Row { name: "blosc", aliases: &["numcodecs.blosc"], create: blosc::create, example: blosc::EXAMPLE },
    Row {
        name: "zstd",
        aliases: &["numcodecs.zstd"],
        create: zstd::create,
        example: r#"{"level": 1, "checksum": true}"#,
    },
    Row { name: "gzip", aliases: &["numcodecs.gzip"], create: deflate::create_gzip, example: r#"{"level": 5}"# },
    Row { name: "zlib", aliases: &["numcodecs.zlib"], create: deflate::create_zlib, example: r#"{"level": 5}"# },
    Row { name: "lz4", aliases: &["numcodecs.lz4"], create: lz4::create, example: r#"{"acceleration": 1}"# },
    Row { name: "bz2", aliases: &["numcodecs.bz2"], create: bz2::create, example: r#"{"level": 5}"# },
    Row { name: "lzma", aliases: &["numcodecs.lzma"], create: lzma::create, example: lzma::EXAMPLE },
    Row { name: "shuffle", aliases: &["numcodecs.shuffle"], create: shuffle::create, example: r#"{"elementsize": 4}"# },
    Row { name: "conditional", aliases: &[], create: conditional::create, example: conditional::EXAMPLE },
    Row { name: "base64", aliases: &["numcodecs.base64"], create: base64::create, example: "{}" },
    Row { name: "crc32c", aliases: &["numcodecs.crc32c"], create: crc32c::create, example: "{}" },
    Row {
        name: "crc32",
        aliases: &["numcodecs.crc32"],
        create: checksum::create_crc32,
        example: r#"{"location": "start"}"#,
    },
    Row {
        name: "adler32",
        aliases: &["numcodecs.adler32"],
        create: checksum::create_adler32,
        example: r#"{"location": "end"}"#,
    },
    Row { name: "fletcher32", aliases: &["numcodecs.fletcher32"], create: checksum::create_fletcher32, example: "{}" },
    Row {
        name: "jenkins_lookup3",
        aliases: &["numcodecs.jenkins_lookup3"],
        create: checksum::create_jenkins,
        example: r#"{"initval": 7, "prefix": [1, 2, 3]}"#,
    },
];

/// Makes a codec out of its metadata, for elements of a data type.
pub fn create(named: &Named, data_type: &DataType) -> Result<Codec> {
    let known = |row: &&Row| row.name == named.name || row.aliases.contains(&&*named.name);
    let Some(row) = TABLE.iter().find(known) else {
        let names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
        return Err(Error::unsupported(format!("unknown codec {:?}; there are {}", named.name, names.join(", "))));
    };
    // What numcodecs takes as a configuration may repeat the name.
    let bare = named.name.strip_prefix("numcodecs.");
    let repeats = |id: &serde_json::Value| bare.is_some() && id.as_str() == bare;
    let mut configuration = Cow::Borrowed(&named.configuration);
    if configuration.get("id").is_some_and(repeats) {
        configuration.to_mut().shift_remove("id");
    }
    (row.create)(&configuration, data_type).place(|| format!("codec {}", row.name))
}

/// Reads a configuration into a typed one, which refuses members that it does not know.
fn configure<T: DeserializeOwned>(configuration: &Configuration) -> Result<T> {
    T::deserialize(serde_json::Value::Object(configuration.clone())).map_err(|error| Error::metadata(error.to_string()))
}

#[cfg(test)]
mod tests;

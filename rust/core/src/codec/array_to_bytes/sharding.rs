//! `sharding_indexed`: divides a chunk into inner chunks, with an index of their offsets and lengths.
//!
//! This file has only the configuration. The planner and reader of ordinary chunks also read inner chunks, so that
//! nested shards need no code.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html>

use serde::Deserialize;

use crate::codec::{Codec, Configuration, Named, configure, parse_named_list};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::subset::{Dims, tuple};

pub(super) const EXAMPLE: &str = r#"{"chunk_shape": [4, 4], "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}], "index_location": "end"}"#;

/// The location of the index in a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexLocation {
    /// Before the inner chunks.
    Start,
    /// After the inner chunks.
    #[default]
    End,
}

/// How a shard is divided and encoded.
#[derive(Clone, Debug)]
pub struct ShardingConfiguration {
    /// The shape of an inner chunk.
    pub chunk_shape: Dims,
    /// The codecs of the inner chunks.
    pub codecs: Vec<Named>,
    /// The codecs of the index.
    pub index_codecs: Vec<Named>,
    /// The location of the index.
    pub index_location: IndexLocation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    chunk_shape: Vec<u64>,
    codecs: serde_json::Value,
    index_codecs: serde_json::Value,
    #[serde(default)]
    index_location: IndexLocation,
}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let raw: Raw = configure(configuration)?;
    if raw.chunk_shape.contains(&0) {
        return Err(Error::metadata(format!("inner chunks of shape {} are empty", tuple(&raw.chunk_shape))));
    }
    Ok(Codec::Sharding(Box::new(ShardingConfiguration {
        chunk_shape: raw.chunk_shape.into(),
        codecs: parse_named_list(&raw.codecs).place(|| "codecs")?,
        index_codecs: parse_named_list(&raw.index_codecs).place(|| "index_codecs")?,
        index_location: raw.index_location,
    })))
}

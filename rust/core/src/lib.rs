//! Chunked n-dimensional arrays: Zarr V3 and V2, ASDF, and Zarr inside ASDF.

mod array;
pub mod asdf;
mod buffer;
mod cache;
mod chunk_grid;
mod chunk_key;
pub mod codec;
mod data_type;
mod error;
mod fetch;
mod fill_value;
mod group;
mod json;
pub mod metadata;
mod options;
mod plan;
mod read;
mod runtime;
mod selection;
pub mod store;
mod subset;
mod view;
mod write;

pub use array::{
    Array, ArrayBytes, AsArrayBytes, Element, FromArrayBytes, InputBuffer, Mappable, OutputBuffer, PartialDecoder,
};
pub use cache::{CacheInfo, CacheLimit, ChunkCache, shared_cache};
pub use chunk_grid::ChunkGrid;
pub use chunk_key::ChunkKeyEncoding;
pub use data_type::{DataType, Kind};
pub use error::{Error, ErrorKind, Result};
pub use fill_value::FillValue;
pub use group::Group;
pub use options::{CodecOptions, global_options, set_global_options};
pub use read::Explanation;
pub use runtime::{Pending, set_threads, spawn, threads};
pub use selection::{AxisSelection, Selection};
pub use subset::{ArraySubset, Dims, Indices};

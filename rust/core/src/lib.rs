//! Chunked n-dimensional arrays: Zarr V3 and V2, ASDF, and Zarr inside ASDF.
//!
//! ```
//! use std::sync::Arc;
//! use tegula::metadata::{ArrayMetadata, NewArray};
//! use tegula::store::MemoryStore;
//! use tegula::{Array, ArraySubset, ChunkGrid, ChunkKeyEncoding, DataType, FillValue};
//!
//! # fn main() -> tegula::Result<()> {
//! let float32 = DataType::from_name("float32")?;
//! let new = NewArray {
//!     chunk_grid: ChunkGrid::regular(&[6, 8], &[4, 4])?,
//!     fill_value: FillValue::zero(&float32),
//!     data_type: float32,
//!     attributes: Default::default(),
//! };
//! let codecs = serde_json::json!([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]);
//! let codecs = tegula::codec::parse_named_list(&codecs)?;
//! let key_encoding = ChunkKeyEncoding::Default { separator: '/' };
//! let metadata = ArrayMetadata::new_v3(&new, &key_encoding, &codecs, None)?;
//! let array = Array::create(Arc::new(MemoryStore::new()), "temperature", metadata)?;
//!
//! let elements: Vec<f32> = (0..48).map(|i| i as f32).collect();
//! array.store_array_subset(&array.subset_all(), &elements)?;
//!
//! let corner = ArraySubset::new_with_ranges(&[4..6, 6..8]);
//! assert_eq!(array.retrieve_array_subset::<Vec<f32>>(&corner)?, [38.0, 39.0, 46.0, 47.0]);
//! let chunk: ndarray::ArrayD<f32> = array.retrieve_chunk(&[0, 1])?;
//! assert_eq!(chunk.shape(), [4, 4]);
//! # Ok(())
//! # }
//! ```
//!
//! What comes back is a type parameter: [`ArrayBytes`], `Vec` of an [`Element`], or `ndarray::ArrayD` of one. Another
//! element type than the array's is an error before anything is read. How the library is built, and where to add to it,
//! is in `rust/ARCHITECTURE.md`.

mod array;
pub mod asdf;
mod base64;
mod buffer;
mod cache;
mod chunk_grid;
mod chunk_key;
pub mod codec;
mod copy;
mod data_type;
mod error;
mod fetch;
mod fill_value;
mod float;
mod group;
mod json;
pub mod metadata;
mod options;
mod plan;
mod read;
mod runtime;
mod selection;
mod slot;
pub mod store;
mod subset;
mod view;
mod write;

pub use array::{
    Array, ArrayBuilder, ArrayBytes, ArrayRegion, AsArrayBytes, Chunks, Element, FromArrayBytes, InputBuffer, Mappable, NewFillValue, OutputBuffer,
    PartialDecoder, PartialEncoder, WriteSession, WriteSessionOptions, check_shape,
};
pub use cache::{CacheInfo, CacheLimit, ChunkCache, shared_cache};
pub use chunk_grid::ChunkGrid;
pub use chunk_key::ChunkKeyEncoding;
pub use copy::{CopyOptions, Progress, copied, copied_group, copy, store_metadata};
pub use data_type::{DataType, Field, Kind};
pub use error::{Error, ErrorKind, Result};
pub use fill_value::FillValue;
pub use group::{Group, Member, UseConsolidated, open};
pub use options::{CodecOptions, InnerChunkOrder, global_options, set_global_options};
pub use read::Explanation;
pub use runtime::{Pending, requests, set_requests, set_threads, spawn, threads};
pub use selection::{AxisSelection, Selection, size_in_memory};
pub use slot::{Heaps, Put, Sink, Slot, Variable};
pub use subset::{ArraySubset, Dims, Indices};

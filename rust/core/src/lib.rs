//! Chunked n-dimensional arrays: Zarr V3 and V2, ASDF, and Zarr inside ASDF.
//!
//! ```
//! use std::sync::Arc;
//! use ndarray::ArrayD;
//! use tegula::store::MemoryStore;
//! use tegula::ArrayBuilder;
//!
//! # fn main() -> tegula::Result<()> {
//! let array = ArrayBuilder::new([6, 8], "float32")
//!     .chunks([4, 4])
//!     .compressors(["zstd:5", "crc32c"])
//!     .fill_value(f32::NAN)
//!     .create(Arc::new(MemoryStore::new()), "/temperature")?;
//!
//! let elements = ArrayD::from_shape_fn(vec![6, 8], |index| (8 * index[0] + index[1]) as f32);
//! array.store_array_subset([0..6, 0..8], &elements)?;
//! assert_eq!(array.retrieve_array_subset::<Vec<f32>>([4..6, 6..8])?, [38.0, 39.0, 46.0, 47.0]);
//! let chunk: ArrayD<f32> = array.retrieve_chunk(&[0, 1])?;
//! assert_eq!(chunk.shape(), [4, 4]);
//! # Ok(())
//! # }
//! ```
//!
//! [`ArrayBuilder`] defines a new array. The type parameter of a read is the type of its result: [`ArrayBytes`], or a
//! `Vec` or `ndarray::ArrayD` of an [`Element`] type. If that is not the data type of the array, the read fails before
//! it fetches anything. `rust/ARCHITECTURE.md` describes the design of the library, and how to extend it.

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
    Array, ArrayBuilder, ArrayBytes, ArrayRegion, AsArrayBytes, Chunks, Element, FromArrayBytes, InputBuffer, Mappable,
    NewFillValue, OutputBuffer, PartialDecoder, PartialEncoder, StoredChunks, Verified, WriteSession,
    WriteSessionOptions, check_shape,
};
pub use cache::{CacheInfo, CacheLimit, ChunkCache, shared_cache};
pub use chunk_grid::ChunkGrid;
pub use chunk_key::ChunkKeyEncoding;
pub use copy::{CopyOptions, Progress, copied, copied_group, copy, store_metadata};
pub use data_type::{DataType, Field, Kind};
pub use error::{Error, ErrorKind, Result};
pub use fill_value::FillValue;
pub use group::{Group, Member, Members, UseConsolidated, open, open_as, refresh_consolidated};
pub use options::{CodecOptions, InnerChunkOrder, MissingChunks, global_options, set_global_options};
pub use read::Explanation;
pub use runtime::{
    Call, Pending, end, enter, is_active, requests, run_apart, set_listener, set_requests, set_threads, spawn, threads,
};
pub use selection::{AxisSelection, Selection, size_in_memory};
pub use slot::{Heaps, Put, Sink, Slot, Variable};
pub use subset::{ArraySubset, Dims, Indices};

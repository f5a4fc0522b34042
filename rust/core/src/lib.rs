//! Chunked n-dimensional arrays: Zarr V3 and V2, ASDF, and Zarr inside ASDF.

mod error;
pub mod asdf;
pub mod store;

pub use error::{Error, ErrorKind, Result};

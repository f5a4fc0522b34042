//! ASDF files: a tree of YAML and blocks of bytes in one file
//! ([the standard](https://asdf-standard.readthedocs.io/en/latest/)).
//!
//! [`Layout::read`] takes a file apart, [`write_file`] puts one together; [`yaml`] is the tree.

mod array;
mod block;
mod block_list;
mod block_store;
mod build;
mod chunk_map;
mod chunked;
mod complex;
mod compression;
mod datatype;
mod external;
mod file;
mod inline;
mod layout;
mod lz4_frame;
mod memory;
mod ndarray;
mod nodes;
mod open;
mod opened;
mod reference;
mod sequence;
mod standard;
mod stream;
mod tag;
mod uri;
mod version;
mod write;
pub mod yaml;
mod zarr;

#[cfg(test)]
mod array_tests;
#[cfg(test)]
mod chunked_tests;
#[cfg(test)]
mod tests;

pub use block::{BLOCK_MAGIC, BlockHeader, HEADER_LENGTH, INDEX_MAGIC, md5};
pub use block_list::Blocks;
pub use build::ZarrNode;
pub use chunked::ChunkedNdarray;
pub use compression::{Compression, compress, compression_label, compression_labels, decompress, decompress_into};
pub use datatype::{Datatype, Field};
pub use external::leftovers;
pub use file::{FILE_FORMAT, FIRST_STANDARD, Layout};
pub use inline::Inline;
pub use layout::{BlockCompression, BlockLayout, NewArray, Storage};
pub use memory::{BlockData, Memory};
pub use ndarray::{Ndarray, Source};
pub use nodes::{NewNdarray, Target, external_uri};
pub use open::{AsdfFile, OpenOptions};
pub use standard::{ROOT_TAG, STANDARD, for_standard};
pub use stream::append_rows;
pub use tag::{COMPLEX_TAG, Class, INTEGER_TAG, NDARRAY_TAG, ZARR_TAG, ZARR_V3_TAG};
pub use version::FileVersion;
pub use write::{FileOptions, FileWriter, OutBlock, Sink, write_bytes, write_file};

//! ASDF files: a tree of YAML and blocks of bytes in one file
//! ([the standard](https://asdf-standard.readthedocs.io/en/latest/)).
//!
//! [`Layout::read`] takes a file apart, [`write_file`] puts one together; [`yaml`] is the tree.

mod block;
mod file;
mod write;
pub mod yaml;

#[cfg(test)]
mod tests;

pub use block::{BLOCK_MAGIC, BlockHeader, Blocks, HEADER_LENGTH, INDEX_MAGIC, md5};
pub use file::{FILE_FORMAT, FIRST_STANDARD, Layout};
pub use write::{FileWriter, OutBlock, Preamble, STANDARD, Sink, write_bytes, write_file};

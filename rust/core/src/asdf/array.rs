//! Nodes of every kind of array as [`Array`]s.

use super::open::AsdfFile;
use super::tag::Class;
use super::yaml::NodeId;
use crate::array::Array;
use crate::error::{Error, Result};

impl AsdfFile {
    /// Opens the array of an ndarray, chunked ndarray or Zarr node; follows references.
    pub fn array_at(&self, node: NodeId) -> Result<Array> {
        match self.class(node) {
            Class::Ndarray => self.open_ndarray(node, &self.ndarray(node)?),
            Class::Zarr => self.open_zarr(node),
            Class::Chunked => self.open_chunked(node),
            Class::Reference => {
                let (file, node) = self.follow(node)?;
                file.array_at(node)
            }
            _ => Err(Error::not_found(format!("no array at {}", self.describe(node)))),
        }
    }

    /// Opens the array at a path of names and indices such as `roman/data`.
    pub fn array(&self, path: &str) -> Result<Array> {
        self.array_at(self.find(path)?)
    }
}

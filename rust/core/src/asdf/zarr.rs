//! Zarr arrays in ASDF files, as [asdf-zarr](https://asdf-zarr.readthedocs.io) writes them: the metadata of Zarr V2 in
//! the tree, each chunk in a block of its own, and a block that maps chunks to blocks.
//!
//! ```yaml
//! image: !<asdf://asdf-format.org/zarr/tags/zarr-1.0.0>
//!   .zarray: {chunks: [4, 4], compressor: null, dtype: <i2, fill_value: 0, filters: null, order: C, shape: [7, 9],
//!     zarr_format: 2}
//!   .zattrs: {unit: s}
//!   chunk_block_map: 6
//! ```
//!
//! The map holds little-endian 32-bit numbers of blocks, one for each chunk in C order; -1 is a chunk that is not
//! stored. Attributes are optional, and no part of what asdf-zarr itself knows.
//!
//! Nor does it know arrays of Zarr V3. These have a tag of our own, and `zarr.json` in place of `.zarray` and `.zattrs`;
//! so a block can be a shard, and what is read of it inner chunks.

use std::sync::Arc;

use serde_json::Value;

use super::blocks::BlockStore;
use super::open::AsdfFile;
use super::reference::ZARR_V3_TAG;
use super::yaml::{NodeId, Scalar, to_json};
use crate::array::Array;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::chain::Chain;
use crate::error::{Error, Place, Result};
use crate::metadata::ArrayMetadata;

impl AsdfFile {
    /// The metadata of a Zarr node. Nothing of its blocks is read.
    pub fn zarr_metadata(&self, node: NodeId) -> Result<ArrayMetadata> {
        self.parse_zarr(node).place(|| self.describe(node))
    }

    fn parse_zarr(&self, node: NodeId) -> Result<ArrayMetadata> {
        let tree = self.tree();
        if let Some(store) = tree.get(node, "store").or_else(|| tree.get(node, "meta_store")) {
            let kind = tree.get(store, "type_string").and_then(|kind| tree.text(kind)).unwrap_or("unknown");
            let kind: String = kind.chars().take(40).collect();
            return Err(Error::unsupported(format!("the chunks are in another store ({kind}), not in blocks")));
        }
        if tree.tag(node) == Some(ZARR_V3_TAG) {
            let document = tree.get(node, "zarr.json").ok_or_else(|| Error::metadata("\"zarr.json\" is missing"))?;
            let read = || ArrayMetadata::from_v3(to_json(tree, document)?);
            return read().place(|| "zarr.json");
        }
        let zarray = tree.get(node, ".zarray").ok_or_else(|| Error::metadata("\".zarray\" is missing"))?;
        let mut zarray = to_json(tree, zarray).place(|| ".zarray")?;
        // Some versions write the attributes among the metadata.
        let inner = zarray.as_object_mut().and_then(|members| members.shift_remove("attributes"));
        let zattrs = match tree.get(node, ".zattrs") {
            Some(zattrs) => Some(to_json(tree, zattrs).place(|| ".zattrs")?),
            None => inner.filter(Value::is_object),
        };
        ArrayMetadata::from_v2(zarray, zattrs).place(|| ".zarray")
    }

    pub(super) fn open_zarr(&self, node: NodeId) -> Result<Array> {
        let mut metadata = self.zarr_metadata(node)?;
        let name = self.describe(node);
        let tree = self.tree();
        let open = || {
            let map = tree.get(node, "chunk_block_map");
            let map = map.ok_or_else(|| Error::metadata("\"chunk_block_map\" is missing"))?;
            let Ok(Scalar::Int(block)) = tree.scalar(map) else {
                return Err(Error::metadata("\"chunk_block_map\" is not the number of a block"));
            };
            // The chunks have no keys in the file.
            metadata.chunk_key_encoding = ChunkKeyEncoding::V2 { separator: '.' };
            let Some(chunk_shape) = metadata.chunk_grid.regular_shape() else {
                return Err(Error::unsupported("the chunks have no common shape"));
            };
            let chain = Chain::new(&metadata.codecs, &chunk_shape, &metadata.data_type, &metadata.fill_value)?;
            let store = BlockStore::map(self, block, metadata.chunk_grid.shape().to_vec());
            Array::with_chain(Arc::new(store), String::new(), &name, metadata, chain)
        };
        open().place(|| &name)
    }
}

//! Zarr nodes as [asdf-zarr](https://asdf-zarr.readthedocs.io) writes them: the metadata of Zarr V2 in the tree, a
//! block for each chunk, and a block that maps chunks to blocks.
//!
//! ```yaml
//! image: !<asdf://asdf-format.org/zarr/tags/zarr-1.0.0>
//!   .zarray: {chunks: [4, 4], compressor: null, dtype: <i2, fill_value: 0, filters: null, order: C, shape: [7, 9],
//!     zarr_format: 2}
//!   .zattrs: {unit: s}
//!   chunk_block_map: 6
//! ```
//!
//! The map contains little-endian 32-bit block numbers, one for each chunk in C order, and -1 for a chunk that is not
//! stored. The attributes are optional; asdf-zarr does not write them.
//!
//! Instead of a map, a node can name a store that contains the chunks:
//!
//! ```yaml
//! image: !<asdf://asdf-format.org/zarr/tags/zarr-1.0.0>
//!   store: {path: image.zarr, type_string: LocalStore}
//! ```
//!
//! The path is relative to the folder of the file, or absolute.
//!
//! Zarr V3 is an extension of ours: a tag of its own, and `zarr.json` in place of `.zarray` and `.zattrs`. A block can
//! then be a shard, whose inner chunks are read separately.

use std::sync::Arc;

use serde_json::Value;

use super::block_store::BlockStore;
use super::chunk_map::ChunkMap;
use super::open::AsdfFile;
use super::tag::ZARR_V3_TAG;
use super::uri::sibling_key;
use super::yaml::{NodeId, Scalar, to_json};
use crate::array::Array;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::chain::Chain;
use crate::error::{Error, Place, Result};
use crate::metadata::ArrayMetadata;
use crate::store::FilesystemStore;

/// Names in asdf-zarr of stores of local folders.
const FOLDERS: [&str; 3] = ["DirectoryStore", "NestedDirectoryStore", "LocalStore"];

impl AsdfFile {
    /// Returns the metadata of a Zarr node. Reads no blocks.
    pub fn zarr_metadata(&self, node: NodeId) -> Result<ArrayMetadata> {
        self.parse_zarr(node).place(|| self.describe(node))
    }

    fn parse_zarr(&self, node: NodeId) -> Result<ArrayMetadata> {
        let tree = self.tree();
        if let Some(array) = self.open_external(node)? {
            return Ok(array.metadata().clone());
        }
        if tree.tag(node) == Some(ZARR_V3_TAG) {
            let document = tree.get(node, "zarr.json").ok_or_else(|| Error::metadata("\"zarr.json\" is missing"))?;
            let read = || ArrayMetadata::from_v3(to_json(tree, document)?);
            return read().place(|| "zarr.json");
        }
        let zarray = tree.get(node, ".zarray").ok_or_else(|| Error::metadata("\".zarray\" is missing"))?;
        let mut zarray = to_json(tree, zarray).place(|| ".zarray")?;
        // Some versions write the attributes as a member of `.zarray`.
        let inner = zarray.as_object_mut().and_then(|members| members.shift_remove("attributes"));
        let zattrs = match tree.get(node, ".zattrs") {
            Some(zattrs) => Some(to_json(tree, zattrs).place(|| ".zattrs")?),
            None => inner.filter(Value::is_object),
        };
        ArrayMetadata::from_v2(zarray, zattrs).place(|| ".zarray")
    }

    /// Opens the array of a node whose chunks are in another store; `None` if they are in blocks.
    fn open_external(&self, node: NodeId) -> Result<Option<Array>> {
        let tree = self.tree();
        let Some(store) = tree.get(node, "store") else { return Ok(None) };
        if tree.get(node, "meta_store").is_some() {
            return Err(Error::unsupported(
                "a Zarr node whose metadata and chunks are in different stores is not supported",
            ));
        }
        let text = |key| tree.get(store, key).and_then(|value| tree.text(value));
        let kind = text("type_string").unwrap_or("unknown");
        let (true, Some(path)) = (FOLDERS.contains(&kind), text("path")) else {
            let kind: String = kind.chars().take(40).collect();
            let known = FOLDERS.join(", ");
            return Err(Error::unsupported(format!(
                "the chunks are in a store of type {kind:?}; supported are {known}"
            )));
        };
        let open = || {
            let local = path.strip_prefix("file://").unwrap_or(path);
            match sibling_key(self.key(), local) {
                Ok(key) if !local.starts_with('/') => return Array::open(self.store().clone(), &key),
                Err(error) if !self.options().allow_external => return Err(error),
                _ => {}
            }
            // Only URLs have escapes.
            let uri = if path.starts_with("file://") { path.to_owned() } else { path.replace('%', "%25") };
            let outside = self.outside_path(&uri).ok_or_else(|| {
                Error::unsupported(
                    "the store is outside the folder of this file; set the option allow_external to open it",
                )
            })?;
            Array::open(Arc::new(FilesystemStore::new(outside)), "")
        };
        let shown: String = path.chars().take(200).collect();
        open().map(Some).place(|| format!("store {shown:?}"))
    }

    pub(super) fn open_zarr(&self, node: NodeId) -> Result<Array> {
        if let Some(array) = self.open_external(node).place(|| self.describe(node))? {
            return Ok(array);
        }
        let mut metadata = self.zarr_metadata(node)?;
        let name = self.describe(node);
        let tree = self.tree();
        let open = || {
            let map = tree.get(node, "chunk_block_map");
            let map = map.ok_or_else(|| Error::metadata("\"chunk_block_map\" is missing"))?;
            let Ok(Scalar::Int(block)) = tree.scalar(map) else {
                return Err(Error::metadata("\"chunk_block_map\" is not a block number"));
            };
            // The chunks have no keys in the file.
            metadata.chunk_key_encoding = ChunkKeyEncoding::V2 { separator: '.' };
            let Some(chunk_shape) = metadata.chunk_grid.regular_shape() else {
                return Err(Error::unsupported("the chunks of a Zarr node must have one shape"));
            };
            let chain = Chain::new(&metadata.codecs, &chunk_shape, &metadata.data_type, &metadata.fill_value)?;
            let chunks = ChunkMap::new(self, block, metadata.chunk_grid.shape().to_vec());
            let store = BlockStore::new(self, self.identity().part(block), Arc::new(chunks)).decompressing();
            Array::with_chain(Arc::new(store), String::new(), &name, metadata, chain)
        };
        open().place(|| &name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::asdf::array_tests::file_bytes;
    use crate::asdf::{OpenOptions, ZARR_TAG};
    use crate::store::WritableStore;

    /// Chunks in a folder next to the file.
    #[test]
    fn stores_beside_the_file_are_read() {
        let folder = std::env::temp_dir().join(format!("tegula-asdf-zarr-{}", std::process::id()));
        let store = Arc::new(FilesystemStore::new(&folder));
        let zarray = json!({"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "<i2", "compressor": null,
            "fill_value": 0, "order": "C", "filters": null});
        store.set("sub/a.zarr/.zarray", zarray.to_string().as_bytes()).unwrap();
        store.set("sub/a.zarr/0", &[1, 0, 2, 0]).unwrap();
        let absolute = folder.join("sub/a.zarr").display().to_string();
        let open = |kind: &str, path: &str, allow_external: bool| {
            let tree = format!("a: !<{ZARR_TAG}>\n  store: {{type_string: {kind}, path: {path:?}}}");
            store.set("sub/a.asdf", &file_bytes(&tree, Vec::new())).unwrap();
            let options = OpenOptions { allow_external, ..OpenOptions::default() };
            let file = AsdfFile::open_with(store.clone(), "sub/a.asdf", options)?;
            let node = file.find("a")?;
            file.zarr_metadata(node)?;
            let array = file.array("a")?;
            array.retrieve_array_subset::<Vec<i16>>(&array.subset_all())
        };
        for kind in FOLDERS {
            assert_eq!(open(kind, "a.zarr", false).unwrap(), [1, 2]);
            assert_eq!(open(kind, "./a.zarr/", false).unwrap(), [1, 2]);
            assert_eq!(open(kind, &absolute, true).unwrap(), [1, 2]);
            assert_eq!(open(kind, &format!("file://{absolute}"), true).unwrap(), [1, 2]);
            assert!(open(kind, &absolute, false).unwrap_err().to_string().contains("allow"));
            for path in ["../sub/a.zarr", "a.zarr/../a.zarr"] {
                assert_eq!(open(kind, path, true).unwrap(), [1, 2]);
                assert!(open(kind, path, false).unwrap_err().to_string().contains("allow"));
            }
            for path in ["b.zarr", "", "../b.zarr"] {
                assert!(open(kind, path, true).is_err(), "{path}");
            }
        }
        assert!(open("KVStore", "a.zarr", true).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

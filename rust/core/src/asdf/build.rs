//! Nodes of Zarr arrays for a tree that is to be written, and the blocks that go with them.
//!
//! The order: make the nodes, which needs no more than the numbers of the blocks to come; then write the tree; then
//! the blocks, one by one.

use std::sync::Arc;

use serde_json::Value;

use super::tag::{ZARR_TAG, ZARR_V3_TAG};
use super::yaml::{Document, NodeId};
use crate::array::{Array, ArrayBytes};
use crate::chunk_key::ChunkKeyEncoding;
use crate::copy::copied;
use crate::error::{Error, Place, Result};
use crate::metadata::ArrayMetadata;
use crate::options::CodecOptions;
use crate::selection::Selection;
use crate::store::{MemoryStore, get};
use crate::subset::{ArraySubset, Dims};

/// An array that is to be written as a Zarr node. Other readers know Zarr V2 only: an array of V3 is encoded anew when it is
/// written, unless it is to be kept as it is or V2 has no form for one of its codecs.
#[derive(Debug)]
pub struct ZarrNode {
    array: Array,
    /// Where the array has to be encoded anew: an array of Zarr V2 in memory, for one chunk at a time.
    anew: Option<Array>,
    /// The chunks that are stored.
    chunks: Vec<Dims>,
    /// For each chunk of the grid its number among those that are stored, or -1.
    map: Vec<i32>,
}

impl ZarrNode {
    /// Looks which chunks there are. `keep_v3`: an array of Zarr V3 stays such. One that comes from an ASDF file does.
    pub fn new(array: &Array, keep_v3: bool) -> Result<Self> {
        let metadata = array.metadata();
        let in_blocks = matches!(metadata.chunk_key_encoding, ChunkKeyEncoding::V2 { .. });
        let anew = match metadata.zarr_format {
            2 => None,
            _ if keep_v3 || in_blocks => None,
            _ => as_v2(array).place(|| array.name())?,
        };
        let grid = anew.as_ref().map_or(array.chunk_grid(), Array::chunk_grid);
        if grid.regular_shape().is_none() {
            let message = "the chunks have no common shape, which Zarr nodes need; rechunk the array";
            return Err(Error::unsupported(message).at(array.name()));
        }
        let (mut chunks, mut map) = (Vec::new(), Vec::new());
        for chunk in ArraySubset::new_with_shape(&grid.shape()).indices() {
            let stored = match &anew {
                Some(_) => is_stored(array, &grid.chunk_subset(&chunk)?.bound(array.shape())?)?,
                None => array.chunk_exists(&chunk)?,
            };
            let number = i32::try_from(chunks.len()).map_err(|_| Error::unsupported("more than 2^31 chunks"))?;
            map.push(if stored { number } else { -1 });
            if stored {
                chunks.push(chunk);
            }
        }
        Ok(Self { array: array.clone(), anew, chunks, map })
    }

    /// The number of its blocks: one for each chunk that is stored, and behind these the map.
    pub fn blocks(&self) -> usize {
        self.chunks.len() + 1
    }

    /// The places of the chunks in the map, block by block.
    pub fn places(&self) -> Vec<usize> {
        self.map.iter().enumerate().filter(|(_, number)| **number >= 0).map(|(place, _)| place).collect()
    }

    /// Adds the node to a tree; its blocks are counted from `first` on.
    pub fn to_node(&self, document: &mut Document, first: usize) -> NodeId {
        let mut entries: Vec<_> =
            self.documents().into_iter().map(|(name, value)| (name, document.add_json(&value))).collect();
        entries.push(("chunk_block_map", document.add_int((first + self.chunks.len()) as u64)));
        let node = document.add_map(entries);
        document.set_tag(node, self.tag());
        node
    }

    fn metadata(&self) -> &ArrayMetadata {
        self.anew.as_ref().unwrap_or(&self.array).metadata()
    }

    /// The tag of the node.
    pub fn tag(&self) -> &'static str {
        if self.metadata().zarr_format == 2 { ZARR_TAG } else { ZARR_V3_TAG }
    }

    /// What stands in the node beside `chunk_block_map`: the documents of metadata, by their names.
    pub fn documents(&self) -> Vec<(&'static str, Value)> {
        let metadata = self.metadata();
        if metadata.zarr_format != 2 {
            return vec![("zarr.json", metadata.document.clone())];
        }
        let mut zarray = metadata.document.clone();
        if let Some(members) = zarray.as_object_mut() {
            // The chunks have no keys, and readers know no other separator.
            members.shift_remove("dimension_separator");
        }
        let mut documents = vec![(".zarray", zarray)];
        if !metadata.attributes.is_empty() {
            documents.push((".zattrs", Value::Object(metadata.attributes.clone())));
        }
        documents
    }

    /// The bytes of one of its blocks, which are counted from `first` on in the file.
    pub fn block(&self, number: usize, first: usize) -> Result<Vec<u8>> {
        let Some(chunk) = self.chunks.get(number) else {
            let first = i32::try_from(first).map_err(|_| Error::unsupported("more than 2^31 blocks"))?;
            let numbers = self.map.iter().map(|number| if *number < 0 { -1 } else { number.saturating_add(first) });
            return Ok(numbers.flat_map(i32::to_le_bytes).collect());
        };
        let gone = || Error::not_found(format!("a chunk of {} is gone", self.array.name()));
        let Some(anew) = &self.anew else {
            return self.array.retrieve_encoded_chunk(chunk)?.ok_or_else(gone);
        };
        let whole = anew.chunk_subset(chunk)?;
        let inside = whole.bound(anew.shape())?;
        let elements: ArrayBytes = self.array.retrieve_array_subset(&inside)?;
        anew.store_array_subset(&inside, &elements)?;
        let key = anew.chunk_key(chunk)?;
        let encoded = get(&**anew.store(), &key, u64::MAX)?.ok_or_else(gone)?;
        anew.erase_chunk(chunk)?;
        Ok(encoded)
    }
}

/// Whether anything of a region is stored.
fn is_stored(array: &Array, region: &ArraySubset) -> Result<bool> {
    let explanation = array.explain(&Selection::from(region))?;
    Ok(explanation.bytes_read > explanation.index_bytes)
}

/// An array of Zarr V2 in memory that is like another one, its chunks the smallest that can be read alone; `None`: Zarr V2
/// cannot express it.
fn as_v2(array: &Array) -> Result<Option<Array>> {
    let Ok(metadata) = copied(array, Some(2), None, None)?.build() else { return Ok(None) };
    let anew = Array::create(Arc::new(MemoryStore::new()), "", metadata)?;
    Ok(Some(anew.with_options(CodecOptions { store_empty_chunks: true, ..array.options() })))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ArrayBuilder;
    use crate::asdf::{AsdfFile, FileOptions, OutBlock, write_bytes};
    use crate::metadata::Attributes;
    use crate::store::WritableStore;

    fn array(codecs: &Value, attributes: Attributes) -> Array {
        let mut builder = ArrayBuilder::new([5, 6], "int16");
        builder.chunks([4, 4]).codecs(codecs.as_array().cloned().unwrap()).fill_value(7i16).attributes(attributes);
        let array = builder.create(Arc::new(MemoryStore::new()), "").unwrap();
        let part = ArraySubset::new_with_ranges(&[0..4, 0..6]);
        array.store_array_subset(&part, &(0..24i16).collect::<Vec<_>>()).unwrap();
        array
    }

    fn written(node: &ZarrNode) -> AsdfFile {
        let mut document = Document::new();
        let id = node.to_node(&mut document, 1);
        let root = document.root();
        document.insert(root, "a", id);
        let before = std::iter::once(Ok(OutBlock::new(vec![1])));
        let blocks = (0..node.blocks()).map(|number| node.block(number, 1).map(OutBlock::new));
        let bytes = write_bytes(&FileOptions::default(), Some(&document), before.chain(blocks)).unwrap();
        let store = MemoryStore::new();
        store.set("a.asdf", &bytes).unwrap();
        AsdfFile::open(Arc::new(store), "a.asdf").unwrap()
    }

    #[test]
    fn arrays_of_v3_become_nodes_of_v2() {
        let bytes = json!({"name": "bytes", "configuration": {"endian": "big"}});
        let inner = json!([bytes, {"name": "zstd", "configuration": {"level": 1, "checksum": false}}]);
        let index = json!([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]);
        let shard = json!([{"name": "sharding_indexed", "configuration":
            {"chunk_shape": [2, 4], "codecs": inner, "index_codecs": index, "index_location": "end"}}]);
        for (codecs, blocks, missing) in [(json!([bytes]), 3, [1, 0]), (inner, 3, [1, 0]), (shard, 5, [2, 1])] {
            let attributes: Attributes = [("unit".to_owned(), json!("s"))].into_iter().collect();
            let array = array(&codecs, attributes);
            let node = ZarrNode::new(&array, false).unwrap();
            assert_eq!(node.blocks(), blocks);
            let read = written(&node).array("a").unwrap();
            assert_eq!(read.attributes(), array.attributes());
            assert!(!read.chunk_exists(&missing).unwrap());
            let elements = |array: &Array| array.retrieve_array_subset::<Vec<i16>>(&array.subset_all()).unwrap();
            assert_eq!(elements(&read), elements(&array));
            // What was read can be written as it is.
            let again = ZarrNode::new(&read, false).unwrap();
            assert!(again.anew.is_none());
            assert_eq!(elements(&written(&again).array("a").unwrap()), elements(&array));
            // An array of V3 can also stay one, shards and all.
            let kept = written(&ZarrNode::new(&array, true).unwrap()).array("a").unwrap();
            assert_eq!((kept.metadata().zarr_format, kept.is_sharded()), (3, array.is_sharded()));
            assert_eq!(kept.attributes(), array.attributes());
            assert_eq!(elements(&kept), elements(&array));
            let again = written(&ZarrNode::new(&kept, false).unwrap()).array("a").unwrap();
            assert_eq!(again.metadata().zarr_format, 3);
            assert_eq!(elements(&again), elements(&array));
        }
    }
}

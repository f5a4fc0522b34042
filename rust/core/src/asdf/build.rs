//! Writes Zarr arrays as nodes of an ASDF tree and blocks.
//!
//! First make the nodes, which need only the numbers of their blocks; then write the tree; then the blocks, one by one.

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
    /// An array of Zarr V2 in memory that encodes one chunk at a time; `None` if chunks are written as they are stored.
    anew: Option<Array>,
    /// The chunks that are stored.
    chunks: Vec<Dims>,
    /// For each chunk of the grid, its number among the stored chunks, or -1.
    map: Vec<i32>,
}

impl ZarrNode {
    /// Finds the chunks that are stored. With `keep_v3`, an array of Zarr V3 stays one, as one from an ASDF file always does.
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

    /// The number of blocks: one for each stored chunk, then the map.
    pub fn blocks(&self) -> usize {
        self.chunks.len() + 1
    }

    /// The positions of the stored chunks in the map, block by block.
    pub fn places(&self) -> Vec<usize> {
        self.map.iter().enumerate().filter(|(_, number)| **number >= 0).map(|(place, _)| place).collect()
    }

    /// Adds the node to a tree; `first` is the number of its first block.
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

    /// The members of the node beside `chunk_block_map`: metadata documents by name.
    pub fn documents(&self) -> Vec<(&'static str, Value)> {
        let metadata = self.metadata();
        if metadata.zarr_format != 2 {
            return vec![("zarr.json", metadata.document.clone())];
        }
        let mut zarray = metadata.document.clone();
        if let Some(members) = zarray.as_object_mut() {
            // Chunks in blocks have no keys, and other readers refuse the member.
            members.shift_remove("dimension_separator");
        }
        let mut documents = vec![(".zarray", zarray)];
        if !metadata.attributes.is_empty() {
            documents.push((".zattrs", Value::Object(metadata.attributes.clone())));
        }
        documents
    }

    /// Returns the bytes of a block; `first` is the number of the first block in the file.
    pub fn block(&self, number: usize, first: usize) -> Result<Vec<u8>> {
        let Some(chunk) = self.chunks.get(number) else {
            let first = i32::try_from(first).map_err(|_| Error::unsupported("more than 2^31 blocks"))?;
            let numbers = self.map.iter().map(|number| if *number < 0 { -1 } else { number.saturating_add(first) });
            return Ok(numbers.flat_map(i32::to_le_bytes).collect());
        };
        let gone =
            || Error::not_found(format!("a chunk of {} was erased while the array was written", self.array.name()));
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

/// Whether any chunk of a region is stored.
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

    #[test]
    fn no_codec_is_dropped() {
        let named = |name: &str, configuration: Value| json!({"name": name, "configuration": configuration});
        let bytes = named("bytes", json!({"endian": "little"}));
        let (lzma, zstd) = (named("numcodecs.lzma", json!({"preset": 1})), named("zstd", json!({"level": 1})));
        let delta = named("numcodecs.delta", json!({"dtype": "<i2"}));
        let transpose = named("transpose", json!({"order": [1, 0]}));
        let scale = named("scale_offset", json!({"offset": 1, "scale": 1}));
        for (codecs, expected) in [
            (json!([bytes, lzma]), Some(json!({"compressor": {"id": "lzma", "preset": 1}}))),
            (json!([delta, bytes, zstd]), Some(json!({"filters": [{"id": "delta", "dtype": "<i2"}]}))),
            (json!([transpose, bytes, zstd]), Some(json!({"order": "F", "compressor": {"id": "zstd", "level": 1}}))),
            (json!([bytes, zstd, "crc32c"]), Some(json!({"compressor": {"id": "crc32c"}}))),
            (json!([scale, bytes, zstd]), None),
        ] {
            let index = json!([bytes, "crc32c"]);
            let shard = json!({"chunk_shape": [2, 4], "codecs": codecs, "index_codecs": index});
            for codecs in [codecs.clone(), json!([named("sharding_indexed", shard)])] {
                let array = array(&codecs, Attributes::new());
                let read = written(&ZarrNode::new(&array, false).unwrap()).array("a").unwrap();
                let elements = |array: &Array| array.retrieve_array_subset::<Vec<i16>>(array.subset_all()).unwrap();
                assert_eq!(elements(&read), elements(&array), "{codecs}");
                let Some(expected) = &expected else {
                    assert_eq!(read.metadata().document["codecs"], array.metadata().document["codecs"]);
                    continue;
                };
                assert_eq!(read.metadata().zarr_format, 2, "{codecs}");
                for (member, value) in expected.as_object().unwrap() {
                    assert_eq!(read.metadata().document[member], *value, "{codecs}");
                }
            }
        }
    }
}

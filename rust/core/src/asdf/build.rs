//! Zarr nodes of a new tree, and their blocks.
//!
//! Nodes are made first, as they need only the numbers of their blocks. The tree is written next, then the blocks one
//! by one.

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
use crate::subset::{ArraySubset, Dims, product};

/// Maximum number of chunks of a node.
const MAX_CHUNKS: u64 = 1 << 24;

/// An array to be written as a Zarr node. Other readers know only Zarr V2, so an array of V3 is recoded while it is
/// written, unless it is to be kept or V2 cannot express it.
#[derive(Debug)]
pub struct ZarrNode {
    array: Array,
    /// An empty array of Zarr V2 in memory that encodes one chunk at a time; `None` if chunks are written as stored.
    recoded: Option<Array>,
    /// Indices of the stored chunks.
    chunks: Vec<Dims>,
    /// For each chunk of the grid, its position among the stored chunks, or -1.
    map: Vec<i32>,
}

impl ZarrNode {
    /// Finds the stored chunks. `keep_v3` keeps an array of Zarr V3 in V3; arrays of ASDF files are always kept.
    pub fn new(array: &Array, keep_v3: bool) -> Result<Self> {
        let metadata = array.metadata();
        let in_blocks = matches!(metadata.chunk_key_encoding, ChunkKeyEncoding::V2 { .. });
        let recoded = match metadata.zarr_format {
            2 => None,
            _ if keep_v3 || in_blocks => None,
            _ => as_v2(array).place(|| array.name())?,
        };
        let grid = recoded.as_ref().map_or(array.chunk_grid(), Array::chunk_grid);
        if grid.regular_shape().is_none() {
            let message = "Zarr nodes need chunks of one shape; rechunk the array";
            return Err(Error::unsupported(message).at(array.name()));
        }
        let count = product(&grid.shape()).unwrap_or(u64::MAX);
        if count > MAX_CHUNKS {
            let what = format!(
                "a Zarr node lists every chunk of the grid, and the array has {count}; at most {MAX_CHUNKS} are supported, \
                 rechunk the array"
            );
            return Err(Error::unsupported(what).at(array.name()));
        }
        let (mut chunks, mut map) = (Vec::new(), Vec::new());
        for chunk in ArraySubset::new_with_shape(&grid.shape()).indices() {
            let stored = match &recoded {
                Some(_) => is_stored(array, &grid.chunk_subset(&chunk)?.bound(array.shape())?)?,
                None => array.chunk_exists(&chunk)?,
            };
            let number = i32::try_from(chunks.len())
                .map_err(|_| Error::unsupported("a Zarr node cannot have more than 2^31 chunks"))?;
            map.push(if stored { number } else { -1 });
            if stored {
                chunks.push(chunk);
            }
        }
        Ok(Self { array: array.clone(), recoded, chunks, map })
    }

    /// Returns the number of blocks: one for each stored chunk, and one for the map.
    pub fn blocks(&self) -> usize {
        self.chunks.len() + 1
    }

    /// Returns the positions of the stored chunks in the map, in the order of the blocks.
    pub fn places(&self) -> Vec<usize> {
        self.map.iter().enumerate().filter(|(_, number)| **number >= 0).map(|(place, _)| place).collect()
    }

    /// Adds the node to a tree. Its first block has number `first`.
    pub fn to_node(&self, document: &mut Document, first: usize) -> NodeId {
        let mut entries: Vec<_> =
            self.documents().into_iter().map(|(name, value)| (name, document.add_json(&value))).collect();
        entries.push(("chunk_block_map", document.add_int((first + self.chunks.len()) as u64)));
        let node = document.add_map(entries);
        document.set_tag(node, self.tag());
        node
    }

    fn metadata(&self) -> &ArrayMetadata {
        self.recoded.as_ref().unwrap_or(&self.array).metadata()
    }

    /// Returns the tag of the node.
    pub fn tag(&self) -> &'static str {
        if self.metadata().zarr_format == 2 { ZARR_TAG } else { ZARR_V3_TAG }
    }

    /// Returns the metadata documents of the node by name.
    pub fn documents(&self) -> Vec<(&'static str, Value)> {
        let metadata = self.metadata();
        if metadata.zarr_format != 2 {
            return vec![("zarr.json", metadata.document.clone())];
        }
        let mut zarray = metadata.document.clone();
        if let Some(members) = zarray.as_object_mut() {
            // The chunks have no keys, and other readers refuse the member.
            members.shift_remove("dimension_separator");
        }
        let mut documents = vec![(".zarray", zarray)];
        if !metadata.attributes.is_empty() {
            documents.push((".zattrs", Value::Object(metadata.attributes.clone())));
        }
        documents
    }

    /// Returns the data of one of the blocks. The first block has number `first` in the file.
    pub fn block(&self, number: usize, first: usize) -> Result<Vec<u8>> {
        let Some(chunk) = self.chunks.get(number) else {
            let first = i32::try_from(first)
                .map_err(|_| Error::unsupported("a Zarr node cannot have more than 2^31 blocks"))?;
            let numbers = self.map.iter().map(|number| if *number < 0 { -1 } else { number.saturating_add(first) });
            return Ok(numbers.flat_map(i32::to_le_bytes).collect());
        };
        let gone =
            || Error::not_found(format!("a chunk of {} was erased while the array was written", self.array.name()));
        let Some(recoded) = &self.recoded else {
            return self.array.retrieve_encoded_chunk(chunk)?.ok_or_else(gone);
        };
        let whole = recoded.chunk_subset(chunk)?;
        let inside = whole.bound(recoded.shape())?;
        let elements: ArrayBytes = self.array.retrieve_array_subset(&inside)?;
        recoded.store_array_subset(&inside, &elements)?;
        let key = recoded.chunk_key(chunk)?;
        let encoded = get(&**recoded.store(), &key, u64::MAX)?.ok_or_else(gone)?;
        recoded.erase_chunk(chunk)?;
        Ok(encoded)
    }
}

/// Whether any chunk of a region is stored.
fn is_stored(array: &Array, region: &ArraySubset) -> Result<bool> {
    let explanation = array.explain(&Selection::from(region))?;
    Ok(explanation.bytes_read > explanation.index_bytes)
}

/// Returns an empty array of Zarr V2 in memory with the properties of `array`, whose chunks are the smallest that can
/// be read separately; `None` if V2 cannot express the array.
fn as_v2(array: &Array) -> Result<Option<Array>> {
    // The convention for names in V2 has none for an axis without a name.
    if array.metadata().dimension_names.iter().flatten().any(Option::is_none) {
        return Ok(None);
    }
    let Ok(metadata) = copied(array, Some(2), None, None)?.build() else { return Ok(None) };
    let recoded = Array::create(Arc::new(MemoryStore::new()), "", metadata)?;
    Ok(Some(recoded.with_options(CodecOptions { store_empty_chunks: true, ..array.options() })))
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
            // A file that was read can be written without recoding.
            let again = ZarrNode::new(&read, false).unwrap();
            assert!(again.recoded.is_none());
            assert_eq!(elements(&written(&again).array("a").unwrap()), elements(&array));
            // An array of V3 can also be kept, including shards.
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

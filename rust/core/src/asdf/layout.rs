//! The layout of a new file: the block of each array, in this file or in a separate one.
//!
//! Nodes are added to the tree while blocks are planned, because a node names its block by number. The data of a block
//! are requested when the block is written.

use std::collections::HashMap;
use std::fs;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::block::BlockHeader;
use super::build::ZarrNode;
use super::compression::Compression;
use super::datatype::Datatype;
use super::external::{ExternalNames, NewFiles, tree_text};
use super::memory::{BlockData, Memory};
use super::nodes::{NewNdarray, Target, external_uri};
use super::open::AsdfFile;
use super::standard::{ROOT_TAG, for_standard};
use super::version::FileVersion;
use super::write::{FileOptions, FileWriter, OutBlock};
use super::yaml::{Document, Kind, NodeId, Style};
use crate::array::Array;
use crate::error::{Error, Place, Result};
use crate::store::{Identity, NamedFile};

/// Storage of the elements of a new ndarray.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// In a block of the file.
    #[default]
    Internal,
    /// In the tree if it can hold them, else in a block.
    Inline,
    /// In the block of a separate file.
    External,
    /// In the last block of the file, which can grow.
    Streamed,
}

/// Compression of blocks: a label and the options of its codec. The codec is created for each array, because blosc
/// needs the item size.
#[derive(Clone, Debug)]
pub struct BlockCompression {
    label: String,
    options: Map<String, Value>,
}

impl BlockCompression {
    /// Checks the label and options; see [`Compression::new`].
    pub fn new(label: &str, options: Map<String, Value>) -> Result<Self> {
        let this = Self { label: label.to_owned(), options };
        this.codec(1).map(|_| this)
    }

    /// Returns the codec for elements of a size in bytes.
    fn codec(&self, item_size: usize) -> Result<Compression> {
        let mut options = self.options.clone();
        let automatic = options.get("typesize").is_none_or(|size| size.as_str() == Some("auto"));
        if matches!(&*self.label, "blsc" | "bls2") && automatic {
            options.insert("typesize".into(), item_size.clamp(1, 255).into());
        }
        Compression::new(&self.label, &options)
    }
}

/// Adds an array with its elements in the tree; returns `None` if the tree cannot hold them.
fn inline(
    document: &mut Document,
    datatype: &Datatype,
    memory: &Memory,
    mask: Option<NodeId>,
) -> Result<Option<NodeId>> {
    let mut node = None;
    memory.lend_gathered(&mut |bytes| {
        node = document.add_inline_ndarray(datatype, &memory.shape, bytes, mask);
        Ok(())
    })?;
    Ok(node)
}

/// An ndarray to be written.
pub struct NewArray<'a> {
    /// The data type.
    pub datatype: &'a Datatype,
    /// The elements.
    pub memory: Memory,
    /// The memory that the array is a view of, if all its views are to share one block.
    pub base: Option<Memory>,
    /// Storage of the elements.
    pub storage: Storage,
    /// Compression of the block; ignored for a stream.
    pub compression: Option<&'a BlockCompression>,
    /// Node of the mask.
    pub mask: Option<NodeId>,
}

/// A block to be written.
enum Block {
    /// Bytes of memory, including gaps.
    Bytes(Box<dyn BlockData>, Option<Compression>),
    /// Elements in C order.
    Elements(Memory, Option<Compression>),
    /// A block of another file, copied without decoding.
    Copied(AsdfFile, BlockHeader),
    /// A block of a Zarr array: its number in the array, and the number of the array's first block in the file.
    Zarr(Arc<ZarrNode>, usize, usize),
}

impl Block {
    fn write<W: Write + Seek>(&self, writer: &mut FileWriter<W>, checksum: bool, streamed: bool) -> Result<()> {
        let mut put = |block: OutBlock<'_>| {
            let block = block.checksum(checksum);
            writer.block(if streamed { block.streamed() } else { block }).map(drop)
        };
        let mut put_bytes = |bytes: &[u8], compression: &Option<Compression>| match compression {
            Some(compression) if !bytes.is_empty() && !streamed => put(OutBlock::encoded(bytes, compression)),
            _ => put(OutBlock::new(bytes)),
        };
        match self {
            Self::Bytes(data, compression) => data.lend(&mut |bytes| put_bytes(bytes, compression)),
            Self::Elements(memory, compression) => memory.lend_gathered(&mut |bytes| put_bytes(bytes, compression)),
            Self::Copied(file, header) => {
                let block = OutBlock::pieces(|sink| file.blocks().read_pieces(header, sink));
                let (compression, size) = (header.compression, header.data_size);
                put(if header.is_compressed() { block.compressed(compression, size) } else { block })
            }
            Self::Zarr(node, number, first) => put(OutBlock::new(node.block(*number, *first)?)),
        }
    }
}

/// Location where an array was stored.
#[derive(Clone, Copy)]
enum Placed {
    Block(usize),
    Stream,
    External(usize),
}

/// Blocks of a new file and of its separate files.
pub struct BlockLayout {
    path: PathBuf,
    blocks: Vec<Block>,
    /// The last block, if it can grow.
    stream: Option<Block>,
    /// The blocks of separate files, and the nodes of arrays in them.
    externals: Vec<(Block, Vec<NodeId>)>,
    /// Locations of memory that views share, by address.
    shared: HashMap<usize, Placed>,
    /// Numbers of blocks copied from other files, by file and offset.
    copied: HashMap<(Identity, u64), usize>,
}

impl BlockLayout {
    /// Creates the layout of the file at a path, from which the names of separate files derive.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            blocks: Vec::new(),
            stream: None,
            externals: Vec::new(),
            shared: HashMap::new(),
            copied: HashMap::new(),
        }
    }

    /// Adds a block without a node; returns its number.
    pub fn add_block(&mut self, data: Box<dyn BlockData>, compression: Option<&BlockCompression>) -> Result<usize> {
        let codec = compression.map(|compression| compression.codec(1)).transpose()?;
        Ok(self.push(Block::Bytes(data, codec)))
    }

    fn push(&mut self, block: Block) -> usize {
        self.blocks.push(block);
        self.blocks.len() - 1
    }

    /// Adds an ndarray: its node to the tree, and its block.
    pub fn add_array(&mut self, document: &mut Document, array: NewArray<'_>) -> Result<NodeId> {
        let NewArray { datatype, memory, base, storage, compression, mask } = array;
        let streamed = storage == Storage::Streamed;
        if streamed && memory.shape.is_empty() {
            return Err(Error::unsupported("an array without axes cannot be streamed, as it has no rows"));
        }
        if storage == Storage::Inline
            && let Some(node) = inline(document, datatype, &memory, mask)?
        {
            return Ok(node);
        }
        let shape = memory.shape.clone();
        let codec = compression.filter(|_| !streamed).map(|compression| compression.codec(memory.item_size));
        let codec = codec.transpose()?;
        let view = base.filter(|_| !streamed).and_then(|base| Some((memory.offset_in(&base)?, base)));
        let (placed, offset, strides) = if let Some((offset, base)) = view {
            let strides = if memory.is_contiguous() { None } else { Some(memory.strides) };
            let known = self.shared.get(&base.address).copied();
            let placed = known.map_or_else(|| self.place(Block::Bytes(base.data, codec), storage), Ok)?;
            self.shared.insert(base.address, placed);
            (placed, offset, strides)
        } else if let Some(strides) = memory.dense_strides().filter(|_| !streamed && !memory.is_contiguous()) {
            (self.place(Block::Bytes(memory.data, codec), storage)?, 0, Some(strides))
        } else {
            (self.place(Block::Elements(memory, codec), storage)?, 0, None)
        };
        let target = match placed {
            Placed::Block(number) => Target::Block(number),
            Placed::Stream => Target::Stream,
            // The file gets its name when it is written.
            Placed::External(_) => Target::External(""),
        };
        let strides = strides.as_deref();
        let node = document.add_new_ndarray(&NewNdarray { target, datatype, shape: &shape, offset, strides, mask });
        if let Placed::External(number) = placed {
            self.externals[number].1.extend(document.get(node, "source"));
        }
        Ok(node)
    }

    fn place(&mut self, block: Block, storage: Storage) -> Result<Placed> {
        match storage {
            Storage::Internal | Storage::Inline => Ok(Placed::Block(self.push(block))),
            Storage::Streamed if self.stream.is_some() => {
                Err(Error::metadata("a file can have only one streamed array"))
            }
            Storage::Streamed => {
                self.stream = Some(block);
                Ok(Placed::Stream)
            }
            Storage::External => {
                self.externals.push((block, Vec::new()));
                Ok(Placed::External(self.externals.len() - 1))
            }
        }
    }

    /// Adds an ndarray of an opened file: its node to the tree, and its stored block.
    pub fn add_copy(&mut self, document: &mut Document, file: &AsdfFile, node: NodeId) -> Result<NodeId> {
        let (blocks, copied) = (&mut self.blocks, &mut self.copied);
        file.copy_ndarray(node, document, &mut |file, header| {
            *copied.entry((file.identity(), header.offset)).or_insert_with(|| {
                blocks.push(Block::Copied(file.clone(), header));
                blocks.len() - 1
            })
        })
    }

    /// Adds a Zarr array: its node to the tree, and a block for each chunk; see [`ZarrNode::new`].
    pub fn add_zarr(&mut self, document: &mut Document, array: &Array, keep_v3: bool) -> Result<NodeId> {
        let node = Arc::new(ZarrNode::new(array, keep_v3)?);
        let first = self.blocks.len();
        self.blocks.extend((0..node.blocks()).map(|number| Block::Zarr(node.clone(), number, first)));
        Ok(node.to_node(document, first))
    }

    /// Writes the files, the separate ones first, and returns the version of the main file. Each file gets its name when
    /// it is complete. If anything fails, all files stay as they were; if the process is killed, the main file is the
    /// old or the new one, with its separate files. Fails if the main file no longer has the `expected` version.
    pub fn write(
        &self,
        mut document: Document,
        options: &FileOptions<'_>,
        checksums: bool,
        expected: Option<FileVersion>,
    ) -> Result<Option<FileVersion>> {
        for_standard(&mut document, options.standard)?;
        let mut write = || {
            let named = NamedFile::open(&self.path)?;
            let _guard = named.lock()?;
            FileVersion::check(expected, &self.path)?;
            let names = ExternalNames::of(&self.path);
            let before = names.mentioned(&tree_text(&self.path)?);
            let mut created = NewFiles::default();
            if !self.externals.is_empty() {
                let comments = [&[names.comment()], options.comments].concat();
                let options = FileOptions { comments: &comments, ..options.clone() };
                let mut empty = Document::new();
                empty.set_tag(empty.root(), ROOT_TAG);
                for_standard(&mut empty, options.standard)?;
                for ((block, nodes), number) in self.externals.iter().zip(names.first_free()?..) {
                    let path = names.path(number);
                    let block = std::slice::from_ref(block);
                    let written =
                        NamedFile::open(&path)?.replace(|file| save(file, &options, &empty, block, None, checksums));
                    written.place(|| path.display().to_string())?;
                    created.add(path);
                    let uri = external_uri(&names.name(number));
                    for node in nodes {
                        document.node_mut(*node).kind = Kind::Scalar { text: uri.as_str().into(), style: Style::Plain };
                    }
                }
            }
            named.replace(|file| {
                save(file, options, &document, &self.blocks, self.stream.as_ref(), checksums)?;
                FileVersion::check(expected, &self.path)
            })?;
            created.keep();
            if !(before.is_empty() && self.externals.is_empty()) {
                // The new file is complete. What cannot be removed now is found by the next writer.
                let kept = names.mentioned(&tree_text(&self.path)?);
                let unused = names.unused(&before, &kept).unwrap_or_default();
                for path in unused {
                    let _ = fs::remove_file(path);
                }
            }
            Ok(FileVersion::at(&self.path))
        };
        write().place(|| self.path.display().to_string())
    }
}

/// Writes a file with a tree, blocks and perhaps a last block that can grow.
fn save<W: Write + Seek>(
    file: W,
    options: &FileOptions<'_>,
    document: &Document,
    blocks: &[Block],
    stream: Option<&Block>,
    checksums: bool,
) -> Result<()> {
    let mut writer = FileWriter::new(file, options, Some(document))?;
    blocks.iter().try_for_each(|block| block.write(&mut writer, checksums, false))?;
    stream.iter().try_for_each(|block| block.write(&mut writer, checksums, true))?;
    writer.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(shape: &[u64], strides: &[i64], offset: usize, bytes: &[u8]) -> Memory {
        let data = Box::new(bytes.to_vec());
        Memory { data, address: 100, offset, shape: shape.to_vec(), strides: strides.to_vec(), item_size: 2 }
    }

    #[test]
    fn views_share_the_block_of_their_base() {
        let bytes: Vec<u8> = (0..12).collect();
        let datatype = Datatype::from_code("<i2").unwrap();
        let view = |shape: &[u64], strides: &[i64], address: usize, offset: usize| {
            let part = memory(shape, strides, offset, &bytes[address - 100..]);
            NewArray {
                datatype: &datatype,
                memory: Memory { address, ..part },
                base: Some(memory(&[2, 3], &[6, 2], 0, &bytes)),
                storage: Storage::Internal,
                compression: None,
                mask: None,
            }
        };
        let (mut document, mut layout) = (Document::new(), BlockLayout::new("a.asdf"));
        let row = layout.add_array(&mut document, view(&[3], &[2], 106, 0)).unwrap();
        let back = layout.add_array(&mut document, view(&[2], &[-6], 100, 6)).unwrap();
        let alone = layout.add_array(&mut document, view(&[2, 3], &[0, 2], 100, 0)).unwrap();
        let text = |node, key: &str| document.get(node, key).and_then(|value| document.text(value));
        assert_eq!((text(row, "source"), text(row, "offset")), (Some("0"), Some("6")));
        assert_eq!((text(back, "source"), text(back, "offset")), (Some("0"), Some("6")));
        assert!(document.get(row, "strides").is_none() && document.get(back, "strides").is_some());
        assert_eq!((text(alone, "source"), text(alone, "offset")), (Some("1"), None));
        assert_eq!(layout.blocks.len(), 2);
    }
}

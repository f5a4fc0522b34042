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

/// Data of a block, which are requested when the block is written.
pub trait BlockData: Send {
    /// Calls `take` once, with all bytes.
    fn lend(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;
}

impl BlockData for Vec<u8> {
    fn lend(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        take(self)
    }
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

/// Strided elements in memory.
pub struct Memory {
    /// The bytes from the lowest to the highest element.
    pub data: Box<dyn BlockData>,
    /// Address of the lowest byte, which identifies the memory that views share.
    pub address: usize,
    /// Offset of the first element in `data`, in bytes.
    pub offset: usize,
    /// The shape.
    pub shape: Vec<u64>,
    /// Strides in bytes.
    pub strides: Vec<i64>,
    /// Size of an element in bytes.
    pub item_size: usize,
}

impl Memory {
    fn is_empty(&self) -> bool {
        self.shape.contains(&0) || self.item_size == 0
    }

    /// Returns the number of bytes from the lowest to the highest element.
    fn length(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let reach = |(length, stride): (&u64, &i64)| (length - 1).saturating_mul(stride.unsigned_abs());
        self.shape.iter().zip(&self.strides).map(reach).fold(self.item_size as u64, u64::saturating_add)
    }

    /// Whether the elements are contiguous in the given order of axes.
    fn follows(&self, order: impl DoubleEndedIterator<Item = usize>) -> bool {
        let mut stride = self.item_size as i64;
        let mut follows = |axis: usize| {
            let length = self.shape[axis];
            let fits = length == 1 || self.strides[axis] == stride;
            stride = stride.saturating_mul(i64::try_from(length).unwrap_or(i64::MAX));
            fits
        };
        self.is_empty() || order.rev().all(&mut follows)
    }

    /// Whether the elements are contiguous in C order.
    fn is_contiguous(&self) -> bool {
        self.follows(0..self.shape.len())
    }

    /// Returns the strides if the elements have no gaps in some order of axes; those of axes of length one become
    /// regular.
    fn dense_strides(&self) -> Option<Vec<i64>> {
        let mut axes: Vec<usize> = (0..self.shape.len()).collect();
        axes.sort_by_key(|axis| std::cmp::Reverse((self.strides[*axis], self.shape[*axis])));
        if !self.follows(axes.iter().copied()) {
            return None;
        }
        let mut strides = vec![0; axes.len()];
        let mut stride = self.item_size as i64;
        for axis in axes.into_iter().rev() {
            strides[axis] = stride;
            stride = stride.saturating_mul(self.shape[axis].max(1) as i64);
        }
        Some(strides)
    }

    /// Returns the offset in `base` if this is a view of it that a node can describe.
    fn offset_in(&self, base: &Self) -> Option<u64> {
        let low = self.address.checked_sub(base.address)? as u64;
        let inside = low + self.length() <= base.length();
        let regular = !self.is_empty() && !self.strides.contains(&0) && base.dense_strides().is_some();
        (inside && regular).then_some(low + self.offset as u64)
    }

    /// Calls `take` once, with the elements in C order.
    pub fn lend_gathered(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if self.is_contiguous() {
            return self.data.lend(take);
        }
        self.data.lend(&mut |bytes| {
            let length = self.shape.iter().product::<u64>() as usize * self.item_size;
            let mut gathered = Vec::new();
            gathered.try_reserve_exact(length).map_err(|_| Error::memory(format_args!("{length} bytes")))?;
            gather(bytes, self.offset as i64, &self.shape, &self.strides, self.item_size, &mut gathered);
            take(&gathered)
        })
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

/// Appends elements in C order.
fn gather(bytes: &[u8], first: i64, shape: &[u64], strides: &[i64], size: usize, gathered: &mut Vec<u8>) {
    let at = |index: u64, stride: i64| (first + index as i64 * stride) as usize;
    let (Some((length, shape)), Some((stride, strides))) = (shape.split_first(), strides.split_first()) else {
        return gathered.extend_from_slice(&bytes[first as usize..][..size]);
    };
    if !shape.is_empty() {
        (0..*length).for_each(|k| gather(bytes, at(k, *stride) as i64, shape, strides, size, gathered));
    } else if *stride == size as i64 {
        gathered.extend_from_slice(&bytes[first as usize..][..*length as usize * size]);
    } else {
        // A constant size makes copies of single elements several times as fast.
        match size {
            1 => gathered.extend((0..*length).map(|k| bytes[at(k, *stride)])),
            2 => each::<2>(bytes, *length, |k| at(k, *stride), gathered),
            4 => each::<4>(bytes, *length, |k| at(k, *stride), gathered),
            8 => each::<8>(bytes, *length, |k| at(k, *stride), gathered),
            _ => (0..*length).for_each(|k| gathered.extend_from_slice(&bytes[at(k, *stride)..][..size])),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], length: u64, at: impl Fn(u64) -> usize, gathered: &mut Vec<u8>) {
    for k in 0..length {
        if let Some(element) = bytes[at(k)..].first_chunk::<N>() {
            gathered.extend_from_slice(element);
        }
    }
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
#[path = "layout_tests.rs"]
mod tests;

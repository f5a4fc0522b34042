//! Blocks of a file as the objects of a store, for arrays to read their chunks from.
//!
//! A chunk that lies in a block as it is, is a part of the file, so that the reader takes what it needs and joins what
//! lies close together. Headers of blocks are read when a chunk is first touched: a file may have very many.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use super::block::BlockHeader;
use super::chunked::Cells;
use super::open::AsdfFile;
use super::yaml::NodeId;
use crate::error::{Error, Place, Result};
use crate::store::{ByteRange, Exclusion, Location, Object, Stat, Store, fresh_identity, resolve};
use crate::subset::product;

/// A store of an array's chunks.
pub(super) struct BlockStore {
    file: AsdfFile,
    chunks: Chunks,
    identity: u64,
}

enum Chunks {
    /// One, in a block; it is for the array to decompress it.
    Block(BlockHeader),
    /// One, in memory.
    Inline(Arc<[u8]>),
    /// Those that a map names.
    Map(ChunkMap),
    /// Those of a chunked ndarray, which decodes them.
    Cells(Arc<Cells>),
}

/// Where the bytes are that an array decodes.
#[derive(Clone)]
pub(super) enum Held {
    /// In a block, maybe of another file.
    Block(AsdfFile, BlockHeader),
    /// In memory.
    Memory(Arc<[u8]>),
}

/// A block of the numbers of blocks, for each chunk of a grid in C order; -1: the chunk is not stored.
struct ChunkMap {
    block: i64,
    grid: Vec<u64>,
    numbers: OnceLock<Vec<i32>>,
}

impl BlockStore {
    pub(super) fn block(file: &AsdfFile, header: BlockHeader) -> Self {
        Self { identity: file.opened().identity(), file: file.clone(), chunks: Chunks::Block(header) }
    }

    pub(super) fn inline(file: &AsdfFile, bytes: Arc<[u8]>) -> Self {
        Self { identity: fresh_identity(), file: file.clone(), chunks: Chunks::Inline(bytes) }
    }

    /// The chunks of a grid that the map in a block names.
    pub(super) fn map(file: &AsdfFile, block: i64, grid: Vec<u64>) -> Self {
        let mut hasher = DefaultHasher::new();
        (file.opened().identity(), block).hash(&mut hasher);
        let map = ChunkMap { block, grid, numbers: OnceLock::new() };
        Self { identity: hasher.finish(), file: file.clone(), chunks: Chunks::Map(map) }
    }

    /// The chunks of a chunked ndarray, which is a node of the file.
    pub(super) fn cells(file: &AsdfFile, node: NodeId, cells: Arc<Cells>) -> Self {
        let mut hasher = DefaultHasher::new();
        (file.opened().identity(), "cells", node.index()).hash(&mut hasher);
        Self { identity: hasher.finish(), file: file.clone(), chunks: Chunks::Cells(cells) }
    }

    /// Where the bytes of a chunk are; `None`: it is not stored.
    fn find(&self, key: &str) -> Result<Option<Held>> {
        let block = |header| Held::Block(self.file.clone(), header);
        match &self.chunks {
            Chunks::Block(header) => Ok(Some(block(*header))),
            Chunks::Inline(bytes) => Ok(Some(Held::Memory(bytes.clone()))),
            Chunks::Cells(cells) => cells.find(key),
            Chunks::Map(map) => {
                let number = map.number(&self.file, key)?;
                Ok(number.map(|number| self.file.block(number)).transpose()?.map(block))
            }
        }
    }

    /// The block of a chunk that was compressed beside what the array's codecs did.
    fn compressed(&self, key: &str) -> Result<Option<i64>> {
        let Chunks::Map(map) = &self.chunks else { return Ok(None) };
        let Some(number) = map.number(&self.file, key)? else { return Ok(None) };
        Ok(self.file.block(number)?.is_compressed().then_some(number))
    }
}

impl ChunkMap {
    /// The number of the block of a chunk; `None`: it is not stored.
    fn number(&self, file: &AsdfFile, key: &str) -> Result<Option<i64>> {
        let numbers = match self.numbers.get() {
            Some(numbers) => numbers,
            None => self.numbers.get_or_init({
                let numbers = self.read(file)?;
                || numbers
            }),
        };
        let number = position(key, &self.grid).and_then(|position| numbers.get(position));
        match number {
            None => Err(Error::store(format!("{key:?} is not the key of a chunk"))),
            Some(-1) => Ok(None),
            Some(number) if *number < 0 || i64::from(*number) == self.block => {
                Err(Error::corrupt(format!("the map of chunks names block {number} for chunk {key}")))
            }
            Some(number) => Ok(Some((*number).into())),
        }
    }

    fn read(&self, file: &AsdfFile) -> Result<Vec<i32>> {
        let read = || {
            let header = file.blocks().block(self.block)?;
            let due = product(&self.grid).and_then(|chunks| chunks.checked_mul(4));
            if due != Some(header.data_size) {
                let (size, grid) = (header.data_size, crate::subset::tuple(&self.grid));
                return Err(Error::corrupt(format!("{size} bytes for a grid of {grid} chunks")));
            }
            let bytes = file.block_data(self.block)?;
            Ok(bytes.as_chunks::<4>().0.iter().map(|number| i32::from_le_bytes(*number)).collect())
        };
        read().place(|| format!("the map of chunks in block {}", self.block))
    }
}

/// The position of a chunk in a grid in C order, by its key as Zarr V2 writes it.
fn position(key: &str, grid: &[u64]) -> Option<usize> {
    if grid.is_empty() {
        return (key == "0").then_some(0);
    }
    let mut indices = key.split('.');
    let position = grid.iter().try_fold(0u64, |position, length| {
        let index: u64 = indices.next()?.parse().ok().filter(|index| index < length)?;
        position.checked_mul(*length)?.checked_add(index)
    })?;
    if indices.next().is_some() { None } else { usize::try_from(position).ok() }
}

impl fmt::Debug for BlockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocks of {}", self.file.name())
    }
}

impl Store for BlockStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        if let Some(number) = self.compressed(key)? {
            return Ok(Box::new(Chunk::Memory(self.file.block_data(number)?.into())));
        }
        Ok(Box::new(match self.find(key)? {
            None => Chunk::Missing,
            Some(Held::Memory(bytes)) => Chunk::Memory(bytes),
            Some(Held::Block(file, header)) => {
                let (offset, length) = (header.data_offset, header.used);
                Chunk::Part { object: file.opened().object(), offset, length }
            }
        }))
    }

    fn refers(&self) -> bool {
        true
    }

    fn locate(&self, key: &str) -> Result<Option<Location>> {
        if self.compressed(key)?.is_some() {
            return Ok(None);
        }
        Ok(match self.find(key)? {
            Some(Held::Block(file, header)) => {
                let store = file.opened().clone();
                let key = store.key().to_owned();
                Some(Location { store, key, part: Some((header.data_offset, header.used)) })
            }
            _ => None,
        })
    }

    fn is_remote(&self) -> bool {
        self.file.opened().is_remote()
    }

    fn merge_gap(&self) -> u64 {
        self.file.opened().merge_gap()
    }

    fn exclusion(&self) -> Exclusion {
        // Nothing is written.
        Exclusion::Everyone
    }

    fn display(&self, key: &str) -> String {
        format!("chunk {key} of {}", self.file.name())
    }

    fn identity(&self) -> u64 {
        self.identity
    }
}

/// What is stored of a chunk.
enum Chunk {
    Missing,
    Memory(Arc<[u8]>),
    Part { object: Box<dyn Object>, offset: u64, length: u64 },
}

impl Object for Chunk {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        match self {
            Self::Missing => return Ok(None),
            Self::Memory(bytes) => {
                let (offset, length) = resolve(range, bytes.len() as u64, limit)?;
                into.extend_from_slice(&bytes[offset as usize..][..length]);
            }
            Self::Part { object, offset, length } => {
                let (start, wanted) = resolve(range, *length, limit)?;
                let range = ByteRange::Range { offset: offset + start, length: wanted as u64 };
                object.read(range, limit, into)?;
            }
        }
        self.stat()
    }

    fn read_at(&self, start: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        let range = ByteRange::Range { offset: start, length: into.len() as u64 };
        match self {
            Self::Missing => return Ok(None),
            Self::Memory(bytes) => {
                let (offset, length) = resolve(range, bytes.len() as u64, u64::MAX)?;
                into.copy_from_slice(&bytes[offset as usize..][..length]);
            }
            Self::Part { object, offset, length } => {
                resolve(range, *length, u64::MAX)?;
                object.read_at(offset + start, into)?;
            }
        }
        self.stat()
    }

    fn stat(&self) -> Result<Option<Stat>> {
        match self {
            Self::Missing => Ok(None),
            Self::Memory(bytes) => Ok(Some(Stat { size: bytes.len() as u64, version: 0, settled: true })),
            Self::Part { object, length, .. } => Ok(object.stat()?.map(|stat| Stat { size: *length, ..stat })),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Memory(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn changed(&self) -> bool {
        matches!(self, Self::Part { object, .. } if object.changed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_positions() {
        assert_eq!(position("0", &[]), Some(0));
        assert_eq!(position("2.1", &[3, 2]), Some(5));
        for key in ["3.0", "0.2", "0", "0.0.0", "a.0", "", "-1.0"] {
            assert_eq!(position(key, &[3, 2]), None, "{key}");
        }
    }
}

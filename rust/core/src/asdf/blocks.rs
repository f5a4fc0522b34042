//! Blocks of a file as the objects of a store, for arrays to read their chunks from.
//!
//! A chunk that lies in a block as it is, is a part of the file, so that the reader takes what it needs and joins what
//! lies close together. Headers of blocks are read when a chunk is first touched: a file may have very many.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::block::BlockHeader;
use super::chunked::Cells;
use super::open::AsdfFile;
use super::yaml::NodeId;
use crate::error::{Error, Place, Result};
use crate::store::{Identity, InMemory, Location, Object, ObjectPart, Profile, Store};
use crate::subset::product;

/// A store of an array's chunks.
pub(super) struct BlockStore {
    file: AsdfFile,
    chunks: Chunks,
    profile: Profile,
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
    fn new(file: &AsdfFile, identity: Identity, chunks: Chunks) -> Self {
        let profile = Profile { identity, refers: true, ..*file.opened().profile() };
        Self { file: file.clone(), chunks, profile }
    }

    pub(super) fn block(file: &AsdfFile, header: BlockHeader) -> Self {
        Self::new(file, file.identity(), Chunks::Block(header))
    }

    pub(super) fn inline(file: &AsdfFile, bytes: Arc<[u8]>) -> Self {
        Self::new(file, Identity::fresh(), Chunks::Inline(bytes))
    }

    /// The chunks of a grid that the map in a block names.
    pub(super) fn map(file: &AsdfFile, block: i64, grid: Vec<u64>) -> Self {
        let map = ChunkMap { block, grid, numbers: OnceLock::new() };
        Self::new(file, file.identity().part(block), Chunks::Map(map))
    }

    /// The chunks of a chunked ndarray, which is a node of the file.
    pub(super) fn cells(file: &AsdfFile, node: NodeId, cells: Arc<Cells>) -> Self {
        Self::new(file, file.identity().part(("cells", node.index())), Chunks::Cells(cells))
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
            return Ok(Box::new(InMemory::new(self.file.block_data(number)?, 0)));
        }
        Ok(match self.find(key)? {
            None => Box::new(InMemory::<Vec<u8>>::missing()),
            Some(Held::Memory(bytes)) => Box::new(InMemory::new(bytes, 0)),
            Some(Held::Block(file, header)) => {
                let (offset, length) = (header.data_offset, header.used);
                Box::new(ObjectPart { object: file.opened().object(), offset, length })
            }
        })
    }

    fn profile(&self) -> &Profile {
        &self.profile
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

    fn display(&self, key: &str) -> String {
        format!("chunk {key} of {}", self.file.name())
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

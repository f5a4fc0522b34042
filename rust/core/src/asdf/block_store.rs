//! A store of an array's chunks that are blocks, or parts of the tree.
//!
//! A chunk stored in a block is a part of the file, so partial reads of chunks become reads of the file. The header of a
//! block is read when its chunk is first used, since a file can have many blocks.

use std::fmt;
use std::sync::Arc;

use super::block::BlockHeader;
use super::open::AsdfFile;
use crate::error::Result;
use crate::store::{Identity, InMemory, Location, Object, ObjectPart, Profile, Store};

/// Location of the data of a chunk.
#[derive(Clone)]
pub(super) enum ChunkData {
    /// In a block.
    Block(AsdfFile, BlockHeader),
    /// In memory.
    Memory(Arc<[u8]>),
}

/// Locates chunks by their keys.
pub(super) trait Chunks: Send + Sync {
    /// Locates the data of a chunk; `None` if the chunk is not stored.
    fn find(&self, key: &str) -> Result<Option<ChunkData>>;
}

/// The only chunk of an array.
impl Chunks for ChunkData {
    fn find(&self, _: &str) -> Result<Option<Self>> {
        Ok(Some(self.clone()))
    }
}

/// A store of an array's chunks.
pub(super) struct BlockStore {
    file: AsdfFile,
    chunks: Arc<dyn Chunks>,
    /// Whether the store, and not the array's codecs, decodes the compression of blocks.
    decompresses: bool,
    profile: Profile,
}

impl BlockStore {
    /// Creates a store of blocks as they are stored.
    pub(super) fn new(file: &AsdfFile, identity: Identity, chunks: Arc<dyn Chunks>) -> Self {
        let profile = Profile { identity, refers: true, ..*file.opened().profile() };
        Self { file: file.clone(), chunks, decompresses: false, profile }
    }

    /// Decompresses blocks.
    pub(super) fn decompressing(self) -> Self {
        Self { decompresses: true, ..self }
    }
}

impl fmt::Debug for BlockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocks of {}", self.file.name())
    }
}

impl Store for BlockStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        Ok(match self.chunks.find(key)? {
            None => Box::new(InMemory::<Vec<u8>>::missing()),
            Some(ChunkData::Memory(bytes)) => Box::new(InMemory::new(bytes, 0)),
            Some(ChunkData::Block(file, header)) if self.decompresses && header.is_compressed() => {
                Box::new(InMemory::new(file.decoded(&header)?, 0))
            }
            Some(ChunkData::Block(file, header)) => {
                let (offset, length) = (header.data_offset, header.used);
                Box::new(ObjectPart { object: file.opened().object(), offset, length })
            }
        })
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn locate(&self, key: &str) -> Result<Option<Location>> {
        let Some(ChunkData::Block(file, header)) = self.chunks.find(key)? else { return Ok(None) };
        if self.decompresses && header.is_compressed() {
            return Ok(None);
        }
        let store = file.opened().clone();
        let key = store.key().to_owned();
        Ok(Some(Location { store, key, part: Some((header.data_offset, header.used)) }))
    }

    fn display(&self, key: &str) -> String {
        format!("chunk {key} of {}", self.file.name())
    }
}

//! Byte ranges of objects.

use std::sync::Arc;

use crate::buffer::{Buffer, to_usize};
use crate::error::{Error, Result};
use crate::store::{Identity, InMemory, Object, Stat};
use crate::subset::tuple;

/// The stat of an object that was not read yet.
pub(super) const UNKNOWN: Stat = Stat { size: 0, version: 0, settled: false };

/// A byte range of an object.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) object: Arc<dyn Object>,
    /// Identity of the store, for cache keys.
    pub(crate) store: Identity,
    /// Key of the object, for cache keys.
    pub(crate) key: Arc<str>,
    /// Offset of the range in the object.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) stat: Stat,
    /// Whether the object is in a store, so that caches may keep parts of it; false for a shard decoded to memory.
    pub(crate) is_lasting: bool,
}

impl Stored {
    /// Creates the range of an object before its first read.
    pub(super) fn unknown(object: Arc<dyn Object>, store: Identity, key: Arc<str>) -> Self {
        Self { object, store, key, offset: 0, length: 0, stat: UNKNOWN, is_lasting: true }
    }

    /// Returns the range of the whole object, whose stat is now known.
    pub(super) fn whole(self, stat: Stat) -> Self {
        Self { offset: 0, length: stat.size, stat, ..self }
    }

    /// Creates an object of bytes that were decoded to memory.
    pub(super) fn in_memory(bytes: Arc<Vec<u8>>, store: Identity, key: Arc<str>) -> Self {
        let stat = Stat { size: bytes.len() as u64, ..UNKNOWN };
        let object = Arc::new(InMemory::new(bytes, stat.version));
        Self { object, store, key, offset: 0, length: stat.size, stat, is_lasting: false }
    }

    /// Returns an inner chunk of a shard, from its index entry (offset, length).
    pub(crate) fn inner(&self, inner: &[u64], (offset, length): (u64, u64)) -> Result<Self> {
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(Error::corrupt(format!(
                "inner chunk {}: {length} bytes at byte {offset} are outside a shard of {} bytes",
                tuple(inner),
                self.length
            )));
        }
        Ok(Self { offset: self.offset + offset, length, ..self.clone() })
    }

    /// Reads the range if it has at most `limit` bytes.
    pub(crate) fn read(&self, limit: u64) -> Result<Buffer> {
        self.check_length(limit)?;
        let mut buffer = Buffer::new(to_usize(self.length)?)?;
        self.read_at(self.offset, &mut buffer)?;
        Ok(buffer)
    }

    /// Reads bytes from an offset in the object.
    pub(crate) fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        match self.object.read_at(offset, into)? {
            Some(_) => Ok(()),
            None => Err(Error::not_found("the object was erased while it was read")),
        }
    }

    /// Returns the range as a slice if the object is in memory.
    pub(crate) fn slice(&self) -> Option<Result<&[u8]>> {
        let bytes = self.object.bytes()?.get(self.offset as usize..(self.offset + self.length) as usize);
        Some(bytes.ok_or_else(|| Error::corrupt("the object became shorter while it was read")))
    }

    /// Checks that the range has at most `limit` bytes.
    pub(super) fn check_length(&self, limit: u64) -> Result<()> {
        if self.length <= limit {
            return Ok(());
        }
        Err(Error::corrupt(format!("{} bytes are stored, but at most {limit} are possible", self.length)))
    }
}

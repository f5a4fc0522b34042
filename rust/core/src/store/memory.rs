//! A store in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::{ByteRange, Exclusion, Listing, Object, Stat, Store, check_key, fresh_identity, reserve, resolve};
use crate::error::{Error, Result};

/// Objects in memory, shared by all clones of the [`Arc`] around it.
pub struct MemoryStore {
    objects: RwLock<BTreeMap<String, Versioned>>,
    writes: AtomicU64,
    identity: u64,
}

/// An object and the number of the write that made it.
type Versioned = (Arc<[u8]>, u64);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { objects: RwLock::default(), writes: AtomicU64::new(0), identity: fresh_identity() }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

struct MemoryObject(Option<Versioned>);

impl Object for MemoryObject {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let Some((bytes, _)) = &self.0 else { return Ok(None) };
        let (offset, length) = resolve(range, bytes.len() as u64, limit)?;
        reserve(into, length)?;
        into.extend_from_slice(&bytes[offset as usize..][..length]);
        self.stat()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        let Some((bytes, _)) = &self.0 else { return Ok(None) };
        let (offset, length) =
            resolve(ByteRange::Range { offset, length: into.len() as u64 }, bytes.len() as u64, u64::MAX)?;
        into.copy_from_slice(&bytes[offset as usize..][..length]);
        self.stat()
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(self.0.as_ref().map(|(bytes, version)| Stat { size: bytes.len() as u64, version: *version, settled: true }))
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|(bytes, _)| &**bytes)
    }
}

fn poisoned<E>(_: E) -> Error {
    Error::store("a writer of this store died half-way")
}

impl Store for MemoryStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        Ok(Box::new(MemoryObject(self.objects.read().map_err(poisoned)?.get(key).cloned())))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        check_key(key)?;
        let version = self.writes.fetch_add(1, Ordering::Relaxed);
        self.objects.write().map_err(poisoned)?.insert(key.to_owned(), (value.into(), version));
        Ok(())
    }

    fn erase(&self, key: &str) -> Result<()> {
        self.objects.write().map_err(poisoned)?.remove(key);
        Ok(())
    }

    fn exclusion(&self) -> Exclusion {
        Exclusion::Everyone
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        let objects = self.objects.read().map_err(poisoned)?;
        let keys = objects.range(prefix.to_owned()..).map(|(key, _)| &**key).take_while(|key| key.starts_with(prefix));
        Ok(super::listing(keys, prefix))
    }

    fn merge_gap(&self) -> u64 {
        0
    }

    fn display(&self, key: &str) -> String {
        format!("memory:/{key}")
    }

    fn identity(&self) -> u64 {
        self.identity
    }
}

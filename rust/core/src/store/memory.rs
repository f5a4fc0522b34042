//! A store in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::{Exclusion, InMemory, Listing, Object, Profile, Store, WritableStore, check_key};
use crate::error::{Error, Result};

/// Objects in memory, shared by all clones of the [`Arc`] around it.
pub struct MemoryStore {
    objects: RwLock<BTreeMap<String, Versioned>>,
    writes: AtomicU64,
    profile: Profile,
}

/// An object and the number of the write that made it.
type Versioned = (Arc<[u8]>, u64);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        let profile = Profile { merge_gap: 0, exclusion: Exclusion::Everyone, ..Profile::default() };
        Self { objects: RwLock::default(), writes: AtomicU64::new(0), profile }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

fn poisoned<E>(_: E) -> Error {
    Error::store("a thread panicked while it wrote to this store")
}

impl Store for MemoryStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        Ok(match self.objects.read().map_err(poisoned)?.get(key) {
            Some((bytes, version)) => Box::new(InMemory::new(bytes.clone(), *version)),
            None => Box::new(InMemory::<Arc<[u8]>>::missing()),
        })
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        format!("memory:/{key}")
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        let objects = self.objects.read().map_err(poisoned)?;
        let keys = objects.range(prefix.to_owned()..).map(|(key, _)| &**key).take_while(|key| key.starts_with(prefix));
        Ok(super::listing(keys, prefix))
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Ok(self)
    }
}

impl WritableStore for MemoryStore {
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
}

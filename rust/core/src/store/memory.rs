//! A store in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Exclusion, InMemory, Listing, Object, Profile, Store, WritableStore, check_key, reserve};
use crate::error::Result;
use crate::runtime::Shared;

/// Objects in memory, shared by all clones of the [`Arc`] around it.
pub struct MemoryStore {
    objects: Shared<BTreeMap<String, Versioned>>,
    writes: AtomicU64,
    profile: Profile,
}

/// An object and the number of the write that made it.
type Versioned = (Arc<Vec<u8>>, u64);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        let profile = Profile { merge_gap: 0, exclusion: Exclusion::Everyone, ..Profile::default() };
        Self { objects: Shared::default(), writes: AtomicU64::new(0), profile }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

impl Store for MemoryStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        Ok(match self.objects.read().get(key) {
            Some((bytes, version)) => Box::new(InMemory::new(bytes.clone(), *version)),
            None => Box::new(InMemory::<Arc<Vec<u8>>>::missing()),
        })
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        format!("memory:/{key}")
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        let objects = self.objects.read();
        let keys = objects.range(prefix.to_owned()..).map(|(key, _)| &**key).take_while(|key| key.starts_with(prefix));
        Ok(super::listing(keys, prefix))
    }

    fn list_below(&self, prefix: &str) -> Result<Option<Vec<String>>> {
        let objects = self.objects.read();
        let start = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let keys = objects.range(start.clone()..).map(|(key, _)| key).take_while(|key| key.starts_with(&start));
        Ok(Some(keys.cloned().collect()))
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Ok(self)
    }
}

impl WritableStore for MemoryStore {
    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        check_key(key)?;
        let version = self.writes.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::new();
        reserve(&mut bytes, value.len())?;
        bytes.extend_from_slice(value);
        let old = self.objects.write().insert(key.to_owned(), (Arc::new(bytes), version));
        // The memory is freed without the lock.
        drop(old);
        Ok(())
    }

    fn erase(&self, key: &str) -> Result<()> {
        let old = self.objects.write().remove(key);
        drop(old);
        Ok(())
    }
}

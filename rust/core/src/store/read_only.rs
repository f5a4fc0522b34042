//! A store that refuses writes.

use std::fmt;
use std::sync::Arc;

use super::{Listing, Location, Object, Profile, Store, WritableStore};
use crate::error::{Error, Place, Result};

/// A wrapper of a store that refuses all changes.
pub struct ReadOnlyStore {
    store: Arc<dyn Store>,
    reason: String,
}

impl ReadOnlyStore {
    /// Wraps a store; the error of a write gives `reason`.
    pub fn new(store: Arc<dyn Store>, reason: impl Into<String>) -> Self {
        Self { store, reason: reason.into() }
    }
}

impl fmt::Debug for ReadOnlyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl Store for ReadOnlyStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        self.store.open(key)
    }

    fn profile(&self) -> &Profile {
        self.store.profile()
    }

    fn display(&self, key: &str) -> String {
        self.store.display(key)
    }

    fn locate(&self, key: &str) -> Result<Option<Location>> {
        self.store.locate(key)
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        self.store.list_dir(prefix)
    }

    fn list_below(&self, prefix: &str) -> Result<Option<Vec<String>>> {
        self.store.list_below(prefix)
    }

    fn leftovers(&self, prefix: &str, remove: bool) -> Result<Vec<String>> {
        if remove {
            self.writable().place(|| format!("cannot change {}", self.display(prefix)))?;
        }
        self.store.leftovers(prefix, false)
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Err(Error::unsupported(&*self.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, get};

    #[test]
    fn reads_work_and_writes_are_refused() {
        let memory = Arc::new(MemoryStore::new());
        memory.set("a/b", b"c").unwrap();
        let store: &dyn Store = &ReadOnlyStore::new(memory.clone(), "it is archived");
        assert_eq!(get(store, "a/b", 9).unwrap().as_deref(), Some(&b"c"[..]));
        assert_eq!(store.list_dir("a").unwrap().keys, ["b"]);
        for refused in [store.set("a/b", b""), store.erase("a/b")] {
            assert_eq!(refused.unwrap_err().message(), "cannot change memory:/a/b: it is archived");
        }
        assert!(get(&*memory, "a/b", 9).unwrap().is_some());
    }
}

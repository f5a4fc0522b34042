//! A store that is not to be written.

use std::fmt;
use std::sync::Arc;

use super::{Exclusion, Listing, Location, Object, Store};
use crate::error::{Error, Result};

/// Another store, of which nothing may be changed.
pub struct ReadOnlyStore {
    store: Arc<dyn Store>,
    reason: String,
}

impl ReadOnlyStore {
    /// What there is in a store, for reading; `reason` is what the error of a write says.
    pub fn new(store: Arc<dyn Store>, reason: impl Into<String>) -> Self {
        Self { store, reason: reason.into() }
    }

    fn refuse(&self, key: &str) -> Error {
        Error::unsupported(format!("cannot change {}: {}", self.display(key), self.reason))
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

    fn refers(&self) -> bool {
        self.store.refers()
    }

    fn locate(&self, key: &str) -> Result<Option<Location>> {
        self.store.locate(key)
    }

    fn set(&self, key: &str, _value: &[u8]) -> Result<()> {
        Err(self.refuse(key))
    }

    fn erase(&self, key: &str) -> Result<()> {
        Err(self.refuse(key))
    }

    fn exclusion(&self) -> Exclusion {
        // Nothing is written: the error of a write says why.
        Exclusion::Everyone
    }

    fn leftovers(&self, prefix: &str, remove: bool) -> Result<Vec<String>> {
        if remove {
            return Err(self.refuse(prefix));
        }
        self.store.leftovers(prefix, false)
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        self.store.list_dir(prefix)
    }

    fn is_remote(&self) -> bool {
        self.store.is_remote()
    }

    fn reads_whole(&self) -> bool {
        self.store.reads_whole()
    }

    fn merge_gap(&self) -> u64 {
        self.store.merge_gap()
    }

    fn display(&self, key: &str) -> String {
        self.store.display(key)
    }

    fn identity(&self) -> u64 {
        self.store.identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, get};

    #[test]
    fn what_is_there_is_read_and_stays() {
        let memory = Arc::new(MemoryStore::new());
        memory.set("a/b", b"c").unwrap();
        let store = ReadOnlyStore::new(memory.clone(), "it is holy");
        assert_eq!(get(&store, "a/b", 9).unwrap().as_deref(), Some(&b"c"[..]));
        assert_eq!(store.list_dir("a").unwrap().keys, ["b"]);
        for refused in [store.set("a/b", b""), store.erase("a/b")] {
            assert_eq!(refused.unwrap_err().message(), "cannot change memory:/a/b: it is holy");
        }
        assert!(get(&*memory, "a/b", 9).unwrap().is_some());
    }
}

//! A store that records reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tegula::Result;
use tegula::store::{MemoryStore, Object, Profile, Stat, Store, WritableStore};

/// A store in memory that records reads, and does not show that it is in memory.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    pub(crate) store: MemoryStore,
    /// Number of objects that were opened since the last `take`.
    pub(crate) opened: AtomicU64,
    reads: Arc<Mutex<Vec<(u64, u64)>>>,
    profile: Profile,
}

struct Counted(Box<dyn Object>, Arc<Mutex<Vec<(u64, u64)>>>);

impl Object for Counted {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        self.1.lock().unwrap().push((offset, into.len() as u64));
        self.0.read_at(offset, into)
    }

    fn stat(&self) -> Result<Option<Stat>> {
        self.0.stat()
    }
}

impl Store for Counting {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Counted(self.store.open(key)?, self.reads.clone())))
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Ok(&self.store)
    }

    fn display(&self, key: &str) -> String {
        format!("counted/{key}")
    }
}

impl Counting {
    /// A store in which ranges with gaps of at most `gap` bytes are read together.
    pub(crate) fn new(gap: u64) -> Arc<Self> {
        Arc::new(Self { profile: Profile { merge_gap: gap, ..Profile::default() }, ..Self::default() })
    }

    /// The same, but remote.
    #[allow(dead_code)] // not used by every test
    pub(crate) fn remote(gap: u64) -> Arc<Self> {
        let profile = Profile { merge_gap: gap, remote: true, ..Profile::default() };
        Arc::new(Self { profile, ..Self::default() })
    }

    /// Returns offset and length of each read since the last call.
    pub(crate) fn take(&self) -> Vec<(u64, u64)> {
        self.opened.store(0, Ordering::Relaxed);
        std::mem::take(&mut *self.reads.lock().unwrap())
    }
}

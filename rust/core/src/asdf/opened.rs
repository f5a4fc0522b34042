//! An opened file as a store, so that whoever reads of it reads one version.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::error::Result;
use crate::store::{ByteRange, Object, Stat, Store, fresh_identity};

/// The opened file as a store: under any key lies this file, as it was opened.
pub(super) struct Opened {
    object: Arc<dyn Object>,
    stat: Stat,
    store: Arc<dyn Store>,
    key: String,
    identity: u64,
}

impl Opened {
    pub(super) fn new(store: &Arc<dyn Store>, key: &str, object: Arc<dyn Object>, stat: Stat) -> Self {
        let identity = if stat.settled {
            let mut hasher = DefaultHasher::new();
            (store.identity(), key, stat.version).hash(&mut hasher);
            hasher.finish()
        } else {
            // Another version may look the same: nothing is shared with who opens the file next.
            fresh_identity()
        };
        Self { object, stat: Stat { settled: true, ..stat }, store: store.clone(), key: key.to_owned(), identity }
    }

    pub(super) fn object(&self) -> Box<dyn Object> {
        Box::new(Handle { object: self.object.clone(), stat: self.stat })
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.store.display(&self.key))
    }
}

impl Store for Opened {
    fn open(&self, _: &str) -> Result<Box<dyn Object>> {
        Ok(self.object())
    }

    fn is_remote(&self) -> bool {
        self.store.is_remote()
    }

    fn merge_gap(&self) -> u64 {
        self.store.merge_gap()
    }

    fn display(&self, _: &str) -> String {
        self.store.display(&self.key)
    }

    fn identity(&self) -> u64 {
        self.identity
    }
}

struct Handle {
    object: Arc<dyn Object>,
    stat: Stat,
}

impl Object for Handle {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        Ok(self.object.read(range, limit, into)?.map(|_| self.stat))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        Ok(self.object.read_at(offset, into)?.map(|_| self.stat))
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(Some(self.stat))
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.object.bytes()
    }

    /// The file was read when it was opened.
    fn recall(&self) -> Option<Stat> {
        Some(self.stat)
    }

    fn changed(&self) -> bool {
        self.object.changed()
    }
}

//! An opened file as a store, so that all its arrays read the same version of it.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::store::{ByteRange, Identity, Object, Profile, Stat, Store};

/// A store that has the opened version of a file under every key.
pub(super) struct Opened {
    object: Arc<dyn Object>,
    stat: Stat,
    store: Arc<dyn Store>,
    key: String,
    profile: Profile,
}

impl Opened {
    pub(super) fn new(store: &Arc<dyn Store>, key: &str, object: Arc<dyn Object>, stat: Stat) -> Self {
        let Profile { identity, remote, merge_gap, .. } = *store.profile();
        // A version that is not settled may look like the next one, so it shares no caches with other handles.
        let identity = if stat.settled { identity.part((key, stat.version)) } else { Identity::fresh() };
        let profile = Profile { identity, remote, merge_gap, ..Profile::default() };
        Self { object, stat: Stat { settled: true, ..stat }, store: store.clone(), key: key.to_owned(), profile }
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

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, _: &str) -> String {
        self.store.display(&self.key)
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

    /// The file was read on opening.
    fn recall(&self) -> Option<Stat> {
        Some(self.stat)
    }

    fn changed(&self) -> bool {
        self.object.changed()
    }
}

//! A store whose objects are parts of other stores' objects: the blocks of an ASDF file, or values held in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{InMemory, Listing, Location, Object, ObjectPart, Profile, Store};
use crate::error::{Error, Result};

/// The target of a key of a [`ReferenceStore`].
#[derive(Clone, Debug)]
pub enum Reference {
    /// A part of an object of another store.
    Part {
        /// The object's key.
        key: String,
        /// Offset of its first byte.
        offset: u64,
        /// Its number of bytes.
        length: u64,
    },
    /// The bytes themselves.
    Inline(Arc<[u8]>),
}

/// A store whose keys refer to parts of another store's objects.
pub struct ReferenceStore {
    target: Arc<dyn Store>,
    references: HashMap<String, Reference>,
    profile: Profile,
}

impl ReferenceStore {
    /// Creates a store of references into `target`.
    pub fn new(target: Arc<dyn Store>, references: HashMap<String, Reference>) -> Self {
        let Profile { remote, merge_gap, .. } = *target.profile();
        let profile = Profile { remote, merge_gap, refers: true, ..Profile::default() };
        Self { target, references, profile }
    }
}

impl fmt::Debug for ReferenceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} references into {:?}", self.references.len(), self.target)
    }
}

impl Store for ReferenceStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        Ok(match self.references.get(key) {
            None => Box::new(InMemory::<Arc<[u8]>>::missing()),
            Some(Reference::Part { key, offset, length }) => {
                Box::new(ObjectPart { object: self.target.open(key)?, offset: *offset, length: *length })
            }
            Some(Reference::Inline(bytes)) => Box::new(InMemory::new(bytes.clone(), 0)),
        })
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn locate(&self, key: &str) -> Result<Option<Location>> {
        Ok(match self.references.get(key) {
            Some(Reference::Part { key, offset, length }) => {
                Some(Location { store: self.target.clone(), key: key.clone(), part: Some((*offset, *length)) })
            }
            _ => None,
        })
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        if !prefix.is_empty() {
            return Err(Error::unsupported("references can only be listed from the root"));
        }
        let mut keys: Vec<_> = self.references.keys().cloned().collect();
        keys.sort();
        Ok(Listing { keys, prefixes: Vec::new() })
    }

    fn list_below(&self, prefix: &str) -> Result<Option<Vec<String>>> {
        let is_below =
            |key: &&String| prefix.is_empty() || key.strip_prefix(prefix).is_some_and(|below| below.starts_with('/'));
        Ok(Some(self.references.keys().filter(is_below).cloned().collect()))
    }

    fn display(&self, key: &str) -> String {
        match self.references.get(key) {
            Some(Reference::Part { key, offset, .. }) => format!("{} at byte {offset}", self.target.display(key)),
            _ => format!("{key} of {:?}", self.target),
        }
    }
}

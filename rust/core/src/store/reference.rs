//! A store whose objects are parts of other stores' objects: the blocks of an ASDF file, or values held in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{ByteRange, Exclusion, Listing, Location, Object, Stat, Store, fresh_identity, resolve};
use crate::error::{Error, Result};

/// What a key of a [`ReferenceStore`] stands for.
#[derive(Clone, Debug)]
pub enum Reference {
    /// A part of an object of another store.
    Part {
        /// The object's key.
        key: String,
        /// Its first byte.
        offset: u64,
        /// Its number of bytes.
        length: u64,
    },
    /// The bytes themselves.
    Inline(Arc<[u8]>),
}

/// Keys that stand for parts of the objects of another store.
pub struct ReferenceStore {
    target: Arc<dyn Store>,
    references: HashMap<String, Reference>,
    identity: u64,
}

impl ReferenceStore {
    /// A store of references into `target`.
    pub fn new(target: Arc<dyn Store>, references: HashMap<String, Reference>) -> Self {
        Self { target, references, identity: fresh_identity() }
    }
}

impl fmt::Debug for ReferenceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} references into {:?}", self.references.len(), self.target)
    }
}

/// A part of an object, or bytes in memory.
enum ReferenceObject {
    Missing,
    Part { object: Box<dyn Object>, offset: u64, length: u64 },
    Inline(Arc<[u8]>),
}

impl ReferenceObject {
    fn part(stat: Stat, length: u64) -> Stat {
        Stat { size: length, ..stat }
    }
}

impl Object for ReferenceObject {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        match self {
            Self::Missing => Ok(None),
            Self::Part { object, offset, length } => {
                let (start, wanted) = resolve(range, *length, limit)?;
                let range = ByteRange::Range { offset: offset.saturating_add(start), length: wanted as u64 };
                Ok(object.read(range, limit, into)?.map(|stat| Self::part(stat, *length)))
            }
            Self::Inline(bytes) => {
                let (start, wanted) = resolve(range, bytes.len() as u64, limit)?;
                into.extend_from_slice(&bytes[start as usize..][..wanted]);
                self.stat()
            }
        }
    }

    fn read_at(&self, start: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        match self {
            Self::Missing => Ok(None),
            Self::Part { object, offset, length } => {
                resolve(ByteRange::Range { offset: start, length: into.len() as u64 }, *length, u64::MAX)?;
                Ok(object.read_at(offset.saturating_add(start), into)?.map(|stat| Self::part(stat, *length)))
            }
            Self::Inline(bytes) => {
                let range = ByteRange::Range { offset: start, length: into.len() as u64 };
                let (start, wanted) = resolve(range, bytes.len() as u64, u64::MAX)?;
                into.copy_from_slice(&bytes[start as usize..][..wanted]);
                self.stat()
            }
        }
    }

    fn stat(&self) -> Result<Option<Stat>> {
        match self {
            Self::Missing => Ok(None),
            Self::Part { object, length, .. } => Ok(object.stat()?.map(|stat| Self::part(stat, *length))),
            Self::Inline(bytes) => Ok(Some(Stat { size: bytes.len() as u64, version: 0, settled: true })),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Inline(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn changed(&self) -> bool {
        matches!(self, Self::Part { object, .. } if object.changed())
    }
}

impl Store for ReferenceStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        Ok(Box::new(match self.references.get(key) {
            None => ReferenceObject::Missing,
            Some(Reference::Part { key, offset, length }) => {
                ReferenceObject::Part { object: self.target.open(key)?, offset: *offset, length: *length }
            }
            Some(Reference::Inline(bytes)) => ReferenceObject::Inline(bytes.clone()),
        }))
    }

    fn refers(&self) -> bool {
        true
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
            return Err(Error::unsupported("references are listed from the root only"));
        }
        let mut keys: Vec<_> = self.references.keys().cloned().collect();
        keys.sort();
        Ok(Listing { keys, prefixes: Vec::new() })
    }

    fn is_remote(&self) -> bool {
        self.target.is_remote()
    }

    fn merge_gap(&self) -> u64 {
        self.target.merge_gap()
    }

    fn exclusion(&self) -> Exclusion {
        // Nothing is written.
        Exclusion::Everyone
    }

    fn display(&self, key: &str) -> String {
        match self.references.get(key) {
            Some(Reference::Part { key, offset, .. }) => format!("{} at byte {offset}", self.target.display(key)),
            _ => format!("{key} of {:?}", self.target),
        }
    }

    fn identity(&self) -> u64 {
        self.identity
    }
}

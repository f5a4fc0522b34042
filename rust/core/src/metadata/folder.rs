//! The metadata files of a node in a store, independent of their format.

use serde_json::Value;

use super::{ArrayMetadata, GroupMetadata};
use crate::error::{Error, Place, Result};
use crate::json;
use crate::store::{self, ByteRange, Exclusion, Store, check_key};

/// Maximum size of a metadata file in bytes.
const LIMIT: u64 = 64 << 20;

/// Name of the attributes file in Zarr V2, which may contain numbers that JSON lacks.
pub(super) const ATTRIBUTES: &str = ".zattrs";

/// Kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// An array.
    Array,
    /// A group of arrays and groups.
    Group,
    /// A folder with metadata that are neither those of an array nor those of a group.
    Damaged,
}

/// Metadata of an array or a group.
#[derive(Clone, Debug)]
pub enum Node {
    /// Metadata of an array.
    Array(Box<ArrayMetadata>),
    /// Metadata of a group.
    Group(Box<GroupMetadata>),
}

/// Normalizes the path of a node: names joined by `/`, none of them empty, `.` or `..`; the root is `""`.
pub fn node_path(path: &str) -> Result<String> {
    let names = path.trim_matches('/');
    if names.is_empty() || check_key(names).is_ok() {
        Ok(names.to_owned())
    } else {
        Err(Error::not_found(format!("{path:?} is not the path of an array or group")))
    }
}

/// Returns the key of a file of the node at a path.
pub fn metadata_key(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// Returns what was found, or what `other` finds. Servers that deny access to objects that do not exist may still have
/// the other one.
pub(super) fn either<T>(found: Result<Option<T>>, other: impl FnOnce() -> Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Ok(None) => other(),
        Err(error) if error.is_forbidden() => match other() {
            Ok(Some(node)) => Ok(Some(node)),
            _ => Err(error),
        },
        found => found,
    }
}

/// Returns the key to lock for the metadata of a node, whichever its files are.
pub(super) fn lock_key(path: &str) -> String {
    metadata_key(path, "zarr.json")
}

/// The folder of a node's metadata files.
pub(crate) struct Folder<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) path: &'a str,
}

impl Folder<'_> {
    /// Reads and parses a file.
    pub(super) fn file(&self, name: &str) -> Result<Option<Value>> {
        self.read(name, if name == ATTRIBUTES { json::parse_literal } else { json::parse })
    }

    /// Reads a file that a node may lack. Some servers deny access to objects that do not exist.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Value>> {
        match self.file(name) {
            Err(error) if error.is_forbidden() => {
                log::debug!(target: "tegula.remote", "taken for absent: {error}");
                Ok(None)
            }
            found => found,
        }
    }

    /// Reads a file with literal numbers, so that it can be written unchanged.
    pub(super) fn literal(&self, name: &str) -> Result<Option<Value>> {
        self.read(name, json::parse_literal)
    }

    fn read(&self, name: &str, parse: fn(&[u8]) -> Result<Value>) -> Result<Option<Value>> {
        let read = || match store::get(self.store, &metadata_key(self.path, name), LIMIT)? {
            Some(bytes) => parse(&bytes).map(Some),
            None => Ok(None),
        };
        read().place(|| self.display(name))
    }

    /// Reads, changes and stores a file, and returns the new document as readers parse it; `None` if `change` makes no
    /// change. The caller holds the lock. If the store compares versions, the change is repeated after a conflict.
    pub(super) fn change(
        &self,
        name: &str,
        mut change: impl FnMut(Option<Value>) -> Result<Option<Value>>,
    ) -> Result<Option<Value>> {
        let (key, versions) = (metadata_key(self.path, name), self.store.exclusion() == Exclusion::Versions);
        let parse = if name == ATTRIBUTES { json::parse_literal } else { json::parse };
        loop {
            let mut bytes = Vec::new();
            let stat = self.store.open(&key)?.read(ByteRange::All, LIMIT, &mut bytes).place(|| self.display(name))?;
            let found = stat.map(|_| json::parse_literal(&bytes)).transpose().place(|| self.display(name))?;
            let Some(document) = change(found)? else { return Ok(None) };
            let text = json::write_literal(&document);
            let read = parse(text.as_bytes())?;
            if !versions {
                self.store.set(&key, text.as_bytes())?;
            } else if !self.store.set_if(&key, Some(text.as_bytes()), stat.map(|stat| stat.version))? {
                continue;
            }
            return Ok(Some(read));
        }
    }

    /// Stores the shape and the `members` of `array` in a file. Returns false if the stored shape is no longer `from`.
    pub(super) fn change_shape(
        &self,
        name: &str,
        members: &[&str],
        array: &ArrayMetadata,
        from: &[u64],
    ) -> Result<bool> {
        let changed = self.change(name, |document| {
            let mut document = document.ok_or_else(|| self.missing())?;
            let stored = document["shape"].as_array().map(|shape| shape.iter().map(Value::as_u64));
            if stored.is_none_or(|stored| !stored.eq(from.iter().map(|length| Some(*length)))) {
                return Ok(None);
            }
            for member in members {
                document[*member] = array.document[*member].clone();
            }
            Ok(Some(document))
        })?;
        Ok(changed.is_some())
    }

    /// Returns the error that there is no node.
    pub(super) fn missing(&self) -> Error {
        Error::not_found(format!("no array or group at {}", self.store.display(self.path)))
    }

    /// Returns the name of a file for messages.
    pub(super) fn display(&self, name: &str) -> String {
        self.store.display(&metadata_key(self.path, name))
    }
}

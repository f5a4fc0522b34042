//! Changes of stored metadata: a file is read, changed and replaced whole, so that what others wrote into it stays.
//!
//! Whoever changes the metadata of a node holds its [lock](lock_node) meanwhile: threads wait for each other, and so do
//! processes where the store can make them; where it compares versions instead, what met another's change is read, changed
//! and stored again. Callers alone wait for it, never a thread that decodes: so it can be held
//! while those decode.

use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{Folder, NodeKind, metadata_key, node_path};
use super::node::lock_key;
use super::{ArrayMetadata, Attributes, v2, v3};
use crate::error::Result;
use crate::store::{Guard, Store};

/// What is to become of the attributes of an array or a group.
#[derive(Clone, Debug, Default)]
pub struct AttributesChange {
    /// Whether those that are there go.
    pub clear: bool,
    /// Those that go.
    pub remove: Vec<String>,
    /// Those that are set.
    pub set: Attributes,
}

impl AttributesChange {
    /// Changes attributes.
    #[must_use]
    pub fn apply(&self, mut attributes: Attributes) -> Attributes {
        if self.clear {
            attributes.clear();
        }
        for name in &self.remove {
            attributes.shift_remove(name);
        }
        attributes.extend(self.set.clone());
        attributes
    }
}

/// Waits until nobody else changes the metadata at a path, of which there must be some.
pub(crate) fn lock_node(store: &dyn Store, path: &str) -> Result<Guard> {
    let folder = Folder { store, path };
    match folder.kind()? {
        // Where there is nothing, a lock would make a folder.
        None => Err(folder.missing()),
        Some(_) => store.lock(&lock_key(path)),
    }
}

/// Returns a new revision, greater than all before. Taken under the lock of a node, it orders the node's changes.
pub(crate) fn revision() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The attributes of the array or group at a path as they are stored, so that they are written as they were read; `None`:
/// there is no such node.
pub(crate) fn stored_attributes(store: &dyn Store, path: &str, zarr_format: u8) -> Result<Option<Attributes>> {
    let path = node_path(path)?;
    let folder = Folder { store, path: &path };
    match zarr_format {
        3 => v3::stored_attributes(&folder),
        _ => v2::stored_attributes(&folder),
    }
}

/// Changes the attributes of the array or group at a path; returns all that there are then. The caller
/// holds the lock.
pub(crate) fn change_attributes(
    store: &dyn Store,
    path: &str,
    zarr_format: u8,
    change: &AttributesChange,
) -> Result<Attributes> {
    let path = node_path(path)?;
    let folder = Folder { store, path: &path };
    match zarr_format {
        3 => v3::change_attributes(&folder, change),
        _ => v2::change_attributes(&folder, change),
    }
}

/// Changes the shape of the array at a path, and how it is cut where that goes with it, to those of `array`; false: somebody
/// who does not wait for locks has changed the shape, which is no longer `from`. The caller holds the lock.
pub(crate) fn change_shape(store: &dyn Store, path: &str, array: &ArrayMetadata, from: &[u64]) -> Result<bool> {
    let folder = Folder { store, path };
    match array.zarr_format {
        3 => v3::change_shape(&folder, array, from),
        _ => v2::change_shape(&folder, array, from),
    }
}

/// Notes in the group at a path the metadata of all that lies below, which is named by paths from there.
pub(crate) fn consolidate(
    store: &dyn Store,
    path: &str,
    zarr_format: u8,
    members: &[(String, NodeKind)],
) -> Result<()> {
    let full: Vec<_> = members.iter().map(|(member, _)| metadata_key(path, member)).collect();
    let below: Vec<_> = members
        .iter()
        .zip(&full)
        .map(|((member, kind), path)| (member.clone(), *kind, Folder { store, path }))
        .collect();
    let folder = Folder { store, path };
    let _guard = lock_node(store, path)?;
    match zarr_format {
        3 => v3::consolidate(&folder, &below),
        _ => v2::consolidate(&folder, &below),
    }
}

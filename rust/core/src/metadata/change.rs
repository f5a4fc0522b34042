//! Changes stored metadata. A file is read, changed and replaced whole, so that members written by others are kept.
//!
//! A change holds the [lock](lock_node) of the node. The lock excludes other threads, and other processes if the store
//! supports it. Stores that compare versions instead repeat the change after a conflict. Only callers wait for the
//! lock, never a thread that decodes, so it can be held while chunks are decoded.

use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{Folder, NodeKind, lock_key, node_path};
use super::refresh::{note_change, refresh_consolidated};
use super::{ArrayMetadata, Attributes, v2, v3};
use crate::error::Result;
use crate::store::{Guard, Store};

/// A change of the attributes of an array or a group.
#[derive(Clone, Debug, Default)]
pub struct AttributesChange {
    /// Whether to remove all existing attributes first.
    pub clear: bool,
    /// Names of the attributes to remove.
    pub remove: Vec<String>,
    /// Attributes to set.
    pub set: Attributes,
}

impl AttributesChange {
    /// Returns the attributes after the change.
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

/// Locks the metadata of the node at a path against other changes; an error if there is no node.
pub(crate) fn lock_node(store: &dyn Store, path: &str) -> Result<Guard> {
    if store.writable().is_err() {
        return store.lock(&lock_key(path)); // the error says why
    }
    let folder = Folder { store, path };
    match folder.kind()? {
        // Locking the key of a missing node would create a folder.
        None => Err(folder.missing()),
        Some(_) => store.lock(&lock_key(path)),
    }
}

/// Returns a new revision, greater than all earlier ones. Taken under the lock of a node, it orders the node's changes.
pub(crate) fn revision() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns the attributes of the node at a path with literal numbers, so that they can be written unchanged; `None` if
/// there is no node.
pub(crate) fn stored_attributes(store: &dyn Store, path: &str, zarr_format: u8) -> Result<Option<Attributes>> {
    let path = node_path(path)?;
    let folder = Folder { store, path: &path };
    match zarr_format {
        3 => v3::stored_attributes(&folder),
        _ => v2::stored_attributes(&folder),
    }
}

/// Changes the attributes of the node at a path and returns the new ones. The caller holds the lock, and calls
/// [`refresh_consolidated`] afterwards: without the lock, because a group has its attributes in its `.zmetadata` too.
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

/// Stores the shape and chunk grid of `array`. Returns false if the stored shape is no longer `from`, because a writer
/// without locks changed it. The caller holds the lock.
pub(crate) fn change_shape(store: &dyn Store, path: &str, array: &ArrayMetadata, from: &[u64]) -> Result<bool> {
    let folder = Folder { store, path };
    let is_changed = match array.zarr_format {
        3 => v3::change_shape(&folder, array, from),
        _ => v2::change_shape(&folder, array, from),
    }?;
    if is_changed {
        refresh_consolidated(store, &[path.to_owned()], Some(array.zarr_format))?;
    }
    Ok(is_changed)
}

/// Stores consolidated metadata in the group at a path. `members` returns the nodes below, relative to the group, while
/// the group is locked: a node that is created meanwhile is then added by its writer.
pub(crate) fn consolidate(
    store: &dyn Store,
    path: &str,
    zarr_format: u8,
    members: impl FnOnce() -> Result<Vec<(String, NodeKind)>>,
) -> Result<()> {
    let folder = Folder { store, path };
    let guard = lock_node(store, path)?;
    let members = members()?;
    match zarr_format {
        3 => v3::consolidate(&folder, &members),
        _ => v2::consolidate(&folder, &members),
    }?;
    drop(guard);
    note_change();
    refresh_consolidated(store, &[path.to_owned()], Some(zarr_format))
}

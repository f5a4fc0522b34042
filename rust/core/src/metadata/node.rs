//! Reading and writing the metadata of nodes, independent of the version of Zarr.

use super::consolidated::Consolidated;
use super::folder::{Folder, Node, NodeKind, metadata_key, node_path};
use super::{ArrayMetadata, GroupMetadata, v2, v3};
use crate::error::{Error, Place, Result};
use crate::store::Store;

/// Reads the metadata of the node at a path, of Zarr V3 if there is a `zarr.json`, else of V2.
///
/// Fails with [`NotFound`](crate::ErrorKind::NotFound) if there is no node.
pub fn open_node(store: &dyn Store, path: &str) -> Result<Node> {
    let path = node_path(path)?;
    let folder = Folder { store, path: &path };
    let node = match v3::node(&folder)? {
        None => v2::node(&folder)?,
        node => node,
    };
    node.ok_or_else(|| folder.missing())
}

/// Reads the metadata of an array; fails with `NotFound` for a group.
pub fn open_array(store: &dyn Store, path: &str) -> Result<ArrayMetadata> {
    match open_node(store, path)? {
        Node::Array(array) => Ok(*array),
        Node::Group(_) => Err(Error::not_found(format!("{} is a group, not an array", place(store, path)))),
    }
}

/// Reads the metadata of a group; fails with `NotFound` for an array.
pub fn open_group(store: &dyn Store, path: &str) -> Result<GroupMetadata> {
    match open_node(store, path)? {
        Node::Group(group) => Ok(*group),
        Node::Array(_) => Err(Error::not_found(format!("{} is an array, not a group", place(store, path)))),
    }
}

fn place(store: &dyn Store, path: &str) -> String {
    store.display(path.trim_matches('/'))
}

/// Returns the key to lock for the metadata of a node, whichever its files are.
pub(super) fn lock_key(path: &str) -> String {
    metadata_key(path, v3::FILE)
}

/// Writes the files of a node and removes those without a text, under the node's lock.
pub fn write_node(store: &dyn Store, path: &str, files: &[(&str, Option<String>)]) -> Result<()> {
    let path = node_path(path)?;
    // Locking a missing node would create a folder.
    if files.iter().all(|(_, text)| text.is_none()) && (Folder { store, path: &path }).kind()?.is_none() {
        return Ok(());
    }
    let _guard = store.lock(&lock_key(&path))?;
    for (name, text) in files {
        let key = metadata_key(&path, name);
        match text {
            Some(text) => store.set(&key, text.as_bytes())?,
            None => store.erase(&key)?,
        }
    }
    Ok(())
}

impl Folder<'_> {
    /// Returns the kind of the node; `None` if there is none.
    pub(crate) fn kind(&self) -> Result<Option<NodeKind>> {
        match v3::kind(self)? {
            None => v2::kind(self),
            kind => Ok(kind),
        }
    }

    /// Reads the consolidated metadata of a group; `None` if it has none.
    pub(crate) fn consolidated(&self, group: &GroupMetadata) -> Result<Option<Consolidated>> {
        match group.zarr_format {
            3 => v3::consolidated(&group.document).place(|| self.display(v3::FILE)),
            _ => v2::consolidated(self),
        }
    }
}

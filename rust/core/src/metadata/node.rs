//! Opens nodes: the metadata of the array or group at a path of a store.

use super::consolidated::Consolidated;
use super::folder::{Folder, Node, NodeKind, metadata_key, node_path};
use super::{ArrayMetadata, GroupMetadata, v2, v3};
use crate::error::{Error, Place, Result};
use crate::store::Store;

/// Reads the metadata at a path: of Zarr V3 if there are any, else of V2.
///
/// Fails with [`NotFound`](crate::ErrorKind::NotFound) if there are none.
pub fn open_node(store: &dyn Store, path: &str) -> Result<Node> {
    let path = node_path(path)?;
    let folder = Folder { store, path: &path };
    let node = match v3::node(&folder)? {
        None => v2::node(&folder)?,
        node => node,
    };
    node.ok_or_else(|| folder.missing())
}

/// Reads the metadata of an array. A group at the path counts as missing.
pub fn open_array(store: &dyn Store, path: &str) -> Result<ArrayMetadata> {
    match open_node(store, path)? {
        Node::Array(array) => Ok(*array),
        Node::Group(_) => Err(Error::not_found(format!("no array but a group at {}", place(store, path)))),
    }
}

/// Reads the metadata of a group. An array at the path counts as missing.
pub fn open_group(store: &dyn Store, path: &str) -> Result<GroupMetadata> {
    match open_node(store, path)? {
        Node::Group(group) => Ok(*group),
        Node::Array(_) => Err(Error::not_found(format!("no group but an array at {}", place(store, path)))),
    }
}

fn place(store: &dyn Store, path: &str) -> String {
    store.display(path.trim_matches('/'))
}

/// The key whose lock guards the metadata of a node, whichever files it has.
pub(super) fn lock_key(path: &str) -> String {
    metadata_key(path, v3::FILE)
}

/// Stores the files of a node, and removes those that it no longer has, under the lock of its metadata.
pub fn write_node(store: &dyn Store, path: &str, files: &[(&str, Option<String>)]) -> Result<()> {
    let path = node_path(path)?;
    // If there is nothing to remove, taking the lock would create a folder.
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
    /// The kind of the node; `None` if there is none.
    pub(crate) fn kind(&self) -> Result<Option<NodeKind>> {
        match v3::kind(self)? {
            None => v2::kind(self),
            kind => Ok(kind),
        }
    }

    /// The consolidated metadata of the group.
    pub(crate) fn consolidated(&self, group: &GroupMetadata) -> Result<Option<Consolidated>> {
        match group.zarr_format {
            3 => v3::consolidated(&group.document).place(|| self.display(v3::FILE)),
            _ => v2::consolidated(self),
        }
    }
}

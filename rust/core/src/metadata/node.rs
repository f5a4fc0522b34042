//! Reading and writing the metadata of nodes, independent of the version of Zarr.

use super::consolidated::Consolidated;
use super::folder::{Folder, Node, NodeKind, either, lock_key, metadata_key, node_path};
use super::refresh::refresh_consolidated;
use super::{ArrayMetadata, GroupMetadata, v2, v3};
use crate::error::{Error, Place, Result};
use crate::store::Store;

/// Reads the metadata of the node at a path, of Zarr V3 if there is a `zarr.json`, else of V2; with `zarr_format`, only
/// of that version.
///
/// Fails with [`NotFound`](crate::ErrorKind::NotFound) if there is no node.
pub fn open_node(store: &dyn Store, path: &str, zarr_format: Option<u8>) -> Result<Node> {
    let path = node_path(path)?;
    let folder = Folder { store, path: &path };
    let node = match zarr_format {
        Some(3) => v3::node(&folder)?,
        Some(2) => v2::node(&folder)?,
        _ => either(v3::node(&folder), || v2::node(&folder))?,
    };
    node.ok_or_else(|| folder.missing())
}

/// Reads the metadata of an array; fails with `NotFound` for a group.
pub fn open_array(store: &dyn Store, path: &str, zarr_format: Option<u8>) -> Result<ArrayMetadata> {
    match open_node(store, path, zarr_format)? {
        Node::Array(array) => Ok(*array),
        Node::Group(_) => Err(Error::not_found(format!("{} is a group, not an array", place(store, path)))),
    }
}

/// Reads the metadata of a group; fails with `NotFound` for an array.
pub fn open_group(store: &dyn Store, path: &str, zarr_format: Option<u8>) -> Result<GroupMetadata> {
    match open_node(store, path, zarr_format)? {
        Node::Group(group) => Ok(*group),
        Node::Array(_) => Err(Error::not_found(format!("{} is an array, not a group", place(store, path)))),
    }
}

fn place(store: &dyn Store, path: &str) -> String {
    store.display(path.trim_matches('/'))
}

/// Writes the files of a node and removes those without a text, under the node's lock. The consolidated metadata of
/// groups above follow.
pub fn write_node(store: &dyn Store, path: &str, files: &[(&str, Option<String>)]) -> Result<()> {
    write_files(store, path, files)?;
    refresh_consolidated(store, &[node_path(path)?], None)
}

/// Writes the files of a node, but not the consolidated metadata of groups above.
pub(crate) fn write_files(store: &dyn Store, path: &str, files: &[(&str, Option<String>)]) -> Result<()> {
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
        either(v3::kind(self), || v2::kind(self))
    }

    /// Reads the consolidated metadata of a group; `None` if it has none.
    pub(crate) fn consolidated(&self, group: &GroupMetadata) -> Result<Option<Consolidated>> {
        match group.zarr_format {
            3 => v3::consolidated(&group.document).place(|| self.display(v3::FILE)),
            _ => v2::consolidated(self),
        }
    }
}

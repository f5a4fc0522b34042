//! Groups of arrays and groups in a store.

use std::sync::Arc;

use crate::array::Array;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::metadata::{
    Attributes, AttributesChange, Consolidated, Folder, GroupMetadata, Node, NodeKind, change_attributes, consolidate,
    lock_node, metadata_key, node_path, open_node, revision, write_node,
};
use crate::options::global_options;
use crate::runtime::{gather_map, parallel_map};
use crate::store::{Store, check_key};

/// Maximum depth of a recursive listing; deeper folders are probably a link to one of their parents.
const MAX_DEPTH: usize = 64;

/// Whether a group uses its consolidated metadata, the copies of its descendants' metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UseConsolidated {
    /// Uses them if the group has any.
    #[default]
    IfThere,
    /// Fails if the group has none.
    Always,
    /// Reads the metadata of each node from the store.
    Never,
}

/// A group of arrays and groups.
#[derive(Clone, Debug)]
pub struct Group {
    store: Arc<dyn Store>,
    path: String,
    metadata: GroupMetadata,
    consolidated: Option<Noted>,
    use_consolidated: UseConsolidated,
    revision: u64,
}

/// Consolidated metadata of this group or of one above it.
#[derive(Clone, Debug)]
struct Noted {
    metadata: Arc<Consolidated>,
    /// Path of this group relative to the group with the consolidated metadata.
    path: String,
}

/// An array or a group.
#[derive(Clone, Debug)]
pub enum Member {
    /// An array.
    Array(Array),
    /// A group.
    Group(Group),
}

/// Opens the array or group at a path.
pub fn open(store: Arc<dyn Store>, path: &str) -> Result<Member> {
    open_as(store, path, None)
}

/// Opens the array or group at a path; with `zarr_format` (2 or 3), files of the other version are not looked for.
pub fn open_as(store: Arc<dyn Store>, path: &str, zarr_format: Option<u8>) -> Result<Member> {
    Member::open(store, path, UseConsolidated::IfThere, zarr_format)
}

impl Member {
    fn open(
        store: Arc<dyn Store>,
        path: &str,
        use_consolidated: UseConsolidated,
        zarr_format: Option<u8>,
    ) -> Result<Self> {
        match open_node(&*store, path, zarr_format)? {
            Node::Array(metadata) => Array::new_with_metadata(store, path, *metadata).map(Self::Array),
            Node::Group(metadata) => {
                Group::with_consolidated(store, path, *metadata, use_consolidated).map(Self::Group)
            }
        }
    }
}

impl Group {
    /// Opens the group at a path.
    pub fn open(store: Arc<dyn Store>, path: &str) -> Result<Self> {
        Self::open_with(store, path, UseConsolidated::IfThere)
    }

    /// Opens the group at a path. Members opened from it treat consolidated metadata in the same way.
    pub fn open_with(store: Arc<dyn Store>, path: &str, use_consolidated: UseConsolidated) -> Result<Self> {
        Self::open_as(store, path, use_consolidated, None)
    }

    /// Opens the group at a path; with `zarr_format` (2 or 3), files of the other version are not looked for.
    pub fn open_as(
        store: Arc<dyn Store>,
        path: &str,
        use_consolidated: UseConsolidated,
        zarr_format: Option<u8>,
    ) -> Result<Self> {
        let metadata = crate::metadata::open_group(&*store, path, zarr_format)?;
        Self::with_consolidated(store, path, metadata, use_consolidated)
    }

    fn with_consolidated(
        store: Arc<dyn Store>,
        path: &str,
        metadata: GroupMetadata,
        use_consolidated: UseConsolidated,
    ) -> Result<Self> {
        let group = Self { use_consolidated, ..Self::new_with_metadata(store, path, metadata)? };
        let consolidated = match use_consolidated {
            UseConsolidated::Never => None,
            _ => group.folder(&group.path).consolidated(&group.metadata)?,
        };
        if use_consolidated == UseConsolidated::Always && consolidated.is_none() {
            return Err(Error::metadata(format!("{} has no consolidated metadata", group.name())));
        }
        let noted = consolidated.map(|metadata| Noted { metadata: metadata.into(), path: String::new() });
        Ok(Self { consolidated: noted, ..group })
    }

    /// Creates a group with given metadata. Does not write them.
    pub fn new_with_metadata(store: Arc<dyn Store>, path: &str, metadata: GroupMetadata) -> Result<Self> {
        let use_consolidated = UseConsolidated::IfThere;
        Ok(Self { path: node_path(path)?, store, metadata, consolidated: None, use_consolidated, revision: 0 })
    }

    /// Writes the metadata of a group at a path and returns the group; replaces existing metadata.
    pub fn create(store: Arc<dyn Store>, path: &str, metadata: GroupMetadata) -> Result<Self> {
        write_node(&*store, path, &metadata.files())?;
        Self::new_with_metadata(store, path, metadata)
    }

    /// Changes the stored attributes under the node's lock; returns the group with all its attributes.
    pub fn change_attributes(&self, change: &AttributesChange) -> Result<Self> {
        let _guard = lock_node(&*self.store, &self.path)?;
        let attributes = change_attributes(&*self.store, &self.path, self.zarr_format(), change)?;
        Ok(Self { metadata: self.metadata.with_attributes(attributes), revision: revision(), ..self.clone() })
    }

    /// Returns the revision of the metadata; see [`Array::revision`].
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Stores the current metadata of all descendants in the group; returns the group that uses them.
    ///
    /// Fails with [`Unsupported`](ErrorKind::Unsupported) if a descendant is of the other version of Zarr.
    pub fn consolidate(&self) -> Result<Self> {
        let members = self.without_consolidated().members(true)?;
        consolidate(&*self.store, &self.path, self.zarr_format(), &members)?;
        Self::open(self.store.clone(), &self.path)
    }

    /// Returns the store of the group.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Returns the path in the store; `""` for the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the store and path for messages.
    pub fn name(&self) -> String {
        self.store.display(&self.path)
    }

    /// Returns the version of Zarr: 3 or 2.
    pub fn zarr_format(&self) -> u8 {
        self.metadata.zarr_format
    }

    /// Returns the user attributes.
    pub fn attributes(&self) -> &Attributes {
        &self.metadata.attributes
    }

    /// Returns the metadata.
    pub fn metadata(&self) -> &GroupMetadata {
        &self.metadata
    }

    /// Whether the members are known from consolidated metadata of this group or of one above it.
    pub fn is_consolidated(&self) -> bool {
        self.consolidated.is_some()
    }

    /// Returns how the group uses consolidated metadata.
    pub fn use_consolidated(&self) -> UseConsolidated {
        self.use_consolidated
    }

    /// Returns the group without consolidated metadata.
    #[must_use]
    pub fn without_consolidated(&self) -> Self {
        Self { consolidated: None, use_consolidated: UseConsolidated::Never, ..self.clone() }
    }

    /// Returns the names and kinds of the direct members.
    pub fn children(&self) -> Result<Vec<(String, NodeKind)>> {
        self.members(false)
    }

    /// Returns the sorted relative paths and kinds of the direct members, or of all descendants if `recursive`. Each
    /// group precedes its members.
    ///
    /// Consolidated metadata are trusted. Without them, the store is listed, and folders and files that are not Zarr's
    /// are ignored. If the store cannot be listed, the consolidated metadata of a group above are used.
    pub fn members(&self, recursive: bool) -> Result<Vec<(String, NodeKind)>> {
        if let Some(noted) = &self.consolidated {
            return Ok(noted.metadata.members(&noted.path, recursive));
        }
        match self.list(&self.path, if recursive { MAX_DEPTH } else { 0 }) {
            Err(error) if error.kind() == ErrorKind::Unsupported && self.use_consolidated != UseConsolidated::Never => {
                let noted = self.noted_above()?.ok_or(error)?;
                Ok(noted.metadata.members(&noted.path, recursive))
            }
            Ok(mut members) => {
                let below = if self.path.is_empty() { 0 } else { self.path.len() + 1 };
                for (path, _) in &mut members {
                    *path = path.split_off(below);
                }
                Ok(members)
            }
            error => error,
        }
    }

    /// Opens the array or group at a relative path. With consolidated metadata, nothing is read.
    pub fn member(&self, path: &str) -> Result<Member> {
        let path = node_path(path)?;
        let full = if path.is_empty() { self.path.clone() } else { metadata_key(&self.path, &path) };
        let Some(noted) = &self.consolidated else {
            let use_consolidated = match self.use_consolidated {
                UseConsolidated::Always => UseConsolidated::IfThere,
                other => other,
            };
            return Member::open(self.store.clone(), &full, use_consolidated, None);
        };
        if path.is_empty() {
            return Ok(Member::Group(self.clone()));
        }
        let inside = metadata_key(&noted.path, &path);
        match noted.metadata.node(&inside) {
            None => Err(Error::not_found(format!(
                "no array or group at {} in the consolidated metadata",
                self.store.display(&full)
            ))),
            Some(node) => match node.place(|| self.store.display(&full))? {
                Node::Array(metadata) => {
                    Array::new_with_metadata(self.store.clone(), &full, *metadata).map(Member::Array)
                }
                Node::Group(metadata) => Ok(Member::Group(Self {
                    consolidated: Some(Noted { path: inside, ..noted.clone() }),
                    use_consolidated: self.use_consolidated,
                    ..Self::new_with_metadata(self.store.clone(), &full, *metadata)?
                })),
            },
        }
    }

    /// Opens the members at relative paths, reading their metadata concurrently. Each can fail on its own.
    pub fn open_members(&self, paths: &[String]) -> Vec<Result<Member>> {
        let opened = self.each(paths, |path| Ok(self.member(path)));
        opened.unwrap_or_default()
    }

    /// Calls `work` for several paths concurrently.
    fn each<R: Send>(&self, paths: &[String], work: impl Fn(&String) -> Result<R> + Sync) -> Result<Vec<R>> {
        if self.store.profile().remote {
            gather_map(paths, work)
        } else {
            parallel_map(paths, global_options().concurrency(), work)
        }
    }

    fn folder<'a>(&'a self, path: &'a str) -> Folder<'a> {
        Folder { store: &*self.store, path }
    }

    /// Lists the nodes of a folder and of its subfolders, up to `deeper` more levels.
    fn list(&self, path: &str, deeper: usize) -> Result<Vec<(String, NodeKind)>> {
        let names = self.store.list_dir(path).place(|| format!("cannot list {}", self.store.display(path)))?.prefixes;
        let paths: Vec<_> =
            names.iter().filter(|name| check_key(name).is_ok()).map(|name| metadata_key(path, name)).collect();
        let found = self.each(&paths, |path| {
            let Some(kind) = self.folder(path).kind()? else { return Ok(Vec::new()) };
            let mut members = vec![(path.clone(), kind)];
            match (kind, deeper) {
                (NodeKind::Array, _) | (NodeKind::Group, 0) => {}
                (NodeKind::Group, 1) => {
                    return Err(Error::store(format!(
                        "{} is nested {MAX_DEPTH} levels deep; check for a link to a folder above",
                        self.store.display(path)
                    )));
                }
                (NodeKind::Group, _) => members.extend(self.list(path, deeper - 1)?),
            }
            Ok(members)
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Returns the consolidated metadata of the nearest group above that has any.
    fn noted_above(&self) -> Result<Option<Noted>> {
        let mut above = self.path.as_str();
        while let Some(end) = above.rfind('/').or((!above.is_empty()).then_some(0)) {
            above = &above[..end];
            let group = match crate::metadata::open_group(&*self.store, above, None) {
                Ok(group) => group,
                Err(error) if error.kind() == ErrorKind::NotFound || error.is_forbidden() => continue,
                Err(error) => return Err(error),
            };
            if let Some(metadata) = self.folder(above).consolidated(&group)? {
                let path = self.path[above.len()..].trim_start_matches('/').to_owned();
                return Ok(Some(Noted { metadata: metadata.into(), path }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

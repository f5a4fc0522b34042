//! Groups of arrays and groups in a store.

use std::sync::{Arc, Mutex};

use crate::array::Array;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::metadata::{
    Attributes, AttributesChange, Consolidated, Folder, GroupMetadata, Node, NodeKind, change_attributes, consolidate,
    consolidated_changes, lock_node, metadata_key, node_path, open_node, revision, write_node,
};
use crate::options::global_options;
use crate::runtime::{gather_map, lock, parallel_map};
use crate::store::{Store, check_key};

/// Maximum depth of a recursive listing; deeper folders are probably a link to one of their parents.
const MAX_DEPTH: usize = 64;

/// Number of folders listed at once.
const LISTED: usize = 256;

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
    consolidated: Copies,
    use_consolidated: UseConsolidated,
    revision: u64,
}

/// The consolidated metadata of this group or of one above it, if it uses any.
#[derive(Clone, Debug)]
enum Copies {
    None,
    Noted(Noted),
    /// The reason why those of the group cannot be used.
    Damaged(Box<Error>),
}

/// Consolidated metadata of this group or of one above it.
#[derive(Clone, Debug)]
struct Noted {
    latest: Arc<Latest>,
    /// Path of this group relative to the group with the consolidated metadata.
    path: String,
}

/// Consolidated metadata as this process knows them.
#[derive(Debug)]
struct Latest {
    /// Path of the group with the consolidated metadata.
    group: String,
    /// The metadata, which this process may have removed since, and the number of its changes when they were read.
    known: Mutex<(Option<Arc<Consolidated>>, u64)>,
}

/// The members of a group.
#[derive(Debug, Default)]
pub struct Members {
    /// Paths relative to the group and kinds, sorted by path; each group precedes its members.
    pub nodes: Vec<(String, NodeKind)>,
    /// What is damaged, by path relative to the group: metadata that are no node's, and folders that cannot be listed.
    pub problems: Vec<(String, Error)>,
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

/// Copies the metadata of the node at a path and of all nodes below it, as they are stored now, to the consolidated
/// metadata of the groups above; removes them there if there is no node. For callers that move or erase whole folders.
pub fn refresh_consolidated(store: &Arc<dyn Store>, path: &str) -> Result<()> {
    let path = node_path(path)?;
    let mut paths = vec![path.clone()];
    if let Ok(group) = Group::open_with(store.clone(), &path, UseConsolidated::Never) {
        paths.extend(group.members(true)?.into_iter().map(|(member, _)| metadata_key(&path, &member)));
    }
    crate::metadata::refresh_consolidated(&**store, &paths, None)
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
        let changes = consolidated_changes();
        let (consolidated, problem) = match use_consolidated {
            UseConsolidated::Never => (None, None),
            _ => match group.folder(&group.path).consolidated(&group.metadata) {
                Ok(consolidated) => (consolidated, None),
                // They are copies. Only a store that cannot be listed needs them.
                Err(error)
                    if use_consolidated == UseConsolidated::IfThere && error.kind() == ErrorKind::InvalidMetadata =>
                {
                    (None, Some(error))
                }
                Err(error) => return Err(error),
            },
        };
        if use_consolidated == UseConsolidated::Always && consolidated.is_none() {
            return Err(Error::metadata(format!("{} has no consolidated metadata", group.name())));
        }
        let consolidated = match (consolidated, problem) {
            (Some(metadata), _) => {
                let known = Mutex::new((Some(metadata.into()), changes));
                let latest = Latest { group: group.path.clone(), known }.into();
                Copies::Noted(Noted { latest, path: String::new() })
            }
            (None, Some(problem)) => Copies::Damaged(problem.into()),
            (None, None) => Copies::None,
        };
        Ok(Self { consolidated, ..group })
    }

    /// Returns the consolidated metadata as this process knows them, and the path of this group in them.
    fn noted(&self) -> Result<Option<(Arc<Consolidated>, &Noted)>> {
        let Copies::Noted(noted) = &self.consolidated else { return Ok(None) };
        let mut known = lock(&noted.latest.known);
        let changes = consolidated_changes();
        if known.1 != changes {
            let read = match crate::metadata::open_group(&*self.store, &noted.latest.group, None) {
                Ok(group) => self.folder(&noted.latest.group).consolidated(&group)?,
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            *known = (read.map(Arc::new), changes);
        }
        Ok(known.0.clone().map(|metadata| (metadata, noted)))
    }

    /// Creates a group with given metadata. Does not write them.
    pub fn new_with_metadata(store: Arc<dyn Store>, path: &str, metadata: GroupMetadata) -> Result<Self> {
        let use_consolidated = UseConsolidated::IfThere;
        let path = node_path(path)?;
        Ok(Self { path, store, metadata, consolidated: Copies::None, use_consolidated, revision: 0 })
    }

    /// Writes the metadata of a group at a path and returns the group; replaces existing metadata.
    pub fn create(store: Arc<dyn Store>, path: &str, metadata: GroupMetadata) -> Result<Self> {
        write_node(&*store, path, &metadata.files())?;
        Self::new_with_metadata(store, path, metadata)
    }

    /// Changes the stored attributes under the node's lock; returns the group with all its attributes.
    pub fn change_attributes(&self, change: &AttributesChange) -> Result<Self> {
        let guard = lock_node(&*self.store, &self.path)?;
        let attributes = change_attributes(&*self.store, &self.path, self.zarr_format(), change)?;
        let metadata = self.metadata.with_attributes(attributes);
        let changed = Self { metadata, revision: revision(), ..self.clone() };
        drop(guard);
        let paths = std::slice::from_ref(&self.path);
        crate::metadata::refresh_consolidated(&*self.store, paths, Some(self.zarr_format()))?;
        Ok(changed)
    }

    /// Returns the revision of the metadata; see [`Array::revision`].
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Stores the current metadata of all descendants in the group; returns the group that uses them.
    ///
    /// Fails with [`Unsupported`](ErrorKind::Unsupported) if a descendant is of the other version of Zarr.
    pub fn consolidate(&self) -> Result<Self> {
        consolidate(&*self.store, &self.path, self.zarr_format(), || {
            let Members { nodes, problems } = self.without_consolidated().survey(true)?;
            match problems.into_iter().next() {
                None => Ok(nodes),
                Some((_, error)) => Err(error.at(format!("cannot consolidate {}", self.name()))),
            }
        })?;
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
        self.noted().is_ok_and(|noted| noted.is_some())
    }

    /// Returns why the consolidated metadata of the group are damaged, if they are; then the store is listed.
    pub fn consolidated_problem(&self) -> Option<&Error> {
        if let Copies::Damaged(error) = &self.consolidated { Some(error) } else { None }
    }

    /// Returns how the group uses consolidated metadata.
    pub fn use_consolidated(&self) -> UseConsolidated {
        self.use_consolidated
    }

    /// Returns the group without consolidated metadata.
    #[must_use]
    pub fn without_consolidated(&self) -> Self {
        Self { consolidated: Copies::None, use_consolidated: UseConsolidated::Never, ..self.clone() }
    }

    /// Returns the names and kinds of the direct members.
    pub fn children(&self) -> Result<Vec<(String, NodeKind)>> {
        self.members(false)
    }

    /// Returns the nodes of [`survey`](Self::survey).
    pub fn members(&self, recursive: bool) -> Result<Vec<(String, NodeKind)>> {
        Ok(self.survey(recursive)?.nodes)
    }

    /// Returns the direct members, or all descendants if `recursive`, and what is damaged among them.
    ///
    /// Consolidated metadata are trusted. Without them, the store is listed, and folders and files that are not Zarr's
    /// are ignored. If the store cannot be listed, the consolidated metadata of a group above are used.
    pub fn survey(&self, recursive: bool) -> Result<Members> {
        let known = |metadata: &Consolidated, path: &str| Members {
            nodes: metadata.members(path, recursive),
            problems: metadata.problems(path, recursive),
        };
        if let Some((metadata, noted)) = self.noted()? {
            return Ok(known(&metadata, &noted.path));
        }
        let below = if self.path.is_empty() { 0 } else { self.path.len() + 1 };
        match self.list(recursive) {
            Err(error) if error.kind() == ErrorKind::Unsupported && self.use_consolidated != UseConsolidated::Never => {
                let above = self.noted_above()?;
                let (metadata, path) = above.ok_or_else(|| self.consolidated_problem().cloned().unwrap_or(error))?;
                Ok(known(&metadata, &path))
            }
            Ok(mut members) => {
                members.nodes.iter_mut().for_each(|(path, _)| *path = path.split_off(below));
                members.problems.iter_mut().for_each(|(path, _)| *path = path.split_off(below.min(path.len())));
                Ok(members)
            }
            error => error,
        }
    }

    /// Opens the array or group at a relative path. With consolidated metadata, nothing is read.
    pub fn member(&self, path: &str) -> Result<Member> {
        let path = node_path(path)?;
        let full = if path.is_empty() { self.path.clone() } else { metadata_key(&self.path, &path) };
        let Some((metadata, noted)) = self.noted()? else {
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
        match metadata.node(&inside) {
            None => Err(Error::not_found(format!(
                "no array or group at {} in the consolidated metadata",
                self.store.display(&full)
            ))),
            Some(node) => match node.place(|| self.store.display(&full))? {
                Node::Array(metadata) => {
                    Array::new_with_metadata(self.store.clone(), &full, *metadata).map(Member::Array)
                }
                Node::Group(metadata) => Ok(Member::Group(Self {
                    consolidated: Copies::Noted(Noted { path: inside, ..noted.clone() }),
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

    /// Lists the members of the group, many folders at once and the deepest first. Paths are those in the store.
    fn list(&self, recursive: bool) -> Result<Members> {
        let mut all = Members::default();
        let mut folders = vec![self.path.clone()];
        while !folders.is_empty() {
            let some = folders.split_off(folders.len().saturating_sub(LISTED));
            let list = |path: &String| {
                Ok(self.store.list_dir(path).place(|| format!("cannot list {}", self.store.display(path))))
            };
            let mut paths = Vec::new();
            for (path, listed) in some.iter().zip(self.each(&some, list)?) {
                match listed {
                    Ok(listing) => {
                        let names = listing.prefixes.iter().filter(|name| check_key(name).is_ok());
                        paths.extend(names.map(|name| metadata_key(path, name)));
                    }
                    Err(error) if *path == self.path || error.kind() == ErrorKind::Unsupported => return Err(error),
                    Err(error) => all.problems.push((path.clone(), error)),
                }
            }
            let kinds = self.each(&paths, |path| Ok(self.folder(path).kind()))?;
            for (path, kind) in paths.into_iter().zip(kinds) {
                let kind = match kind {
                    Ok(None) => continue,
                    Ok(Some(kind)) => kind,
                    Err(error) => {
                        all.problems.push((path.clone(), error));
                        NodeKind::Damaged
                    }
                };
                // A group with damaged metadata still has its members.
                if recursive && kind != NodeKind::Array {
                    if path[self.path.len()..].split('/').count() > MAX_DEPTH {
                        return Err(Error::store(format!(
                            "{} is nested {MAX_DEPTH} levels deep; check for a link to a folder above",
                            self.store.display(&path)
                        )));
                    }
                    folders.push(path.clone());
                }
                all.nodes.push((path, kind));
            }
        }
        all.nodes.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
        Ok(all)
    }

    /// Returns the consolidated metadata of the nearest group above that has any, and the path of this group in them.
    fn noted_above(&self) -> Result<Option<(Consolidated, String)>> {
        let mut above = self.path.as_str();
        while let Some(end) = above.rfind('/').or((!above.is_empty()).then_some(0)) {
            above = &above[..end];
            let group = match crate::metadata::open_group(&*self.store, above, None) {
                Ok(group) => group,
                Err(error) if error.kind() == ErrorKind::NotFound || error.is_forbidden() => continue,
                Err(error) => return Err(error),
            };
            if let Some(metadata) = self.folder(above).consolidated(&group)? {
                return Ok(Some((metadata, self.path[above.len()..].trim_start_matches('/').to_owned())));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

//! Opened ASDF files: the tree, the blocks, and other files that they refer to.
//!
//! A file is opened once and stays open while its [`AsdfFile`] or an array of it is alive, so that all its parts are of
//! one version even if the file is replaced. Reads are positional, so threads can share a file.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use md5::{Digest, Md5};

use super::block::BlockHeader;
use super::block_list::Blocks;
use super::compression::decompress;
use super::file::Layout;
use super::opened::Opened;
use super::uri::{local_path, relative_key};
use super::version::FileVersion;
use super::yaml::{Document, Kind, Limits, NodeId, Scalar};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::runtime::Shared;
use crate::store::{FilesystemStore, Identity, Object, Store};

/// Maximum number of separate files that are kept open with a file.
const MAX_PINNED: usize = 16;

/// Maximum size in bytes to which a block is decoded to check it, unless it is large itself.
const MAX_CHECKED: u64 = 1 << 30;

/// Maximum decoded bytes per stored byte of a larger block that is decoded to check it.
const MAX_CHECKED_RATIO: u64 = 64;

/// How an ASDF file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Limits of the tree.
    pub limits: Limits,
    /// Whether the first read of a block verifies its MD5 checksum, which reads the whole block.
    pub validate_checksums: bool,
    /// Whether local files and Zarr stores anywhere are opened if the tree refers to them. Otherwise only those in or
    /// below the file's folder are, so that a file from an untrusted source cannot reach others.
    pub allow_external: bool,
}

/// An opened ASDF file. Clones are cheap and share all state.
#[derive(Clone)]
pub struct AsdfFile(Arc<Inner>);

struct Inner {
    /// The store of the file, from which other files are opened too.
    store: Arc<dyn Store>,
    key: String,
    options: OpenOptions,
    opened: Arc<Opened>,
    layout: Layout,
    /// Offsets of blocks whose checksum was verified.
    verified: Shared<HashSet<u64>>,
    /// Version of a local file when it was opened.
    file_version: Option<FileVersion>,
    /// Local files with blocks of this one, open since this one was opened, by their keys.
    pinned: HashMap<String, Arc<dyn Object>>,
    /// The folder that is the root of the store, if a reference led from another store to this one.
    outside: Option<PathBuf>,
    /// Other files by their names.
    others: Shared<HashMap<String, AsdfFile>>,
    parents: OnceLock<HashMap<NodeId, Parent>>,
}

/// Parent of a node, and the node's position among its children.
#[derive(Clone, Copy)]
struct Parent {
    collection: NodeId,
    position: usize,
}

impl fmt::Debug for AsdfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsdfFile({})", self.name())
    }
}

impl AsdfFile {
    /// Opens the file under a key of a store. Reads its header and tree.
    pub fn open(store: Arc<dyn Store>, key: &str) -> Result<Self> {
        Self::open_with(store, key, OpenOptions::default())
    }

    /// Opens a file of the local filesystem.
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_path_with(path, OpenOptions::default())
    }

    /// Opens a file of the local filesystem with options.
    pub fn open_path_with(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::not_found(format!("{} is not the path of a file", path.display())))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::open_with(Arc::new(FilesystemStore::new(folder)), name, options)
    }

    /// Opens the file under a key of a store with options.
    pub fn open_with(store: Arc<dyn Store>, key: &str, options: OpenOptions) -> Result<Self> {
        // A writer that replaces the file between the two steps also removes its old separate files.
        const ATTEMPTS: usize = 5;
        for _ in 1..ATTEMPTS {
            let object = store.open(key).place(|| store.display(key))?.into();
            let mut file = Self::open_object(store.clone(), key, object, options)?;
            if file.pin() || file.is_current() {
                return Ok(file);
            }
        }
        let object = store.open(key).place(|| store.display(key))?.into();
        Self::open_object(store, key, object, options)
    }

    fn open_object(store: Arc<dyn Store>, key: &str, object: Arc<dyn Object>, options: OpenOptions) -> Result<Self> {
        let name = store.display(key);
        let file_version = object.file().and_then(FileVersion::of);
        let read = || {
            let (layout, object) = if store.profile().remote {
                Layout::read_remote(object, &options.limits)?
            } else {
                (Layout::read_with(object.clone(), &options.limits)?, object)
            };
            let opened = Arc::new(Opened::new(&store, key, object, layout.stat));
            Ok((layout, opened))
        };
        let (layout, opened) = read().place(|| name)?;
        Ok(Self(Arc::new(Inner {
            store,
            key: key.to_owned(),
            options,
            opened,
            layout,
            verified: Shared::default(),
            file_version,
            pinned: HashMap::new(),
            outside: None,
            others: Shared::default(),
            parents: OnceLock::new(),
        })))
    }

    /// Opens the separate files of a local file, so that its arrays stay readable when it is replaced; returns whether
    /// all exist.
    fn pin(&mut self) -> bool {
        let Some(inner) = Arc::get_mut(&mut self.0).filter(|inner| inner.file_version.is_some()) else { return true };
        let tree = &inner.layout.document;
        let mut all_exist = true;
        for (id, node) in tree.iter() {
            let is_ndarray = node.tag.as_deref().is_some_and(|tag| tag.contains("/ndarray-"));
            let uri = is_ndarray.then(|| tree.get(id, "source")).flatten().map(|source| tree.scalar(source));
            let Some(Ok(Scalar::Str(uri))) = uri else { continue };
            let Ok(key) = relative_key(&inner.key, uri) else { continue };
            if inner.pinned.len() >= MAX_PINNED {
                break;
            }
            if key != inner.key && !inner.pinned.contains_key(&key) {
                match inner.store.open(&key) {
                    Ok(object) if object.file().is_some() => drop(inner.pinned.insert(key, object.into())),
                    _ => all_exist = false,
                }
            }
        }
        all_exist
    }

    /// Returns the store of the file.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Returns the file's key in its store.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// Returns the file's name for messages: the path of a local file.
    pub fn name(&self) -> String {
        self.0.store.display(&self.0.key)
    }

    /// Returns the folder of the file's store, if a reference led from another store to this one.
    pub fn outside(&self) -> Option<&Path> {
        self.0.outside.as_deref()
    }

    /// Identifies the version of the file: two handles share it only if they opened the same version of the same file.
    pub fn identity(&self) -> Identity {
        self.0.opened.profile().identity
    }

    /// Returns the version of a local file when it was opened.
    pub fn file_version(&self) -> Option<FileVersion> {
        self.0.file_version
    }

    /// Returns the options with which the file was opened.
    pub fn options(&self) -> OpenOptions {
        self.0.options
    }

    /// Returns the layout of the file: versions, comments, range of the tree.
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// Returns the tree.
    pub fn tree(&self) -> &Document {
        &self.0.layout.document
    }

    /// Returns the blocks.
    pub fn blocks(&self) -> &Blocks {
        &self.0.layout.blocks
    }

    /// Returns the node at a path of names and indices such as `roman/data/0`.
    pub fn find(&self, path: &str) -> Result<NodeId> {
        self.tree().find(path).ok_or_else(|| Error::not_found(format!("no node {path:?} in {}", self.name())))
    }

    /// Returns the path of a node; the shortest one if it has several.
    pub fn path_of(&self, node: NodeId) -> String {
        let parents = self.0.parents.get_or_init(|| parents(self.tree()));
        let mut names = Vec::new();
        let mut node = node;
        while let Some(Parent { collection, position }) = parents.get(&node) {
            names.push(match &self.tree()[*collection].kind {
                Kind::Mapping { pairs, .. } => self.tree().text(pairs[*position].0).unwrap_or("?").to_owned(),
                _ => position.to_string(),
            });
            node = *collection;
        }
        names.reverse();
        names.join("/")
    }

    /// Returns the name of the file and the path of a node for messages: `observation.asdf#roman/data`.
    pub fn describe(&self, node: NodeId) -> String {
        format!("{}#{}", self.name(), self.path_of(node))
    }

    /// Whether the file under the key is still the version that was opened.
    pub fn is_current(&self) -> bool {
        let stat = self.0.store.open(&self.0.key).and_then(|object| object.stat());
        let opened = self.0.layout.stat;
        matches!(stat, Ok(Some(stat)) if (stat.size, stat.version) == (opened.size, opened.version))
    }

    /// Returns the opened file as a store.
    pub(super) fn opened(&self) -> &Arc<Opened> {
        &self.0.opened
    }

    /// Returns the header of a block to be read, and verifies the checksum if the options ask for it.
    pub(super) fn block(&self, number: i64) -> Result<BlockHeader> {
        let header = self.blocks().block(number).place(|| self.name())?;
        if self.0.options.validate_checksums && !self.0.verified.read().contains(&header.offset) {
            self.verify_block(&header).place(|| self.name())?;
            self.0.verified.write().insert(header.offset);
        }
        Ok(header)
    }

    fn verify_block(&self, header: &BlockHeader) -> Result<()> {
        if !header.has_checksum() {
            return Ok(());
        }
        let mut hasher = Md5::new();
        self.blocks().read_pieces(header, |piece| {
            hasher.update(piece);
            Ok(())
        })?;
        if header.checksum == <[u8; 16]>::from(hasher.finalize()) {
            return Ok(());
        }
        let mut used = Vec::new();
        if header.is_compressed() {
            self.blocks().read(header, &mut used)?;
        }
        let decoded = if header.is_compressed() { Some(decode(header, &used)?) } else { None };
        header.verify(&used, decoded.as_deref())
    }

    /// Verifies the checksum of a block and, if it is compressed, decodes it. Fails if it declares to decode to more than
    /// a file of its size should make a check allocate.
    pub fn check_block(&self, number: usize) -> Result<()> {
        let check = || {
            let header = self.blocks().block(number as i64)?;
            if header.is_compressed() {
                let limit = MAX_CHECKED.max(header.used.saturating_mul(MAX_CHECKED_RATIO));
                if header.data_size > limit {
                    let BlockHeader { used, data_size, .. } = header;
                    let what =
                        format!("its {used} bytes decode to {data_size}, at most {limit} are decoded to check it");
                    return Err(Error::unsupported(what));
                }
                self.decoded(&header)?;
            }
            self.verify_block(&header)
        };
        check().place(|| format!("{}: block {number}", self.name()))
    }

    /// Verifies the checksums of all blocks.
    pub fn verify(&self) -> Result<()> {
        let blocks = self.blocks();
        for number in 0..blocks.len()? {
            let verify = || self.verify_block(&blocks.block(number as i64)?);
            verify().place(|| format!("{}: block {number}", self.name()))?;
        }
        Ok(())
    }

    /// Returns the decompressed data of a block.
    pub fn block_data(&self, number: i64) -> Result<Vec<u8>> {
        let header = self.block(number)?;
        self.decoded(&header).place(|| format!("{}: block {number}", self.name()))
    }

    /// Returns the decompressed data of a block by its header.
    pub(super) fn decoded(&self, header: &BlockHeader) -> Result<Vec<u8>> {
        let mut used = Vec::new();
        self.blocks().read(header, &mut used)?;
        if header.is_compressed() { decode(header, &used) } else { Ok(used) }
    }

    /// Opens the separate file of a block.
    pub(super) fn open_external_block(&self, uri: &str) -> Result<Self> {
        self.open_other(uri).map_err(|error| match error.kind() {
            ErrorKind::NotFound if !self.is_current() => {
                let what = format!("{}: the file was replaced since it was opened; open it again", self.name());
                Error::store(what).at(error.to_string())
            }
            _ => error,
        })
    }

    /// Opens the file at a URI: in or below the folder of this file or, if the options allow it, any local file.
    pub fn open_other(&self, uri: &str) -> Result<Self> {
        let (store, key, outside) = self.locate(uri).place(|| self.name())?;
        let name = store.display(&key);
        if name == self.name() {
            return Ok(self.clone());
        }
        if let Some(known) = self.0.others.read().get(&name) {
            return Ok(known.clone());
        }
        let is_beside = outside.as_deref() == self.outside();
        let mut other = match self.0.pinned.get(&key).filter(|_| is_beside) {
            Some(object) => Self::open_object(store, &key, object.clone(), self.0.options)?,
            None => Self::open_with(store, &key, self.0.options)?,
        };
        if let Some(inner) = Arc::get_mut(&mut other.0) {
            inner.outside = outside;
        }
        Ok(self.0.others.write().entry(name).or_insert(other).clone())
    }

    /// Returns the store and the key of another file, and the folder of that store if it is not this file's store.
    fn locate(&self, uri: &str) -> Result<(Arc<dyn Store>, String, Option<PathBuf>)> {
        let refused = match relative_key(self.key(), uri) {
            Ok(key) => return Ok((self.0.store.clone(), key, self.0.outside.clone())),
            Err(error) => error,
        };
        let Some(path) = self.outside_path(uri) else { return Err(refused) };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Err(refused);
        };
        // One file is opened once, however the path is written.
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Ok((Arc::new(FilesystemStore::new(&folder)), name.to_owned(), Some(folder)))
    }

    /// Returns the local path that a URI or path leads to, if the options allow to open files outside the folder.
    pub(super) fn outside_path(&self, uri: &str) -> Option<PathBuf> {
        let from = self.0.store.local_path(self.key());
        self.0.options.allow_external.then(|| local_path(from.as_deref(), uri)).flatten()
    }
}

/// Returns the decompressed data of a block, given its stored data.
fn decode(header: &BlockHeader, used: &[u8]) -> Result<Vec<u8>> {
    decompress(header.compression, used, header.data_size)
}

fn parents(tree: &Document) -> HashMap<NodeId, Parent> {
    let mut parents = HashMap::new();
    let mut seen = HashSet::from([tree.root()]);
    let mut open = std::collections::VecDeque::from([tree.root()]);
    while let Some(collection) = open.pop_front() {
        let children: Vec<NodeId> = match &tree[collection].kind {
            Kind::Scalar { .. } => continue,
            Kind::Sequence { items, .. } => items.clone(),
            Kind::Mapping { pairs, .. } => pairs.iter().map(|(_, value)| *value).collect(),
        };
        for (position, child) in children.into_iter().enumerate() {
            if seen.insert(child) {
                parents.insert(child, Parent { collection, position });
                open.push_back(child);
            }
        }
    }
    parents
}

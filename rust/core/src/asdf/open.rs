//! An ASDF file, opened: its tree, and on demand its blocks and other files that it refers to.
//!
//! The file is opened once and stays open as long as anything that came out of it is alive, so that all its parts are
//! of one version even where somebody replaces the file meanwhile. All reads are positional: threads do not meet.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use super::block::BlockHeader;
use super::block_list::Blocks;
use super::compression::decompress;
use super::file::Layout;
use super::opened::Opened;
use super::yaml::{Document, Kind, Limits, NodeId};
use crate::error::{Error, Place, Result};
use crate::runtime::lock;
use crate::store::{FilesystemStore, Object, Store};

/// How an ASDF file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// What its tree may cost.
    pub limits: Limits,
    /// Whether the MD5 checksum of a block is compared when something of the block is first read. This reads it whole.
    pub validate_checksums: bool,
    /// Whether stores of Zarr arrays that the file names by an absolute path are opened. Else a file that comes from
    /// somewhere can lead nowhere but to what lies beside it.
    pub allow_external: bool,
}

/// An ASDF file. Clones are cheap and share everything.
#[derive(Clone)]
pub struct AsdfFile(Arc<Inner>);

struct Inner {
    /// The store that the file lies in, and its key there: other files are found from here.
    store: Arc<dyn Store>,
    key: String,
    options: OpenOptions,
    opened: Arc<Opened>,
    layout: Layout,
    verified: Mutex<HashSet<u64>>,
    others: Mutex<HashMap<String, AsdfFile>>,
    parents: OnceLock<HashMap<NodeId, Parent>>,
}

/// The collection that a node lies in, and which of its children it is.
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
    /// Opens the file under a key of a store. Its head is read, and nothing else.
    pub fn open(store: Arc<dyn Store>, key: &str) -> Result<Self> {
        Self::open_with(store, key, OpenOptions::default())
    }

    /// Opens a file of the local filesystem.
    pub fn open_path(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_path_with(path, OpenOptions::default())
    }

    /// Opens a file of the local filesystem.
    pub fn open_path_with(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::not_found(format!("{} is not the name of a file", path.display())))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::open_with(Arc::new(FilesystemStore::new(folder)), name, options)
    }

    /// Opens a file.
    pub fn open_with(store: Arc<dyn Store>, key: &str, options: OpenOptions) -> Result<Self> {
        let name = store.display(key);
        let read = || {
            let object: Arc<dyn Object> = store.open(key)?.into();
            let (layout, object) = if store.is_remote() {
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
            verified: Mutex::default(),
            others: Mutex::default(),
            parents: OnceLock::new(),
        })))
    }

    /// The store that the file lies in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The file's key there.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// How a person would name it; of a local file, its path.
    pub fn name(&self) -> String {
        self.0.store.display(&self.0.key)
    }

    /// The same for two handles only if they have opened one version of one file.
    pub fn identity(&self) -> u64 {
        self.0.opened.identity()
    }

    /// How it was opened.
    pub fn options(&self) -> OpenOptions {
        self.0.options
    }

    /// The parts of the file: versions, comments, where the tree lies.
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// The tree.
    pub fn tree(&self) -> &Document {
        &self.0.layout.document
    }

    /// The blocks.
    pub fn blocks(&self) -> &Blocks {
        &self.0.layout.blocks
    }

    /// What lies under a path of names and indices, `roman/data/0`.
    pub fn find(&self, path: &str) -> Result<NodeId> {
        self.tree().find(path).ok_or_else(|| Error::not_found(format!("there is no {path:?} in {}", self.name())))
    }

    /// The path of a node: the way to it that comes first in the file.
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

    /// File and path of a node, for people: `observation.asdf#roman/data`.
    pub fn describe(&self, node: NodeId) -> String {
        format!("{}#{}", self.name(), self.path_of(node))
    }

    /// Whether the file under the key is still the one that was opened.
    pub fn is_current(&self) -> bool {
        let stat = self.0.store.open(&self.0.key).and_then(|object| object.stat());
        let opened = self.0.layout.stat;
        matches!(stat, Ok(Some(stat)) if (stat.size, stat.version) == (opened.size, opened.version))
    }

    /// A store in which the opened file lies under any key.
    pub(super) fn opened(&self) -> &Arc<Opened> {
        &self.0.opened
    }

    /// The header of a block that is to be read: its checksum is compared, if the options say so.
    pub(super) fn block(&self, number: i64) -> Result<BlockHeader> {
        let header = self.blocks().block(number).place(|| self.name())?;
        if self.0.options.validate_checksums && !lock(&self.0.verified).contains(&header.offset) {
            self.verify_block(&header).place(|| self.name())?;
            lock(&self.0.verified).insert(header.offset);
        }
        Ok(header)
    }

    fn verify_block(&self, header: &BlockHeader) -> Result<()> {
        if !header.has_checksum() {
            return Ok(());
        }
        let mut used = Vec::new();
        self.blocks().read(header, &mut used)?;
        if header.verify(&used, None).is_ok() {
            return Ok(());
        }
        let decoded = if header.is_compressed() { Some(decode(header, &used)?) } else { None };
        header.verify(&used, decoded.as_deref())
    }

    /// Compares the checksums of all blocks.
    pub fn verify(&self) -> Result<()> {
        let blocks = self.blocks();
        for number in 0..blocks.len()? {
            let verify = || self.verify_block(&blocks.block(number as i64)?);
            verify().place(|| format!("{}: block {number}", self.name()))?;
        }
        Ok(())
    }

    /// The data of a block, decompressed.
    pub fn block_data(&self, number: i64) -> Result<Vec<u8>> {
        let header = self.block(number)?;
        let read = || {
            let mut used = Vec::new();
            self.blocks().read(&header, &mut used)?;
            if header.is_compressed() { decode(&header, &used) } else { Ok(used) }
        };
        read().place(|| format!("{}: block {number}", self.name()))
    }

    /// Opens a file that this one names: by a path relative to its own folder, which it cannot leave.
    pub fn open_other(&self, uri: &str) -> Result<Self> {
        let key = relative_key(self.key(), uri).place(|| self.name())?;
        if key == self.key() {
            return Ok(self.clone());
        }
        if let Some(known) = lock(&self.0.others).get(&key) {
            return Ok(known.clone());
        }
        let other = Self::open_with(self.0.store.clone(), &key, self.0.options)?;
        Ok(lock(&self.0.others).entry(key).or_insert(other).clone())
    }
}

/// Decompresses the data of a block.
fn decode(header: &BlockHeader, used: &[u8]) -> Result<Vec<u8>> {
    decompress(header.compression, used, header.data_size)
}

/// The key of a file that another one names by a relative URI.
fn relative_key(key: &str, uri: &str) -> Result<String> {
    let shown = || uri.chars().take(200).collect::<String>();
    let first = uri.split('/').next().unwrap_or_default();
    if first.contains(':') || uri.starts_with('/') {
        let what = format!("{:?} is not a relative path: other files are read beside this one only", shown());
        return Err(Error::unsupported(what));
    }
    let path = percent_decoded(uri).ok_or_else(|| Error::metadata(format!("{:?} is not a URI", shown())))?;
    beside(key, &path)
}

/// The key of what another one names by a relative path.
pub(super) fn beside(key: &str, path: &str) -> Result<String> {
    let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") || path.contains(['\0', '\\']) {
        let shown: String = path.chars().take(200).collect();
        let what = format!("{shown:?} leads out of the folder: other files are read beside this one only");
        return Err(Error::unsupported(what));
    }
    let path = names.join("/");
    Ok(key.rsplit_once('/').map_or(path.clone(), |(folder, _)| format!("{folder}/{path}")))
}

/// Replaces `%20` and the like.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(decoded).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_lie_beside_this_one() {
        let key = |from: &str, uri: &str| relative_key(from, uri).ok();
        assert_eq!(key("a.asdf", "a0000.asdf").as_deref(), Some("a0000.asdf"));
        assert_eq!(key("folder/a.asdf", "./sub/b%20c.asdf").as_deref(), Some("folder/sub/b c.asdf"));
        for uri in ["/etc/a.asdf", "file:///a.asdf", "http://x/a.asdf", "../a.asdf", "b/%2e%2e/a.asdf", "%zz", "a%"] {
            assert_eq!(key("folder/a.asdf", uri), None, "{uri}");
        }
    }
}

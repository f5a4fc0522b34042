//! Stores: objects of bytes under keys.
//!
//! A store does not know about arrays. Reading takes two steps, so that all reads of one call share a handle:
//! [`Store::open`] a key, then [`Object::read`] the ranges that are needed. Opening sends no request; the first read
//! finds out whether the object exists.
//!
//! A new store implements three methods of [`Store`]: `open`, `profile` and `display`. One that can be written also
//! implements [`WritableStore`] (`set` and `erase`) and returns itself from `writable`:
//!
//! ```
//! use tegula::Result;
//! use tegula::store::{InMemory, Object, Profile, Store, get};
//!
//! /// Every object is its key.
//! #[derive(Debug, Default)]
//! struct Echo(Profile);
//!
//! impl Store for Echo {
//!     fn open(&self, key: &str) -> Result<Box<dyn Object>> {
//!         Ok(Box::new(InMemory::new(key.as_bytes().to_vec(), 0)))
//!     }
//!
//!     fn profile(&self) -> &Profile {
//!         &self.0
//!     }
//!
//!     fn display(&self, key: &str) -> String {
//!         format!("echo:/{key}")
//!     }
//! }
//!
//! assert_eq!(get(&Echo::default(), "a/b", 100)?.unwrap(), b"a/b");
//! # Ok::<(), tegula::Error>(())
//! ```

mod ahead;
mod byte_lock;
mod closing;
mod filesystem;
mod folder_lock;
mod lock;
mod memory;
mod object;
mod parts;
mod profile;
mod read_only;
mod reference;
#[cfg(feature = "cloud")]
mod remote;
mod single_lock;
mod system;
mod temporary;
mod zip;

pub(crate) use ahead::Ahead;
pub use filesystem::FilesystemStore;
pub(crate) use folder_lock::LockScope;
pub use lock::Guard;
pub use memory::MemoryStore;
pub use object::{ByteRange, InMemory, Object, Stat, resolve};
pub(crate) use object::{ObjectPart, clipped, reserve};
pub use parts::{Piece, assemble};
pub use profile::{Exclusion, Identity, Profile};
pub use read_only::ReadOnlyStore;
pub use reference::{Reference, ReferenceStore};
#[cfg(feature = "cloud")]
pub use remote::{RemoteOptions, RemoteStats, RemoteStore};
pub(crate) use system::OpenFiles;
pub(crate) use temporary::{NamedFile, left_over_within};
pub use temporary::{remove_temporaries, temporary_name};
pub use zip::{ZipStore, ZipWriter};

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Place, Result};
use crate::runtime::{check, storing};

/// Where the bytes of a key are stored; see [`Store::locate`].
#[derive(Clone)]
pub struct Location {
    /// The store that has the object.
    pub store: Arc<dyn Store>,
    /// The object's key in that store.
    pub key: String,
    /// Offset and length of the part of the object; `None`: all of it.
    pub part: Option<(u64, u64)>,
}

/// Names directly under a prefix; see [`Store::list_dir`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Names of objects, without the prefix, sorted.
    pub keys: Vec<String>,
    /// Names of deeper prefixes, without the prefix and without a closing `/`, sorted.
    pub prefixes: Vec<String>,
}

/// Readable objects under keys. A key is a path of names joined by `/`; no name is empty, `.` or `..`.
pub trait Store: Send + Sync + fmt::Debug {
    /// Returns a handle on an object; the first read finds out whether the object exists.
    fn open(&self, key: &str) -> Result<Box<dyn Object>>;

    /// Returns facts about the store. They are made with the store; a wrapper starts from those of the store that it
    /// wraps.
    fn profile(&self) -> &Profile;

    /// Returns the name of a key for messages: a path or a URL.
    fn display(&self, key: &str) -> String;

    /// Returns where the bytes of a key are stored, if the store [refers](Profile::refers) to parts of other stores'
    /// objects.
    fn locate(&self, _key: &str) -> Result<Option<Location>> {
        Ok(None)
    }

    /// Returns the path of a key in the local filesystem, if the store is a folder.
    fn local_path(&self, _key: &str) -> Option<PathBuf> {
        None
    }

    /// Lists the names directly under a prefix (`""` is the root; without a closing `/`).
    fn list_dir(&self, _prefix: &str) -> Result<Listing> {
        Err(Error::unsupported(format!("{self:?} cannot be listed")))
    }

    /// Returns all keys below a prefix (`""` is the root), in any order, if the store lists them faster together than
    /// folder by folder; otherwise `None`. Use [`keys_below`].
    fn list_below(&self, _prefix: &str) -> Result<Option<Vec<String>>> {
        Ok(None)
    }

    /// Returns the store of the folder that contains the root of this one, and the name of this root in it.
    fn above(&self) -> Option<(Arc<dyn Store>, String)> {
        None
    }

    /// Lists unused files below a prefix (`""` is the root) that killed writers left, such as temporary files; with
    /// `remove`, removes them.
    fn leftovers(&self, _prefix: &str, _remove: bool) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Returns the store to write to.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported), with the reason why the store is read-only.
    fn writable(&self) -> Result<&dyn WritableStore> {
        Err(Error::unsupported(format!("{self:?} is read-only")))
    }
}

/// A store that can be written. Callers use the methods of the same names of `dyn Store`.
pub trait WritableStore: Store {
    /// Stores a whole object. Readers find the old object or the new one, also after a crash.
    fn set(&self, key: &str, value: &[u8]) -> Result<()>;

    /// Removes an object if it exists.
    fn erase(&self, key: &str) -> Result<()>;

    /// Stores a whole object made of new bytes and of ranges of `old`, the object of this key as it was when it was
    /// opened. By default the ranges are read; stores that can copy ranges themselves override this.
    fn set_parts(&self, key: &str, pieces: &[Piece<'_>], old: Option<&dyn Object>) -> Result<()> {
        if let [Piece::Bytes(bytes)] = pieces {
            return self.set(key, bytes);
        }
        let mut value = Vec::new();
        assemble(pieces, old, self.profile().merge_gap, &mut value)?;
        self.set(key, &value)
    }

    /// Stores an object, or removes it if `value` is `None`, on the condition that it still has the given
    /// [version](Stat::version), or, for version `None`, that it still does not exist. Returns false, and changes
    /// nothing, if another writer has changed it. For [`Exclusion::Versions`].
    fn set_if(&self, _key: &str, _value: Option<&[u8]>, _version: Option<u64>) -> Result<bool> {
        Err(Error::unsupported(format!("{self:?} does not compare versions")))
    }

    /// Locks a key, for writers that read an object, change it and store it again, and for those that replace it.
    /// Threads of this process always exclude each other; [`Profile::exclusion`] says whether other processes are
    /// excluded too.
    fn lock(&self, key: &str) -> Result<Guard> {
        Guard::in_process(self.profile().identity, key)
    }

    /// Locks a key as [`lock`](Self::lock) does; `None` if another writer has locked it.
    fn try_lock(&self, key: &str) -> Result<Option<Guard>> {
        Ok(Guard::try_in_process(self.profile().identity, key))
    }

    /// Removes all objects below a prefix (`""` is the root), those with the names `first` directly under it before
    /// all others. Links out of the store are removed, not followed.
    fn erase_below(&self, prefix: &str, first: &[&str]) -> Result<()> {
        let below = |name: &&str| if prefix.is_empty() { (*name).to_owned() } else { format!("{prefix}/{name}") };
        first.iter().map(below).try_for_each(|key| self.erase(&key))?;
        keys_below(self, prefix)?.iter().try_for_each(|key| {
            check()?;
            self.erase(key)
        })
    }
}

/// The methods of [`WritableStore`] on any store; the error of a read-only store names the key.
impl dyn Store + '_ {
    fn writer(&self, key: &str) -> Result<&dyn WritableStore> {
        self.writable().place(|| format!("cannot change {}", self.display(key)))
    }

    /// Checks that the store can be written; the error names the key.
    pub fn check_writable(&self, key: &str) -> Result<()> {
        self.writer(key).map(|_| ())
    }

    /// [`WritableStore::set`]; fails if the [call](crate::Call) was interrupted.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        let _storing = storing()?;
        self.writer(key)?.set(key, value)
    }

    /// [`WritableStore::erase`]; fails if the call was interrupted.
    pub fn erase(&self, key: &str) -> Result<()> {
        let _storing = storing()?;
        self.writer(key)?.erase(key)
    }

    /// [`WritableStore::set_parts`]; fails if the call was interrupted.
    pub fn set_parts(&self, key: &str, pieces: &[Piece<'_>], old: Option<&dyn Object>) -> Result<()> {
        let _storing = storing()?;
        self.writer(key)?.set_parts(key, pieces, old)
    }

    /// [`WritableStore::set_if`]; fails if the call was interrupted.
    pub fn set_if(&self, key: &str, value: Option<&[u8]>, version: Option<u64>) -> Result<bool> {
        let _storing = storing()?;
        self.writer(key)?.set_if(key, value, version)
    }

    /// [`WritableStore::lock`]; fails if the call was interrupted.
    pub fn lock(&self, key: &str) -> Result<Guard> {
        check()?;
        self.writer(key)?.lock(key)
    }

    /// [`WritableStore::try_lock`]
    pub fn try_lock(&self, key: &str) -> Result<Option<Guard>> {
        self.writer(key)?.try_lock(key)
    }

    /// [`WritableStore::erase_below`]
    pub fn erase_below(&self, prefix: &str, first: &[&str]) -> Result<()> {
        self.writer(prefix)?.erase_below(prefix, first)
    }

    /// Returns which writers a lock excludes. For a read-only store that is everyone, so that a write fails with the
    /// store's reason.
    pub fn exclusion(&self) -> Exclusion {
        self.writable().map_or(Exclusion::Everyone, |store| store.profile().exclusion)
    }
}

/// Reads a whole object of at most `limit` bytes; `None` if there is no such object.
pub fn get(store: &dyn Store, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    Ok(store.open(key)?.read(ByteRange::All, limit, &mut bytes)?.map(|_| bytes))
}

/// Returns the names directly under a prefix among the given keys, as [`Store::list_dir`] does.
pub fn listing<'a>(keys: impl IntoIterator<Item = &'a str>, prefix: &str) -> Listing {
    let mut listing = Listing::default();
    for key in keys {
        let below =
            if prefix.is_empty() { Some(key) } else { key.strip_prefix(prefix).and_then(|key| key.strip_prefix('/')) };
        match below.map(|below| below.split_once('/').ok_or(below)) {
            Some(Err(name)) => listing.keys.push(name.to_owned()),
            Some(Ok((name, _))) if listing.prefixes.last().is_none_or(|last| last != name) => {
                listing.prefixes.push(name.to_owned());
            }
            _ => {}
        }
    }
    listing.keys.sort();
    listing.prefixes.sort();
    listing.prefixes.dedup();
    listing
}

/// Lists all keys below a prefix, sorted.
pub fn keys_below(store: &(impl Store + ?Sized), prefix: &str) -> Result<Vec<String>> {
    if let Some(mut keys) = store.list_below(prefix)? {
        keys.sort();
        return Ok(keys);
    }
    let (mut keys, mut prefixes) = (Vec::new(), vec![prefix.to_owned()]);
    while let Some(prefix) = prefixes.pop() {
        check()?;
        let below = |name: &String| if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let listing = store.list_dir(&prefix)?;
        keys.extend(listing.keys.iter().map(below));
        prefixes.extend(listing.prefixes.iter().map(below));
    }
    keys.sort();
    Ok(keys)
}

/// Checks that a key is a path of plain names, so that it cannot leave the store.
pub fn check_key(key: &str) -> Result<()> {
    let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\0', '\\']);
    if key.split('/').all(plain) { Ok(()) } else { Err(Error::store(format!("{key:?} is not a key of a store"))) }
}

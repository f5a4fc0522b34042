//! Where bytes are kept: objects under keys.
//!
//! A store knows no arrays. Reading goes in two steps, so that all reads of one call share one handle:
//! [`Store::open`] a key, then [`Object::read`] as many ranges of it as are needed. Opening never costs a request of
//! its own: a store that would have to ask whether an object exists leaves the question to the first read.

mod closing;
mod filesystem;
mod lock;
mod memory;
mod parts;
mod read_only;
mod reference;
mod zip;

pub use filesystem::FilesystemStore;
pub(crate) use filesystem::replace_file;
pub use lock::Guard;
pub use memory::MemoryStore;
pub use parts::{Piece, assemble};
pub use read_only::ReadOnlyStore;
pub use reference::{Reference, ReferenceStore};
pub use zip::ZipStore;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// The whole object.
    All,
    /// `length` bytes from `offset` on.
    Range {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// The last bytes.
    Suffix(u64),
}

/// What is known of an object once any part of it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stat {
    /// Size of the whole object in bytes.
    pub size: u64,
    /// Changes whenever the object does (a hash of modification time and inode, an etag, a counter).
    pub version: u64,
    /// Whether the version can be relied on: false for a file that changed so lately that its clock might not tell the
    /// next change apart.
    pub settled: bool,
}

/// An open object of a [`Store`].
pub trait Object: Send + Sync {
    /// Reads a range to the end of `into`, exactly; `None`: there is no such object.
    ///
    /// Of an object larger than `limit` bytes nothing is read with [`ByteRange::All`]: that is
    /// [`ErrorKind::CorruptData`](crate::ErrorKind::CorruptData), as is a range that leaves the object.
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>>;

    /// Fills `into` with the bytes from `offset` on; `None`: there is no such object.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>>;

    /// What is known without reading the object's bytes; `None`: there is no such object.
    fn stat(&self) -> Result<Option<Stat>>;

    /// The whole object, where it is in memory anyway.
    fn bytes(&self) -> Option<&[u8]> {
        None
    }

    /// The file that the object is, for copies that the system makes; they move its position.
    fn file(&self) -> Option<&std::fs::File> {
        None
    }
}

/// Where the bytes of a key really are; see [`Store::locate`].
#[derive(Clone)]
pub struct Location {
    /// The store that holds the object.
    pub store: Arc<dyn Store>,
    /// The object's key there.
    pub key: String,
    /// The part of the object; `None`: all of it.
    pub part: Option<(u64, u64)>,
}

/// What a store holds directly under a prefix; see [`Store::list_dir`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Names of objects, without the prefix, sorted.
    pub keys: Vec<String>,
    /// Names of deeper prefixes, without the prefix and without a closing `/`, sorted.
    pub prefixes: Vec<String>,
}

/// Objects under keys. A key is a path of names joined by `/`, none of them empty, `.` or `..`.
///
/// What a store cannot do (write, list) it leaves as it stands here: an error of kind
/// [`Unsupported`](crate::ErrorKind::Unsupported).
pub trait Store: Send + Sync + fmt::Debug {
    /// A handle on an object; whether it exists is known at the first read.
    fn open(&self, key: &str) -> Result<Box<dyn Object>>;

    /// Whether keys stand for parts of others' objects, which [`locate`](Self::locate) tells.
    fn refers(&self) -> bool {
        false
    }

    /// Where the bytes of a key really are, for a store that only refers to parts of others' objects.
    fn locate(&self, _key: &str) -> Result<Option<Location>> {
        Ok(None)
    }

    /// Stores an object whole: a reader, or a crash, sees the old one or the new one.
    fn set(&self, _key: &str, _value: &[u8]) -> Result<()> {
        Err(Error::unsupported(format!("{self:?} is read-only")))
    }

    /// Stores an object whole, made of pieces, some of which are parts of `old`: the object of this key, as it was when it
    /// was opened. Stores that can copy these by themselves do; otherwise they are read.
    fn set_parts(&self, key: &str, pieces: &[Piece<'_>], old: Option<&dyn Object>) -> Result<()> {
        if let [Piece::Bytes(bytes)] = pieces {
            return self.set(key, bytes);
        }
        let mut value = Vec::new();
        assemble(pieces, old, self.merge_gap(), &mut value)?;
        self.set(key, &value)
    }

    /// Removes an object, if it is there.
    fn erase(&self, _key: &str) -> Result<()> {
        Err(Error::unsupported(format!("{self:?} is read-only")))
    }

    /// Locks a key against all other writers that lock it: for those who read an object, change it and put it back, and
    /// for those who replace it meanwhile. Threads of this process always wait for each other; other processes do where the
    /// store can make them.
    fn lock(&self, key: &str) -> Result<Guard> {
        Ok(Guard::in_process(self.identity(), key))
    }

    /// Whether [`lock`](Self::lock) keeps out everybody who can reach the objects, and not only the threads of this
    /// process. Chunks are not changed in part where it does not, unless the options allow it.
    fn locks_all(&self) -> bool {
        true
    }

    /// What lies directly under a prefix (`""`: the root; no closing `/`).
    fn list_dir(&self, _prefix: &str) -> Result<Listing> {
        Err(Error::unsupported(format!("{self:?} cannot be listed")))
    }

    /// Whether an object all of which is wanted is better read at once: its checksum is checked then, or it is
    /// decompressed for every part.
    fn reads_whole(&self) -> bool {
        false
    }

    /// Two ranges of one object with a gap of at most so many bytes are better read as one.
    fn merge_gap(&self) -> u64 {
        64 << 10
    }

    /// How a person would name a key of this store.
    fn display(&self, key: &str) -> String;

    /// Distinguishes stores in caches: equal only where the objects are the same.
    fn identity(&self) -> u64;
}

/// Reads a whole object into memory; `None`: there is no such object.
pub fn get(store: &dyn Store, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    Ok(store.open(key)?.read(ByteRange::All, limit, &mut bytes)?.map(|_| bytes))
}

/// What of some keys lies directly under a prefix, as [`Store::list_dir`] says it.
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

/// All keys below a prefix, sorted by their names.
pub fn keys_below(store: &dyn Store, prefix: &str) -> Result<Vec<String>> {
    let (mut keys, mut prefixes) = (Vec::new(), vec![prefix.to_owned()]);
    while let Some(prefix) = prefixes.pop() {
        let below = |name: &String| if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let listing = store.list_dir(&prefix)?;
        keys.extend(listing.keys.iter().map(below));
        prefixes.extend(listing.prefixes.iter().map(below));
    }
    keys.sort();
    Ok(keys)
}

/// Removes all objects below a prefix.
pub fn erase_below(store: &dyn Store, prefix: &str) -> Result<()> {
    keys_below(store, prefix)?.iter().try_for_each(|key| store.erase(key))
}

/// Checks that a key is a path of plain names, so that it cannot leave the store.
pub fn check_key(key: &str) -> Result<()> {
    let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\0', '\\']);
    if key.split('/').all(plain) { Ok(()) } else { Err(Error::store(format!("{key:?} is not a key of a store"))) }
}

/// A fresh [`Store::identity`] for a store that shares its objects with no other.
pub(crate) fn fresh_identity() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Resolves a range against the size of an object: (offset, length).
pub fn resolve(range: ByteRange, size: u64, limit: u64) -> Result<(u64, usize)> {
    let (offset, length) = match range {
        ByteRange::All if size > limit => {
            return Err(Error::corrupt(format!("{size} bytes are stored where at most {limit} can belong")));
        }
        ByteRange::All => (0, size),
        ByteRange::Range { offset, length } => (offset, length),
        ByteRange::Suffix(length) => match size.checked_sub(length) {
            Some(offset) => (offset, length),
            None => {
                return Err(Error::corrupt(format!("the last {length} bytes of an object of {size} were asked for")));
            }
        },
    };
    match offset.checked_add(length) {
        Some(end) if end <= size => {
            let length =
                usize::try_from(length).map_err(|_| Error::corrupt(format!("{length} bytes do not fit in memory")))?;
            Ok((offset, length))
        }
        _ => Err(Error::corrupt(format!("bytes {offset} to {offset}+{length} lie outside an object of {size} bytes"))),
    }
}

/// Makes room for `length` more bytes without aborting where there is none.
pub(crate) fn reserve(into: &mut Vec<u8>, length: usize) -> Result<()> {
    into.try_reserve_exact(length).map_err(|_| Error::store(format!("no memory for {length} bytes")))
}

//! Where bytes are kept: objects under keys.
//!
//! A store knows no arrays. Reading goes in two steps, so that all reads of one call share one handle:
//! [`Store::open`] a key, then [`Object::read`] as many ranges of it as are needed. Opening never costs a request of
//! its own: a store that would have to ask whether an object exists leaves the question to the first read.

mod ahead;
mod byte_lock;
mod closing;
mod filesystem;
mod folder_lock;
mod lock;
mod memory;
#[cfg(feature = "cloud")]
mod object;
mod parts;
mod read_only;
mod reference;
mod single_lock;
mod system;
mod temporary;
mod zip;

pub(crate) use ahead::Ahead;
pub use filesystem::FilesystemStore;
pub use lock::Guard;
pub use memory::MemoryStore;
#[cfg(feature = "cloud")]
pub use object::{RemoteOptions, RemoteStats, RemoteStore};
pub use parts::{Piece, assemble};
pub use read_only::ReadOnlyStore;
pub use reference::{Reference, ReferenceStore};
pub(crate) use temporary::replace_named;
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

    /// As [`read`](Self::read), but of a range that leaves the object only what lies in it; so an object is begun or
    /// ended without asking first how large it is.
    fn read_most(&self, range: ByteRange, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let Some(stat) = self.stat()? else { return Ok(None) };
        let (offset, length) = clipped(range, stat.size);
        self.read(ByteRange::Range { offset, length }, u64::MAX, into)
    }

    /// What was known of the object when it was last read, by whatever handle, in a [remote](Store::is_remote) store:
    /// all that this handle reads is of that version, or it fails and has [`changed`](Self::changed).
    fn recall(&self) -> Option<Stat> {
        None
    }

    /// Whether the object still is what was [recalled](Self::recall). Asks the store where nothing was read yet.
    fn confirm(&self) -> Result<bool> {
        Ok(!self.changed())
    }

    /// Whether a read failed because the object is no longer of the version that this handle read before.
    fn changed(&self) -> bool {
        false
    }

    /// Says that a small range is about to be read in parts, so that a handle can read it at once.
    fn prepare(&self, _offset: u64, _length: u64) -> Result<()> {
        Ok(())
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

/// Who else may write a key while it is [locked](Store::lock).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// Nobody: all others wait, or there are none outside of this process.
    Everyone,
    /// Other processes, unnoticed. What changes a part of a chunk is refused, unless the
    /// [options](crate::CodecOptions::unlocked_writes) allow it.
    Process,
    /// Other processes; but [`Store::set_if`] sets nothing over what they wrote.
    Versions,
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

    /// Says that many keys will be locked until what comes back is dropped: the store may keep what it takes to lock them.
    fn lock_many(&self) -> Guard {
        Guard::new(())
    }

    /// Whom [`lock`](Self::lock) keeps out. A store that says nothing is taken for one that others can reach.
    fn exclusion(&self) -> Exclusion {
        Exclusion::Process
    }

    /// Stores an object, or with `None` removes it, if it still has the [version](Stat::version) that was read, or with
    /// `None` if it still is not there. False: it is another by now, and stays so. For [`Exclusion::Versions`].
    fn set_if(&self, _key: &str, _value: Option<&[u8]>, _version: Option<u64>) -> Result<bool> {
        Err(Error::unsupported(format!("{self:?} does not compare versions")))
    }

    /// What writers that were killed left below a prefix (`""`: the root) that is no object, and nobody uses any more,
    /// such as temporary files. Removes it if `remove`.
    fn leftovers(&self, _prefix: &str, _remove: bool) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// What lies directly under a prefix (`""`: the root; no closing `/`).
    fn list_dir(&self, _prefix: &str) -> Result<Listing> {
        Err(Error::unsupported(format!("{self:?} cannot be listed")))
    }

    /// Whether each answer takes a round trip to another machine: then many are asked for at once, and nothing that the
    /// next read tells anyway.
    fn is_remote(&self) -> bool {
        false
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

/// The part of a range that lies in an object of a size: (offset, length).
pub(crate) fn clipped(range: ByteRange, size: u64) -> (u64, u64) {
    match range {
        ByteRange::All => (0, size),
        ByteRange::Range { offset, length } => (offset.min(size), length.min(size.saturating_sub(offset))),
        ByteRange::Suffix(length) => (size.saturating_sub(length), length.min(size)),
    }
}

/// Makes room for `length` more bytes without aborting where there is none.
pub(crate) fn reserve(into: &mut Vec<u8>, length: usize) -> Result<()> {
    into.try_reserve_exact(length).map_err(|_| Error::store(format!("no memory for {length} bytes")))
}

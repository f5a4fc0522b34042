//! Zip archives as stores: archives that are objects of other stores, to read, and archives that are being written.
//!
//! Specification: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>
//!
//! The directory at the archive's end is read when the archive is opened, and again after the archive has changed.
//! Reads of uncompressed entries read only the wanted bytes; other entries are decompressed whole, and take at most the
//! size given in the directory. The checksum of an entry is checked when it is read whole.
//!
//! Entries whose names are not keys (folders, absolute names, `..`) are skipped. Entries cannot overlap.

mod directory;
mod method;
mod records;
mod writer;

pub use writer::ZipWriter;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock};

use self::directory::{Directory, Entry, LOCAL_SIZE};
use super::filesystem::place;
use super::temporary::left_beside;
use super::{
    Ahead, ByteRange, FilesystemStore, Identity, InMemory, Listing, Object, Profile, Stat, Store, WritableStore,
    reserve, resolve,
};
use crate::error::{Error, Place, Result};

/// The entries of a zip archive, read-only; [`ZipWriter`] writes archives.
pub struct ZipStore {
    target: Arc<dyn Store>,
    key: String,
    name: String,
    profile: Profile,
    /// The archive's path if it is a local file.
    file: Option<PathBuf>,
    archive: RwLock<Arc<Archive>>,
}

/// Number of bytes first read from the end of a remote archive.
const REMOTE_TAIL: u64 = 128 << 10;

/// Maximum size of a remote entry that is read with its header.
const REMOTE_ENTRY: u64 = 16 << 20;

/// Maximum length of the fields between name and bytes of a remote entry that is read with one request.
const REMOTE_EXTRA: u64 = 1 << 10;

/// An archive with its directory, in the version that was read.
struct Archive {
    directory: Directory,
    stat: Stat,
}

impl ZipStore {
    /// Opens the archive in a file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let file = path.file_name().and_then(|file| file.to_str());
        let file = file.ok_or_else(|| Error::unsupported("the name of the archive is not valid UTF-8").at(&name))?;
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let store =
            Self::with_name(Arc::new(FilesystemStore::new(folder)), file, name, Identity::of(("zip", place(path))))?;
        Ok(Self { file: Some(path.to_owned()), ..store })
    }

    /// Opens the archive that is an object of another store.
    pub fn new(store: Arc<dyn Store>, key: &str) -> Result<Self> {
        let (name, identity) = (store.display(key), store.profile().identity.part(("zip", key)));
        Self::with_name(store, key, name, identity)
    }

    fn with_name(target: Arc<dyn Store>, key: &str, name: String, identity: Identity) -> Result<Self> {
        let (_, archive) = read_archive(&*target, key).place(|| &name)?;
        let Profile { remote, merge_gap, .. } = *target.profile();
        let profile = Profile { identity, remote, merge_gap, whole_reads: true, ..Profile::default() };
        Ok(Self { target, key: key.to_owned(), name, profile, file: None, archive: RwLock::new(Arc::new(archive)) })
    }

    /// Whether the archive has entries, other than folders, that are not objects of this store.
    pub(super) fn has_others(&self) -> Result<bool> {
        Ok(self.current()?.1.directory.has_others)
    }

    /// Returns the current archive. Locks are only tried: after a fork, a lock may have no holder to release it.
    fn current(&self) -> Result<(Box<dyn Object>, Arc<Archive>)> {
        let object = self.target.open(&self.key)?;
        // Every read of a remote archive checks that it has not changed.
        let stat = if self.profile.remote { object.recall() } else { object.stat()? };
        if let Ok(archive) = self.archive.try_read()
            && archive.stat.settled
            && stat == Some(archive.stat)
        {
            return Ok((object, archive.clone()));
        }
        let (object, archive) = read_archive(&*self.target, &self.key).place(|| &self.name)?;
        let archive = Arc::new(archive);
        if let Ok(mut slot) = self.archive.try_write() {
            *slot = archive.clone();
        }
        Ok((object, archive))
    }
}

fn read_archive(store: &dyn Store, key: &str) -> Result<(Box<dyn Object>, Archive)> {
    let missing = || Error::not_found("no such file");
    let object = store.open(key)?;
    if store.profile().remote {
        // The answer gives the archive's size, and often contains the whole directory.
        let ahead = Ahead::ends(object.into(), 0, REMOTE_TAIL)?.ok_or_else(missing)?;
        let stat = ahead.stat()?.ok_or_else(missing)?;
        let directory = Directory::read(&ahead, stat.size)?;
        let object = store.open(key)?;
        // This handle reads the version seen last, which must be the one that the directory was read from.
        if object.recall().is_some_and(|seen| seen != stat) {
            return Err(Error::store("the archive changed while it was read"));
        }
        return Ok((object, Archive { directory, stat }));
    }
    let stat = object.stat()?.ok_or_else(missing)?;
    let directory = Directory::read(&*object, stat.size)?;
    Ok((object, Archive { directory, stat }))
}

impl std::fmt::Debug for ZipStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// An entry of an archive.
struct EntryObject {
    archive: Box<dyn Object>,
    directory: Arc<Archive>,
    entry: Entry,
    /// The whole entry, after it was decompressed to read a part.
    whole: OnceLock<Result<Vec<u8>>>,
}

impl EntryObject {
    fn stat(&self) -> Stat {
        let Stat { size, version, settled } = self.directory.stat;
        let mut hasher = DefaultHasher::new();
        (size, version).hash(&mut hasher);
        Stat { size: self.entry.size, version: hasher.finish(), settled }
    }

    fn read_archive(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        match self.archive.read_at(offset, into)? {
            Some(_) => Ok(()),
            None => Err(Error::store("the archive was removed while it was read")),
        }
    }

    /// Checks that the entry can be decompressed and does not overlap the next; returns its stored name.
    ///
    /// Called before any memory is allocated for the entry.
    fn check(&self) -> Result<&[u8]> {
        let Entry { method, compressed, size, .. } = self.entry;
        if self.entry.is_unreadable() {
            return Err(Error::unsupported("the zip entry is encrypted"));
        }
        method::check(method, compressed, size)?;
        let name = self.directory.directory.stored_name(&self.entry);
        self.fits((LOCAL_SIZE + name.len() as u64).saturating_add(compressed))?;
        Ok(name)
    }

    /// Checks that `length` bytes from the header belong to the entry.
    fn fits(&self, length: u64) -> Result<()> {
        let Entry { header, end, .. } = self.entry;
        match header.checked_add(length) {
            Some(byte) if byte <= end => Ok(()),
            _ => Err(Error::corrupt(format!("the zip entry at byte {header} overlaps the next entry"))),
        }
    }

    /// Returns the offset of the entry's bytes.
    fn start(&self) -> Result<u64> {
        let (name, Entry { compressed, header, .. }) = (self.check()?, self.entry);
        let mut local = vec![0; LOCAL_SIZE as usize + name.len()];
        self.read_archive(header, &mut local)?;
        let (length, extra) = self.entry.check_local(&local)?;
        if length != name.len() || &local[LOCAL_SIZE as usize..] != name {
            return Err(Error::corrupt(format!("another zip entry begins at byte {header}")));
        }
        let before = LOCAL_SIZE + (length + extra) as u64;
        self.fits(before.saturating_add(compressed))?;
        Ok(header + before)
    }

    /// Announces a read of the whole entry, including its header.
    fn announce(&self) -> Result<()> {
        let Entry { compressed, header, end, .. } = self.entry;
        let length = LOCAL_SIZE + (self.check()?.len() as u64) + compressed;
        self.archive.prepare(header, length.saturating_add(REMOTE_EXTRA).min(end.saturating_sub(header)))
    }

    /// Reads the whole entry.
    fn read_whole(&self, into: &mut [u8]) -> Result<()> {
        self.announce()?;
        let (start, Entry { method, compressed, crc, .. }) = (self.start()?, self.entry);
        if method == method::STORED {
            self.read_archive(start, into)?;
        } else {
            let mut bytes = Vec::new();
            reserve(&mut bytes, compressed as usize)?;
            bytes.resize(compressed as usize, 0);
            self.read_archive(start, &mut bytes)?;
            method::decompress(method, &bytes, into)?;
        }
        match method::crc32(into) {
            found if found == crc => Ok(()),
            found => Err(Error::corrupt(format!("the CRC-32 of the zip entry is {found:08x} instead of {crc:08x}"))),
        }
    }

    fn whole(&self) -> Result<&[u8]> {
        let whole = self.whole.get_or_init(|| {
            let mut bytes = Vec::new();
            self.check()?;
            reserve(&mut bytes, resolve(ByteRange::All, self.entry.size, u64::MAX)?.1)?;
            bytes.resize(self.entry.size as usize, 0);
            self.read_whole(&mut bytes).map(|()| bytes)
        });
        whole.as_deref().map_err(Error::clone)
    }
}

impl Object for EntryObject {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let (offset, length) = resolve(range, self.entry.size, limit)?;
        self.check()?;
        reserve(into, length)?;
        let start = into.len();
        into.resize(start + length, 0);
        self.read_at(offset, &mut into[start..])
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        let range = ByteRange::Range { offset, length: into.len() as u64 };
        let (first, length) = resolve(range, self.entry.size, u64::MAX)?;
        if length as u64 == self.entry.size && self.whole.get().is_none() {
            self.read_whole(into)?;
        } else if self.entry.method == method::STORED {
            self.read_archive(self.start()? + first, into)?;
        } else {
            into.copy_from_slice(&self.whole()?[first as usize..][..length]);
        }
        Ok(Some(self.stat()))
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(Some(self.stat()))
    }

    fn recall(&self) -> Option<Stat> {
        Some(self.stat())
    }

    fn confirm(&self) -> Result<bool> {
        self.archive.confirm()
    }

    fn changed(&self) -> bool {
        self.archive.changed()
    }
}

impl Store for ZipStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let (mut archive, directory) = self.current()?;
        if self.profile.remote {
            archive = Box::new(Ahead::new(archive.into(), directory.stat, Vec::new()).with_most(REMOTE_ENTRY));
        }
        Ok(match directory.directory.find(key)? {
            Some(entry) => Box::new(EntryObject { archive, directory, entry, whole: OnceLock::new() }),
            None => Box::new(InMemory::<Vec<u8>>::missing()),
        })
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        if key.is_empty() { self.name.clone() } else { format!("{}/{key}", self.name) }
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        Ok(self.current()?.1.directory.list(prefix))
    }

    fn leftovers(&self, _: &str, remove: bool) -> Result<Vec<String>> {
        match &self.file {
            Some(path) => {
                let found = left_beside(path, remove).map_err(Error::from).place(|| &self.name)?;
                Ok(found.iter().map(|path| path.display().to_string()).collect())
            }
            None => Ok(Vec::new()),
        }
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Err(Error::unsupported(format!("{} is read-only: {}", self.name, writer::COMPLETE)))
    }
}

#[cfg(test)]
mod tests;

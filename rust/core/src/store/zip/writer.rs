//! Writing archives. An archive is written whole: its entries go to a temporary file as they are stored, uncompressed,
//! and the file gets its directory and the archive's name when it is complete.
//!
//! Sizes and checksums are known before an entry is written, so its header never changes, threads write entries at the
//! same time, and entries can be read before the archive is complete. The crate `zip` writes one entry at a time through
//! one position, goes back to change its header, and cannot read what it wrote; it would replace about 100 lines.
//!
//! Metadata are kept in memory until the end, because they are replaced often. An archive `.ozx` follows
//! [RFC 9 of OME-Zarr](https://ngff.openmicroscopy.org/rfc/9/): `zarr.json` files first, zip64, and a comment.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::super::folder_lock::try_lock_file;
use super::super::temporary::{clean, create, create_folder, followed};
use super::super::{
    ByteRange, Exclusion, Guard, InMemory, Listing, Object, Profile, Stat, Store, WritableStore, check_key, get,
    keys_below, listing, resolve,
};
use super::ZipStore;
use super::method::crc32;
use super::records::{Written, local_header, write_directory};
use crate::error::{Error, Place, Result};
use crate::runtime::lock;

/// Names of metadata files. Their entries are written last or, in an `.ozx`, first.
const METADATA: [&str; 5] = ["zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"];

/// Name of the metadata that an `.ozx` has at its root.
const ROOT: &str = "zarr.json";

/// Version in the comment of an `.ozx` whose root has none: the first that is stored as Zarr V3.
const OME_VERSION: &str = "0.5";

/// Entries up to this size are written together with their header.
const SMALL: usize = 64 << 10;

/// A zip archive that is being written.
///
/// It replaces the file of its name when it is [complete](Self::finish); until then its entries can be read, replaced
/// and erased. Afterwards, the store is read-only. An archive that is dropped before is [given up](Self::discard).
pub struct ZipWriter {
    path: PathBuf,
    name: String,
    profile: Profile,
    state: Mutex<State>,
}

enum State {
    Open(Draft),
    Complete(Arc<ZipStore>),
    Discarded,
}

/// The temporary file of an archive.
struct Draft {
    file: Arc<File>,
    temporary: PathBuf,
    /// Where the archive is stored: the path without links.
    target: PathBuf,
    is_ozx: bool,
    entries: BTreeMap<String, Written>,
    metadata: BTreeMap<String, (Arc<[u8]>, u64)>,
    end: u64,
    /// Whether bytes before `end` belong to no entry.
    has_gaps: bool,
    version: u64,
    process: u32,
    /// Excludes other writers of the archive.
    _guard: Guard,
}

impl ZipWriter {
    /// Begins an archive, in the form of OME-Zarr if its name ends with `.ozx`. Nothing is at `path` before it is
    /// complete, and a file that is there stays until then.
    ///
    /// # Errors
    /// [`StoreError`](crate::ErrorKind::Store) if another writer is writing the archive, or if there is a folder.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let begin = || {
            let target = followed(path)?;
            if target.is_dir() {
                return Err(Error::store("cannot write a zip archive: it is a folder"));
            }
            let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let make = |folder: &Path| create_folder(folder, false);
            make(parent)?;
            let taken = || Error::store("the archive is being written already; close the store that writes it first");
            let guard = try_lock_file(&target, &make)?.ok_or_else(taken)?;
            clean(&target);
            let (file, temporary) = create(parent)?;
            Ok(Draft {
                file: Arc::new(file),
                temporary,
                target,
                is_ozx: path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ozx")),
                entries: BTreeMap::new(),
                metadata: BTreeMap::new(),
                end: 0,
                has_gaps: false,
                version: 0,
                process: process::id(),
                _guard: guard,
            })
        };
        let draft = begin().place(|| &name)?;
        let profile = Profile { merge_gap: 4 << 10, exclusion: Exclusion::Everyone, ..Profile::default() };
        Ok(Self { path: path.to_owned(), name, profile, state: Mutex::new(State::Open(draft)) })
    }

    /// Begins an archive with the entries of the one that is there. They are copied uncompressed.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`ZipStore::open`], and
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if entries have names that are not keys of a store.
    pub fn append(path: impl AsRef<Path>) -> Result<Self> {
        let new = Self::create(&path)?;
        let old = ZipStore::open(&path)?;
        if old.has_others()? {
            let message = "the archive has entries that are not objects of a store, which would be lost";
            return Err(Error::unsupported(message).at(&new.name));
        }
        for key in keys_below(&old, "")? {
            let bytes = get(&old, &key, u64::MAX)?.ok_or_else(|| Error::store("the archive changed").at(&new.name))?;
            new.set(&key, &bytes)?;
        }
        Ok(new)
    }

    /// Completes the archive, which replaces the file of its name. Does nothing if it is complete already.
    ///
    /// If this fails, the archive is still open.
    pub fn finish(&self) -> Result<()> {
        let mut state = lock(&self.state);
        let State::Open(draft) = &mut *state else { return Ok(()) };
        if draft.process != process::id() {
            return Err(Error::store("the process that writes the archive is another one").at(&self.name));
        }
        draft.complete().place(|| format!("cannot complete {}", self.name))?;
        *state = State::Complete(Arc::new(ZipStore::open(&self.path)?));
        Ok(())
    }

    /// Gives up the archive if it is not complete. The file of its name stays as it was.
    pub fn discard(&self) {
        let mut state = lock(&self.state);
        if matches!(*state, State::Open(_)) {
            *state = State::Discarded;
        }
    }

    /// Whether the archive is neither complete nor given up.
    pub fn is_open(&self) -> bool {
        matches!(*lock(&self.state), State::Open(_))
    }

    /// Calls `change` with the draft; an error if the archive is no longer written.
    fn with<T>(&self, change: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        match &mut *lock(&self.state) {
            State::Open(draft) => change(draft),
            State::Complete(_) => Err(Error::unsupported(COMPLETE).at(&self.name)),
            State::Discarded => Err(Error::store("the archive was given up").at(&self.name)),
        }
    }

    /// Returns the store that reads the complete archive; otherwise calls `read` with the draft.
    fn read<T>(&self, read: impl FnOnce(&Draft) -> T) -> Result<std::result::Result<T, Arc<ZipStore>>> {
        match &*lock(&self.state) {
            State::Open(draft) => Ok(Ok(read(draft))),
            State::Complete(store) => Ok(Err(store.clone())),
            State::Discarded => Err(Error::store("the archive was given up").at(&self.name)),
        }
    }
}

/// Why an archive cannot be changed.
pub(super) const COMPLETE: &str = "zip archives are not changed in place; write a new one, or add to it with a store \
                                   that is opened with mode \"a\", which copies its entries";

impl fmt::Debug for ZipWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Draft {
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Reserves space for an entry; returns the file and the offset.
    fn reserve(&mut self, length: u64) -> (Arc<File>, u64) {
        let offset = self.end;
        self.end += length;
        (self.file.clone(), offset)
    }

    fn erase(&mut self, key: &str) {
        self.has_gaps |= self.entries.remove(key).is_some();
        self.metadata.remove(key);
    }

    /// Writes metadata and directory, and renames the file.
    fn complete(&mut self) -> Result<()> {
        let comment = if self.is_ozx { self.comment()? } else { String::new() };
        // The root's metadata first, then breadth-first.
        let mut metadata: Vec<_> = self.metadata.iter().map(|(key, (bytes, _))| (key, bytes.clone())).collect();
        metadata.sort_by_key(|(key, _)| key.matches('/').count());
        let (mut records, mut entries) = (Vec::new(), self.entries.clone());
        let copied = (self.is_ozx || self.has_gaps).then(|| create(self.temporary.parent().unwrap_or(Path::new("."))));
        let copied = copied.transpose()?.map(|(file, path)| (file, Temporary(path)));
        let file = copied.as_ref().map_or(&*self.file, |(file, _)| file);
        let mut out = BufWriter::with_capacity(SMALL, file);
        let mut at = if copied.is_some() { 0 } else { self.end };
        out.seek(SeekFrom::Start(at))?;
        for (key, bytes) in metadata {
            let (header, crc) = (local_header(key, bytes.len() as u64, crc32(&bytes))?, crc32(&bytes));
            out.write_all(&header)?;
            out.write_all(&bytes)?;
            let (header, length) = (header.len() as u64, bytes.len() as u64);
            records.push((key.as_str(), Written { offset: at, header, length, crc, version: 0 }));
            at += header + length;
        }
        if copied.is_some() {
            out.flush()?;
            at = copy_entries(&self.file, &mut entries, file, at)?;
            out.seek(SeekFrom::Start(at))?;
        }
        let first = records.len();
        records.extend(entries.iter().map(|(key, entry)| (key.as_str(), *entry)));
        records[first..].sort_unstable_by_key(|(_, entry)| entry.offset);
        let end = write_directory(&mut out, at, &records, self.is_ozx, &comment)?;
        out.flush()?;
        drop(out);
        file.set_len(end)?;
        if let Ok(old) = fs::metadata(&self.target) {
            file.set_permissions(old.permissions())?;
        }
        match copied {
            Some((_, path)) => fs::rename(&path.0, &self.target)?,
            None => fs::rename(&self.temporary, &self.target)?,
        }
        Ok(())
    }

    /// Returns the comment of an `.ozx`, with the version of OME-Zarr that its root gives.
    fn comment(&self) -> Result<String> {
        let Some((root, _)) = self.metadata.get(ROOT) else {
            return Err(Error::unsupported("an .ozx archive contains Zarr V3: it needs a group or array at its root"));
        };
        let root = crate::json::parse(root)?;
        let version = root.pointer("/attributes/ome/version").and_then(Value::as_str).unwrap_or(OME_VERSION);
        let first = json!({"centralDirectory": {"jsonFirst": true}});
        Ok(json!({"ome": {"version": version, "zipFile": first}}).to_string())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A forked child has a copy of the draft.
        if self.process == process::id() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A file that is removed unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Copies entries to another file, one after the other, and changes their offsets; returns the end.
fn copy_entries(from: &File, entries: &mut BTreeMap<String, Written>, into: &File, start: u64) -> Result<u64> {
    let (mut from, mut into, mut at) = (from, into, start);
    let mut sorted: Vec<_> = entries.values_mut().collect();
    sorted.sort_unstable_by_key(|entry| entry.offset);
    into.seek(SeekFrom::Start(start))?;
    for run in sorted.chunk_by_mut(|one, next| one.end() == next.offset) {
        let (first, end) = (run[0].offset, run[run.len() - 1].end());
        from.seek(SeekFrom::Start(first))?;
        // Between files, this calls `copy_file_range`.
        if io::copy(&mut from.take(end - first), &mut into)? != end - first {
            return Err(Error::store("the temporary file was truncated"));
        }
        for entry in run {
            entry.offset = at + (entry.offset - first);
        }
        at += end - first;
    }
    Ok(at)
}

/// An entry of an archive that is being written.
struct DraftObject {
    file: Arc<File>,
    offset: u64,
    stat: Stat,
}

impl Object for DraftObject {
    fn stat(&self) -> Result<Option<Stat>> {
        Ok(Some(self.stat))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        resolve(ByteRange::Range { offset, length: into.len() as u64 }, self.stat.size, u64::MAX)?;
        self.file.read_exact_at(into, self.offset + offset)?;
        Ok(Some(self.stat))
    }
}

impl Store for ZipWriter {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let found = self.read(|draft| -> Box<dyn Object> {
            if let Some((bytes, version)) = draft.metadata.get(key) {
                return Box::new(InMemory::new(bytes.clone(), *version));
            }
            match draft.entries.get(key) {
                Some(entry) => Box::new(DraftObject {
                    file: draft.file.clone(),
                    offset: entry.offset + entry.header,
                    stat: Stat { size: entry.length, version: entry.version, settled: true },
                }),
                None => Box::new(InMemory::<Vec<u8>>::missing()),
            }
        });
        found?.or_else(|store| store.open(key))
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        if key.is_empty() { self.name.clone() } else { format!("{}/{key}", self.name) }
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        let found = self.read(|draft| {
            let below = |key: &&str| key.starts_with(prefix);
            let from = prefix.to_owned();
            let entries = draft.entries.range(from.clone()..).map(|(key, _)| &**key).take_while(below);
            let metadata = draft.metadata.range(from..).map(|(key, _)| &**key).take_while(below);
            listing(entries.chain(metadata), prefix)
        });
        found?.or_else(|store| store.list_dir(prefix))
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        self.with(|_| Ok(self as &dyn WritableStore))
    }
}

impl WritableStore for ZipWriter {
    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        check_key(key)?;
        if METADATA.contains(&key.rsplit('/').next().unwrap_or(key)) {
            return self.with(|draft| {
                let version = draft.next_version();
                draft.metadata.insert(key.to_owned(), (value.into(), version));
                Ok(())
            });
        }
        let (length, crc) = (value.len() as u64, crc32(value));
        let mut bytes = local_header(key, length, crc)?;
        let header = bytes.len() as u64;
        let (file, offset) = self.with(|draft| Ok(draft.reserve(header + length)))?;
        let written = if value.len() <= SMALL {
            bytes.extend_from_slice(value);
            file.write_all_at(&bytes, offset)
        } else {
            file.write_all_at(&bytes, offset).and_then(|()| file.write_all_at(value, offset + header))
        };
        self.with(|draft| {
            draft.has_gaps |= written.is_err();
            written.map_err(|error| Error::store(error.to_string()).at(&self.name))?;
            let version = draft.next_version();
            let entry = Written { offset, header, length, crc, version };
            draft.has_gaps |= draft.entries.insert(key.to_owned(), entry).is_some();
            Ok(())
        })
    }

    fn erase(&self, key: &str) -> Result<()> {
        self.with(|draft| {
            draft.erase(key);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_written_read_and_replaced() {
        let folder = std::env::temp_dir().join(format!("tegula-zip-writer-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.ozx");
        fs::write(&path, b"old").unwrap();
        let writer = ZipWriter::create(&path).unwrap();
        assert!(ZipWriter::create(&path).unwrap_err().message().contains("is being written"));
        writer.set("c/0", b"first").unwrap();
        let large = vec![5; SMALL + 1];
        writer.set("c/0", &large).unwrap();
        writer.set("b/zarr.json", b"{}").unwrap();
        writer.set("c/1", b"1").unwrap();
        writer.erase("c/1").unwrap();
        assert_eq!(get(&writer, "c/0", 1 << 20).unwrap().unwrap(), large);
        assert_eq!(keys_below(&writer, "").unwrap(), ["b/zarr.json", "c/0"]);
        assert!(writer.finish().unwrap_err().message().contains("at its root"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        writer.set("zarr.json", br#"{"attributes": {"ome": {"version": "0.6"}}}"#).unwrap();
        writer.finish().unwrap();
        assert!(!writer.is_open() && writer.set("c/2", b"").unwrap_err().message().contains("not changed in place"));
        let bytes = fs::read(&path).unwrap();
        assert!(bytes[30..].starts_with(b"zarr.json"));
        let comment = br#"{"ome":{"version":"0.6","zipFile":{"centralDirectory":{"jsonFirst":true}}}}"#;
        assert!(bytes.ends_with(comment) && bytes.len() < SMALL + 1000);
        for store in [&writer as &dyn Store, &ZipStore::open(&path).unwrap()] {
            assert_eq!(get(store, "c/0", 1 << 20).unwrap().unwrap(), large);
            assert_eq!(keys_below(store, "").unwrap(), ["b/zarr.json", "c/0", "zarr.json"]);
        }
        let more = ZipWriter::append(&path).unwrap();
        more.set("c/3", b"more").unwrap();
        drop(more);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        let more = ZipWriter::append(&path).unwrap();
        more.set("c/3", b"more").unwrap();
        more.finish().unwrap();
        assert_eq!(keys_below(&ZipStore::open(&path).unwrap(), "c").unwrap(), ["c/0", "c/3"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }
}

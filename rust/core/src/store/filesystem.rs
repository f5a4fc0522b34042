//! Folders of the local filesystem.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::folder_lock::{close_idle, lock_file, try_lock_file};
use super::system::open_when_possible;
use super::temporary::{TEMPORARY, create_folder, erase_folder, left_over, replace_file, sync_folder};
use super::{
    ByteRange, Exclusion, Guard, Identity, Listing, Object, Piece, Profile, Stat, Store, WritableStore, check_key,
    closing, parts, resolve,
};
use crate::error::{Error, Place, Result};

/// The files below a folder. Keys are paths below it.
#[derive(Clone)]
pub struct FilesystemStore {
    root: PathBuf,
    profile: Profile,
    fsync: bool,
}

impl FilesystemStore {
    /// Opens the store of the files below a folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let profile = Profile {
            identity: Identity::of(("folder", place(&root))),
            // Copying more bytes out of the page cache takes longer than another system call.
            merge_gap: 4 << 10,
            exclusion: Exclusion::Everyone,
            ..Profile::default()
        };
        Self { root, profile, fsync: false }
    }

    /// Sets whether a write returns only after the object and its name are on the disk, so that they survive a loss of
    /// power. By default they survive any end of this process, but not a loss of power.
    #[must_use]
    pub fn with_fsync(self, fsync: bool) -> Self {
        Self { fsync, ..self }
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Replaces a file; creates missing parent folders.
    fn write_whole(&self, path: &Path, fill: impl Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
        let mut old = None;
        let mut write = || {
            replace_file(path, |file| {
                fill(file)?;
                old = closing::replaced(path, file)?;
                // This clock is finer than the filesystem's, so that caches can distinguish two files by their times.
                // The call fails on filesystems without such times.
                let _ = file.set_modified(SystemTime::now());
                if self.fsync { file.sync_all() } else { Ok(()) }
            })
        };
        match (write(), path.parent()) {
            (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
                create_folder(folder, self.fsync)?;
                write()?;
            }
            (done, _) => done?,
        }
        old.into_iter().for_each(closing::close);
        self.sync_name(path)
    }

    /// Waits until a created or removed name is on the disk, if `fsync` is set.
    fn sync_name(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(folder) if self.fsync => sync_folder(folder),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for FilesystemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())
    }
}

/// Ignores that there was nothing to remove.
fn removed(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Returns the canonical path of a file or folder, so that all handles on it share an identity.
pub(super) fn place(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

struct FileObject {
    file: Option<(File, Stat)>,
}

impl FileObject {
    fn open(path: &Path) -> io::Result<Self> {
        // O_NONBLOCK: opening a pipe instead of a file must not hang; it has no effect on regular files.
        let open = || OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
        let file = match open_when_possible(close_idle, open) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self { file: None });
            }
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(Self { file: None });
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut hasher = DefaultHasher::new();
        (metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.ctime_nsec()).hash(&mut hasher);
        // The clock of most filesystems advances every few milliseconds.
        let age = metadata.modified().ok().and_then(|changed| changed.elapsed().ok());
        let settled = age.is_some_and(|age| age > Duration::from_millis(20));
        let stat = Stat { size: metadata.len(), version: hasher.finish(), settled };
        Ok(Self { file: Some((file, stat)) })
    }
}

impl Drop for FileObject {
    fn drop(&mut self) {
        if let Some((file, _)) = self.file.take() {
            closing::close(file);
        }
    }
}

/// Converts the error of a write. A missing parent folder must not be `NotFound`, which would mean that there is no
/// such object.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn unwritten(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::store(error.to_string()),
        _ => error.into(),
    }
}

/// Converts the error of a read; the file may have been truncated since it was opened.
fn cut_short(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::corrupt("the file was truncated while it was read"),
        _ => error.into(),
    }
}

impl Object for FileObject {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        let Some((file, stat)) = &self.file else { return Ok(None) };
        resolve(ByteRange::Range { offset, length: into.len() as u64 }, stat.size, u64::MAX)?;
        file.read_exact_at(into, offset).map_err(cut_short)?;
        Ok(Some(*stat))
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(self.file.as_ref().map(|(_, stat)| *stat))
    }

    fn file(&self) -> Option<&File> {
        self.file.as_ref().map(|(file, _)| file)
    }
}

impl Store for FilesystemStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let path = self.path(key);
        let object = FileObject::open(&path).map_err(Error::from).place(|| path.display().to_string())?;
        Ok(Box::new(object))
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        if key.is_empty() { self.root.display().to_string() } else { self.path(key).display().to_string() }
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        Some(self.path(key))
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        let path = if prefix.is_empty() { self.root.clone() } else { self.path(prefix) };
        let mut listing = Listing::default();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
            Err(error) => return Err(Error::from(error).at(path.display().to_string())),
        };
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 cannot be a key.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with(TEMPORARY) {
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => listing.prefixes.push(name),
                Ok(_) => listing.keys.push(name),
                Err(_) => {} // a dangling link, or erased since
            }
        }
        listing.keys.sort();
        listing.prefixes.sort();
        Ok(listing)
    }

    fn above(&self) -> Option<(Arc<dyn Store>, String)> {
        let mut root = std::path::absolute(&self.root).ok()?;
        if root.components().any(|part| part == Component::ParentDir) {
            root = root.canonicalize().ok()?;
        }
        let (folder, name) = (root.parent()?, root.file_name()?.to_str()?);
        Some((Arc::new(Self::new(folder).with_fsync(self.fsync)), name.to_owned()))
    }

    fn leftovers(&self, prefix: &str, remove: bool) -> Result<Vec<String>> {
        let folder = if prefix.is_empty() { self.root.clone() } else { self.path(prefix) };
        let found = left_over(&folder, remove).map_err(Error::from).place(|| folder.display().to_string())?;
        Ok(found.iter().map(|path| path.display().to_string()).collect())
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Ok(self)
    }
}

impl WritableStore for FilesystemStore {
    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        check_key(key)?;
        let path = self.path(key);
        self.write_whole(&path, |file| file.write_all(value)).map_err(unwritten).place(|| path.display().to_string())
    }

    fn set_parts(&self, key: &str, pieces: &[Piece<'_>], old: Option<&dyn Object>) -> Result<()> {
        check_key(key)?;
        let path = self.path(key);
        let file = old.and_then(Object::file);
        if old.is_some() && file.is_none() {
            let mut value = Vec::new();
            parts::assemble(pieces, old, self.profile.merge_gap, &mut value)?;
            return self.set(key, &value);
        }
        self.write_whole(&path, |new| parts::write(pieces, file, new))
            .map_err(unwritten)
            .place(|| path.display().to_string())
    }

    fn erase(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let path = self.path(key);
        let done = removed(fs::remove_file(&path).and_then(|()| self.sync_name(&path)));
        done.map_err(Error::from).place(|| path.display().to_string())
    }

    /// Also excludes other processes, and threads that use another path to the folder.
    fn lock(&self, key: &str) -> Result<Guard> {
        check_key(key)?;
        let path = self.path(key);
        let create = |folder: &Path| create_folder(folder, self.fsync);
        lock_file(&path, &create).map_err(unwritten).place(|| path.display().to_string())
    }

    fn try_lock(&self, key: &str) -> Result<Option<Guard>> {
        check_key(key)?;
        let path = self.path(key);
        let create = |folder: &Path| create_folder(folder, self.fsync);
        try_lock_file(&path, &create).map_err(unwritten).place(|| path.display().to_string())
    }

    fn erase_below(&self, prefix: &str, first: &[&str]) -> Result<()> {
        // Without a slash at the end, which would follow a link.
        let path: PathBuf = self.path(prefix).components().collect();
        if !prefix.is_empty() {
            check_key(prefix)?;
            let above = path.parent().map_or_else(|| self.root.clone(), place);
            if !above.starts_with(place(&self.root)) {
                let message = format!("a link above it leads out of the store; erase it in {}", above.display());
                return Err(Error::store(message).at(path.display().to_string()));
            }
        }
        let erase = || match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(found) if found.is_dir() => {
                first.iter().try_for_each(|name| removed(fs::remove_file(path.join(name))))?;
                erase_folder(&path)
            }
            _ => removed(fs::remove_file(&path)),
        };
        erase().and_then(|()| self.sync_name(&path)).map_err(Error::from).place(|| path.display().to_string())
    }
}

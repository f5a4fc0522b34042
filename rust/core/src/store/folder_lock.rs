//! One lock file per folder, in which a writer locks the byte that its file's name hashes to.
//!
//! A process opens the lock file once for all of its threads, which exclude each other through a table in memory. It
//! keeps the file open while any thread holds a byte or a [`LockScope`] exists; a lock then costs two system calls.
//! While the file is open, the process shares the lock of the [`USERS`] byte. The last process gets that byte
//! exclusively and removes the file; a process that opened the file in between finds it removed, and opens the next
//! one.
//!
//! The locks belong to the open file. A forked child has it open too, but never uses it, because it has its own table. If
//! a process that holds a byte is killed, its forked children keep that byte locked until they end.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex};

use super::byte_lock::{Mode, attempt, unsupported, wait};
use super::lock::{Guard, Held, LOCK, hash};
use super::profile::Identity;
use super::single_lock::{Prepare, SingleLock, is_at, open};
use super::system::idle_files;
use crate::runtime::{PerProcess, lock};

/// The byte that every process shares while it has the file open.
const USERS: i64 = i64::MAX - 1;

/// Maximum number of unused lock files that stay open within a scope; fewer if the process may open few files.
const IDLE: usize = 64;

/// The lock file of a folder, open and shared.
struct LockFile {
    file: File,
    path: PathBuf,
    /// Distinguishes the file from all others that this process has opened.
    identity: Identity,
}

impl LockFile {
    /// Opens or creates the file; `None` if the filesystem has no byte locks.
    fn open(folder: &Path, create: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<Option<Self>> {
        let path = folder.join(LOCK);
        loop {
            let file = open(&path, folder, Prepare { create, free: close_idle })?;
            match wait(&file, USERS, Mode::Shared) {
                Err(error) if unsupported(&error) => {
                    let _ = fs::remove_file(&path);
                    return Ok(None);
                }
                shared => shared?,
            }
            if is_at(&file, &path)? {
                return Ok(Some(Self { file, path, identity: Identity::fresh() }));
            }
        }
    }

    /// Removes the file unless another process uses it, which then removes it.
    fn finish(&self) {
        if wait(&self.file, USERS, Mode::Free).is_ok() {
            remove_unused(&self.file, &self.path);
        }
    }
}

/// Removes an open lock file unless a process shares it; returns whether it was removed.
fn remove_unused(file: &File, path: &Path) -> bool {
    // If two processes get here at the same time, one removes the file and the other fails.
    let last = attempt(file, USERS, Mode::Exclusive).unwrap_or(false);
    let removed = last && is_at(file, path).unwrap_or(false) && fs::remove_file(path).is_ok();
    // Closing does not unlock if a forked child has the file open too.
    let _ = attempt(file, USERS, Mode::Free);
    removed
}

/// Whether no process uses the lock file at a path; with `remove`, such a file is removed.
pub(super) fn is_unused(path: &Path, remove: bool) -> io::Result<bool> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    if remove {
        return Ok(remove_unused(&file, path));
    }
    match attempt(&file, USERS, Mode::Exclusive) {
        Err(error) if unsupported(&error) => Ok(false),
        free => {
            let _ = attempt(&file, USERS, Mode::Free);
            free
        }
    }
}

/// The lock files that this process has open, by folder.
#[derive(Default)]
struct Table {
    open: HashMap<PathBuf, Entry>,
    scopes: usize,
    /// Folders whose file is unused, the longest idle first; an entry is stale if its file was used again.
    idle: VecDeque<PathBuf>,
}

struct Entry {
    file: Arc<LockFile>,
    users: usize,
    idle: bool,
}

static TABLE: PerProcess<Mutex<Table>> = PerProcess::new(Mutex::default);

/// Returns the file of a folder, in use until it is [`release`]d.
fn acquire(folder: &Path, create: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<Option<Arc<LockFile>>> {
    let find = |table: &mut Table| {
        let entry = table.open.get_mut(folder)?;
        entry.users += 1;
        Some(entry.file.clone())
    };
    if let Some(file) = find(&mut lock(TABLE.get())) {
        return Ok(Some(file));
    }
    let Some(file) = LockFile::open(folder, create)? else { return Ok(None) };
    let mut table = lock(TABLE.get());
    // If another thread was faster, its file is used and this one is closed.
    if let Some(found) = find(&mut table) {
        return Ok(Some(found));
    }
    let file = Arc::new(file);
    table.open.insert(folder.to_owned(), Entry { file: file.clone(), users: 1, idle: false });
    Ok(Some(file))
}

fn release(folder: &Path, file: &Arc<LockFile>) {
    let mut table = lock(TABLE.get());
    let Table { open, scopes, idle } = &mut *table;
    // If our file was removed, the folder has another one by now.
    let Some(entry) = open.get_mut(folder).filter(|entry| Arc::ptr_eq(&entry.file, file)) else { return };
    entry.users -= 1;
    if entry.users > 0 {
        return;
    }
    let mut out = None;
    if *scopes == 0 {
        out = open.remove(folder);
    } else if !entry.idle {
        entry.idle = true;
        idle.push_back(folder.to_owned());
        if idle.len() > idle_files(IDLE)
            && let Some(oldest) = idle.pop_front()
            && let Some(entry) = open.get_mut(&oldest)
        {
            entry.idle = false;
            if entry.users == 0 {
                out = open.remove(&oldest);
            }
        }
    }
    drop(table);
    if let Some(entry) = out {
        entry.file.finish();
    }
}

/// Closes the lock files that no thread uses.
pub(super) fn close_idle() {
    let mut table = lock(TABLE.get());
    table.idle.clear();
    let idle = table.open.extract_if(|_, entry| {
        entry.idle = false;
        entry.users == 0
    });
    let idle: Vec<_> = idle.map(|(_, entry)| entry.file).collect();
    drop(table);
    for file in idle {
        file.finish();
    }
}

/// Closes all lock files, because the process ends.
pub(super) fn close_all() {
    let files: Vec<_> = lock(TABLE.get()).open.drain().map(|(_, entry)| entry.file).collect();
    for file in files {
        file.finish();
    }
}

/// Keeps lock files open between locks while it lives.
pub(crate) struct LockScope {
    process: u32,
}

impl LockScope {
    pub(crate) fn new() -> Self {
        lock(TABLE.get()).scopes += 1;
        Self { process: process::id() }
    }
}

impl Drop for LockScope {
    fn drop(&mut self) {
        if self.process != process::id() {
            return;
        }
        let mut table = lock(TABLE.get());
        table.scopes -= 1;
        if table.scopes > 0 {
            return;
        }
        drop(table);
        close_idle();
    }
}

/// The lock of a file, until this is dropped.
pub(super) struct FolderGuard {
    folder: PathBuf,
    file: Arc<LockFile>,
    byte: i64,
    process: u32,
    _held: Held,
}

/// The byte that stands for a file, below [`USERS`].
fn byte_of(path: &Path) -> i64 {
    (hash(path.file_name().unwrap_or_default().as_encoded_bytes()) >> 2).cast_signed()
}

impl FolderGuard {
    /// Takes the lock of the file at a path; waits for it, or without `block` fails with `WouldBlock`. `None` if the
    /// filesystem has no byte locks.
    pub(super) fn take(path: &Path, create: &dyn Fn(&Path) -> io::Result<()>, block: bool) -> io::Result<Option<Self>> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let byte = byte_of(path);
        loop {
            let Some(file) = acquire(folder, create)? else { return Ok(None) };
            let held = if block {
                Held::wait(file.identity, byte.cast_unsigned(), &path.to_string_lossy()).map_err(io::Error::other)
            } else {
                Held::attempt(file.identity, byte.cast_unsigned()).ok_or_else(|| io::ErrorKind::WouldBlock.into())
            };
            let held = held.inspect_err(|_| release(folder, &file))?;
            // From here on, dropping the guard releases the file.
            let guard = Self { folder: folder.to_owned(), file, byte, process: process::id(), _held: held };
            if !attempt(&guard.file.file, byte, Mode::Exclusive)? {
                if !block {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                log::debug!("waiting for the lock of {}, which another process holds", path.display());
                wait(&guard.file.file, byte, Mode::Exclusive)?;
            }
            if is_at(&guard.file.file, &guard.file.path)? {
                return Ok(Some(guard));
            }
            // The folder was removed or replaced, and the lock file with it.
            let mut table = lock(TABLE.get());
            if table.open.get(folder).is_some_and(|entry| Arc::ptr_eq(&entry.file, &guard.file)) {
                table.open.remove(folder);
            }
            drop(table);
        }
    }
}

impl Drop for FolderGuard {
    fn drop(&mut self) {
        // In a forked child, this is a copy of the parent's guard.
        if self.process == process::id() {
            let _ = wait(&self.file.file, self.byte, Mode::Free);
            release(&self.folder, &self.file);
        }
    }
}

/// Waits for the lock of the file at a path, against other threads and, if the filesystem has locks, other processes.
/// `create` makes missing parent folders.
pub(super) fn lock_file(path: &Path, create: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<Guard> {
    if let Some(guard) = FolderGuard::take(path, create, true)? {
        return Ok(Guard::new(guard));
    }
    let place = hash(path.as_os_str().as_encoded_bytes());
    let held = Held::wait(Identity::of("lock file"), place, &path.to_string_lossy()).map_err(io::Error::other)?;
    Ok(Guard::new((SingleLock::take(path, Prepare { create, free: close_idle }, true)?, held)))
}

/// Locks the file at a path as [`lock_file`] does; `None` if somebody else has locked it.
pub(super) fn try_lock_file(path: &Path, create: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<Option<Guard>> {
    let attempt = || -> io::Result<_> {
        if let Some(guard) = FolderGuard::take(path, create, false)? {
            return Ok(Some(Guard::new(guard)));
        }
        let held = Held::attempt(Identity::of("lock file"), hash(path.as_os_str().as_encoded_bytes()));
        let Some(held) = held else { return Ok(None) };
        Ok(Some(Guard::new((SingleLock::take(path, Prepare { create, free: close_idle }, false)?, held))))
    };
    match attempt() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        taken => taken,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn create(folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    /// Whether a lock file is removed in time: concurrent tests may have scopes that keep it longer.
    fn is_removed(path: &Path) -> bool {
        (0..3000).any(|_| {
            drop(LockScope::new());
            std::thread::sleep(std::time::Duration::from_millis(5 * u64::from(path.exists())));
            !path.exists()
        })
    }

    fn prepare() -> Prepare<'static> {
        Prepare { create: &create, free: close_idle }
    }

    #[test]
    fn a_scope_keeps_files_and_a_replaced_folder_is_locked_again() {
        let folder = std::env::temp_dir().join(format!("tegula-scope-{}", process::id()));
        let own = folder.join("a").join(LOCK);
        let lock = |name: &str| FolderGuard::take(&folder.join(name), &create, true).unwrap().unwrap();
        drop(lock("a/1"));
        assert!(!own.exists());
        let scope = LockScope::new();
        let first = lock("a/1").file.identity;
        assert_eq!(first, lock("a/2").file.identity);
        assert!(own.exists() && !is_unused(&own, true).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        let guard = lock("a/1");
        assert!(guard.file.identity != first && own.exists());
        drop(scope);
        assert!(own.exists());
        drop(guard);
        assert!(is_removed(&own));
        let scope = LockScope::new();
        for name in 0..200 {
            drop(lock(&format!("{name}/x")));
        }
        assert!(super::lock(TABLE.get()).idle.len() <= IDLE);
        drop(scope);
        fs::write(&own, b"").unwrap();
        assert!(is_unused(&own, false).unwrap() && own.exists());
        assert!(is_unused(&own, true).unwrap() && !own.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_thread_locks_a_file_and_no_lock_file_remains() {
        /// No other test locks a file of this name.
        const NAME: &str = "one-at-a-time";
        let folder = std::env::temp_dir().join(format!("tegula-lock-{}", process::id()));
        // A second path to the folder opens its lock file again, as another process does.
        fs::create_dir_all(folder.join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.join("b")).unwrap();
        let (inside, rounds) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (folder, inside, rounds) = (&folder, &inside, &rounds);
                scope.spawn(move || {
                    let _scope = (number % 3 == 0).then(LockScope::new);
                    for _ in 0..100 {
                        let name = if number % 2 == 0 { "a" } else { "b" };
                        let guard = lock_file(&folder.join(name).join(NAME), &create).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        rounds.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(guard);
                    }
                });
            }
        });
        assert_eq!(rounds.into_inner(), 800);
        // Concurrent tests may have scopes that keep the file longer.
        let gone = (0..3000).any(|_| {
            drop(LockScope::new());
            let left = fs::read_dir(folder.join("a")).unwrap().count() as u64;
            std::thread::sleep(std::time::Duration::from_millis(5 * left));
            left == 0
        });
        assert!(gone);
        assert!(!Held::any(byte_of(Path::new(NAME)).cast_unsigned()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_lock_is_tried() {
        let folder = std::env::temp_dir().join(format!("tegula-try-{}", process::id()));
        fs::create_dir_all(folder.join("a")).unwrap();
        // A second path to the folder opens its lock file again, as another process does.
        std::os::unix::fs::symlink("a", folder.join("b")).unwrap();
        let attempt = |name: &str| try_lock_file(&folder.join(name), &create).unwrap();
        let guard = attempt("a/x");
        assert!(guard.is_some() && attempt("a/x").is_none() && attempt("b/x").is_none());
        assert!(attempt("a/y").is_some() && attempt("b/y").is_some());
        drop(guard);
        assert!(attempt("b/x").is_some());
        let held = SingleLock::take(&folder.join("a/z"), prepare(), false).unwrap();
        let error = SingleLock::take(&folder.join("a/z"), prepare(), false).err().unwrap();
        assert!(held.is_some() && error.kind() == io::ErrorKind::WouldBlock);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn single_lock_files_are_used_without_byte_locks() {
        let folder = std::env::temp_dir().join(format!("tegula-single-{}", process::id()));
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let guard = SingleLock::take(&folder.join("a/b"), prepare(), true).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(guard);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.join("a")).unwrap().count(), 0);
        fs::remove_dir_all(folder).unwrap();
    }
}

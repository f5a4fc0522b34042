//! One writer at a time: what a thread holds while it reads an object, changes it and puts it back.

use std::any::Any;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use super::filesystem::TEMPORARY;
use crate::runtime::{PerProcess, lock};

/// A key that no other writer can lock as long as this lives; see [`Store::lock`](super::Store::lock).
///
/// Who holds one must not wait for the threads that decode: one of them may be waiting for this very lock.
#[must_use]
pub struct Guard(#[allow(dead_code)] Box<dyn Any>);

impl Guard {
    /// A guard that frees the key when `held` is dropped.
    pub fn new(held: impl Any) -> Self {
        Self(Box::new(held))
    }

    /// Waits until no other thread of this process holds the key of the store of an identity.
    pub fn in_process(identity: u64, key: &str) -> Self {
        Self::new(Held::wait(identity, key))
    }
}

/// The keys that threads of this process hold.
#[derive(Default)]
struct Keys {
    held: Mutex<HashSet<(u64, String)>>,
    freed: Condvar,
}

static KEYS: PerProcess<Keys> = PerProcess::new(Keys::default);

/// A key in the table, until this is dropped.
pub(super) struct Held((u64, String));

impl Held {
    pub(super) fn wait(identity: u64, key: &str) -> Self {
        let (keys, own) = (KEYS.get(), (identity, key.to_owned()));
        let mut held = lock(&keys.held);
        while !held.insert(own.clone()) {
            held = keys.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        Self(own)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let keys = KEYS.get();
        lock(&keys.held).remove(&self.0);
        keys.freed.notify_all();
    }
}

/// A locked file beside the file that is to be changed, which other processes see too. It goes when it is unlocked.
///
/// There is one for each object, so that processes that write to different chunks never wait for each other.
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    /// Waits for the lock of a file; `None`: the filesystem has no locks.
    pub(super) fn wait(path: &Path) -> io::Result<Option<Self>> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut name = OsString::from(format!("{TEMPORARY}lock-"));
        name.push(path.file_name().unwrap_or_default());
        let path = folder.join(name);
        let open =
            || OpenOptions::new().write(true).create(true).truncate(false).custom_flags(libc::O_CLOEXEC).open(&path);
        loop {
            let file = match open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(folder)?;
                    open()?
                }
                opened => opened?,
            };
            loop {
                match file.lock() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
                    locked => break locked?,
                }
            }
            // Who held it before has removed it: then others may have locked the next file of that name already. As long
            // as ours is open, no other file has its number.
            let own = file.metadata()?;
            match fs::metadata(&path) {
                Ok(found) if (found.dev(), found.ino()) == (own.dev(), own.ino()) => {
                    return Ok(Some(Self { file, path }));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // First removed, then unlocked: what is locked and still there is the lock.
        let _ = fs::remove_file(&self.path);
        // Closing would not do where a forked child has the file too.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_holds_a_key_and_nothing_stays_behind() {
        let folder = std::env::temp_dir().join(format!("tegula-lock-{}", std::process::id()));
        let (inside, rounds) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (folder, inside, rounds) = (&folder, &inside, &rounds);
                scope.spawn(move || {
                    for _ in 0..50 {
                        // Half of the threads see the file alone, as another process does.
                        let held = (number % 2 == 0).then(|| Held::wait(0, "a/b"));
                        let file = LockFile::wait(&folder.join("a/b")).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        rounds.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop((file, held));
                    }
                });
            }
        });
        assert_eq!(rounds.into_inner(), 400);
        assert_eq!(fs::read_dir(folder.join("a")).unwrap().count(), 0);
        assert!(lock(&KEYS.get().held).is_empty());
        fs::remove_dir_all(folder).unwrap();
    }
}

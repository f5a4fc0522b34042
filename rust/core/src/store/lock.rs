//! One writer at a time: what a thread holds while it reads an object, changes it and puts it back.
//!
//! Threads wait for each other in a table of this process, [`Held`]. Files are locked against other processes too:
//! [`lock_file`] takes a byte of their [folder's lock file](super::folder_lock), or a [lock file of their
//! own](super::single_lock) where the system or the filesystem has no such locks.

use std::any::Any;
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use super::folder_lock::FolderGuard;
use super::profile::Identity;
use super::single_lock::SingleLock;
use crate::runtime::{PerProcess, lock};

/// A key that no other writer can lock as long as this lives; see [`WritableStore::lock`](super::WritableStore::lock).
///
/// Who holds one must not wait for the threads that decode: one of them may be waiting for this very lock. The locks of
/// metadata are the exception: callers alone wait for them, never a thread that decodes.
#[must_use]
pub struct Guard(#[allow(dead_code)] Box<dyn Any>);

impl Guard {
    /// A guard that frees the key when `held` is dropped.
    pub fn new(held: impl Any) -> Self {
        Self(Box::new(held))
    }

    /// Waits until no other thread of this process holds the key of the store of an identity.
    pub fn in_process(identity: Identity, key: &str) -> Self {
        Self::new(Held::wait(identity, hash(key.as_bytes())))
    }
}

/// Waits until nobody else holds the file at a path: no other thread, and no other process where the filesystem has locks.
/// Folders that lead there are made by `create`.
pub(super) fn lock_file(path: &Path, create: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<Guard> {
    if let Some(guard) = FolderGuard::wait(path, create)? {
        return Ok(Guard::new(guard));
    }
    let held = Held::wait(Identity::of("lock file"), hash(path.as_os_str().as_encoded_bytes()));
    Ok(Guard::new((SingleLock::wait(path, create)?, held)))
}

/// FNV-1a: the same in every process and every version.
pub(super) fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// What threads of this process hold: the number of a store or a lock file, and the hash of a key.
#[derive(Default)]
struct Keys {
    held: Mutex<HashSet<(Identity, u64)>>,
    freed: Condvar,
}

static KEYS: PerProcess<Keys> = PerProcess::new(Keys::default);

/// A key in the table, until this is dropped.
pub(super) struct Held((Identity, u64));

impl Held {
    pub(super) fn wait(identity: Identity, hash: u64) -> Self {
        let (keys, own) = (KEYS.get(), (identity, hash));
        let mut held = lock(&keys.held);
        while !held.insert(own) {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::folder_lock::LockScope;
    use super::*;

    fn create(folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    #[test]
    fn one_holds_a_file_and_nothing_stays_behind() {
        let folder = std::env::temp_dir().join(format!("tegula-lock-{}", std::process::id()));
        // The second name of one folder: another description of its lock file, as another process has it.
        fs::create_dir_all(folder.join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.join("b")).unwrap();
        let (inside, rounds) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (folder, inside, rounds) = (&folder, &inside, &rounds);
                scope.spawn(move || {
                    let _scope = (number % 3 == 0).then(LockScope::new);
                    for _ in 0..100 {
                        let name = if number % 2 == 0 { "a/x" } else { "b/x" };
                        let guard = lock_file(&folder.join(name), &create).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        rounds.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(guard);
                    }
                });
            }
        });
        assert_eq!(rounds.into_inner(), 800);
        // Tests beside this one may have scopes of their own, which keep it longer.
        let gone = (0..3000).any(|_| {
            drop(LockScope::new());
            let left = fs::read_dir(folder.join("a")).unwrap().count() as u64;
            std::thread::sleep(std::time::Duration::from_millis(5 * left));
            left == 0
        });
        assert!(gone);
        assert!(!lock(&KEYS.get().held).iter().any(|(_, held)| *held == hash(b"x")));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_of_their_own_are_locked_where_there_are_no_others() {
        let folder = std::env::temp_dir().join(format!("tegula-single-{}", std::process::id()));
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let guard = SingleLock::wait(&folder.join("a/b"), &create).unwrap();
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

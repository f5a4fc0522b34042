//! Locks among the threads of this process, and the guard of any lock.
//!
//! Files are locked against other processes too, by [`folder_lock`](super::folder_lock).

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use super::profile::Identity;
use crate::runtime::{PerProcess, lock};

/// Holds the lock of a key until it is dropped; see [`WritableStore::lock`](super::WritableStore::lock).
///
/// The holder must not wait for the threads that decode, because one of them may be waiting for this lock. Locks of
/// metadata are an exception: threads that decode never wait for them.
#[must_use]
pub struct Guard(#[allow(dead_code)] Box<dyn Any + Send>);

impl Guard {
    /// Creates a guard that unlocks by dropping `held`.
    pub fn new(held: impl Any + Send) -> Self {
        Self(Box::new(held))
    }

    /// Waits until no other thread of this process has locked the key, then locks it.
    pub fn in_process(identity: Identity, key: &str) -> Self {
        Self::new(Held::wait(identity, hash(key.as_bytes())))
    }

    /// Locks the key unless another thread of this process has locked it.
    pub fn try_in_process(identity: Identity, key: &str) -> Option<Self> {
        Held::attempt(identity, hash(key.as_bytes())).map(Self::new)
    }
}

/// Name of a folder's lock file. The lock file of a single file appends `-` and that file's name.
pub(super) const LOCK: &str = ".tegula-lock";

/// Hashes a name with FNV-1a, which is the same in every process and version.
pub(super) fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The keys that threads of this process have locked: the identity of a store or a lock file, and the hash of the key.
#[derive(Default)]
struct Keys {
    held: Mutex<HashSet<(Identity, u64)>>,
    freed: Condvar,
}

static KEYS: PerProcess<Keys> = PerProcess::new(Keys::default);

/// A locked key; unlocked when dropped.
pub(super) struct Held((Identity, u64));

impl Held {
    pub(super) fn wait(identity: Identity, hash: u64) -> Self {
        let (keys, key) = (KEYS.get(), (identity, hash));
        let mut held = lock(&keys.held);
        while !held.insert(key) {
            held = keys.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        Self(key)
    }

    pub(super) fn attempt(identity: Identity, hash: u64) -> Option<Self> {
        lock(&KEYS.get().held).insert((identity, hash)).then(|| Self((identity, hash)))
    }

    /// Whether any thread has locked a key with this hash.
    #[cfg(test)]
    pub(super) fn any(hash: u64) -> bool {
        lock(&KEYS.get().held).iter().any(|(_, held)| *held == hash)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let keys = KEYS.get();
        lock(&keys.held).remove(&self.0);
        keys.freed.notify_all();
    }
}

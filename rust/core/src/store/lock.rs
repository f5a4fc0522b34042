//! Locks among the threads of this process, and the guard of any lock.
//!
//! Files are locked against other processes too, by [`folder_lock`](super::folder_lock).

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::profile::Identity;
use crate::error::{Error, Result};
use crate::runtime::{Call, PerProcess, check, current, lock, waiting};

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

    /// Waits until no other thread of this process has locked the key, then locks it. Fails if that would never be,
    /// because the holder waits for this call, or if the call is interrupted.
    pub fn in_process(identity: Identity, key: &str) -> Result<Self> {
        Held::wait(identity, hash(key.as_bytes()), key).map(Self::new)
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

/// A lock: the identity of a store or a lock file, and the hash of the key.
type Key = (Identity, u64);

/// The locks of this process.
#[derive(Default)]
struct Locks {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    held: HashMap<Key, Holder>,
    /// The lock that each waiting thread waits for.
    waiting: HashMap<ThreadId, Key>,
}

/// Who holds a lock.
struct Holder {
    thread: ThreadId,
    call: Arc<Call>,
}

impl State {
    /// Whether the holder of a lock waits for a thread of a call, so that the thread would wait forever.
    fn is_deadlock(&self, mut key: Key, thread: ThreadId, call: &Call) -> bool {
        // As many steps as threads wait, in case others wait for each other.
        for _ in 0..=self.waiting.len() {
            let Some(holder) = self.held.get(&key) else { return false };
            if holder.thread == thread || call.is_in(&holder.call) {
                return true;
            }
            let Some(next) = self.waiting.get(&holder.thread) else { return false };
            key = *next;
        }
        false
    }
}

static LOCKS: PerProcess<Locks> = PerProcess::new(Locks::default);

/// Time after which a waiting thread looks whether its call was interrupted.
const INTERVAL: Duration = Duration::from_millis(50);

/// A locked key; unlocked when dropped.
pub(super) struct Held(Key);

impl Held {
    /// Waits for the lock of a hash. `name` is for messages.
    pub(super) fn wait(identity: Identity, hash: u64, name: &str) -> Result<Self> {
        let (locks, key) = (LOCKS.get(), (identity, hash));
        let holder = Holder { thread: thread::current().id(), call: current() };
        let mut state = lock(&locks.state);
        if state.held.contains_key(&key) {
            log::debug!("waiting for the lock of {name}, which another thread holds");
            drop(state);
            return waiting(|| Self::wait_long(locks, key, holder, name));
        }
        state.held.insert(key, holder);
        Ok(Self(key))
    }

    fn wait_long(locks: &Locks, key: Key, holder: Holder, name: &str) -> Result<Self> {
        let mut state = lock(&locks.state);
        while state.held.contains_key(&key) {
            if state.is_deadlock(key, holder.thread, &holder.call) {
                return Err(Error::store(format!(
                    "{name} is locked by the call that waits for this one; a store or a codec cannot write to an array \
                     that it is storing"
                )));
            }
            state.waiting.insert(holder.thread, key);
            state = locks.freed.wait_timeout(state, INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting.remove(&holder.thread);
            if state.held.contains_key(&key) {
                drop(state);
                check()?;
                state = lock(&locks.state);
            }
        }
        state.held.insert(key, holder);
        Ok(Self(key))
    }

    pub(super) fn attempt(identity: Identity, hash: u64) -> Option<Self> {
        let mut state = lock(&LOCKS.get().state);
        let Entry::Vacant(entry) = state.held.entry((identity, hash)) else { return None };
        entry.insert(Holder { thread: thread::current().id(), call: current() });
        Some(Self((identity, hash)))
    }

    /// Whether any thread has locked a key with this hash.
    #[cfg(test)]
    pub(super) fn any(hash: u64) -> bool {
        lock(&LOCKS.get().state).held.keys().any(|(_, held)| *held == hash)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let locks = LOCKS.get();
        let holder = lock(&locks.state).held.remove(&self.0);
        locks.freed.notify_all();
        drop(holder);
    }
}

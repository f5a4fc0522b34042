//! Facts about a store that readers and writers of arrays need.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// Facts about a store; see [`Store::profile`](super::Store::profile).
///
/// ```
/// use tegula::store::{Exclusion, Profile};
///
/// let profile = Profile { remote: true, merge_gap: 1 << 20, ..Profile::default() };
/// assert_eq!(profile.exclusion, Exclusion::Process);
/// ```
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Distinguishes stores in caches and locks; the default is a fresh one.
    pub identity: Identity,
    /// Whether each answer takes a round trip to another machine. Then many requests are sent concurrently, and no
    /// request whose answer comes with the next read anyway.
    pub remote: bool,
    /// Whether a whole object should be read with one call, because only that checks its checksum, or because every
    /// partial read decompresses all of it.
    pub whole_reads: bool,
    /// Two ranges of one object are read with one call if at most this many bytes are between them.
    pub merge_gap: u64,
    /// Whether keys refer to parts of other stores' objects, which [`Store::locate`](super::Store::locate) finds.
    pub refers: bool,
    /// Whether the store is code that may depend on the thread of the caller.
    pub thread_bound: bool,
    /// Which writers a [lock](super::WritableStore::lock) excludes.
    pub exclusion: Exclusion,
}

impl Default for Profile {
    /// Returns the profile of a store on this machine that other processes can reach and that shares no objects with
    /// another store.
    fn default() -> Self {
        Self {
            identity: Identity::fresh(),
            remote: false,
            whole_reads: false,
            merge_gap: 64 << 10,
            refers: false,
            thread_bound: false,
            exclusion: Exclusion::Process,
        }
    }
}

/// The other writers that cannot write a key while it is [locked](super::WritableStore::lock).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// All of them.
    Everyone,
    /// Only threads of this process; other processes can write unnoticed. Changes of a part of a chunk are refused
    /// unless the [options](crate::CodecOptions::unlocked_writes) allow them.
    Process,
    /// Only threads of this process; but [`WritableStore::set_if`](super::WritableStore::set_if) never overwrites what
    /// other processes wrote.
    Versions,
}

/// Distinguishes stores in caches and locks: with equal identities, equal keys have equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(u64);

impl Identity {
    /// Returns an identity that nothing else in this process has.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self::of(("fresh", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Returns the identity of a location, such as `("folder", path)`: handles on the same location share caches and
    /// locks.
    pub fn of(place: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Returns the identity of a part of this location.
    #[must_use]
    pub fn part(self, part: impl Hash) -> Self {
        Self::of((self, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_handles_on_one_place_share_an_identity() {
        assert_ne!(Profile::default().identity, Profile::default().identity);
        let folder = |path: &str| Identity::of(("folder", path));
        assert_eq!(folder("a").part("b"), folder("a").part("b"));
        assert!(folder("a") != folder("b") && folder("a") != folder("a").part(""));
    }
}

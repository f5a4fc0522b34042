//! What readers and writers of arrays need to know about a store.

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Distinguishes stores in caches and locks; a fresh one by default.
    pub identity: Identity,
    /// Whether each answer takes a round trip to another machine. Then many requests are sent at once, and none whose
    /// answer the next read gives anyway.
    pub remote: bool,
    /// Whether an object that is wanted whole is better read with one call, because its checksum is checked then or
    /// because every partial read decompresses it.
    pub whole_reads: bool,
    /// Two ranges of one object are read as one if at most this many bytes are between them.
    pub merge_gap: u64,
    /// Whether keys stand for parts of other stores' objects, which [`Store::locate`](super::Store::locate) finds.
    pub refers: bool,
    /// Which writers a [lock](super::WritableStore::lock) excludes.
    pub exclusion: Exclusion,
}

impl Default for Profile {
    /// A store on this machine that other processes can reach, and that shares its objects with no other store.
    fn default() -> Self {
        Self {
            identity: Identity::fresh(),
            remote: false,
            whole_reads: false,
            merge_gap: 64 << 10,
            refers: false,
            exclusion: Exclusion::Process,
        }
    }
}

/// Which other writers cannot write a key while it is [locked](super::WritableStore::lock).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// All of them.
    Everyone,
    /// Only threads of this process; other processes write unnoticed. Changes of a part of a chunk are refused unless the
    /// [options](crate::CodecOptions::unlocked_writes) allow them.
    Process,
    /// Only threads of this process; but [`WritableStore::set_if`](super::WritableStore::set_if) does not overwrite what
    /// other processes wrote.
    Versions,
}

/// Distinguishes what is cached or locked: equal identities mean equal bytes under equal keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(u64);

impl Identity {
    /// Returns an identity that nothing else in this process has.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self::of(("fresh", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Returns the identity of a place, such as `("folder", path)`: two handles on one place share caches and locks.
    pub fn of(place: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Returns the identity of a part of this place.
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

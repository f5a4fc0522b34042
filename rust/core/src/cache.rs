//! Caches of chunks: least recently used entries within a limit.
//!
//! An entry is a chunk; of a sharded array, an inner chunk. Entries have the version of their object, so that a
//! rewritten chunk never returns its old content.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::thread::{self, ThreadId};

use lru::LruCache;

use crate::error::{Error, Result};
use crate::runtime::{PerProcess, Shared, lock};
use crate::store::Identity;

/// The key of a cache entry: a part of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// Identity of the array, or of the store if the entry does not depend on the codecs.
    pub(crate) identity: Identity,
    /// Key of the object.
    pub(crate) key: String,
    /// Offset in the object, in bytes.
    pub(crate) offset: u64,
}

/// The form in which a [`ChunkCache`] keeps chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    Encoded,
    Decoded,
}

/// The size of a [`ChunkCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLimit {
    /// A number of chunks; of a sharded array, of inner chunks.
    Chunks(u64),
    /// A number of bytes, encoded or decoded as the chunks are kept.
    Bytes(u64),
}

impl std::str::FromStr for CacheLimit {
    type Err = Error;

    /// Parses a number of bytes, such as `256 MB`, `1.5GiB` or `1000`.
    fn from_str(text: &str) -> Result<Self> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
        let number = text[..text.len() - unit.len()].trim().parse::<f64>().ok();
        let factor = match &*unit.trim().to_ascii_lowercase() {
            "" | "b" => Some(1.0),
            "kb" | "k" => Some(1e3),
            "mb" | "m" => Some(1e6),
            "gb" | "g" => Some(1e9),
            "kib" => Some(f64::from(1 << 10)),
            "mib" => Some(f64::from(1 << 20)),
            "gib" => Some(f64::from(1 << 30)),
            _ => None,
        };
        match (number, factor) {
            (Some(number), Some(factor)) => Ok(Self::Bytes((number * factor) as u64)),
            _ => Err(Error::selection(format!("{text:?} is not a number of bytes; write it as \"256 MB\""))),
        }
    }
}

/// Statistics of a [`ChunkCache`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheInfo {
    /// Number of chunks that were found in the cache.
    pub hits: u64,
    /// Number of chunks that had to be read.
    pub misses: u64,
    /// Number of chunks in the cache.
    pub chunks: u64,
    /// Number of bytes in the cache.
    pub bytes: u64,
}

/// A cache of the least recently used chunks of one array or of several; see
/// [`Array::with_cache`](crate::Array::with_cache).
///
/// Clones share their entries. A forked child starts with an empty cache.
#[derive(Clone)]
pub struct ChunkCache(Arc<Inner>);

struct Inner {
    keeps: Keeps,
    limit: Shared<CacheLimit>,
    per_thread: bool,
    hits: AtomicU64,
    misses: AtomicU64,
    kept: PerProcess<Kept>,
}

type Bytes = Arc<Vec<u8>>;

/// The entries: one list for all threads, or one for each.
#[derive(Default)]
struct Kept {
    shared: List,
    threads: RwLock<HashMap<ThreadId, Arc<List>>>,
}

/// Created when the first chunk is kept, with the limit at that time.
type List = Mutex<Option<Lru<Bytes>>>;

impl fmt::Debug for ChunkCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkCache({:?}, {:?}, {:?})", self.0.keeps, self.limit(), self.info())
    }
}

impl ChunkCache {
    /// Creates a cache of encoded chunks, which saves reads.
    pub fn encoded(limit: CacheLimit) -> Self {
        Self::new(Keeps::Encoded, limit)
    }

    /// Creates a cache of decoded chunks, which saves reads and decoding.
    pub fn decoded(limit: CacheLimit) -> Self {
        Self::new(Keeps::Decoded, limit)
    }

    fn new(keeps: Keeps, limit: CacheLimit) -> Self {
        let counter = || AtomicU64::new(0);
        let kept = PerProcess::new(Kept::default);
        let limit = Shared::new(limit);
        Self(Arc::new(Inner { keeps, limit, per_thread: false, hits: counter(), misses: counter(), kept }))
    }

    /// Creates a cache of the same kind with separate entries for each thread. Threads do not wait for each other, but
    /// several may keep the same chunk.
    #[must_use]
    pub fn per_thread(&self) -> Self {
        let Self(inner) = Self::new(self.0.keeps, self.limit());
        let inner = Arc::into_inner(inner).map(|inner| Inner { per_thread: true, ..inner });
        Self(Arc::new(inner.unwrap_or_else(|| unreachable!("a new cache has one owner"))))
    }

    /// Returns statistics.
    pub fn info(&self) -> CacheInfo {
        let mut info = CacheInfo {
            hits: self.0.hits.load(Ordering::Relaxed),
            misses: self.0.misses.load(Ordering::Relaxed),
            ..CacheInfo::default()
        };
        self.each(|lru| {
            info.chunks += lru.entries.len() as u64;
            info.bytes += lru.bytes;
        });
        info
    }

    /// Returns the limit.
    pub fn limit(&self) -> CacheLimit {
        *self.0.limit.read()
    }

    /// Changes the limit.
    pub fn set_limit(&self, limit: CacheLimit) {
        *self.0.limit.write() = limit;
        self.each(|lru| lru.shrink(limit));
    }

    /// Removes all entries.
    pub fn clear(&self) {
        self.each(Lru::clear);
    }

    fn each(&self, mut visit: impl FnMut(&mut Lru<Bytes>)) {
        let kept = self.0.kept.get();
        lock(&kept.shared).as_mut().map(&mut visit);
        for list in kept.threads.read().unwrap_or_else(PoisonError::into_inner).values() {
            lock(list).as_mut().map(&mut visit);
        }
    }

    /// Returns whether chunks are kept decoded.
    pub(crate) fn keeps_decoded(&self) -> bool {
        self.0.keeps == Keeps::Decoded
    }

    fn with<R>(&self, use_list: impl FnOnce(&mut Lru<Bytes>) -> R) -> R {
        let kept = self.0.kept.get();
        let limit = self.limit();
        let use_list = |list: &List| use_list(lock(list).get_or_insert_with(|| Lru::new(limit)));
        if !self.0.per_thread {
            return use_list(&kept.shared);
        }
        let id = thread::current().id();
        let found = kept.threads.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        let list = found.unwrap_or_else(|| {
            kept.threads.write().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
        });
        use_list(&list)
    }

    /// Returns a chunk if it is kept with this version of its object.
    pub(crate) fn get(&self, origin: &Origin, version: u64) -> Option<Bytes> {
        let found = self.with(|list| list.get(origin, version));
        let counter = if found.is_some() { &self.0.hits } else { &self.0.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps a chunk.
    pub(crate) fn put(&self, origin: Origin, version: u64, bytes: Bytes) {
        let size = bytes.len() as u64;
        self.with(|list| list.put(origin, version, bytes, size));
    }
}

/// Least recently used entries within a limit.
pub(crate) struct Lru<V> {
    entries: LruCache<Origin, (u64, u64, V)>,
    limit: CacheLimit,
    bytes: u64,
}

impl<V: Clone> Lru<V> {
    pub(crate) fn new(limit: CacheLimit) -> Self {
        Self { entries: LruCache::unbounded(), limit, bytes: 0 }
    }

    pub(crate) fn get(&mut self, origin: &Origin, version: u64) -> Option<V> {
        let (found, _, value) = self.entries.get(origin)?;
        if *found == version {
            return Some(value.clone());
        }
        if let Some((_, size, _)) = self.entries.pop(origin) {
            self.bytes -= size;
        }
        None
    }

    pub(crate) fn put(&mut self, origin: Origin, version: u64, value: V, size: u64) {
        let (chunks, bytes) = self.limits();
        if size > bytes || chunks == 0 {
            return;
        }
        if let Some((_, (_, old, _))) = self.entries.push(origin, (version, size, value)) {
            self.bytes -= old;
        }
        self.bytes += size;
        self.shrink(self.limit);
    }

    fn limits(&self) -> (u64, u64) {
        match self.limit {
            CacheLimit::Chunks(chunks) => (chunks, u64::MAX),
            CacheLimit::Bytes(bytes) => (u64::MAX, bytes),
        }
    }

    fn shrink(&mut self, limit: CacheLimit) {
        self.limit = limit;
        let (chunks, bytes) = self.limits();
        while self.bytes > bytes || self.entries.len() as u64 > chunks {
            let Some((_, (_, size, _))) = self.entries.pop_lru() else { return };
            self.bytes -= size;
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

/// Returns the cache of the process, for compressed chunks that are read in part; see
/// [`Array::retrieve_selection_into`](crate::Array::retrieve_selection_into). The default limit is 256 MiB.
pub fn shared_cache() -> &'static ChunkCache {
    static SHARED: LazyLock<ChunkCache> = LazyLock::new(|| ChunkCache::decoded(CacheLimit::Bytes(256 << 20)));
    &SHARED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(key: &str) -> Origin {
        Origin { identity: Identity::of(1), key: key.into(), offset: 0 }
    }

    #[test]
    fn limits_hold_and_versions_count() {
        for (limit, kept) in [(CacheLimit::Chunks(2), 2), (CacheLimit::Bytes(25), 2), (CacheLimit::Chunks(0), 0)] {
            let cache = ChunkCache::decoded(limit);
            for key in ["a", "b", "a", "c"] {
                cache.put(origin(key), 1, Arc::new(vec![0; 10]));
            }
            let info = cache.info();
            assert_eq!((info.chunks, info.bytes), (kept, kept * 10));
            assert!(cache.get(&origin("b"), 1).is_none());
            if kept > 0 {
                assert!(cache.get(&origin("a"), 1).is_some());
                assert!(cache.get(&origin("a"), 2).is_none(), "another version");
                assert_eq!(cache.info().chunks, kept - 1);
            }
            cache.clear();
            assert_eq!(cache.info().bytes, 0);
        }
        let cache = ChunkCache::encoded(CacheLimit::Bytes(5));
        cache.put(origin("a"), 1, Arc::new(vec![0; 6]));
        assert_eq!(cache.info().chunks, 0);
    }

    #[test]
    fn threads_keep_their_own() {
        let cache = ChunkCache::decoded(CacheLimit::Chunks(4)).per_thread();
        cache.put(origin("a"), 1, Arc::new(vec![1]));
        let other = cache.clone();
        assert!(thread::spawn(move || other.get(&origin("a"), 1).is_none()).join().unwrap());
        assert!(cache.get(&origin("a"), 1).is_some());
    }
}

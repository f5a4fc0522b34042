//! Indexes of shards, and the cache of those read lately.

use std::sync::{Arc, Mutex};

use super::reader::{Caching, Counts, Reader};
use super::stored::Stored;
use crate::buffer::to_usize;
use crate::cache::{CacheLimit, Lru, Origin};
use crate::chunk_grid::ChunkGrid;
use crate::codec::IndexLocation;
use crate::codec::chain::{Chain, Layout, Shard};
use crate::error::{Error, Result};
use crate::runtime::{PerProcess, lock};
use crate::view::{Axes, Axis, Output, bytes_of, zeroed};

/// Offset and length in the index entry of an inner chunk that is not stored.
pub(crate) const MISSING: u64 = u64::MAX;

/// Indexes of shards of all arrays.
static INDEXES: PerProcess<Mutex<Lru<Arc<ShardIndex>>>> =
    PerProcess::new(|| Mutex::new(Lru::new(CacheLimit::Bytes(128 << 20))));

/// Offsets and lengths of the inner chunks of a shard, in C order.
pub(crate) struct ShardIndex {
    entries: Vec<u64>,
}

impl ShardIndex {
    fn decode(chain: &Chain, stored: &[u8], validate: bool) -> Result<Self> {
        let Layout::Elements(elements) = chain.layout() else {
            return Err(Error::metadata("the index of a shard cannot be sharded"));
        };
        let decoded = chain.decode(stored, validate)?;
        let mut entries = zeroed::<u64>(to_usize(elements.size / 8)?)?;
        let mut stride = 8;
        let mut axes = Axes::new();
        for (length, from) in chain.shape().iter().zip(&elements.strides).rev() {
            axes.push(Axis { length: *length as usize, from: *from as isize, to: stride });
            stride *= *length as isize;
        }
        // SAFETY: one thread.
        let output = unsafe { Output::share(bytes_of(&mut entries)) };
        output.place(0, &axes, &decoded, 0, elements.item)?;
        Ok(Self { entries })
    }

    /// Returns (offset, length) of an inner chunk, or `None` if it is not stored.
    pub(super) fn get(&self, inner: &[u64], grid: &ChunkGrid) -> Option<(u64, u64)> {
        let mut index = 0usize;
        for (i, count) in inner.iter().zip(grid.shape()) {
            index = index * count as usize + *i as usize;
        }
        self.entry(index)
    }

    /// Returns (offset, length) of an inner chunk by its number in C order, or `None` if it is not stored.
    pub(crate) fn entry(&self, number: usize) -> Option<(u64, u64)> {
        match *self.entries.get(2 * number..2 * number + 2)? {
            [MISSING, MISSING] => None,
            [offset, length] => Some((offset, length)),
            _ => None,
        }
    }
}

/// Returns the offset of the index in a shard, or `None` if the shard is shorter than its index.
fn index_offset(stored: &Stored, shard: &Shard) -> Option<u64> {
    let end = stored.length.checked_sub(shard.index_size)?;
    Some(if shard.index_location == IndexLocation::Start { 0 } else { end })
}

impl Reader<'_> {
    /// Returns the cache key of an index at an offset of a shard.
    fn index_origin(&self, stored: &Stored, offset: u64) -> Option<Origin> {
        (stored.is_lasting && stored.stat.settled).then(|| Origin {
            // Another array may decode the same bytes with other codecs.
            identity: stored.store.part(self.source.identity),
            key: stored.key.to_string(),
            // The offset of the index, not of the shard, because a shard may begin where its first inner shard begins.
            offset: stored.offset + offset,
        })
    }

    /// Returns whether the index of a shard is in the cache.
    pub(super) fn has_cached_index(&self, stored: &Stored, shard: &Shard) -> bool {
        let origin = index_offset(stored, shard).and_then(|offset| self.index_origin(stored, offset));
        origin.is_some_and(|origin| lock(INDEXES.get()).get(&origin, stored.stat.version).is_some())
    }

    /// Returns the index of a shard, from the cache if it is there.
    pub(crate) fn index(&self, stored: &Stored, shard: &Shard, counts: &Counts) -> Result<Arc<ShardIndex>> {
        let size = shard.index_size;
        let Some(offset) = index_offset(stored, shard) else {
            let length = stored.length;
            return Err(Error::corrupt(format!("a shard of {length} bytes is shorter than its index of {size}")));
        };
        let origin = self.index_origin(stored, offset);
        if let Some(origin) = &origin
            && let Some(index) = lock(INDEXES.get()).get(origin, stored.stat.version)
        {
            return Ok(index);
        }
        let bytes = Stored { offset: stored.offset + offset, length: size, ..stored.clone() }.read(size)?;
        if stored.is_lasting {
            counts.add_index(1, size);
        }
        let index = Arc::new(ShardIndex::decode(&shard.index, &bytes, self.options.validate_checksums)?);
        if let Some(origin) = origin {
            let size = index.entries.len() as u64 * 16 + 128;
            lock(INDEXES.get()).put(origin, stored.stat.version, index.clone(), size);
        }
        Ok(index)
    }

    /// Reads and decodes a shard that was encoded as a whole; returns it as an object in memory.
    pub(crate) fn decoded_shard(&self, stored: &Stored, chain: &Chain, counts: &Counts) -> Result<Stored> {
        let cache = match self.cache {
            Caching::Array(cache) if cache.keeps_decoded() && stored.is_lasting => Some(cache),
            Caching::Shared(cache) if stored.is_lasting && stored.stat.settled => Some(cache),
            _ => None,
        };
        // The complement of the offset differs from the offset of any inner chunk.
        let origin = || Origin { identity: self.source.identity, key: stored.key.to_string(), offset: !stored.offset };
        let kept = cache.and_then(|cache| cache.get(&origin(), stored.stat.version));
        let decoded = if let Some(decoded) = kept {
            decoded
        } else {
            let bytes = stored.read(chain.stored_size().bound())?;
            if stored.is_lasting {
                counts.add_index(1, stored.length);
            }
            let decoded = Arc::new(chain.decode(&bytes, self.options.validate_checksums)?.to_vec());
            if let Some(cache) = cache {
                cache.put(origin(), stored.stat.version, decoded.clone());
            }
            decoded
        };
        Ok(Stored::in_memory(decoded, stored.store, stored.key.clone()))
    }
}

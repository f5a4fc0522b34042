//! A decoder of parts of one chunk that keeps the chunk between calls.

use super::{Array, FromArrayBytes};
use crate::cache::{CacheLimit, ChunkCache};
use crate::error::Result;
use crate::subset::{ArraySubset, Dims, product};

/// Decodes parts of one chunk; see [`Array::partial_decoder`].
///
/// The chunk (of a shard, its index and each inner chunk that a call touches) is read and decoded once, and kept
/// decoded. After the chunk is rewritten, the next call returns the new content.
#[derive(Clone, Debug)]
pub struct PartialDecoder {
    array: Array,
    chunk: Vec<u64>,
}

impl Array {
    /// Returns a decoder of parts of a chunk. Nothing is read yet.
    pub fn partial_decoder(&self, chunk: &[u64]) -> Result<PartialDecoder> {
        let shape = Dims::from(self.chunk_subset(chunk)?.shape());
        // The decoded size of elements of variable length is unknown.
        let limit = match self.data_type() {
            data_type if data_type.is_variable() => CacheLimit::Chunks(u64::MAX),
            data_type => {
                let size = product(&shape).and_then(|elements| elements.checked_mul(data_type.size() as u64));
                CacheLimit::Bytes(size.unwrap_or(u64::MAX).saturating_add(1 << 20))
            }
        };
        let cache = ChunkCache::decoded(limit);
        Ok(PartialDecoder { array: self.with_cache(Some(cache)), chunk: chunk.to_vec() })
    }
}

impl PartialDecoder {
    /// Returns the array, with the decoder's cache.
    pub fn array(&self) -> &Array {
        &self.array
    }

    /// Returns the index of the chunk.
    pub fn chunk(&self) -> &[u64] {
        &self.chunk
    }

    /// Returns whether the chunk is stored.
    pub fn exists(&self) -> Result<bool> {
        self.array.chunk_exists(&self.chunk)
    }

    /// Decodes regions of the chunk, relative to its first element. All regions are checked before the first is read.
    pub fn partial_decode<T: FromArrayBytes>(&self, subsets: &[ArraySubset]) -> Result<Vec<T>> {
        for subset in subsets {
            self.array.subset_in_chunk(&self.chunk, subset)?;
        }
        subsets.iter().map(|subset| self.array.retrieve_chunk_subset(&self.chunk, subset)).collect()
    }

    /// Returns the number of bytes that the decoder keeps.
    pub fn size_held(&self) -> u64 {
        self.array.cache().map_or(0, |cache| cache.info().bytes)
    }
}

//! Leaves: the chunks and inner chunks to read after shards are resolved.

use smallvec::SmallVec;

use super::reader::{Caching, Reader};
use super::stored::Stored;
use crate::cache::{ChunkCache, Origin};
use crate::codec::Size;
use crate::codec::chain::{ArrayCodecs, Chain, Elements};
use crate::error::{Error, Result};
use crate::plan::Region;
use crate::subset::{Dims, tuple};

/// Indices of the inner chunk at each level, outermost shard first.
pub(super) type InnerPath = SmallVec<[Dims; 1]>;

/// A chunk, or an inner chunk of a shard, that is decoded at once.
pub(super) struct Leaf<'a> {
    /// Number of the chunk in its batch.
    pub(super) chunk: usize,
    /// The inner chunk at each level of shards.
    pub(super) inner: InnerPath,
    pub(super) stored: Stored,
    pub(super) chain: &'a Chain,
    pub(super) elements: &'a Elements,
    /// The elements that are wanted.
    pub(super) region: Region,
}

/// The number of a chunk in its batch, and the error of its read.
pub(super) type ChunkError = (usize, Error);

impl<'a> Leaf<'a> {
    /// Names the inner chunk in an error.
    pub(super) fn fail(&self, error: Error) -> ChunkError {
        let inner = self.inner.iter().rev();
        (self.chunk, inner.fold(error, |error, inner| error.at(format!("inner chunk {}", tuple(inner)))))
    }

    /// Returns whether all elements are wanted.
    pub(super) fn is_whole(&self) -> bool {
        self.region.is_whole(self.chain.shape())
    }

    /// Returns how to unpack the elements, if they are packed and of fixed size.
    pub(super) fn packed_fixed(&self) -> Option<&'a ArrayCodecs> {
        self.chain.array_codecs().filter(|packed| packed.variable().is_none())
    }

    /// Checks that elements without compression have the size of a chunk.
    pub(super) fn check_size(&self) -> Result<()> {
        match self.chain.stored_size() {
            Size::Exact(size) if size != self.stored.length => {
                Err(Error::corrupt(format!("{} bytes are stored instead of {size}", self.stored.length)))
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Reader<'a> {
    /// Returns whether only the wanted elements of a leaf are read: each can be read alone, and no cache keeps the
    /// whole leaf.
    pub(super) fn reads_parts(&self, leaf: &Leaf<'a>) -> bool {
        let whole_object = self.source.store.profile().whole_reads && leaf.inner.is_empty();
        leaf.chain.in_parts() && self.cache_for(leaf).is_none() && !(whole_object && leaf.is_whole())
    }

    /// Returns the cache that may have a leaf and keeps it after it was read.
    pub(super) fn cache_for(&self, leaf: &Leaf<'a>) -> Option<&'a ChunkCache> {
        let Stored { is_lasting, stat, .. } = &leaf.stored;
        match self.cache {
            Caching::Array(cache) if *is_lasting => Some(cache),
            Caching::Shared(cache) if *is_lasting && stat.settled && !leaf.chain.in_parts() => {
                (!leaf.is_whole()).then_some(cache)
            }
            _ => None,
        }
    }

    /// Returns the cache key of a leaf.
    pub(super) fn leaf_origin(&self, leaf: &Leaf<'a>) -> Origin {
        let Stored { key, offset, .. } = &leaf.stored;
        Origin { identity: self.source.identity, key: key.to_string(), offset: *offset }
    }
}

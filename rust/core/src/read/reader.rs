//! The context of a read: the chunks, the options and the cache.

use std::sync::atomic::{AtomicU64, Ordering};

use super::source::Source;
use crate::cache::ChunkCache;
use crate::error::{Error, Place, Result};
use crate::options::{CodecOptions, MissingChunks};
use crate::plan::Region;
use crate::runtime::requests;
use crate::slot::{Keeping, Slot};
use crate::subset::{Dims, tuple};
use crate::view::{Axes, Axis, Output, Transfer};

/// Reads the chunks of an array.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) options: CodecOptions,
    pub(crate) cache: Caching<'a>,
}

/// Which chunks a read keeps, and in which cache.
#[derive(Clone, Copy)]
pub(crate) enum Caching<'a> {
    /// No chunks.
    Off,
    /// All chunks, in the cache of the array.
    Array(&'a ChunkCache),
    /// Chunks that must be decoded whole to read a part, in the cache of the process.
    Shared(&'a ChunkCache),
}

/// Missing chunks and reads of indexes, counted by all threads of a read.
#[derive(Default)]
pub(crate) struct Counts {
    pub(super) missing: AtomicU64,
    pub(super) missing_inner: AtomicU64,
    pub(super) index_requests: AtomicU64,
    pub(super) index_bytes: AtomicU64,
}

impl Counts {
    /// Counts a chunk that is not stored.
    pub(super) fn add_missing(&self) {
        self.missing.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an inner chunk that is not stored.
    pub(super) fn add_missing_inner(&self) {
        self.missing_inner.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts reads of an index, and their bytes.
    pub(super) fn add_index(&self, requests: u64, bytes: u64) {
        self.index_requests.fetch_add(requests, Ordering::Relaxed);
        self.index_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Bounds of the size of a read that joins several leaves, in bytes.
pub(super) struct JoinedSize {
    least: u64,
    pub(super) most: u64,
}

/// For local stores: the bytes are decoded while they are in the CPU's cache.
pub(super) const LOCAL: JoinedSize = JoinedSize { least: 128 << 10, most: 1 << 20 };

/// For stores where each read is a request to another machine.
const REMOTE: JoinedSize = JoinedSize { least: 2 << 20, most: 16 << 20 };

impl Reader<'_> {
    /// Returns whether each chunk is an object, so that no index is needed and no reads can be joined.
    pub(super) fn chunks_are_objects(&self) -> bool {
        self.source.chain.shard().is_none() && !self.source.store.profile().refers
    }

    /// Returns the bounds of reads in this store.
    pub(super) fn joined_size(&self) -> JoinedSize {
        if self.source.store.profile().remote { REMOTE } else { LOCAL }
    }

    /// Returns the maximum size of a read that joins parts of `total` bytes in all, so that all threads get work.
    pub(super) fn largest_read(&self, total: u64) -> u64 {
        let parallel =
            if self.source.store.profile().remote { requests() as u64 } else { 4 * self.options.concurrency() as u64 };
        let JoinedSize { least, most } = self.joined_size();
        (total / parallel).clamp(least, most)
    }

    /// Names a chunk for error messages.
    pub(super) fn describe(&self, chunk: &[u64]) -> String {
        format!("cannot decode chunk {} of {}", tuple(chunk), self.source.name)
    }

    /// Returns an error for a chunk that is not stored, if the options demand one.
    pub(super) fn check_missing(&self, chunk: &[u64]) -> Result<()> {
        if self.options.missing_chunks == MissingChunks::Fill {
            return Ok(());
        }
        let key = self.source.store.display(&self.source.key(chunk));
        let message = format!("nothing is stored at {key}, and missing_chunks is \"error\"");
        Err(Error::not_found(message).at(format!("cannot read chunk {} of {}", tuple(chunk), self.source.name)))
    }

    /// Writes the fill value to a region of the output.
    pub(super) fn fill(&self, region: &Region, output: &Output<'_>) -> Result<()> {
        let axes: Axes =
            region.runs.iter().map(|run| Axis { length: run.length as usize, from: 0, to: run.stride }).collect();
        let jumps = region.jumps(&Dims::<i64>::from_elem(0, region.runs.len()));
        let transfer = Transfer { from: 0, to: region.origin, axes: &axes, jumps: &jumps };
        let value = self.source.chain.fill_value().known().place(|| &self.source.name)?;
        if !self.source.chain.data_type().is_variable() {
            return output.fill_each(transfer, value);
        }
        if let Keeping::Sink(sink) = output.kept()? {
            let mut put = sink.lock();
            return output.each(transfer, Slot::SIZE, Slot::SIZE, |_, to| put(to, value));
        }
        // The first heap contains the fill value.
        let slot = Slot { heap: 0, length: value.len() as u32, offset: 0 };
        output.fill_each(transfer, &slot.to_bytes())
    }
}

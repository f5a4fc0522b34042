//! The chunks, requests and bytes that a read takes.

use super::batch::BATCH;
use super::leaf::Leaf;
use super::reader::{Counts, Reader};
use super::resolve::Purpose;
use crate::error::{Error, Result};
use crate::plan::Region;

/// Maximum number of chunks of a selection that is explained.
const MOST_CHUNKS: u64 = 1 << 24;

/// Chunks, requests and bytes of a read that finds nothing cached but indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Chunks that the selection touches.
    pub chunks: u64,
    /// Chunks that the selection touches and that are not stored.
    pub missing_chunks: u64,
    /// Inner chunks that are read, if the array is sharded.
    pub inner_chunks: u64,
    /// Inner chunks that the selection touches and that are not stored.
    pub missing_inner_chunks: u64,
    /// Reads of the store, including those of indexes.
    pub requests: u64,
    /// Bytes of these reads.
    pub bytes_read: u64,
    /// Bytes of the reads of indexes: of shards, and of the pieces of large chunks. Cached indexes do not count.
    pub index_bytes: u64,
    /// Bytes that are decoded.
    pub bytes_decoded: u64,
    /// Bytes of the selection.
    pub bytes_wanted: u64,
}

impl Reader<'_> {
    /// Explains a read of a region. Visits every chunk, but reads only indexes.
    pub(crate) fn explain(&self, region: &Region) -> Result<Explanation> {
        let parts = region.parts(&self.source.grid);
        if parts > MOST_CHUNKS {
            let message = format!("the selection touches {parts} chunks, and at most {MOST_CHUNKS} can be explained");
            return Err(Error::selection(message));
        }
        let bytes_wanted = region.elements().saturating_mul(self.source.chain.data_type().size() as u64);
        if bytes_wanted > isize::MAX as u64 {
            return Err(Error::selection("the selection is larger than any memory; explain a part of it"));
        }
        let counts = Counts::default();
        let mut found = Explanation { bytes_wanted, ..Explanation::default() };
        let mut split = region.split(&self.source.grid);
        loop {
            let batch: Vec<_> = split.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            found.chunks += batch.len() as u64;
            let mut leaves = self.resolve(&batch, self.options.concurrency(), Purpose::Explain, &counts)?.leaves;
            if self.source.chain.shard().is_some() {
                found.inner_chunks += leaves.len() as u64;
            }
            for group in self.group(&mut leaves) {
                let leaves: Vec<&Leaf<'_>> = leaves[group.parts].iter().collect();
                let is_stored = leaves.iter().all(|leaf| leaf.stored.is_lasting);
                for job in self.jobs(leaves, &counts).map_err(|(_, error)| error)? {
                    let cost = job.cost(self);
                    found.bytes_decoded += cost.bytes_decoded;
                    // The inner chunks of a shard in memory are not read again.
                    if is_stored {
                        found.requests += cost.requests;
                        found.bytes_read += cost.bytes_read;
                    }
                }
            }
        }
        found.missing_chunks = counts.missing.into_inner();
        found.missing_inner_chunks = counts.missing_inner.into_inner();
        found.index_bytes = counts.index_bytes.into_inner();
        found.requests += counts.index_requests.into_inner();
        found.bytes_read += found.index_bytes;
        Ok(found)
    }
}

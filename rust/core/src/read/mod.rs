//! The one way from a selection to elements in a buffer: plan, resolve, fetch, decode, place.
//!
//! - *Plan* ([`Region::split`]) cuts the region at the chunks.
//! - *Resolve* opens what each chunk is stored in and, where that is a shard, replaces it by the inner chunks that are
//!   wanted, for as many levels as there are. A shard that is itself compressed is decoded to memory and is an object
//!   from there on. What comes out is a flat list of [`Leaf`]s over all chunks.
//! - *Fetch* joins leaves that lie close together in one object into one read.
//! - *Decode and place* do one job after the other on all threads, straight into the output where that is possible.

mod cuts;
mod decode;
mod ranges;
mod remote;
mod resolve;
mod source;

use std::sync::Arc;

use resolve::{InnerPath, Leaf};

use crate::cache::ChunkCache;
use crate::codec::chain::Chain;
use crate::error::{Error, Place, Result};
use crate::fetch::{Span, merge, spans};
use crate::options::CodecOptions;
use crate::plan::Region;
use crate::runtime::{parallel, requests};
use crate::slot::{Keeping, Slot};
use crate::subset::{Dims, tuple};
use crate::view::{Axes, Axis, Output};

pub(crate) use remote::Need;
pub(crate) use resolve::{Counts, MISSING, Stored};
pub(crate) use source::{Chains, EachChain, Source};

/// How a read is done.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) options: CodecOptions,
    pub(crate) cache: Caching<'a>,
}

/// Which chunks a read keeps.
#[derive(Clone, Copy)]
pub(crate) enum Caching<'a> {
    /// None.
    Off,
    /// All, in the cache that the array was given.
    Own(&'a ChunkCache),
    /// In the process's cache, those that are decoded for the sake of a part of them.
    Shared(&'a ChunkCache),
}

/// So many chunks are planned and resolved at once; enough to balance, few enough to hold open.
const BATCH: usize = 512;

/// A read of several leaves gets no larger than this, and no smaller than the other.
const READS: (u64, u64) = (128 << 10, 1 << 20);

/// The same where each read is a request to another machine.
const REMOTE_READS: (u64, u64) = (2 << 20, 16 << 20);

/// A chunk of plain elements is read by several threads in parts of about this size.
const PART: u64 = 4 << 20;

/// So many chunks are looked at to explain a read.
const EXPLAINED: u64 = 1 << 24;

/// What a read does, as data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Chunks that the selection touches.
    pub chunks: u64,
    /// Of these, chunks that are not stored.
    pub missing_chunks: u64,
    /// Inner chunks that are read, of sharded arrays.
    pub inner_chunks: u64,
    /// Inner chunks that the selection touches but that are not stored.
    pub missing_inner_chunks: u64,
    /// Reads of the store, those of indexes included.
    pub requests: u64,
    /// Bytes of these reads.
    pub bytes_read: u64,
    /// Of these, bytes that are not cached and tell where the inner chunks of shards lie, or the pieces of large chunks.
    pub index_bytes: u64,
    /// Bytes that are decoded to get at the selection.
    pub bytes_decoded: u64,
    /// Bytes of the selection.
    pub bytes_wanted: u64,
}

impl<'a> Reader<'a> {
    /// Reads a region into the output; returns how many of its chunks are not stored.
    pub(crate) fn read(&self, region: &Region, output: &Output<'_>) -> Result<u64> {
        let counts = Counts::default();
        let mut split = region.split(&self.source.grid);
        loop {
            let batch = self.batch(&mut split);
            if batch.is_empty() {
                return Ok(counts.missing.into_inner());
            }
            if self.source.store.profile().remote {
                self.read_remote(&batch, output, &counts)?;
                continue;
            }
            let limit = self.limit(&batch);
            if self.source.chain.shard().is_none() && !self.source.store.profile().refers {
                // A chunk is an object: there is nothing to look up or join first.
                parallel(&batch, limit, |(chunk, part)| {
                    let Some(stored) = self.open(chunk, Need::Chunk, None, &counts)? else {
                        return self.fill(part, output);
                    };
                    let chain = self.source.chain_of(chunk)?;
                    let Some(elements) = chain.elements() else { return Ok(()) };
                    let (inner, region) = (InnerPath::new(), part.clone());
                    let leaf = Leaf { chunk: 0, inner, stored, chain, elements, region };
                    self.take_or_read(&leaf, output).place(|| self.place(chunk))
                })?;
                continue;
            }
            let mut leaves = self.resolve(&batch, limit, Some(output), &counts)?;
            let jobs = self.jobs(&mut leaves);
            let leaves = &leaves[..];
            parallel(&jobs, limit, |(_, _, range)| {
                self.read_job(&leaves[range.clone()], output)
                    .map_err(|(chunk, error)| error.at(self.place(&batch[chunk].0)))
            })?;
        }
    }

    /// The next chunks of the plan. Large ones of plain elements are cut further, for several threads to read.
    fn batch(&self, split: &mut crate::plan::Split<'_>) -> Vec<(Dims, Region)> {
        let size = match self.source.chain.shard() {
            // What is decoded to memory whole is held until its inner chunks are placed.
            Some(_) if self.source.chain.open_shard().is_none() => self.options.concurrency(),
            Some(_) => BATCH,
            None => BATCH * 16,
        };
        let cuts = !matches!(self.cache, Caching::Own(_)) && !self.source.store.profile().whole_reads;
        let mut batch = Vec::new();
        for (chunk, part) in split.by_ref().take(size) {
            let bytes = part.elements().saturating_mul(self.source.chain.data_type().size() as u64);
            let large = bytes >= 2 * PART && cuts && part.lists.is_empty();
            let chain = if large { self.source.likely_chain(&chunk) } else { None };
            match chain.and_then(Chain::raw) {
                Some(elements) => {
                    // Along the axis that runs slowest in the file.
                    let axis = (0..part.runs.len())
                        .filter(|axis| part.runs[*axis].length > 1)
                        .max_by_key(|axis| elements.strides[*axis].unsigned_abs())
                        .unwrap_or(0);
                    let length = part.runs[axis].length;
                    let rows = (length / bytes.div_ceil(PART)).max(1);
                    let mut first = 0;
                    while first < length {
                        let count = rows.min(length - first);
                        batch.push((chunk.clone(), part.narrowed(axis, first, count)));
                        first += count;
                    }
                }
                None => batch.push((chunk, part)),
            }
        }
        batch
    }

    /// The reads that a leaf of plain elements takes.
    fn spans(&self, leaf: &Leaf<'a>) -> (Vec<Span>, Axes) {
        let store = &self.source.store;
        let largest = if store.profile().remote { REMOTE_READS.1 } else { READS.1 };
        spans(leaf.elements, &leaf.region, store.profile().merge_gap, largest)
    }

    /// How many threads a batch is worth.
    fn limit(&self, batch: &[(Dims, Region)]) -> usize {
        let element = self.source.chain.data_type().size() as u64;
        let small = |size: u64| size.saturating_mul(batch.len() as u64) <= 64 << 10;
        let wanted = batch.iter().map(|(_, part)| part.elements().saturating_mul(element)).max().unwrap_or(0);
        let inner = self.source.chain.shard().map_or(&self.source.chain, |shard| &shard.inner);
        if small(wanted) && (inner.raw().is_some() || small(inner.decoded_size())) {
            1
        } else {
            self.options.concurrency()
        }
    }

    fn place(&self, chunk: &[u64]) -> String {
        format!("cannot decode chunk {} of {}", tuple(chunk), self.source.name)
    }

    fn fill(&self, region: &Region, output: &Output<'_>) -> Result<()> {
        let axes: smallvec::SmallVec<[Axis; 6]> =
            region.runs.iter().map(|run| Axis { length: run.length as usize, from: 0, to: run.stride }).collect();
        let jumps = region.jumps(&Dims::<i64>::from_elem(0, region.runs.len()));
        let value = self.source.chain.fill_value().bytes();
        if self.source.chain.data_type().is_variable() {
            if let Keeping::Sink(sink) = output.kept()? {
                let mut put = sink.lock();
                return output.each(region.origin, &axes, &jumps, Slot::SIZE, 0, Slot::SIZE, |_, to| put(to, value));
            }
            // The first heap is the fill value.
            let slot = Slot { heap: 0, length: value.len() as u32, offset: 0 };
            return output.fill_each(region.origin, &axes, &jumps, &slot.to_bytes());
        }
        output.fill_each(region.origin, &axes, &jumps, value)
    }

    /// How large a read of several parts gets, of which there are so many bytes in all.
    fn largest_read(&self, total: u64) -> u64 {
        if self.source.store.profile().remote {
            (total / requests() as u64).clamp(REMOTE_READS.0, REMOTE_READS.1)
        } else {
            (total / (4 * self.options.concurrency() as u64)).clamp(READS.0, READS.1)
        }
    }

    /// Sorts the leaves by where they lie, and joins them into reads.
    fn jobs(&self, leaves: &mut [Leaf<'a>]) -> Vec<(u64, u64, std::ops::Range<usize>)> {
        leaves.sort_by_key(|leaf| (Arc::as_ptr(&leaf.stored.object).addr(), leaf.stored.offset));
        let total: u64 = leaves.iter().map(|leaf| leaf.stored.length).fold(0, u64::saturating_add);
        let largest = self.largest_read(total);
        let mut jobs = Vec::new();
        let mut first = 0;
        for group in leaves.chunk_by(|a, b| Arc::ptr_eq(&a.stored.object, &b.stored.object)) {
            let ranges = group.iter().map(|leaf| (leaf.stored.offset, leaf.stored.length));
            // A part of plain elements takes its own reads, of less than the chunk.
            let merged = merge(ranges, self.source.store.profile().merge_gap, largest);
            jobs.extend(
                merged
                    .into_iter()
                    .map(|(offset, length, range)| (offset, length, range.start + first..range.end + first)),
            );
            first += group.len();
        }
        jobs
    }

    fn take_or_read(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<()> {
        if self.take_cached(leaf, output)? { Ok(()) } else { self.read_leaf(leaf, output) }
    }

    /// Whether leaves that lie together are better read one by one: where little is wanted of plain elements.
    fn apart(&self, leaves: &[&Leaf<'a>], length: u64) -> bool {
        let partial = |leaf: &&Leaf<'a>| self.reads_parts(leaf) && !leaf.region.is_whole(leaf.chain.shape());
        let wanted = leaves.iter().map(|leaf| leaf.region.elements() * leaf.elements.item.size as u64).sum::<u64>();
        // What few requests read at once is there sooner than what many read one after another.
        let few = !self.source.store.profile().remote && wanted < length / 4;
        leaves.len() == 1 || (few && leaves.iter().all(partial))
    }

    /// Reads the leaves of a job: those that are in no cache together, where that is better.
    fn read_job(&self, leaves: &[Leaf<'a>], output: &Output<'_>) -> Result<(), (usize, Error)> {
        let single = |leaf: &Leaf<'a>| self.read_leaf(leaf, output).map_err(|error| leaf.fail(error));
        let mut left = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            if !self.take_cached(leaf, output).map_err(|error| leaf.fail(error))? {
                left.push(leaf);
            }
        }
        let Some(first) = left.first() else { return Ok(()) };
        let offset = first.stored.offset;
        let end = left.iter().map(|leaf| leaf.stored.offset + leaf.stored.length).max().unwrap_or(offset);
        let length = end - offset;
        if self.apart(&left, length) || first.stored.object.bytes().is_some() {
            return left.into_iter().try_for_each(single);
        }
        let together = Stored { offset, length, ..first.stored.clone() };
        let together = together.read(length).map_err(|error| (first.chunk, error))?;
        for leaf in left {
            let bytes = &together[(leaf.stored.offset - offset) as usize..][..leaf.stored.length as usize];
            self.decode_and_keep(leaf, bytes, output).map_err(|error| leaf.fail(error))?;
        }
        Ok(())
    }

    /// What a read of a region would do. It looks at every chunk, so that there is an end to how many.
    pub(crate) fn explain(&self, region: &Region) -> Result<Explanation> {
        let parts = region.parts(&self.source.grid);
        if parts > EXPLAINED {
            return Err(Error::selection(format!("the selection touches {parts} chunks, more than {EXPLAINED}")));
        }
        let counts = Counts::default();
        let element = self.source.chain.data_type().size() as u64;
        let mut explanation =
            Explanation { bytes_wanted: region.elements().saturating_mul(element), ..Explanation::default() };
        let sharded = self.source.chain.shard().is_some();
        let mut split = region.split(&self.source.grid);
        loop {
            let batch: Vec<_> = split.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            explanation.chunks += batch.len() as u64;
            let mut leaves = self.resolve(&batch, self.options.concurrency(), None, &counts)?;
            if sharded {
                explanation.inner_chunks += leaves.len() as u64;
            }
            for (_, length, range) in self.jobs(&mut leaves) {
                let leaves = &leaves[range];
                if let [leaf] = leaves
                    && let Some(pieces) = self.pieces(leaf, Some(&counts)).map_err(|error| leaf.fail(error).1)?
                {
                    let reads = self.reads(leaf, &pieces, |_| Ok(true))?;
                    explanation.requests += reads.requests();
                    explanation.bytes_read += reads.bytes();
                    explanation.bytes_decoded += reads.decoded(&pieces);
                    continue;
                }
                for leaf in leaves {
                    explanation.bytes_decoded += leaf.elements.size;
                }
                if !self.apart(&leaves.iter().collect::<Vec<_>>(), length) {
                    explanation.requests += 1;
                    explanation.bytes_read += length;
                    continue;
                }
                for leaf in leaves {
                    if self.reads_parts(leaf) {
                        let (spans, _) = self.spans(leaf);
                        explanation.requests += spans.len() as u64;
                        explanation.bytes_read += spans.iter().map(|span| span.length).sum::<u64>();
                    } else {
                        explanation.requests += 1;
                        explanation.bytes_read += leaf.stored.length;
                    }
                }
            }
        }
        explanation.missing_chunks = counts.missing.into_inner();
        explanation.missing_inner_chunks = counts.missing_inner.into_inner();
        explanation.index_bytes = counts.index_bytes.into_inner();
        explanation.requests += counts.index_requests.into_inner();
        explanation.bytes_read += explanation.index_bytes;
        Ok(explanation)
    }
}

//! Reading a region batch by batch.

use super::leaf::{InnerPath, Leaf};
use super::open::Need;
use super::reader::{Caching, Counts, Reader};
use super::resolve::Purpose;
use crate::codec::chain::Chain;
use crate::error::{Place, Result};
use crate::plan::{Region, Split};
use crate::runtime::{advance, parallel};
use crate::store::OpenFiles;
use crate::subset::Dims;
use crate::view::Output;

/// Number of shards, or of chunks in shared objects, per batch: enough to balance threads, few enough open handles.
pub(super) const BATCH: usize = 512;

/// Number of chunks per batch if each is an object, whose handle is open only while it is read.
const OBJECTS: usize = 16 * BATCH;

/// Size of the reads that a large chunk of plain elements is split into for several threads, in bytes.
const PART: u64 = 4 << 20;

/// Batches with fewer bytes are read by one thread.
const SMALL: u64 = 64 << 10;

impl Reader<'_> {
    /// Reads a region into the output; returns the number of its chunks that are not stored.
    pub(crate) fn read(&self, region: &Region, output: &Output<'_>) -> Result<u64> {
        let counts = Counts::default();
        let mut split = region.split(&self.source.grid);
        let objects = if self.chunks_are_objects() { 1 } else { region.parts(&self.source.grid).min(BATCH as u64) };
        let handles = OpenFiles::reserve(objects as usize);
        loop {
            let batch = self.batch(&mut split, handles.count());
            if batch.is_empty() {
                return Ok(counts.missing.into_inner());
            }
            if self.source.store.profile().remote {
                self.read_remote(&batch, output, &counts)?;
            } else if self.chunks_are_objects() {
                self.read_objects(&batch, output, &counts)?;
            } else {
                self.read_leaves(&batch, output, &counts)?;
            }
        }
    }

    fn read_objects(&self, batch: &[(Dims, Region)], output: &Output<'_>, counts: &Counts) -> Result<()> {
        parallel(batch, self.limit(batch), |(chunk, part)| {
            let Some(stored) = self.open(chunk, Need::Chunk)? else {
                counts.add_missing();
                self.check_missing(chunk)?;
                return self.fill(part, output);
            };
            let chain = self.source.chain_of(chunk)?;
            let Some(elements) = chain.elements() else { return Ok(()) };
            let leaf = Leaf { chunk: 0, inner: InnerPath::new(), stored, chain, elements, region: part.clone() };
            self.read_leaf(&leaf, output, counts).place(|| self.describe(chunk))?;
            advance(self.bytes(&leaf.region));
            Ok(())
        })
    }

    fn read_leaves(&self, batch: &[(Dims, Region)], output: &Output<'_>, counts: &Counts) -> Result<()> {
        let limit = self.limit(batch);
        let mut leaves = self.resolve(batch, limit, Purpose::Read(output), counts)?.leaves;
        let groups = self.group(&mut leaves);
        let leaves = &leaves[..];
        parallel(&groups, limit, |group| {
            let leaves = &leaves[group.parts.clone()];
            self.read_group(leaves, output, counts)
                .map_err(|(chunk, error)| error.at(self.describe(&batch[chunk].0)))?;
            advance(leaves.iter().map(|leaf| self.bytes(&leaf.region)).sum());
            Ok(())
        })
    }

    /// Returns the size of a region's elements in bytes.
    fn bytes(&self, region: &Region) -> u64 {
        region.elements().saturating_mul(self.source.chain.data_type().size() as u64)
    }

    /// Takes the next chunks of the plan. Large chunks of plain elements are split further for several threads.
    /// Returns none that would need more than `handles` open objects.
    fn batch(&self, split: &mut Split<'_>, handles: usize) -> Vec<(Dims, Region)> {
        let size = match self.source.chain.shard() {
            // A shard that is decoded to memory stays there until its inner chunks are placed.
            Some(_) if self.source.chain.open_shard().is_none() => self.options.concurrency(),
            None if self.chunks_are_objects() || handles >= BATCH => OBJECTS,
            _ => handles,
        };
        let splits = !matches!(self.cache, Caching::Array(_)) && !self.source.store.profile().whole_reads;
        let mut batch = Vec::new();
        for (chunk, part) in split.by_ref().take(size) {
            let bytes = self.bytes(&part);
            let is_large = bytes >= 2 * PART && splits && part.lists.is_empty();
            let chain = if is_large { self.source.likely_chain(&chunk) } else { None };
            let Some(elements) = chain.and_then(Chain::raw) else {
                batch.push((chunk, part));
                continue;
            };
            // The axis with the largest stride in the object.
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
        batch
    }

    /// Returns the number of threads for a batch: one if little is read and decoded.
    fn limit(&self, batch: &[(Dims, Region)]) -> usize {
        let element = self.source.chain.data_type().size() as u64;
        let is_small = |size: u64| size.saturating_mul(batch.len() as u64) <= SMALL;
        let wanted = batch.iter().map(|(_, part)| part.elements().saturating_mul(element)).max().unwrap_or(0);
        let inner = self.source.chain.shard().map_or(&self.source.chain, |shard| &shard.inner);
        if is_small(wanted) && (inner.raw().is_some() || is_small(inner.decoded_size())) {
            1
        } else {
            self.options.concurrency()
        }
    }
}

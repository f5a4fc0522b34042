//! The one way from a selection to elements in a buffer: plan, resolve, fetch, decode, place.
//!
//! - *Plan* ([`Region::split`]) cuts the region at the chunks.
//! - *Resolve* opens what each chunk is stored in and, where that is a shard, replaces it by the inner chunks that are
//!   wanted, for as many levels as there are. A shard that is itself compressed is decoded to memory and is an object
//!   from there on. What comes out is a flat list of [`Leaf`]s over all chunks.
//! - *Fetch* joins leaves that lie close together in one object into a [`Job`].
//! - *Decode and place* do one job after the other on all threads, straight into the output where that is possible.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::buffer::{Buffer, to_usize};
use crate::cache::{CacheLimit, ChunkCache, Lru, Origin};
use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::IndexLocation;
use crate::codec::chain::{Chain, Elements, Shard, Terminal};
use crate::error::{Error, Place, Result};
use crate::fetch::{merge, run_of, spans};
use crate::options::CodecOptions;
use crate::plan::Region;
use crate::runtime::{PerProcess, lock, parallel, threads};
use crate::store::{ByteRange, Object, Stat, Store};
use crate::subset::{Dims, tuple};
use crate::view::{Axis, Output, swap_words};

/// Chunks of an array: where they are stored and how.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) store: Arc<dyn Store>,
    /// What comes before a chunk's key: empty, or a path and `/`.
    pub(crate) prefix: String,
    pub(crate) chunk_key_encoding: ChunkKeyEncoding,
    pub(crate) grid: ChunkGrid,
    pub(crate) chain: Chain,
    /// Tells arrays apart in caches.
    pub(crate) identity: u64,
    /// The array, for people.
    pub(crate) name: String,
}

impl Source {
    pub(crate) fn key(&self, chunk: &[u64]) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 4 * chunk.len() + 2);
        key.push_str(&self.prefix);
        self.chunk_key_encoding.write(chunk, &mut key);
        key
    }
}

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

/// A chunk of plain elements is read by several threads in parts of about this size.
const PART: u64 = 4 << 20;

/// A part of an object.
#[derive(Clone)]
struct Stored {
    object: Arc<dyn Object>,
    /// The store's identity and the object's key, for caches.
    store: u64,
    key: Arc<str>,
    offset: u64,
    length: u64,
    stat: Stat,
    /// May be asked about in caches: not so what was decoded to memory.
    lasting: bool,
}

/// Elements to be decoded from a part of an object.
struct Leaf<'a> {
    /// The chunk of the array, as an index into the batch.
    chunk: usize,
    stored: Stored,
    chain: &'a Chain,
    elements: &'a Elements,
    region: Region,
}

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
    /// Reads of the store, those of shard indexes included.
    pub requests: u64,
    /// Bytes of these reads.
    pub bytes_read: u64,
    /// Of these, bytes of shard indexes that are not cached.
    pub index_bytes: u64,
    /// Bytes that are decoded to get at the selection.
    pub bytes_decoded: u64,
    /// Bytes of the selection.
    pub bytes_wanted: u64,
}

#[derive(Default)]
struct Counts {
    missing: AtomicU64,
    missing_inner: AtomicU64,
    index_requests: AtomicU64,
    index_bytes: AtomicU64,
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
            let limit = self.limit(&batch);
            if self.source.chain.shard().is_none() && self.source.store.locate(&self.source.key(&batch[0].0))?.is_none()
            {
                // A chunk is an object: there is nothing to look up or join first.
                parallel(&batch, limit, |(chunk, part)| {
                    let Some(stored) = self.open(chunk, None, &counts)? else { return self.fill(part, output) };
                    let leaf =
                        |elements| Leaf { chunk: 0, stored, chain: &self.source.chain, elements, region: part.clone() };
                    match self.source.chain.terminal() {
                        Terminal::Elements(elements) => self.read_leaf(&leaf(elements), output),
                        Terminal::Shard(_) => Ok(()),
                    }
                    .place(|| self.place(chunk))
                })?;
                continue;
            }
            let mut leaves = self.resolve(&batch, limit, Some(output), &counts)?;
            let jobs = self.jobs(&mut leaves);
            let leaves = &leaves[..];
            parallel(&jobs, limit, |(offset, length, range)| {
                let leaves = &leaves[range.clone()];
                self.read_job(*offset, *length, leaves, output)
                    .map_err(|(chunk, error)| error.at(self.place(&batch[chunk].0)))
            })?;
        }
    }

    /// The next chunks of the plan. Large ones of plain elements are cut further, for several threads to read.
    fn batch(&self, split: &mut crate::plan::Split<'_>) -> Vec<(Dims, Region)> {
        let size = match self.source.chain.shard() {
            // What is decoded to memory whole is held until its inner chunks are placed.
            Some(_) if self.source.chain.open_shard().is_none() => self.target(),
            Some(_) => BATCH,
            None => BATCH * 16,
        };
        let mut batch = Vec::new();
        for (chunk, part) in split.by_ref().take(size) {
            let bytes = part.elements().saturating_mul(self.source.chain.data_type().size() as u64);
            match self.source.chain.raw() {
                Some(elements) if bytes >= 2 * PART && !matches!(self.cache, Caching::Own(_)) => {
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
                _ => batch.push((chunk, part)),
            }
        }
        batch
    }

    fn target(&self) -> usize {
        match self.options.concurrent_target {
            0 => threads(),
            target => target,
        }
    }

    /// How many threads a batch is worth.
    fn limit(&self, batch: &[(Dims, Region)]) -> usize {
        let element = self.source.chain.data_type().size() as u64;
        let small = |size: u64| size.saturating_mul(batch.len() as u64) <= 64 << 10;
        let wanted = batch.iter().map(|(_, part)| part.elements().saturating_mul(element)).max().unwrap_or(0);
        let inner = self.source.chain.shard().map_or(&self.source.chain, |shard| &shard.inner);
        if small(wanted) && (inner.raw().is_some() || small(inner.decoded_size())) { 1 } else { self.target() }
    }

    fn place(&self, chunk: &[u64]) -> String {
        format!("cannot decode chunk {} of {}", tuple(chunk), self.source.name)
    }

    fn fill(&self, region: &Region, output: &Output<'_>) -> Result<()> {
        let axes: smallvec::SmallVec<[Axis; 6]> =
            region.runs.iter().map(|run| Axis { length: run.length as usize, from: 0, to: run.stride }).collect();
        output.fill(region.origin, &axes, self.source.chain.fill_value().bytes())
    }

    /// Opens what a chunk is stored in; `None`: it is not stored. `handles` are shared where chunks lie in one object.
    fn open(&self, chunk: &[u64], handles: Option<&Handles>, counts: &Counts) -> Result<Option<Stored>> {
        let source = self.source;
        let key = source.key(chunk);
        let location = if handles.is_some() { source.store.locate(&key)? } else { None };
        let (store, key, part) = match location {
            Some(location) => (location.store, location.key, location.part),
            None => (source.store.clone(), key, None),
        };
        let object: Arc<dyn Object> = match handles {
            Some(handles) if part.is_some() => handles.open(&*store, &key)?,
            _ => store.open(&key)?.into(),
        };
        let Some(stat) = object.stat().place(|| self.place(chunk))? else {
            counts.missing.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        };
        let (offset, length) = part.unwrap_or((0, stat.size));
        if offset.checked_add(length).is_none_or(|end| end > stat.size) {
            return Err(Error::corrupt(format!(
                "{length} bytes at byte {offset} lie outside an object of {} bytes",
                stat.size
            ))
            .at(self.place(chunk)));
        }
        Ok(Some(Stored { object, store: store.identity(), key: key.into(), offset, length, stat, lasting: true }))
    }

    /// Resolves the chunks of a batch to leaves, and fills what is not stored.
    fn resolve(
        &self,
        batch: &[(Dims, Region)],
        limit: usize,
        output: Option<&Output<'_>>,
        counts: &Counts,
    ) -> Result<Vec<Leaf<'a>>> {
        let handles = Handles::default();
        let leaves = Mutex::new(Vec::new());
        let numbered: Vec<_> = batch.iter().enumerate().collect();
        parallel(&numbered, limit, |(number, (chunk, part))| {
            let Some(stored) = self.open(chunk, Some(&handles), counts)? else {
                return output.map_or(Ok(()), |output| self.fill(part, output));
            };
            let mut found = Vec::new();
            self.resolve_stored(*number, stored, &self.source.chain, part, output, counts, &mut found)
                .place(|| self.place(chunk))?;
            lock(&leaves).append(&mut found);
            Ok(())
        })?;
        Ok(leaves.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    #[allow(clippy::too_many_arguments)] // what a level of shards hands to the next
    fn resolve_stored(
        &self,
        chunk: usize,
        stored: Stored,
        chain: &'a Chain,
        region: &Region,
        output: Option<&Output<'_>>,
        counts: &Counts,
        leaves: &mut Vec<Leaf<'a>>,
    ) -> Result<()> {
        let shard = match chain.terminal() {
            Terminal::Elements(elements) => {
                leaves.push(Leaf { chunk, stored, chain, elements, region: region.clone() });
                return Ok(());
            }
            Terminal::Shard(shard) => shard,
        };
        let stored = if chain.open_shard().is_some() { stored } else { self.decoded_shard(&stored, chain)? };
        let index = self.index(&stored, shard, counts).place(|| "shard index")?;
        for (inner, part) in region.permuted(chain.order()).split(&shard.grid) {
            let entry = index.get(&inner, &shard.grid);
            let Some((offset, length)) = entry else {
                counts.missing_inner.fetch_add(1, Ordering::Relaxed);
                if let Some(output) = output {
                    self.fill(&part, output)?;
                }
                continue;
            };
            if offset.checked_add(length).is_none_or(|end| end > stored.length) {
                return Err(Error::corrupt(format!(
                    "inner chunk {}: {length} bytes at byte {offset} lie outside a shard of {} bytes",
                    tuple(&inner),
                    stored.length
                )));
            }
            let inside = Stored { offset: stored.offset + offset, length, ..stored.clone() };
            self.resolve_stored(chunk, inside, &shard.inner, &part, output, counts, leaves)
                .place(|| format!("inner chunk {}", tuple(&inner)))?;
        }
        Ok(())
    }

    /// A shard that was encoded as a whole, as an object in memory.
    fn decoded_shard(&self, stored: &Stored, chain: &Chain) -> Result<Stored> {
        let cache = match self.cache {
            Caching::Own(cache) if cache.keeps_decoded() && stored.lasting => Some(cache),
            Caching::Shared(cache) if stored.lasting && stored.stat.settled => Some(cache),
            _ => None,
        };
        // Inner chunks have origins of their own, none of which can be at the end of all offsets.
        let origin = || Origin { identity: self.source.identity, key: stored.key.to_string(), offset: !stored.offset };
        let kept = cache.and_then(|cache| cache.get(&origin(), stored.stat.version));
        let decoded = match kept {
            Some(decoded) => decoded,
            None => {
                let bytes = stored.read(chain.stored_size().bound())?;
                let decoded = Arc::new(chain.decode(&bytes, self.options.validate_checksums)?.to_vec());
                if let Some(cache) = cache {
                    cache.put(origin(), stored.stat.version, decoded.clone());
                }
                decoded
            }
        };
        let stat = Stat { size: decoded.len() as u64, version: 0, settled: false };
        let object = Arc::new(InMemory(decoded, stat));
        Ok(Stored { object, offset: 0, length: stat.size, stat, lasting: false, ..stored.clone() })
    }

    /// The index of a shard, from the cache if it is there.
    fn index(&self, stored: &Stored, shard: &Shard, counts: &Counts) -> Result<Arc<ShardIndex>> {
        let size = shard.index_size;
        let Some(end) = stored.length.checked_sub(size) else {
            return Err(Error::corrupt(format!(
                "a shard of {} bytes is shorter than its index of {size}",
                stored.length
            )));
        };
        let offset = if shard.index_location == IndexLocation::Start { 0 } else { end };
        let origin = (stored.lasting && stored.stat.settled).then(|| Origin {
            // The codecs of the index count too: another array may see another index in the same bytes.
            identity: stored.store ^ self.source.identity.rotate_left(1),
            key: stored.key.to_string(),
            // A shard may begin where its first inner shard does, but no two indexes begin at one place.
            offset: stored.offset + offset,
        });
        if let Some(origin) = &origin {
            if let Some(index) = lock(INDEXES.get()).get(origin, stored.stat.version) {
                return Ok(index);
            }
        }
        let bytes = Stored { offset: stored.offset + offset, length: size, ..stored.clone() }.read(size)?;
        counts.index_requests.fetch_add(1, Ordering::Relaxed);
        counts.index_bytes.fetch_add(size, Ordering::Relaxed);
        let index = Arc::new(ShardIndex::decode(&shard.index, &bytes, self.options.validate_checksums)?);
        if let Some(origin) = origin {
            let size = index.entries.len() as u64 * 16 + 128;
            lock(INDEXES.get()).put(origin, stored.stat.version, index.clone(), size);
        }
        Ok(index)
    }

    /// Sorts the leaves by where they lie, and joins them into reads.
    fn jobs(&self, leaves: &mut [Leaf<'a>]) -> Vec<(u64, u64, std::ops::Range<usize>)> {
        leaves.sort_by_key(|leaf| (Arc::as_ptr(&leaf.stored.object).addr(), leaf.stored.offset));
        let total: u64 = leaves.iter().map(|leaf| leaf.stored.length).fold(0, u64::saturating_add);
        let largest = (total / (4 * self.target() as u64)).clamp(READS.0, READS.1);
        let mut jobs = Vec::new();
        let mut first = 0;
        for group in leaves.chunk_by(|a, b| Arc::ptr_eq(&a.stored.object, &b.stored.object)) {
            let ranges = group.iter().map(|leaf| (leaf.stored.offset, leaf.stored.length));
            // A part of plain elements takes its own reads, of less than the chunk.
            let merged = merge(ranges, self.source.store.merge_gap(), largest);
            jobs.extend(
                merged
                    .into_iter()
                    .map(|(offset, length, range)| (offset, length, range.start + first..range.end + first)),
            );
            first += group.len();
        }
        jobs
    }

    /// Reads the leaves of a job together, or the only one by itself.
    fn read_job(
        &self,
        offset: u64,
        length: u64,
        leaves: &[Leaf<'a>],
        output: &Output<'_>,
    ) -> Result<(), (usize, Error)> {
        let stored = &leaves[0].stored;
        let single = |leaf: &Leaf<'a>| self.read_leaf(leaf, output).map_err(|error| (leaf.chunk, error));
        if leaves.len() == 1
            || leaves.iter().any(|leaf| self.cache_for(leaf).is_some())
            || stored.object.bytes().is_some()
        {
            return leaves.iter().try_for_each(single);
        }
        let partial = |leaf: &Leaf<'a>| leaf.chain.raw().is_some() && !leaf.region.is_whole(leaf.chain.shape());
        let wanted = leaves.iter().map(|leaf| leaf.region.elements() * leaf.elements.item.size as u64).sum::<u64>();
        if leaves.iter().all(partial) && wanted < length / 4 {
            return leaves.iter().try_for_each(single);
        }
        let together =
            Stored { offset, length, ..stored.clone() }.read(length).map_err(|error| (leaves[0].chunk, error))?;
        for leaf in leaves {
            let bytes = &together[(leaf.stored.offset - offset) as usize..][..leaf.stored.length as usize];
            self.decode(leaf, bytes, output).map_err(|error| (leaf.chunk, error))?;
        }
        Ok(())
    }

    /// Reads one leaf: what is needed of it where it is stored as it is, else all.
    fn read_leaf(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<()> {
        let stored = &leaf.stored;
        if let Some(cache) = self.cache_for(leaf) {
            return self.read_cached(leaf, cache, output);
        }
        if let Some(bytes) = stored.object.bytes() {
            let bytes = bytes.get(stored.offset as usize..(stored.offset + stored.length) as usize);
            let outside = || Error::corrupt("the object is shorter than it was");
            return self.decode(leaf, bytes.ok_or_else(outside)?, output);
        }
        if leaf.chain.raw().is_none() {
            let bytes = stored.read(leaf.chain.stored_size().bound())?;
            return self.decode(leaf, &bytes, output);
        }
        let elements = leaf.elements;
        leaf.check_raw()?;
        let (spans, axes) = spans(elements, &leaf.region, self.source.store.merge_gap());
        for span in spans {
            let offset = stored.offset + span.offset;
            if run_of(&axes, elements.item).is_some_and(|run| run as u64 == span.length) {
                // SAFETY: the planner gives each element of the output to one leaf and one span.
                if let Some(target) = unsafe { output.slice(span.to, to_usize(span.length)?) } {
                    stored.read_at(offset, target)?;
                    swap_words(target, elements.item.word);
                    continue;
                }
            }
            let mut buffer = Buffer::new(to_usize(span.length)?)?;
            stored.read_at(offset, &mut buffer)?;
            output.place(span.to, &axes, &buffer, span.from, elements.item)?;
        }
        Ok(())
    }

    /// The cache that a leaf is looked for in, and then kept in.
    fn cache_for(&self, leaf: &Leaf<'a>) -> Option<&'a ChunkCache> {
        let Stored { lasting, stat, .. } = &leaf.stored;
        match self.cache {
            Caching::Own(cache) if *lasting => Some(cache),
            Caching::Shared(cache) if *lasting && stat.settled && leaf.chain.raw().is_none() => {
                (!leaf.region.is_whole(leaf.chain.shape())).then_some(cache)
            }
            _ => None,
        }
    }

    /// Takes a leaf from the cache, or reads it whole and puts it there.
    fn read_cached(&self, leaf: &Leaf<'a>, cache: &ChunkCache, output: &Output<'_>) -> Result<()> {
        let stored = &leaf.stored;
        let identity = self.source.identity;
        let origin = Origin { identity, key: stored.key.to_string(), offset: stored.offset };
        let version = stored.stat.version;
        let (region, elements) = (&leaf.region, leaf.elements);
        let place = |bytes: &[u8]| {
            let (from, axes) = region.axes(&elements.strides);
            output.place(region.origin, &axes, bytes, from + elements.offset as isize, elements.item)
        };
        if let Some(bytes) = cache.get(&origin, version) {
            return if cache.keeps_decoded() { place(&bytes) } else { self.decode(leaf, &bytes, output) };
        }
        let bytes = stored.read(leaf.chain.stored_size().bound())?;
        let kept = if cache.keeps_decoded() {
            let decoded = leaf.chain.decode(&bytes, self.options.validate_checksums)?.to_vec();
            place(&decoded)?;
            decoded
        } else {
            self.decode(leaf, &bytes, output)?;
            bytes.to_vec()
        };
        cache.put(origin, version, Arc::new(kept));
        Ok(())
    }

    /// Decodes what is stored of a leaf, and places it.
    fn decode(&self, leaf: &Leaf<'a>, stored: &[u8], output: &Output<'_>) -> Result<()> {
        let (chain, elements, region) = (leaf.chain, leaf.elements, &leaf.region);
        let validate = self.options.validate_checksums;
        let (from, axes) = region.axes(&elements.strides);
        let from = from + elements.offset as isize;
        if chain.raw().is_some() {
            leaf.check_raw()?;
            return output.place(region.origin, &axes, stored, from, elements.item);
        }
        if from == 0 && run_of(&axes, elements.item).is_some_and(|run| run as u64 == elements.size) {
            // SAFETY: the planner gives each element of the output to one leaf.
            if let Some(target) = unsafe { output.slice(region.origin, to_usize(elements.size)?) } {
                chain.decode_into(stored, validate, target)?;
                swap_words(target, elements.item.word);
                return Ok(());
            }
        }
        let decoded = chain.decode(stored, validate)?;
        output.place(region.origin, &axes, &decoded, from, elements.item)
    }

    /// What a read of a region would do.
    pub(crate) fn explain(&self, region: &Region) -> Result<Explanation> {
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
            let mut leaves = self.resolve(&batch, self.target(), None, &counts)?;
            if sharded {
                explanation.inner_chunks += leaves.len() as u64;
            }
            for (_, length, range) in self.jobs(&mut leaves) {
                let leaves = &leaves[range];
                for leaf in leaves {
                    explanation.bytes_decoded += leaf.elements.size;
                }
                let spans = match leaves {
                    [leaf] if leaf.chain.raw().is_some() => {
                        spans(leaf.elements, &leaf.region, self.source.store.merge_gap()).0
                    }
                    _ => Vec::new(),
                };
                explanation.requests += (spans.len() as u64).max(1);
                let partial: u64 = spans.iter().map(|span| span.length).sum();
                explanation.bytes_read += if spans.is_empty() { length } else { partial };
            }
        }
        explanation.missing_chunks = counts.missing.into_inner();
        explanation.missing_inner_chunks = counts.missing_inner.into_inner();
        explanation.index_bytes = counts.index_bytes.into_inner();
        explanation.requests += counts.index_requests.into_inner();
        explanation.bytes_read += explanation.index_bytes;
        Ok(explanation)
    }

    /// Reads a chunk, or an inner chunk of a shard, as it is stored; `None`: it is not stored.
    pub(crate) fn encoded(&self, chunk: &[u64], inner: Option<&[u64]>) -> Result<Option<Vec<u8>>> {
        let counts = Counts::default();
        let read = || {
            let Some(stored) = self.open(chunk, Some(&Handles::default()), &counts)? else { return Ok(None) };
            let (Some(inner), Some(shard)) = (inner, self.source.chain.shard()) else {
                return stored.read(u64::MAX).map(|bytes| Some(bytes.to_vec()));
            };
            let stored = if self.source.chain.open_shard().is_some() {
                stored
            } else {
                self.decoded_shard(&stored, &self.source.chain)?
            };
            let Some((offset, length)) = self.index(&stored, shard, &counts)?.get(inner, &shard.grid) else {
                return Ok(None);
            };
            if offset.checked_add(length).is_none_or(|end| end > stored.length) {
                return Err(Error::corrupt(format!("inner chunk {} lies outside its shard", tuple(inner))));
            }
            let inside = Stored { offset: stored.offset + offset, length, ..stored };
            inside.read(u64::MAX).map(|bytes| Some(bytes.to_vec()))
        };
        read().place(|| format!("cannot read chunk {} of {}", tuple(chunk), self.source.name))
    }
}

impl Leaf<'_> {
    /// Elements that are stored as they are have exactly the size of a chunk.
    fn check_raw(&self) -> Result<()> {
        if self.stored.length != self.elements.size {
            return Err(Error::corrupt(format!(
                "{} bytes are stored instead of {}",
                self.stored.length, self.elements.size
            )));
        }
        Ok(())
    }
}

impl Stored {
    /// Reads the part, of at most `limit` bytes.
    fn read(&self, limit: u64) -> Result<Buffer> {
        if self.length > limit {
            return Err(Error::corrupt(format!("{} bytes are stored where at most {limit} can belong", self.length)));
        }
        let mut buffer = Buffer::new(to_usize(self.length)?)?;
        self.read_at(self.offset, &mut buffer)?;
        Ok(buffer)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        match self.object.read_at(offset, into)? {
            Some(_) => Ok(()),
            None => Err(Error::store("the object was erased while it was read")),
        }
    }
}

/// Objects that several chunks lie in, opened once a call.
#[derive(Default)]
struct Handles(Mutex<HashMap<(u64, String), Arc<dyn Object>>>);

impl Handles {
    fn open(&self, store: &dyn Store, key: &str) -> Result<Arc<dyn Object>> {
        let mut handles = lock(&self.0);
        let id = (store.identity(), key.to_owned());
        if let Some(object) = handles.get(&id) {
            return Ok(object.clone());
        }
        let object: Arc<dyn Object> = store.open(key)?.into();
        handles.insert(id, object.clone());
        Ok(object)
    }
}

/// An object that was decoded to memory.
struct InMemory(Arc<Vec<u8>>, Stat);

impl Object for InMemory {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let (offset, length) = crate::store::resolve(range, self.1.size, limit)?;
        into.extend_from_slice(&self.0[offset as usize..][..length]);
        Ok(Some(self.1))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        let range = ByteRange::Range { offset, length: into.len() as u64 };
        let (offset, length) = crate::store::resolve(range, self.1.size, u64::MAX)?;
        into.copy_from_slice(&self.0[offset as usize..][..length]);
        Ok(Some(self.1))
    }

    fn stat(&self) -> Result<Option<Stat>> {
        Ok(Some(self.1))
    }

    fn bytes(&self) -> Option<&[u8]> {
        Some(&self.0)
    }
}

/// Where the inner chunks of a shard lie.
pub(crate) struct ShardIndex {
    entries: Vec<u64>,
}

/// The offset and the length of an inner chunk that is not stored.
pub(crate) const MISSING: u64 = u64::MAX;

/// The indexes of all shards that were read lately.
static INDEXES: PerProcess<Mutex<Lru<Arc<ShardIndex>>>> =
    PerProcess::new(|| Mutex::new(Lru::new(CacheLimit::Bytes(128 << 20))));

impl ShardIndex {
    fn decode(chain: &Chain, stored: &[u8], validate: bool) -> Result<Self> {
        let Terminal::Elements(elements) = chain.terminal() else {
            return Err(Error::metadata("an index cannot be sharded"));
        };
        let decoded = chain.decode(stored, validate)?;
        let mut entries = crate::view::zeroed::<u64>(to_usize(elements.size / 8)?)?;
        let mut stride = 8;
        let mut axes = crate::view::Axes::new();
        for (length, from) in chain.shape().iter().zip(&elements.strides).rev() {
            axes.push(Axis { length: *length as usize, from: *from as isize, to: stride });
            stride *= *length as isize;
        }
        // SAFETY: one thread.
        let output = unsafe { Output::share(crate::view::bytes_of(&mut entries)) };
        output.place(0, &axes, &decoded, 0, elements.item)?;
        Ok(Self { entries })
    }

    /// Offset and length of an inner chunk; `None`: it is not stored.
    fn get(&self, inner: &[u64], grid: &ChunkGrid) -> Option<(u64, u64)> {
        let mut index = 0usize;
        for (i, count) in inner.iter().zip(grid.shape()) {
            index = index * count as usize + *i as usize;
        }
        match *self.entries.get(2 * index..2 * index + 2)? {
            [MISSING, MISSING] => None,
            [offset, length] => Some((offset, length)),
            _ => None,
        }
    }
}

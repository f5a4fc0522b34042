//! From chunks to leaves: opens what each chunk is stored in and, where that is a shard, finds its inner chunks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use smallvec::SmallVec;

use super::{Caching, Need, Reader};
use crate::buffer::{Buffer, to_usize};
use crate::cache::{CacheLimit, Lru, Origin};
use crate::chunk_grid::ChunkGrid;
use crate::codec::IndexLocation;
use crate::codec::chain::{Chain, Elements, Layout, Shard};
use crate::error::{Error, Place, Result};
use crate::plan::Region;
use crate::runtime::{PerProcess, lock};
use crate::store::{Identity, InMemory, Object, Stat, Store};
use crate::subset::{Dims, tuple};
use crate::view::{Axis, Output};

/// A part of an object.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) object: Arc<dyn Object>,
    /// The store's identity and the object's key, for caches.
    pub(crate) store: Identity,
    pub(crate) key: Arc<str>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) stat: Stat,
    /// May be asked about in caches: not so what was decoded to memory.
    pub(crate) lasting: bool,
}

/// Inner chunks, each in the one before.
pub(super) type InnerPath = SmallVec<[Dims; 1]>;

/// Elements to be decoded from a part of an object.
pub(super) struct Leaf<'a> {
    /// The chunk of the array, as an index into the batch.
    pub(super) chunk: usize,
    /// The inner chunk in it, one for each level of shards.
    pub(super) inner: InnerPath,
    pub(super) stored: Stored,
    pub(super) chain: &'a Chain,
    pub(super) elements: &'a Elements,
    pub(super) region: Region,
}

/// What a read meets.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) missing: AtomicU64,
    pub(crate) missing_inner: AtomicU64,
    pub(crate) index_requests: AtomicU64,
    pub(crate) index_bytes: AtomicU64,
    /// Chunks of a batch that were resolved by what was known of their objects, which are still to be confirmed.
    pub(super) recalled: Mutex<Vec<(usize, Arc<dyn Object>)>>,
}

impl Counts {
    /// Counts reads of an index, and their bytes.
    pub(super) fn index(&self, (requests, bytes): (u64, u64)) {
        self.index_requests.fetch_add(requests, Ordering::Relaxed);
        self.index_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Leaf<'_> {
    /// The error of a leaf of several, with the chunk it lies in.
    pub(super) fn fail(&self, error: Error) -> (usize, Error) {
        let inner = self.inner.iter().rev();
        (self.chunk, inner.fold(error, |error, inner| error.at(format!("inner chunk {}", tuple(inner)))))
    }
}

impl<'a> Reader<'a> {
    /// Opens what a chunk is stored in; `None`: it is not stored. `handles` are shared where chunks lie in one object.
    pub(crate) fn open(
        &self,
        chunk: &[u64],
        need: Need,
        handles: Option<&Handles>,
        counts: &Counts,
    ) -> Result<Option<Stored>> {
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
        let mut stored = Stored {
            object,
            store: store.profile().identity,
            key: key.into(),
            offset: 0,
            length: 0,
            stat: UNKNOWN,
            lasting: true,
        };
        let found = match part {
            None if store.profile().remote => self.ask(&mut stored, chunk, need).place(|| self.place(chunk))?,
            Some((offset, length)) if store.profile().remote => {
                // What is not known yet is known when it is read.
                let unknown = Stat { size: offset.saturating_add(length), ..UNKNOWN };
                Some(stored.object.recall().unwrap_or(unknown))
            }
            _ => stored.object.stat().place(|| self.place(chunk))?,
        };
        let Some(stat) = found else {
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
        Ok(Some(Stored { offset, length, stat, ..stored }))
    }

    /// Resolves the chunks of a batch to leaves, and fills what is not stored.
    pub(super) fn resolve(
        &self,
        batch: &[(Dims, Region)],
        limit: usize,
        output: Option<&Output<'_>>,
        counts: &Counts,
    ) -> Result<Vec<Leaf<'a>>> {
        let (handles, need) = (Handles::default(), if output.is_some() { Need::Chunk } else { Need::Stat });
        let leaves = Mutex::new(Vec::new());
        let numbered: Vec<_> = batch.iter().enumerate().collect();
        let bytes = |(_, (chunk, _)): &(usize, &(Dims, Region))| self.weight(chunk, need);
        self.source.each(&numbered, limit, bytes, |(number, (chunk, part))| {
            let Some(stored) = self.open(chunk, need, Some(&handles), counts)? else {
                return output.map_or(Ok(()), |output| self.fill(part, output));
            };
            let (mut found, object) = (Vec::new(), stored.object.clone());
            if self.source.store.profile().remote {
                lock(&counts.recalled).push((*number, object.clone()));
            }
            let resolved = self.resolve_stored(
                *number,
                &InnerPath::new(),
                stored,
                self.source.chain_of(chunk)?,
                part,
                output,
                counts,
                &mut found,
            );
            if resolved.is_err() && object.changed() {
                // That it is no longer what it was is found when it is confirmed.
                return Ok(());
            }
            resolved.place(|| self.place(chunk))?;
            lock(&leaves).append(&mut found);
            Ok(())
        })?;
        Ok(leaves.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    #[allow(clippy::too_many_arguments)] // what a level of shards hands to the next
    pub(super) fn resolve_stored(
        &self,
        chunk: usize,
        path: &InnerPath,
        stored: Stored,
        chain: &'a Chain,
        region: &Region,
        output: Option<&Output<'_>>,
        counts: &Counts,
        leaves: &mut Vec<Leaf<'a>>,
    ) -> Result<()> {
        if let Some(elements) = chain.elements() {
            leaves.push(Leaf { chunk, inner: path.clone(), stored, chain, elements, region: region.clone() });
            return Ok(());
        }
        let Layout::Shard(shard) = chain.layout() else { return Ok(()) };
        let stored = if chain.open_shard().is_some() { stored } else { self.decoded_shard(&stored, chain)? };
        // Such a store may hold all of the shard in memory, which must then be no more than can belong.
        if self.source.store.profile().whole_reads && stored.length > chain.stored_size().bound() {
            return Err(too_long(stored.length, chain.stored_size().bound()));
        }
        let index = self.index(&stored, shard, counts).place(|| "shard index")?;
        for (inner, part) in region.permuted(chain.order()).split(&shard.grid) {
            let entry = index.get(&inner, &shard.grid);
            let Some(entry) = entry else {
                counts.missing_inner.fetch_add(1, Ordering::Relaxed);
                if let Some(output) = output {
                    self.fill(&part, output)?;
                }
                continue;
            };
            let inside = stored.inner(&inner, entry)?;
            let mut path = path.clone();
            path.push(inner.clone());
            self.resolve_stored(chunk, &path, inside, &shard.inner, &part, output, counts, leaves)
                .place(|| format!("inner chunk {}", tuple(&inner)))?;
        }
        Ok(())
    }

    /// A shard that was encoded as a whole, as an object in memory.
    pub(crate) fn decoded_shard(&self, stored: &Stored, chain: &Chain) -> Result<Stored> {
        let cache = match self.cache {
            Caching::Own(cache) if cache.keeps_decoded() && stored.lasting => Some(cache),
            Caching::Shared(cache) if stored.lasting && stored.stat.settled => Some(cache),
            _ => None,
        };
        // Inner chunks have origins of their own, none of which can be at the end of all offsets.
        let origin = || Origin { identity: self.source.identity, key: stored.key.to_string(), offset: !stored.offset };
        let kept = cache.and_then(|cache| cache.get(&origin(), stored.stat.version));
        let decoded = if let Some(decoded) = kept {
            decoded
        } else {
            let bytes = stored.read(chain.stored_size().bound())?;
            let decoded = Arc::new(chain.decode(&bytes, self.options.validate_checksums)?.to_vec());
            if let Some(cache) = cache {
                cache.put(origin(), stored.stat.version, decoded.clone());
            }
            decoded
        };
        Ok(Stored::in_memory(decoded, stored.store, stored.key.clone()))
    }

    fn index_origin(&self, stored: &Stored, offset: u64) -> Option<Origin> {
        (stored.lasting && stored.stat.settled).then(|| Origin {
            // The codecs of the index count too: another array may see another index in the same bytes.
            identity: stored.store.part(self.source.identity),
            key: stored.key.to_string(),
            // A shard may begin where its first inner shard does, but no two indexes begin at one place.
            offset: stored.offset + offset,
        })
    }

    /// Whether the index of a shard is in the cache.
    pub(super) fn knows_index(&self, stored: &Stored, shard: &Shard) -> bool {
        let origin = stored.index_start(shard).and_then(|offset| self.index_origin(stored, offset));
        origin.is_some_and(|origin| lock(INDEXES.get()).get(&origin, stored.stat.version).is_some())
    }

    /// The index of a shard, from the cache if it is there.
    pub(crate) fn index(&self, stored: &Stored, shard: &Shard, counts: &Counts) -> Result<Arc<ShardIndex>> {
        let size = shard.index_size;
        let Some(offset) = stored.index_start(shard) else {
            return Err(Error::corrupt(format!(
                "a shard of {} bytes is shorter than its index of {size}",
                stored.length
            )));
        };
        let origin = self.index_origin(stored, offset);
        if let Some(origin) = &origin
            && let Some(index) = lock(INDEXES.get()).get(origin, stored.stat.version)
        {
            return Ok(index);
        }
        let bytes = Stored { offset: stored.offset + offset, length: size, ..stored.clone() }.read(size)?;
        counts.index((1, size));
        let index = Arc::new(ShardIndex::decode(&shard.index, &bytes, self.options.validate_checksums)?);
        if let Some(origin) = origin {
            let size = index.entries.len() as u64 * 16 + 128;
            lock(INDEXES.get()).put(origin, stored.stat.version, index.clone(), size);
        }
        Ok(index)
    }

    /// Reads a chunk, or an inner chunk of a shard, as it is stored; `None`: it is not stored.
    pub(crate) fn encoded(&self, chunk: &[u64], inner: Option<&[u64]>) -> Result<Option<Vec<u8>>> {
        let counts = Counts::default();
        let read = || {
            let need = if inner.is_some() { Need::Chunk } else { Need::Whole };
            let Some(stored) = self.open(chunk, need, Some(&Handles::default()), &counts)? else { return Ok(None) };
            let chain = self.source.chain_of(chunk)?;
            let (Some(inner), Some(shard)) = (inner, chain.shard()) else {
                if let Some(bytes) = stored.object.bytes() {
                    return stored.slice(bytes).map(|bytes| Some(bytes.to_vec()));
                }
                return stored.read(u64::MAX).map(|bytes| Some(bytes.to_vec()));
            };
            let stored = if chain.open_shard().is_some() { stored } else { self.decoded_shard(&stored, chain)? };
            let Some(entry) = self.index(&stored, shard, &counts)?.get(inner, &shard.grid) else { return Ok(None) };
            stored.inner(inner, entry)?.read(u64::MAX).map(|bytes| Some(bytes.to_vec()))
        };
        read().place(|| format!("cannot read chunk {} of {}", tuple(chunk), self.source.name))
    }
}

impl Stored {
    /// What was decoded to memory.
    pub(super) fn in_memory(bytes: Arc<Vec<u8>>, store: Identity, key: Arc<str>) -> Self {
        let stat = Stat { size: bytes.len() as u64, version: 0, settled: false };
        let object = Arc::new(InMemory::new(bytes, 0));
        Self { object, store, key, offset: 0, length: stat.size, stat, lasting: false }
    }

    /// Reads the part, of at most `limit` bytes.
    pub(crate) fn read(&self, limit: u64) -> Result<Buffer> {
        if self.length > limit {
            return Err(too_long(self.length, limit));
        }
        let mut buffer = Buffer::new(to_usize(self.length)?)?;
        self.read_at(self.offset, &mut buffer)?;
        Ok(buffer)
    }

    pub(crate) fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        match self.object.read_at(offset, into)? {
            Some(_) => Ok(()),
            None => Err(Error::not_found("the object was erased while it was read")),
        }
    }
}

/// What is known of an object of which nothing is known.
pub(super) const UNKNOWN: Stat = Stat { size: 0, version: 0, settled: false };

fn too_long(length: u64, limit: u64) -> Error {
    Error::corrupt(format!("{length} bytes are stored where at most {limit} can belong"))
}

/// Objects that several chunks lie in, opened once a call.
#[derive(Default)]
pub(crate) struct Handles(Mutex<HashMap<(Identity, String), Arc<dyn Object>>>);

impl Handles {
    fn open(&self, store: &dyn Store, key: &str) -> Result<Arc<dyn Object>> {
        let mut handles = lock(&self.0);
        let id = (store.profile().identity, key.to_owned());
        if let Some(object) = handles.get(&id) {
            return Ok(object.clone());
        }
        let object: Arc<dyn Object> = store.open(key)?.into();
        handles.insert(id, object.clone());
        Ok(object)
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
        let Layout::Elements(elements) = chain.layout() else {
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
        self.entry(index)
    }

    /// The same of the inner chunk of a number in C order.
    pub(crate) fn entry(&self, number: usize) -> Option<(u64, u64)> {
        match *self.entries.get(2 * number..2 * number + 2)? {
            [MISSING, MISSING] => None,
            [offset, length] => Some((offset, length)),
            _ => None,
        }
    }
}

impl Stored {
    /// Where the index of a shard begins in it; `None`: it is shorter than that.
    fn index_start(&self, shard: &Shard) -> Option<u64> {
        let end = self.length.checked_sub(shard.index_size)?;
        Some(if shard.index_location == IndexLocation::Start { 0 } else { end })
    }

    /// An inner chunk of a shard, of which the index tells offset and length.
    pub(crate) fn inner(&self, inner: &[u64], (offset, length): (u64, u64)) -> Result<Self> {
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(Error::corrupt(format!(
                "inner chunk {}: {length} bytes at byte {offset} lie outside a shard of {} bytes",
                tuple(inner),
                self.length
            )));
        }
        Ok(Self { offset: self.offset + offset, length, ..self.clone() })
    }

    /// Its bytes, where all of the object is in memory.
    pub(crate) fn slice<'a>(&self, object: &'a [u8]) -> Result<&'a [u8]> {
        let bytes = object.get(self.offset as usize..(self.offset + self.length) as usize);
        bytes.ok_or_else(|| Error::corrupt("the object is shorter than it was"))
    }
}

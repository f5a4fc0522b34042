//! Storing elements: gathers the elements of each chunk, encodes them and stores the object.
//!
//! The planner of reads splits the written region at chunk borders, and the strided copy of reads, with its sides
//! exchanged, gathers the elements. A chunk that is covered as far as it is in the array is never read. Any other chunk
//! is read first; of a shard, only the inner chunks that are partly covered are decoded, and the rest stay encoded.
//!
//! A chunk's [lock](crate::store::WritableStore::lock) is held from the read until the chunk is stored. Whole chunks
//! are locked too: otherwise another writer could store again what it read before. No thread waits for the pool while
//! it holds a lock, so chunks that need no stored elements are encoded before.

mod bits;
mod compact;
mod exclusion;
mod order;
mod part;
mod shard;
mod stage;

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::buffer::{Buffer, to_usize};
use crate::codec::chain::ArrayCodecs;
use crate::codec::chain::{Chain, Elements, Layout};
use crate::error::{Place, Result};
use crate::fill_value::FillValue;
use crate::options::CodecOptions;
use crate::plan::Region;
use crate::read::{Caching, Counts, Reader, Source, Stored};
use crate::runtime::advance;
use crate::slot::Slot;
use crate::subset::{Dims, tuple};
use crate::view::swap_words;

pub(crate) use part::{Cut, Layer, Part};
pub(crate) use stage::Stage;

/// Elements in memory. The output side of a [`Region`] gives the offsets of the written elements in the buffer.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    /// The bytes of elements of variable length, for slots of heap [`GIVEN`]; any other slot stands for the fill value.
    pub(crate) heap: &'a [u8],
    /// The bytes of each element that are written; if empty, all.
    pub(crate) cuts: &'a [Cut],
}

/// The heap number of given elements.
pub(crate) const GIVEN: u32 = 1;

/// The heap number of elements read from the store.
const STORED: u32 = 2;

/// The heap number of staged elements.
const STAGED: u32 = 3;

/// Number of chunks planned per batch.
const BATCH: usize = 8192;

/// Stores elements of an array's chunks.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) source: &'a Source,
    pub(crate) options: CodecOptions,
}

impl<'a> Writer<'a> {
    /// Stores a region, which may reach into the padding of chunks at the array's end.
    pub(crate) fn write(&self, region: &Region, input: Input<'_>) -> Result<()> {
        self.check_exclusion(region, input.cuts.is_empty())?;
        let mut split = region.split(&self.source.grid);
        loop {
            let batch: Vec<_> = split.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let batch = spread(batch, self.options.concurrency());
            let bytes = |(chunk, _): &(Dims, Region)| self.source.chain_of(chunk).map_or(0, Chain::decoded_size);
            self.source.each(&batch, self.options.concurrency(), bytes, |(chunk, region)| {
                let layer = Layer { region: region.clone(), bytes: input.bytes, mask: None, cuts: input.cuts };
                self.store_layers(chunk, SmallVec::from_iter([layer]), input.heap, false)?;
                advance(region.elements().saturating_mul(self.source.chain.data_type().size() as u64));
                Ok(())
            })?;
        }
    }

    /// Stores layers of a chunk at once; later layers win. `covering`: together they are known to cover the chunk.
    pub(crate) fn store_layers<'b>(
        &self,
        chunk: &[u64],
        layers: SmallVec<[Layer<'b>; 1]>,
        heap: &'b [u8],
        covering: bool,
    ) -> Result<()> {
        let store = || {
            let whole = self.source.grid.chunk_subset(chunk)?;
            let inside = whole.bound(self.source.grid.array_shape())?.shape().into();
            self.store_part(chunk, Part { layers, heap, inside, covering })
        };
        store().place(|| self.place(chunk))
    }

    /// Stores the encoded bytes of a chunk; `None` erases it.
    pub(crate) fn store_encoded(&self, chunk: &[u64], bytes: Option<&[u8]>) -> Result<()> {
        self.set(&self.source.key(chunk), bytes).place(|| self.place(chunk))
    }

    fn place(&self, chunk: &[u64]) -> String {
        format!("cannot store chunk {} of {}", tuple(chunk), self.source.name)
    }

    fn reader(&self) -> Reader<'a> {
        Reader { source: self.source, options: self.options, cache: Caching::Off }
    }

    /// Returns this writer for the calling thread alone: it never waits for the pool.
    fn single_threaded(&self) -> Self {
        Self { options: CodecOptions { concurrent_target: 1, ..self.options }, ..*self }
    }

    /// Returns this writer with the option to store chunks that hold only the fill value.
    fn keeping_empty_chunks(&self) -> Self {
        Self { options: CodecOptions { store_empty_chunks: true, ..self.options }, ..*self }
    }

    fn set(&self, key: &str, bytes: Option<&[u8]>) -> Result<()> {
        let Some(bytes) = bytes else { return self.erase(key) };
        let _guard = self.source.store.lock(key)?;
        self.source.store.set(key, bytes)
    }

    fn erase(&self, key: &str) -> Result<()> {
        let store = &*self.source.store;
        // A missing object needs no lock. In a remote store, finding out takes as long as erasing.
        if !store.profile().remote && store.open(key)?.stat()?.is_none() {
            return Ok(());
        }
        let _guard = store.lock(key)?;
        store.erase(key)
    }

    fn store_part(&self, chunk: &[u64], mut part: Part<'_>) -> Result<()> {
        let (key, chain) = (self.source.key(chunk), self.source.chain_of(chunk)?);
        part.covering = part.covers(chain)?;
        if !part.covering {
            self.check_change(chunk)?;
        }
        if let Some(shard) = chain.open_shard() {
            return self.store_shard(chunk, &key, shard, &part.permuted(chain.order()));
        }
        if part.covering {
            if let Some(layout) = chain.raw() {
                if let Some(bytes) = part.stored_input(layout, chain.shape()) {
                    return self.set(&key, self.is_kept(chain, layout, bytes).then_some(bytes));
                }
                let mut elements = Buffer::new(to_usize(layout.size)?)?;
                let keep = self.gather(chain, layout, &part, None, &mut elements)?;
                return self.set(&key, keep.then_some(&elements));
            }
            let (stored, keep) = self.encode_scratch(chain, &part)?;
            return self.set(&key, keep.then_some(&stored));
        }
        self.change(chunk, &key, |mut writer, old| {
            // No store can remove an object on the condition that it has a version.
            writer.options.store_empty_chunks |= old.is_some() && self.compares_versions();
            let mut stored = Vec::new();
            let keep = writer.encode(chain, &part, old, &mut stored)?;
            writer.replace(&key, keep.then_some(&stored), old)
        })
    }

    /// Encodes a chunk that is replaced as a whole into scratch memory.
    fn encode_scratch(&self, chain: &Chain, part: &Part<'_>) -> Result<(Buffer, bool)> {
        let mut keep = false;
        let stored = Buffer::written(|stored| {
            keep = self.encode(chain, part, None, stored)?;
            Ok(())
        })?;
        Ok((stored, keep))
    }

    /// Whether elements, in the layout before the bytes-to-bytes codecs, must be stored instead of erased.
    fn is_kept(&self, chain: &Chain, layout: &Elements, elements: &[u8]) -> bool {
        self.options.store_empty_chunks || !stored_fill(chain, layout).fills(elements)
    }

    /// Gathers the elements of a chunk, stored as `old`, in the layout before the bytes-to-bytes codecs; returns false
    /// if the chunk must be erased.
    fn gather(
        &self,
        chain: &Chain,
        layout: &Elements,
        part: &Part<'_>,
        old: Option<&Stored>,
        elements: &mut [u8],
    ) -> Result<bool> {
        match old {
            Some(old) if !part.covers(chain)? => {
                let old = old.read(chain.stored_size().bound())?;
                chain.decode_into(&old, self.options.validate_checksums, elements)?;
                part.place(layout, elements)?;
            }
            _ => {
                let fill = stored_fill(chain, layout);
                part.place_alone(layout, chain.shape(), filling(&fill, chain, part)?, elements)?;
            }
        }
        Ok(self.is_kept(chain, layout, elements))
    }

    /// Appends the encoded bytes of a chunk, stored as `old`, to `stored`; returns false if the chunk must be erased.
    fn encode(&self, chain: &Chain, part: &Part<'_>, old: Option<&Stored>, stored: &mut Vec<u8>) -> Result<bool> {
        match chain.layout() {
            Layout::Elements(layout) => {
                if let Some(bytes) = part.stored_input(layout, chain.shape()) {
                    let keep = self.is_kept(chain, layout, bytes);
                    return if keep { chain.encode_bytes(bytes, stored).map(|()| true) } else { Ok(false) };
                }
                let mut elements = Buffer::new(to_usize(layout.size)?)?;
                if !self.gather(chain, layout, part, old, &mut elements)? {
                    return Ok(false);
                }
                chain.encode_bytes(&elements, stored)?;
            }
            Layout::Computed(packed) => {
                let old = if part.covers(chain)? { None } else { old };
                let (layout, mut elements) = (&packed.layout, Buffer::new(to_usize(packed.layout.size)?)?);
                let mut heap = Vec::new();
                if let Some(old) = old {
                    heap = self.unpack(chain, packed, old, &mut elements)?;
                    part.place(layout, &mut elements)?;
                } else {
                    let slot = [0; Slot::SIZE];
                    let fill =
                        if packed.variable().is_some() { &slot[..] } else { filling(chain.fill_value(), chain, part)? };
                    part.place_alone(layout, chain.shape(), fill, &mut elements)?;
                }
                let mut terminal = Vec::new();
                if !self.pack(chain, packed, &elements, [part.heap, &heap], &mut terminal)? {
                    return Ok(false);
                }
                chain.encode_bytes(&terminal, stored)?;
            }
            Layout::Shard(shard) => {
                let old = if part.covers(chain)? { None } else { old };
                let part = part.permuted(chain.order());
                if chain.open_shard().is_some() {
                    return self.encode_shard(shard, &part, old, stored);
                }
                let old = old.map(|old| self.reader().decoded_shard(old, chain, &Counts::default())).transpose()?;
                let mut whole = Vec::new();
                if !self.encode_shard(shard, &part, old.as_ref(), &mut whole)? {
                    return Ok(false);
                }
                chain.encode_bytes(&whole, stored)?;
            }
        }
        Ok(true)
    }

    /// Decodes a stored chunk into `elements`; returns the heap of elements of variable length.
    fn unpack(&self, chain: &Chain, packed: &ArrayCodecs, old: &Stored, elements: &mut [u8]) -> Result<Vec<u8>> {
        let old = old.read(chain.stored_size().bound())?;
        let decoded = chain.decode(&old, self.options.validate_checksums)?;
        let Some(codec) = packed.variable() else {
            self.reader().unpack_into(packed, &decoded, elements)?;
            return Ok(Vec::new());
        };
        let (slots, heap) = packed.slots(codec, &decoded)?;
        for (slot, element) in slots.into_iter().zip(elements.as_chunks_mut::<{ Slot::SIZE }>().0) {
            *element = Slot { heap: STORED, ..slot }.to_bytes();
        }
        Ok(heap.unwrap_or_else(|| decoded.to_vec()))
    }

    /// Appends the packed elements of a chunk to `bytes`; returns false if they are all the fill value.
    fn pack(
        &self,
        chain: &Chain,
        packed: &ArrayCodecs,
        elements: &[u8],
        heaps: [&[u8]; 2],
        bytes: &mut Vec<u8>,
    ) -> Result<bool> {
        let (fill, keep) = (chain.fill_value(), self.options.store_empty_chunks);
        if let Some(codec) = packed.variable() {
            let fill = fill.bytes();
            let found = |slot: Slot| match slot.heap {
                GIVEN | STAGED => slot.of(heaps[0]).unwrap_or_default(),
                STORED => slot.of(heaps[1]).unwrap_or_default(),
                _ => fill,
            };
            let elements: Vec<&[u8]> = Slot::all(elements).map(found).collect();
            if !keep && elements.iter().all(|element| *element == fill) {
                return Ok(false);
            }
            codec.encode(&elements, &packed.shape, bytes)?;
            return Ok(true);
        }
        if !keep && fill.fills(elements) {
            return Ok(false);
        }
        // The inner shard is stored even if its codecs see only the fill value.
        let writer = self.keeping_empty_chunks();
        packed.encode(elements, bytes, &mut |chain, elements, bytes| {
            let layer = Layer::whole(chain.shape(), chain.data_type().size(), elements);
            writer.encode(chain, &Part::whole(layer, chain.shape()), None, bytes).map(|_| ())
        })?;
        Ok(true)
    }
}

/// Reorders items so that threads work in different folders: the system creates the files of one folder one at a time.
fn spread<T>(items: Vec<T>, threads: usize) -> Vec<T> {
    let threads = threads.max(1);
    let share = items.len().div_ceil(threads);
    let mut items: Vec<_> = items.into_iter().map(Some).collect();
    let places = (0..share).flat_map(|k| (0..threads).map(move |thread| thread * share + k));
    places.filter_map(|place| items.get_mut(place)?.take()).collect()
}

/// Returns the bytes for elements of a chunk that neither the part nor the store has.
fn filling<'f>(fill: &'f FillValue, chain: &Chain, part: &Part<'_>) -> Result<&'f [u8]> {
    match fill.known() {
        Err(_) if part.covers(chain)? => Ok(fill.bytes()),
        known => known,
    }
}

/// Returns the fill value in the byte order of a layout.
fn stored_fill<'a>(chain: &'a Chain, layout: &Elements) -> Cow<'a, FillValue> {
    let mut fill = Cow::Borrowed(chain.fill_value());
    if layout.item.word > 1 {
        swap_words(fill.to_mut().bytes_mut(), layout.item.word);
    }
    fill
}

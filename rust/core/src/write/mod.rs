//! The way back, from elements in a buffer to stored chunks: gather, encode, set.
//!
//! What is written is cut at the chunks by the same planner as what is read; each part goes into the elements of its
//! chunk by the same strided copy with its two sides exchanged. A chunk that is covered whole, as far as it lies in the
//! array, is never read. Of another the stored elements come first: of a shard those of the inner chunks that are
//! covered in part, all others stay as they are.
//!
//! Between reading a chunk and setting it its key is [locked](crate::store::Store::lock), and so it is while a whole
//! chunk is set, for otherwise others could put back what they read before. Nothing waits for the pool under a lock:
//! what needs no stored elements is encoded before.

mod shard;

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::buffer::{Buffer, to_usize};
use crate::codec::chain::{Chain, Elements, Terminal};
use crate::codec::packed::Packed;
use crate::error::{Error, Place, Result};
use crate::options::CodecOptions;
use crate::plan::{Region, Run};
use crate::read::{Caching, Counts, Reader, Source, Stored};
use crate::runtime::parallel;
use crate::slot::Slot;
use crate::subset::{ArraySubset, Dims, tuple};
use crate::view::{Axes, Axis, Output, c_strides, swap_words};

/// Elements in memory. A [`Region`] tells where in the buffer those are that are written: what is the output of a read
/// is the input here.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    /// The bytes of elements of variable length, whose slots have the number [`GIVEN`]; others are the fill value.
    pub(crate) heap: &'a [u8],
}

/// The heap of elements that are written.
pub(crate) const GIVEN: u32 = 1;

/// The heap of elements that were stored before.
const STORED: u32 = 2;

/// So many chunks are planned at once.
const BATCH: usize = 8192;

/// How a write is done.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) source: &'a Source,
    pub(crate) options: CodecOptions,
}

/// What of a chunk is written.
struct Part {
    region: Region,
    /// The shape of what of the chunk lies in the array.
    inside: Dims,
}

impl Part {
    /// All of a chunk, with strides of the input.
    fn whole(shape: &[u64], strides: &[isize]) -> Self {
        let run = |(length, stride): (&u64, &isize)| Run { start: 0, step: 1, length: *length, stride: *stride };
        let runs = shape.iter().zip(strides).map(run).collect();
        Self { region: Region { runs, lists: SmallVec::new(), origin: 0 }, inside: shape.into() }
    }

    /// Whether nothing of what is stored stays. The padding of chunks at the array's end does not count; what is nothing
    /// but padding does.
    fn covers(&self, shape: &[u64]) -> bool {
        self.region.covers(if self.inside.contains(&0) { shape } else { &self.inside })
    }

    fn permuted(&self, order: &[usize]) -> Self {
        Self { region: self.region.permuted(order), inside: order.iter().map(|axis| self.inside[*axis]).collect() }
    }
}

impl<'a> Writer<'a> {
    /// Stores a region, which may reach into the padding of chunks at the array's end.
    pub(crate) fn write(&self, region: &Region, input: Input<'_>) -> Result<()> {
        if !self.options.unlocked_writes && !self.source.store.locks_all() {
            self.check_aligned(region)?;
        }
        let mut split = region.split(&self.source.grid);
        loop {
            let batch: Vec<_> = split.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            parallel(&batch, self.options.concurrency(), |(chunk, region)| {
                self.store_part(chunk, region, input).place(|| self.place(chunk))
            })?;
        }
    }

    /// Stores the bytes of a chunk; `None`: erases it.
    pub(crate) fn store_encoded(&self, chunk: &[u64], bytes: Option<&[u8]>) -> Result<()> {
        self.set(&self.source.key(chunk), bytes).place(|| self.place(chunk))
    }

    /// Checks that no chunk is to be changed in part, as others may change it at the same time.
    fn check_aligned(&self, region: &Region) -> Result<()> {
        let grid = &self.source.grid;
        let bounded = |chunk: &[u64]| grid.chunk_subset(chunk)?.bound(grid.array_shape());
        let (mut aligned, mut around): (bool, Option<ArraySubset>) = (true, None);
        for (chunk, region) in region.split(grid) {
            let inside = bounded(&chunk)?;
            let part = Part { region, inside: inside.shape().into() };
            aligned &= part.covers(self.source.chain_of(&chunk)?.shape());
            around = Some(around.map_or(Ok(inside.clone()), |around| around.hull(&inside))?);
        }
        match around {
            Some(around) if !aligned => Err(Error::unsupported(format!(
                "{}: chunks would be changed in part, and the store cannot keep other processes from changing them at the                  same time; the region {around} would be whole chunks, and the option unlocked_writes allows it",
                self.source.name
            ))),
            _ => Ok(()),
        }
    }

    fn place(&self, chunk: &[u64]) -> String {
        format!("cannot store chunk {} of {}", tuple(chunk), self.source.name)
    }

    fn reader(&self) -> Reader<'a> {
        Reader { source: self.source, options: self.options, cache: Caching::Off }
    }

    fn set(&self, key: &str, bytes: Option<&[u8]>) -> Result<()> {
        let store = &*self.source.store;
        // What is not there need not be locked to stay so.
        if bytes.is_none() && store.open(key)?.stat()?.is_none() {
            return Ok(());
        }
        let _guard = store.lock(key)?;
        self.set_locked(key, bytes)
    }

    fn set_locked(&self, key: &str, bytes: Option<&[u8]>) -> Result<()> {
        match bytes {
            Some(bytes) => self.source.store.set(key, bytes),
            None => self.source.store.erase(key),
        }
    }

    fn store_part(&self, chunk: &[u64], region: &Region, input: Input<'_>) -> Result<()> {
        let (source, key, chain) = (self.source, self.source.key(chunk), self.source.chain_of(chunk)?);
        let whole = source.grid.chunk_subset(chunk)?;
        let part = Part { region: region.clone(), inside: whole.bound(source.grid.array_shape())?.shape().into() };
        let mut stored = Vec::new();
        if part.covers(chain.shape()) {
            let keep = self.encode(chain, &part, input, None, &mut stored)?;
            return self.set(&key, keep.then_some(&stored));
        }
        let shard = chain.open_shard().map(|shard| (shard, part.permuted(chain.order())));
        let ready = match &shard {
            Some((shard, part)) => self.encode_covered(shard, part, input)?,
            None => HashMap::new(),
        };
        let _guard = source.store.lock(&key)?;
        let alone = Self { options: CodecOptions { concurrent_target: 1, ..self.options }, ..*self };
        let old = alone.reader().open(chunk, None, &Counts::default())?;
        let keep = match &shard {
            Some((shard, part)) => alone.encode_shard(shard, part, input, old.as_ref(), ready, &mut stored)?,
            None => alone.encode(chain, &part, input, old.as_ref(), &mut stored)?,
        };
        // What was missing and stays so.
        if !keep && old.is_none() {
            return Ok(());
        }
        self.set_locked(&key, keep.then_some(&stored))
    }

    /// Encodes a chunk, of which `old` is stored, to the end of `stored`; false: it holds nothing but the fill value and
    /// is not to be stored.
    fn encode(
        &self,
        chain: &Chain,
        part: &Part,
        input: Input<'_>,
        old: Option<&Stored>,
        stored: &mut Vec<u8>,
    ) -> Result<bool> {
        let old = old.filter(|_| !part.covers(chain.shape()));
        match chain.terminal() {
            Terminal::Elements(elements) => {
                let mut fill = chain.fill_value().clone();
                swap_words(fill.bytes_mut(), elements.item.word);
                let mut gathered = Buffer::new(to_usize(elements.size)?)?;
                match old {
                    Some(old) => {
                        let old = old.read(chain.stored_size().bound())?;
                        chain.decode_into(&old, self.options.validate_checksums, &mut gathered)?;
                    }
                    None => fill_around(chain, elements, part, fill.bytes(), &mut gathered)?,
                }
                gather(elements, part, input, &mut gathered)?;
                if !self.options.store_empty_chunks && fill.fills(&gathered) {
                    return Ok(false);
                }
                chain.encode_stages(&gathered, stored)?;
            }
            Terminal::Packed(packed) => {
                let mut gathered = Buffer::new(to_usize(packed.layout.size)?)?;
                let mut heap = Vec::new();
                match old {
                    Some(old) => heap = self.unpack(chain, packed, old, &mut gathered)?,
                    None if packed.variable().is_some() => {
                        fill_around(chain, &packed.layout, part, &[0; Slot::SIZE], &mut gathered)?;
                    }
                    None => fill_around(chain, &packed.layout, part, chain.fill_value().bytes(), &mut gathered)?,
                }
                gather(&packed.layout, part, input, &mut gathered)?;
                let mut terminal = Vec::new();
                if !self.pack(chain, packed, &gathered, [input.heap, &heap], &mut terminal)? {
                    return Ok(false);
                }
                chain.encode_stages(&terminal, stored)?;
            }
            Terminal::Shard(shard) => {
                let part = part.permuted(chain.order());
                if chain.open_shard().is_some() {
                    return self.encode_shard(shard, &part, input, old, HashMap::new(), stored);
                }
                let old = old.map(|old| self.reader().decoded_shard(old, chain)).transpose()?;
                let mut whole = Vec::new();
                if !self.encode_shard(shard, &part, input, old.as_ref(), HashMap::new(), &mut whole)? {
                    return Ok(false);
                }
                chain.encode_stages(&whole, stored)?;
            }
        }
        Ok(true)
    }

    /// Unpacks what is stored of a chunk into its elements; returns their heap, should they be of variable length.
    fn unpack(&self, chain: &Chain, packed: &Packed, old: &Stored, elements: &mut [u8]) -> Result<Vec<u8>> {
        let old = old.read(chain.stored_size().bound())?;
        let decoded = chain.decode(&old, self.options.validate_checksums)?;
        let Some(codec) = packed.variable() else {
            self.reader().unpack_into(packed, &decoded, elements)?;
            return Ok(Vec::new());
        };
        let (slots, own) = packed.slots(codec, &decoded)?;
        for (slot, element) in slots.into_iter().zip(elements.as_chunks_mut::<{ Slot::SIZE }>().0) {
            *element = Slot { heap: STORED, ..slot }.to_bytes();
        }
        Ok(own.unwrap_or_else(|| decoded.to_vec()))
    }

    /// Packs the elements of a chunk to the end of `bytes`; false: they are nothing but the fill value.
    fn pack(
        &self,
        chain: &Chain,
        packed: &Packed,
        elements: &[u8],
        heaps: [&[u8]; 2],
        bytes: &mut Vec<u8>,
    ) -> Result<bool> {
        let (fill, keep) = (chain.fill_value(), self.options.store_empty_chunks);
        if let Some(codec) = packed.variable() {
            let fill = fill.bytes();
            let found = |slot: Slot| match slot.heap {
                GIVEN => slot.of(heaps[0]).unwrap_or_default(),
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
        // A shard of nothing but the fill value, as its codecs see it, is stored all the same.
        let writer = Self { options: CodecOptions { store_empty_chunks: true, ..self.options }, ..*self };
        packed.pack(elements, bytes, &mut |chain, elements, bytes| {
            let part = Part::whole(chain.shape(), &c_strides(chain.shape(), chain.data_type().size()));
            writer.encode(chain, &part, Input { bytes: elements, heap: &[] }, None, bytes).map(|_| ())
        })?;
        Ok(true)
    }
}

/// Fills the elements of a chunk where not all of them are written.
fn fill_around(chain: &Chain, layout: &Elements, part: &Part, value: &[u8], elements: &mut Buffer) -> Result<()> {
    if part.region.covers(chain.shape()) {
        return Ok(());
    }
    let axis = |(length, to): (&u64, &i64)| Axis { length: *length as usize, from: 0, to: *to as isize };
    let axes: Axes = chain.shape().iter().zip(&layout.strides).map(axis).collect();
    // SAFETY: one thread.
    unsafe { Output::share(elements) }.fill(layout.offset as isize, &axes, value)
}

/// Places what is written of a chunk among its elements, as they are before the stages.
fn gather(layout: &Elements, part: &Part, input: Input<'_>, elements: &mut Buffer) -> Result<()> {
    // As they are placed by a read, the other way round.
    let (to, mut axes) = part.region.axes(&layout.strides);
    for axis in &mut axes {
        std::mem::swap(&mut axis.from, &mut axis.to);
    }
    let mut jumps = part.region.jumps(&layout.strides);
    for jump in jumps.iter_mut().flatten() {
        std::mem::swap(&mut jump.from, &mut jump.to);
    }
    // SAFETY: one thread.
    let output = unsafe { Output::share(elements) };
    output.place_each(to + layout.offset as isize, &axes, &jumps, input.bytes, part.region.origin, layout.item)
}

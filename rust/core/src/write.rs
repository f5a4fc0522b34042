//! The way back, from elements in a buffer to stored chunks: gather, encode, set.

use crate::buffer::{Buffer, to_usize};
use crate::codec::IndexLocation;
use crate::codec::chain::{Chain, Elements, Shard, Terminal};
use crate::codec::packed::Packed;
use crate::error::{Error, Place, Result};
use crate::options::CodecOptions;
use crate::read::{MISSING, Source};
use crate::runtime::{parallel, parallel_map};
use crate::slot::Slot;
use crate::subset::{ArraySubset, Dims, tuple};
use crate::view::{Axes, Axis, Output, as_bytes, c_strides, swap_words};

/// Elements in memory: a buffer, the offset of the first and the strides, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) origin: isize,
    pub(crate) strides: &'a [isize],
    /// The bytes of elements of variable length, whose slots have the number [`GIVEN`]; others are the fill value.
    pub(crate) heap: &'a [u8],
}

/// The heap of elements that are written.
pub(crate) const GIVEN: u32 = 1;

impl Input<'_> {
    /// The elements from one on.
    fn from(self, first: &[u64]) -> Self {
        let from: isize = first.iter().zip(self.strides).map(|(i, stride)| *i as isize * stride).sum();
        Self { origin: self.origin + from, ..self }
    }
}

/// How a write is done.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) source: &'a Source,
    pub(crate) options: CodecOptions,
}

impl Writer<'_> {
    /// Stores a whole chunk, its padding included.
    pub(crate) fn store_chunk(&self, chunk: &[u64], input: Input<'_>) -> Result<()> {
        let source = self.source;
        let key = source.key(chunk);
        let place = || format!("cannot store chunk {} of {}", tuple(chunk), source.name);
        let mut stored = Vec::new();
        let chain = source.chain_of(chunk).place(place)?;
        if self.encode(chain, input, &mut stored).place(place)? {
            source.store.set(&key, &stored).place(place)
        } else {
            source.store.erase(&key).place(place)
        }
    }

    /// Stores a region that consists of whole chunks, where chunks at the array's end need only what lies inside.
    pub(crate) fn store_subset(&self, subset: &ArraySubset, input: Input<'_>) -> Result<()> {
        let grid = &self.source.grid;
        let chunks: Vec<Dims> = grid.chunks_in_subset(subset)?.indices().collect();
        for chunk in &chunks {
            let inside = grid.chunk_subset(chunk)?.bound(grid.array_shape())?;
            if !inside.inbounds(subset) {
                return Err(Error::unsupported(format!(
                    "the region {subset} covers only a part of chunk {} of {}: whole chunks are written, such as {}",
                    tuple(chunk),
                    self.source.name,
                    grid.chunks_subset(&grid.chunks_in_subset(subset)?)?.bound(grid.array_shape())?
                )));
            }
        }
        parallel(&chunks, self.options.concurrency(), |chunk| {
            let whole = grid.chunk_subset(chunk)?;
            let inside = whole.bound(grid.array_shape())?;
            let first = inside.relative_to(subset.start())?;
            let input = input.from(first.start());
            if inside == whole {
                return self.store_chunk(chunk, input);
            }
            // At the array's end: the padding is the fill value.
            let chain = self.source.chain_of(chunk)?;
            let size = chain.data_type().size();
            let mut padded = Buffer::new(to_usize(chain.decoded_size())?)?;
            let strides = c_strides(chain.shape(), size);
            let axis = |k: usize, length: u64| Axis { length: length as usize, from: input.strides[k], to: strides[k] };
            let rank = strides.len();
            // SAFETY: one thread.
            let output = unsafe { Output::share(&mut padded) };
            let all: Axes = (0..rank).map(|k| axis(k, chain.shape()[k])).collect();
            if chain.data_type().is_variable() {
                output.fill(0, &all, &[0; Slot::SIZE])?;
            } else {
                output.fill(0, &all, chain.fill_value().bytes())?;
            }
            let part: Axes = (0..rank).map(|k| axis(k, inside.shape()[k])).collect();
            output.place(0, &part, input.bytes, input.origin, crate::view::Item { size, word: 1 })?;
            self.store_chunk(chunk, Input { bytes: &padded, origin: 0, strides: &strides, ..input })
        })
    }

    /// Encodes a chunk to the end of `stored`; false: it holds nothing but the fill value and is not to be stored.
    fn encode(&self, chain: &Chain, input: Input<'_>, stored: &mut Vec<u8>) -> Result<bool> {
        match chain.terminal() {
            Terminal::Elements(elements) => {
                let gathered = gather(chain, elements, input)?;
                let mut fill = chain.fill_value().clone();
                swap_words(fill.bytes_mut(), elements.item.word);
                if !self.options.store_empty_chunks && fill.fills(&gathered) {
                    return Ok(false);
                }
                chain.encode_stages(&gathered, stored)?;
            }
            Terminal::Packed(packed) => {
                let gathered = gather(chain, &packed.layout, input)?;
                let mut terminal = Vec::new();
                if !self.pack(chain, packed, &gathered, input.heap, &mut terminal)? {
                    return Ok(false);
                }
                chain.encode_stages(&terminal, stored)?;
            }
            Terminal::Shard(shard) => {
                let strides: Dims<isize> = chain.order().iter().map(|axis| input.strides[*axis]).collect();
                let input = Input { strides: &strides, ..input };
                if chain.open_shard().is_some() {
                    return self.encode_shard(shard, input, stored);
                }
                let mut whole = Vec::new();
                if !self.encode_shard(shard, input, &mut whole)? {
                    return Ok(false);
                }
                chain.encode_stages(&whole, stored)?;
            }
        }
        Ok(true)
    }

    /// Packs the elements of a chunk to the end of `packed`; false: they are nothing but the fill value.
    fn pack(&self, chain: &Chain, packed: &Packed, elements: &[u8], heap: &[u8], bytes: &mut Vec<u8>) -> Result<bool> {
        let (fill, keep) = (chain.fill_value(), self.options.store_empty_chunks);
        if let Some(codec) = packed.variable() {
            let fill = fill.bytes();
            let found = |slot: Slot| if slot.heap == GIVEN { slot.of(heap).unwrap_or_default() } else { fill };
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
            let strides = c_strides(chain.shape(), chain.data_type().size());
            let input = Input { bytes: elements, origin: 0, strides: &strides, heap: &[] };
            writer.encode(chain, input, bytes).map(|_| ())
        })?;
        Ok(true)
    }

    /// Encodes the inner chunks of a shard in C order, and its index.
    fn encode_shard(&self, shard: &Shard, input: Input<'_>, stored: &mut Vec<u8>) -> Result<bool> {
        let start = stored.len();
        let index_size = to_usize(shard.index_size)?;
        if shard.index_location == IndexLocation::Start {
            stored.resize(start + index_size, 0);
        }
        let inner: Vec<Dims> = ArraySubset::new_with_shape(&shard.grid.shape()).indices().collect();
        let encoded = parallel_map(&inner, self.options.concurrency(), |chunk| {
            let first = shard.grid.chunk_subset(chunk)?;
            let mut bytes = Vec::new();
            let stored = self.encode(&shard.inner, input.from(first.start()), &mut bytes)?;
            Ok(stored.then_some(bytes))
        })?;
        let mut index = Vec::with_capacity(2 * inner.len());
        for bytes in encoded {
            match bytes {
                Some(bytes) => {
                    index.extend([(stored.len() - start) as u64, bytes.len() as u64]);
                    stored.extend_from_slice(&bytes);
                }
                None => index.extend([MISSING, MISSING]),
            }
        }
        if index.iter().all(|entry| *entry == MISSING) {
            stored.truncate(start);
            return Ok(false);
        }
        let strides = c_strides(shard.index.shape(), 8);
        let input = Input { bytes: as_bytes(&index), origin: 0, strides: &strides, heap: &[] };
        let mut encoded_index = Vec::new();
        let keep = Self { options: CodecOptions { store_empty_chunks: true, ..self.options }, ..*self };
        keep.encode(&shard.index, input, &mut encoded_index)?;
        match shard.index_location {
            IndexLocation::End => stored.extend_from_slice(&encoded_index),
            IndexLocation::Start => stored[start..start + index_size].copy_from_slice(&encoded_index),
        }
        Ok(true)
    }
}

/// The elements of a chunk as they are stored before the stages.
fn gather(chain: &Chain, elements: &Elements, input: Input<'_>) -> Result<Buffer> {
    let mut gathered = Buffer::new(to_usize(elements.size)?)?;
    let axis = |(k, length): (usize, &u64)| Axis {
        length: *length as usize,
        from: input.strides[k],
        to: elements.strides[k] as isize,
    };
    let axes: Axes = chain.shape().iter().enumerate().map(axis).collect();
    // SAFETY: one thread.
    let output = unsafe { Output::share(&mut gathered) };
    output.place(elements.offset as isize, &axes, input.bytes, input.origin, elements.item)?;
    Ok(gathered)
}

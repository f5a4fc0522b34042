//! Decoding: from the stored bytes of a leaf to the output.

use std::sync::Arc;

use super::leaf::Leaf;
use super::reader::{Caching, LOCAL, Reader};
use super::stored::Stored;
use crate::buffer::{Buffer, to_usize};
use crate::codec::chain::ArrayCodecs;
use crate::error::{Error, Result};
use crate::fetch::{run_of, spans};
use crate::selection::Selection;
use crate::slot::{Keeping, Slot};
use crate::subset::ArraySubset;
use crate::view::{Output, Transfer, c_strides, swap_words};

/// Rows with smaller gaps in the decoded bytes are decoded together: about the block size of block codecs.
const BLOCK: u64 = 32 << 10;

impl<'a> Reader<'a> {
    /// Takes a leaf from its cache; returns false if it is not there.
    pub(super) fn take_cached(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<bool> {
        let Some(cache) = self.cache_for(leaf) else { return Ok(false) };
        let Some(bytes) = cache.get(&self.leaf_origin(leaf), leaf.stored.stat.version) else { return Ok(false) };
        if cache.keeps_decoded() {
            place_decoded(leaf, &bytes, output)?;
        } else {
            self.decode(leaf, &bytes, output)?;
        }
        Ok(true)
    }

    /// Decodes the stored bytes of a leaf, places the elements, and puts the leaf into a cache that keeps it.
    pub(super) fn decode_and_keep(&self, leaf: &Leaf<'a>, stored: &[u8], output: &Output<'_>) -> Result<()> {
        let Some(cache) = self.cache_for(leaf) else { return self.decode(leaf, stored, output) };
        let kept = if cache.keeps_decoded() {
            let decoded = leaf.chain.decode(stored, self.options.validate_checksums)?;
            let decoded = match leaf.packed_fixed() {
                Some(packed) => self.unpack(packed, &decoded)?.to_vec(),
                None => decoded.to_vec(),
            };
            place_decoded(leaf, &decoded, output)?;
            decoded
        } else {
            self.decode(leaf, stored, output)?;
            stored.to_vec()
        };
        cache.put(self.leaf_origin(leaf), leaf.stored.stat.version, Arc::new(kept));
        Ok(())
    }

    /// Decodes the stored bytes of a leaf and places the elements.
    fn decode(&self, leaf: &Leaf<'a>, stored: &[u8], output: &Output<'_>) -> Result<()> {
        let (chain, elements, region) = (leaf.chain, leaf.elements, &leaf.region);
        let validate = self.options.validate_checksums;
        if chain.raw().is_some() {
            leaf.check_size()?;
            return place_decoded(leaf, stored, output);
        }
        if chain.data_type().is_variable() {
            return place_decoded(leaf, &chain.decode(stored, validate)?, output);
        }
        let (from, axes) = region.axes(&elements.strides);
        let from = from + elements.offset as isize;
        let straight = from == 0 && region.lists.is_empty();
        if straight && run_of(&axes, elements.item).is_some_and(|run| run as u64 == elements.size) {
            // SAFETY: the planner gives each element of the output to one leaf.
            if let Some(target) = unsafe { output.slice(region.origin, to_usize(elements.size)?) } {
                if let Some(packed) = leaf.packed_fixed() {
                    return self.unpack_into(packed, &chain.decode(stored, validate)?, target);
                }
                chain.decode_into(stored, validate, target)?;
                swap_words(target, elements.item.word);
                return Ok(());
            }
        }
        if leaf.packed_fixed().is_none() && decode_spans(leaf, stored, output)? {
            return Ok(());
        }
        let decoded = chain.decode(stored, validate)?;
        match leaf.packed_fixed() {
            Some(packed) => place_decoded(leaf, &self.unpack(packed, &decoded)?, output),
            None => place_decoded(leaf, &decoded, output),
        }
    }

    pub(super) fn unpack(&self, packed: &ArrayCodecs, bytes: &[u8]) -> Result<Buffer> {
        let mut unpacked = Buffer::new(to_usize(packed.layout.size)?)?;
        self.unpack_into(packed, bytes, &mut unpacked)?;
        Ok(unpacked)
    }

    /// Unpacks a chunk of elements of fixed size, or a shard below filters.
    pub(crate) fn unpack_into(&self, packed: &ArrayCodecs, bytes: &[u8], unpacked: &mut [u8]) -> Result<()> {
        packed.decode(bytes, unpacked, &mut |chain, bytes, into| {
            // Runs the same steps for a shard in memory.
            let reader = Reader { cache: Caching::Off, ..*self };
            let stored = Stored::in_memory(Arc::new(bytes.to_vec()), self.source.identity, "".into());
            let whole = Selection::from(&ArraySubset::new_with_shape(chain.shape()));
            let region = whole.region(&c_strides(chain.shape(), chain.data_type().size()), 0);
            // SAFETY: nobody else uses `into`, and the planner gives each element of it to one leaf.
            let output = unsafe { Output::share(into) };
            for leaf in reader.resolve_shard(stored, chain, &region, &output)? {
                let bytes = leaf.stored.slice().unwrap_or_else(|| Err(Error::corrupt("the shard is not in memory")));
                let decoded = bytes.and_then(|bytes| reader.decode(&leaf, bytes, &output));
                decoded.map_err(|error| leaf.fail(error).1)?;
            }
            Ok(())
        })
    }
}

/// Decodes only the wanted elements of a leaf; returns false if its codec cannot, or if they are more than half of it.
fn decode_spans(leaf: &Leaf<'_>, stored: &[u8], output: &Output<'_>) -> Result<bool> {
    let elements = leaf.elements;
    if !leaf.region.lists.is_empty() {
        return Ok(false);
    }
    let (spans, all) = spans(elements, &leaf.region, BLOCK, LOCAL.most);
    if spans.iter().fold(0, |sum: u64, span| sum.saturating_add(span.length)) > elements.size / 2 {
        return Ok(false);
    }
    for span in spans {
        let mut buffer = Buffer::new(to_usize(span.length)?)?;
        if !leaf.chain.decode_range(stored, span.offset, &mut buffer)? {
            return Ok(false);
        }
        output.place(span.to, &span.axes(&all), &buffer, span.from, elements.item)?;
    }
    Ok(true)
}

/// Places the wanted elements of a decoded leaf.
fn place_decoded(leaf: &Leaf<'_>, decoded: &[u8], output: &Output<'_>) -> Result<()> {
    let (region, elements) = (&leaf.region, leaf.elements);
    let (from, axes) = region.axes(&elements.strides);
    let (from, jumps) = (from + elements.offset as isize, region.jumps(&elements.strides));
    let transfer = Transfer { from, to: region.origin, axes: &axes, jumps: &jumps };
    let Some((packed, codec)) = leaf.chain.array_codecs().and_then(|packed| Some((packed, packed.variable()?))) else {
        return output.place_each(transfer, decoded, elements.item);
    };
    let keeping = output.kept()?;
    let (mut slots, heap) = packed.slots(codec, decoded)?;
    match keeping {
        Keeping::Heaps(heaps) => {
            let number = heaps.add(heap.unwrap_or_else(|| decoded.to_vec()))?;
            for slot in &mut slots {
                slot.heap = number;
            }
            output.place_each(transfer, bytemuck::cast_slice(&slots), elements.item)
        }
        Keeping::Sink(sink) => {
            let (length, heap) = (slots.len() * Slot::SIZE, heap.as_deref().unwrap_or(decoded));
            let mut put = sink.lock();
            output.each(transfer, length, Slot::SIZE, |slot, to| {
                put(to, slots[slot / Slot::SIZE].of(heap).unwrap_or_default())
            })
        }
    }
}

//! From a leaf to the output: reads what is needed of it, decodes and places it.

use std::sync::Arc;

use super::resolve::{Counts, InnerPath, Leaf, Stored};
use super::{Caching, READS, Reader};
use crate::buffer::{Buffer, to_usize};
use crate::cache::{ChunkCache, Origin};
use crate::codec::Size;
use crate::codec::chain::ArrayCodecs;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{run_of, spans};
use crate::selection::Selection;
use crate::slot::{Keeping, Slot};
use crate::subset::ArraySubset;
use crate::view::{Output, c_strides, swap_words};

/// Rows that lie no farther apart in decoded bytes are decoded as one: about a block of those codecs that have some.
const NEAR: u64 = 32 << 10;

impl<'a> Reader<'a> {
    /// Reads one leaf that is in no cache: what is needed of it where it is stored as it is, else all.
    pub(super) fn read_leaf(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<()> {
        let stored = &leaf.stored;
        if let Some(bytes) = stored.object.bytes() {
            return self.decode_and_keep(leaf, stored.slice(bytes)?, output);
        }
        if let Some(pieces) = self.pieces(leaf, None)? {
            match self.read_pieces(leaf, &pieces, output) {
                // Who decodes it whole says what is wrong.
                Err(error) if error.kind() == ErrorKind::CorruptData => {}
                done => return done,
            }
        }
        if !self.reads_parts(leaf) {
            let bytes = stored.read(leaf.chain.stored_size().bound())?;
            return self.decode_and_keep(leaf, &bytes, output);
        }
        let elements = leaf.elements;
        leaf.check_size()?;
        let (spans, all) = self.spans(leaf);
        for span in spans {
            let axes = span.axes(&all);
            let length = to_usize(span.length)?;
            if let Some(packed) = leaf.chain.array_codecs() {
                let size = elements.item.size as u64;
                let (first, count) = (span.offset / size, span.length / size);
                let part = packed.part(first, count).filter(|part| part.end <= stored.length);
                let part = part.ok_or_else(|| Error::corrupt(format!("{} bytes end too early", stored.length)))?;
                let mut bytes = Buffer::new(to_usize(part.end - part.start)?)?;
                stored.read_at(stored.offset + part.start, &mut bytes)?;
                let mut unpacked = Buffer::new(length)?;
                packed.decode_part(&bytes, first, &mut unpacked)?;
                output.place_each(span.to, &axes, &span.jumps, &unpacked, span.from, elements.item)?;
                continue;
            }
            let offset = stored.offset + span.offset;
            let straight = span.jumps.is_empty();
            if straight && run_of(&axes, elements.item).is_some_and(|run| run as u64 == span.length) {
                // SAFETY: the planner gives each element of the output to one leaf and one span.
                if let Some(target) = unsafe { output.slice(span.to, length) } {
                    stored.read_at(offset, target)?;
                    swap_words(target, elements.item.word);
                    continue;
                }
            }
            let mut buffer = Buffer::new(length)?;
            stored.read_at(offset, &mut buffer)?;
            output.place_each(span.to, &axes, &span.jumps, &buffer, span.from, elements.item)?;
        }
        Ok(())
    }

    /// Whether only what is wanted of a leaf is read: where its elements can be read alone, and no cache wants all.
    pub(super) fn reads_parts(&self, leaf: &Leaf<'a>) -> bool {
        let at_once = self.source.store.profile().whole_reads && leaf.inner.is_empty();
        leaf.chain.in_parts()
            && self.cache_for(leaf).is_none()
            && !(at_once && leaf.region.is_whole(leaf.chain.shape()))
    }

    /// The cache that a leaf is looked for in, and then kept in.
    fn cache_for(&self, leaf: &Leaf<'a>) -> Option<&'a ChunkCache> {
        let Stored { lasting, stat, .. } = &leaf.stored;
        match self.cache {
            Caching::Own(cache) if *lasting => Some(cache),
            Caching::Shared(cache) if *lasting && stat.settled && !leaf.chain.in_parts() => {
                (!leaf.region.is_whole(leaf.chain.shape())).then_some(cache)
            }
            _ => None,
        }
    }

    fn origin(&self, leaf: &Leaf<'a>) -> Origin {
        let Stored { key, offset, .. } = &leaf.stored;
        Origin { identity: self.source.identity, key: key.to_string(), offset: *offset }
    }

    /// Takes a leaf from its cache; false: it is in none.
    pub(super) fn take_cached(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<bool> {
        let Some(cache) = self.cache_for(leaf) else { return Ok(false) };
        let Some(bytes) = cache.get(&self.origin(leaf), leaf.stored.stat.version) else { return Ok(false) };
        if cache.keeps_decoded() {
            place_decoded(leaf, &bytes, output)?;
        } else {
            self.decode(leaf, &bytes, output)?;
        }
        Ok(true)
    }

    /// Decodes what is stored of a leaf, places it, and keeps it where a cache wants it.
    pub(super) fn decode_and_keep(&self, leaf: &Leaf<'a>, stored: &[u8], output: &Output<'_>) -> Result<()> {
        let Some(cache) = self.cache_for(leaf) else { return self.decode(leaf, stored, output) };
        let kept = if cache.keeps_decoded() {
            let decoded = leaf.chain.decode(stored, self.options.validate_checksums)?;
            let decoded = match leaf.fixed() {
                Some(packed) => self.unpack(packed, &decoded)?.to_vec(),
                None => decoded.to_vec(),
            };
            place_decoded(leaf, &decoded, output)?;
            decoded
        } else {
            self.decode(leaf, stored, output)?;
            stored.to_vec()
        };
        cache.put(self.origin(leaf), leaf.stored.stat.version, Arc::new(kept));
        Ok(())
    }

    /// Decodes what is stored of a leaf, and places it.
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
                if let Some(packed) = leaf.fixed() {
                    return self.unpack_into(packed, &chain.decode(stored, validate)?, target);
                }
                chain.decode_into(stored, validate, target)?;
                swap_words(target, elements.item.word);
                return Ok(());
            }
        }
        if leaf.fixed().is_none() && decode_spans(leaf, stored, output)? {
            return Ok(());
        }
        let decoded = chain.decode(stored, validate)?;
        match leaf.fixed() {
            Some(packed) => place_decoded(leaf, &self.unpack(packed, &decoded)?, output),
            None => place_decoded(leaf, &decoded, output),
        }
    }

    fn unpack(&self, packed: &ArrayCodecs, bytes: &[u8]) -> Result<Buffer> {
        let mut unpacked = Buffer::new(to_usize(packed.layout.size)?)?;
        self.unpack_into(packed, bytes, &mut unpacked)?;
        Ok(unpacked)
    }

    /// Unpacks a chunk of elements of fixed size, or of a shard that filters saw.
    pub(crate) fn unpack_into(&self, packed: &ArrayCodecs, bytes: &[u8], unpacked: &mut [u8]) -> Result<()> {
        packed.decode(bytes, unpacked, &mut |chain, bytes, into| {
            // The same reader, of a shard in memory.
            let reader = Reader { cache: Caching::Off, ..*self };
            let stored = Stored::in_memory(Arc::new(bytes.to_vec()), self.source.identity, "".into());
            let whole = Selection::from(&ArraySubset::new_with_shape(chain.shape()));
            let region = whole.region(&c_strides(chain.shape(), chain.data_type().size()), 0);
            // SAFETY: `into` is ours, and the planner gives each element of it to one leaf.
            let output = unsafe { Output::share(into) };
            let mut leaves = Vec::new();
            let counts = Counts::default();
            let path = InnerPath::new();
            reader.resolve_stored(0, &path, stored, chain, &region, Some(&output), &counts, &mut leaves)?;
            leaves.iter().try_for_each(|leaf| reader.read_leaf(leaf, &output).map_err(|error| leaf.fail(error).1))
        })
    }
}

/// Decodes only what is wanted of a leaf, where that is little and its codec can; false: it was not done.
fn decode_spans(leaf: &Leaf<'_>, stored: &[u8], output: &Output<'_>) -> Result<bool> {
    let elements = leaf.elements;
    if !leaf.region.lists.is_empty() {
        return Ok(false);
    }
    let (spans, all) = spans(elements, &leaf.region, NEAR, READS.1);
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

/// Places what is wanted of a decoded leaf.
fn place_decoded(leaf: &Leaf<'_>, decoded: &[u8], output: &Output<'_>) -> Result<()> {
    let (region, elements) = (&leaf.region, leaf.elements);
    let (from, axes) = region.axes(&elements.strides);
    let (from, jumps) = (from + elements.offset as isize, region.jumps(&elements.strides));
    if let Some((packed, codec)) = leaf.chain.array_codecs().and_then(|packed| Some((packed, packed.variable()?))) {
        let keeping = output.kept()?;
        let (mut slots, own) = packed.slots(codec, decoded)?;
        return match keeping {
            Keeping::Heaps(heaps) => {
                let number = heaps.add(own.unwrap_or_else(|| decoded.to_vec()))?;
                for slot in &mut slots {
                    slot.heap = number;
                }
                output.place_each(region.origin, &axes, &jumps, bytemuck::cast_slice(&slots), from, elements.item)
            }
            Keeping::Sink(sink) => {
                let (length, heap) = (slots.len() * Slot::SIZE, own.as_deref().unwrap_or(decoded));
                let mut put = sink.lock();
                output.each(region.origin, &axes, &jumps, length, from, Slot::SIZE, |slot, to| {
                    put(to, slots[slot / Slot::SIZE].of(heap).unwrap_or_default())
                })
            }
        };
    }
    output.place_each(region.origin, &axes, &jumps, decoded, from, elements.item)
}

impl<'a> Leaf<'a> {
    /// What must be unpacked to elements of fixed size.
    fn fixed(&self) -> Option<&'a ArrayCodecs> {
        self.chain.array_codecs().filter(|packed| packed.variable().is_none())
    }

    /// Elements that are stored without compression have exactly the size of a chunk.
    fn check_size(&self) -> Result<()> {
        match self.chain.stored_size() {
            Size::Exact(size) if size != self.stored.length => {
                Err(Error::corrupt(format!("{} bytes are stored instead of {size}", self.stored.length)))
            }
            _ => Ok(()),
        }
    }
}

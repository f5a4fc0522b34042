//! From a leaf to the output: reads what is needed of it, decodes and places it.

use std::sync::Arc;

use super::resolve::{Leaf, Stored};
use super::{Caching, Reader};
use crate::buffer::{Buffer, to_usize};
use crate::cache::{ChunkCache, Origin};
use crate::error::{Error, Result};
use crate::fetch::{run_of, spans};
use crate::view::{Output, swap_words};

impl<'a> Reader<'a> {
    /// Reads one leaf that is in no cache: what is needed of it where it is stored as it is, else all.
    pub(super) fn read_leaf(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<()> {
        let stored = &leaf.stored;
        if let Some(bytes) = stored.object.bytes() {
            let bytes = bytes.get(stored.offset as usize..(stored.offset + stored.length) as usize);
            let outside = || Error::corrupt("the object is shorter than it was");
            return self.decode_and_keep(leaf, bytes.ok_or_else(outside)?, output);
        }
        if !self.reads_parts(leaf) {
            let bytes = stored.read(leaf.chain.stored_size().bound())?;
            return self.decode_and_keep(leaf, &bytes, output);
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

    /// Whether only what is wanted of a leaf is read: where its elements are stored as they are, and no cache wants all.
    pub(super) fn reads_parts(&self, leaf: &Leaf<'a>) -> bool {
        let at_once = self.source.store.reads_whole() && leaf.inner.is_empty();
        leaf.chain.raw().is_some()
            && self.cache_for(leaf).is_none()
            && !(at_once && leaf.region.is_whole(leaf.chain.shape()))
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
            let decoded = leaf.chain.decode(stored, self.options.validate_checksums)?.to_vec();
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
            leaf.check_raw()?;
            return place_decoded(leaf, stored, output);
        }
        let (from, axes) = region.axes(&elements.strides);
        let from = from + elements.offset as isize;
        if from == 0 && run_of(&axes, elements.item).is_some_and(|run| run as u64 == elements.size) {
            // SAFETY: the planner gives each element of the output to one leaf.
            if let Some(target) = unsafe { output.slice(region.origin, to_usize(elements.size)?) } {
                chain.decode_into(stored, validate, target)?;
                swap_words(target, elements.item.word);
                return Ok(());
            }
        }
        place_decoded(leaf, &chain.decode(stored, validate)?, output)
    }
}

/// Places what is wanted of a decoded leaf.
fn place_decoded(leaf: &Leaf<'_>, decoded: &[u8], output: &Output<'_>) -> Result<()> {
    let (region, elements) = (&leaf.region, leaf.elements);
    let (from, axes) = region.axes(&elements.strides);
    output.place(region.origin, &axes, decoded, from + elements.offset as isize, elements.item)
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

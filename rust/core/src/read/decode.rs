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
    /// Reads one leaf: what is needed of it where it is stored as it is, else all.
    pub(super) fn read_leaf(&self, leaf: &Leaf<'a>, output: &Output<'_>) -> Result<()> {
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
    pub(super) fn cache_for(&self, leaf: &Leaf<'a>) -> Option<&'a ChunkCache> {
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
    pub(super) fn read_cached(&self, leaf: &Leaf<'a>, cache: &ChunkCache, output: &Output<'_>) -> Result<()> {
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
    pub(super) fn decode(&self, leaf: &Leaf<'a>, stored: &[u8], output: &Output<'_>) -> Result<()> {
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

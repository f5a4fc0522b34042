//! Rewriting shards without unused bytes.

use std::sync::Arc;

use super::shard::{Encoded, Inner, Inners, inner};
use super::{Writer, stored_fill};
use crate::buffer::{Buffer, to_usize};
use crate::codec::chain::{Chain, Layout, Shard};
use crate::error::{Place, Result};
use crate::read::{Counts, Need, Stored};
use crate::slot::Slot;
use crate::subset::tuple;

impl Writer<'_> {
    /// Rewrites a shard that has unused bytes or its inner chunks in another order; returns the number of bytes by
    /// which it shrank. With `drop_empty`, inner chunks that hold only the fill value are removed.
    pub(crate) fn compact(&self, chunk: &[u64], drop_empty: bool) -> Result<u64> {
        let compact = || {
            let Some(shard) = self.source.chain_of(chunk)?.open_shard() else { return Ok(0) };
            let key = self.source.key(chunk);
            let look = |writer: &Self| -> Result<Option<(Stored, Inners<'static>)>> {
                let Some(old) = writer.reader().open(chunk, Need::Chunk)? else { return Ok(None) };
                Ok(writer.compacted(shard, &old, drop_empty)?.map(|inners| (old, inners)))
            };
            // A compact shard needs no lock.
            if look(self)?.is_none() {
                return Ok(0);
            }
            self.check_change(chunk)?;
            let _guard = self.source.store.lock(&key)?;
            let writer = self.single_threaded();
            while let Some((old, inners)) = look(&writer)? {
                if writer.set_shard(&key, shard, &inners, Some(&old))? {
                    return Ok(old.length.saturating_sub(writer.size(shard, &inners)));
                }
            }
            Ok(0)
        };
        compact().place(|| self.place(chunk))
    }

    /// Returns the size of a shard in bytes.
    fn size(&self, shard: &Shard, inners: &Inners<'_>) -> u64 {
        if inners.iter().all(Option::is_none) {
            return 0;
        }
        let lengths = self.entries(shard, inners).into_iter().zip(inners).filter(|(_, inner)| inner.is_some());
        lengths.fold(shard.index_size, |sum, ((_, length), _)| sum.saturating_add(length))
    }

    /// Returns the inner chunks of the rewritten shard, or `None` if the shard stays as it is.
    fn compacted(&self, shard: &Shard, old: &Stored, drop_empty: bool) -> Result<Option<Inners<'static>>> {
        let mut inners = self.kept(shard, Some(old))?;
        let mut changed = false;
        let nested = shard.inner.open_shard();
        if nested.is_some() || drop_empty {
            for (number, found) in inners.iter_mut().enumerate() {
                let Some(Inner::Kept(offset, length)) = found else { continue };
                let index = inner(number, &shard.grid.shape());
                let look = || {
                    let stored = old.inner(&index, (*offset, *length))?;
                    let Some(nested) = nested else {
                        return Ok(self.is_empty(&shard.inner, &stored)?.then_some(None));
                    };
                    let Some(inners) = self.compacted(nested, &stored, drop_empty)? else { return Ok(None) };
                    if inners.iter().all(Option::is_none) {
                        return Ok(Some(None));
                    }
                    let bytes = Buffer::written(|bytes| self.append_shard(nested, &inners, Some(&stored), bytes))?;
                    let range = 0..bytes.len();
                    Ok(Some(Some(Inner::Encoded(Encoded::Scratch(Arc::new(bytes), range)))))
                };
                if let Some(other) = look().place(|| format!("inner chunk {}", tuple(&index)))? {
                    (*found, changed) = (other, true);
                }
            }
        }
        let size = self.size(shard, &inners);
        let kept = |inner: &Option<Inner<'_>>| match inner {
            Some(Inner::Kept(offset, length)) => Some((*offset, *length)),
            _ => None,
        };
        let entries = self.entries(shard, &inners);
        let in_order = entries.iter().zip(&inners).all(|(entry, inner)| kept(inner).is_none_or(|old| old == *entry));
        // A shard whose inner chunks share bytes would grow.
        let stays = !changed && (size > old.length || (size == old.length && in_order));
        Ok((!stays).then_some(inners))
    }

    /// Whether a stored chunk holds only the fill value.
    fn is_empty(&self, chain: &Chain, stored: &Stored) -> Result<bool> {
        match chain.layout() {
            Layout::Elements(layout) => {
                let mut elements = Buffer::new(to_usize(layout.size)?)?;
                let bytes = stored.read(chain.stored_size().bound())?;
                chain.decode_into(&bytes, self.options.validate_checksums, &mut elements)?;
                Ok(stored_fill(chain, layout).fills(&elements))
            }
            Layout::Computed(packed) => {
                let mut elements = Buffer::new(to_usize(packed.layout.size)?)?;
                let heap = self.unpack(chain, packed, stored, &mut elements)?;
                let fill = chain.fill_value();
                if packed.variable().is_none() {
                    return Ok(fill.fills(&elements));
                }
                Ok(Slot::all(&elements).all(|slot| slot.of(&heap) == Some(fill.bytes())))
            }
            Layout::Shard(shard) => {
                let decoded;
                let stored = if chain.open_shard().is_some() {
                    stored
                } else {
                    decoded = self.reader().decoded_shard(stored, chain, &Counts::default())?;
                    &decoded
                };
                for (number, found) in self.kept(shard, Some(stored))?.iter().enumerate() {
                    let Some(Inner::Kept(offset, length)) = found else { continue };
                    let inside = stored.inner(&inner(number, &shard.grid.shape()), (*offset, *length))?;
                    if !self.is_empty(&shard.inner, &inside)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}

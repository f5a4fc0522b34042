//! Writing shards: only the inner chunks that a write touches are encoded. The others keep their encoded bytes, which
//! the store copies itself if it can.

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::{Layer, Part, Writer};
use crate::buffer::{Buffer, to_usize};
use crate::codec::IndexLocation;
use crate::codec::chain::{Chain, Shard};
use crate::error::{Error, Place, Result};
use crate::read::{Counts, MISSING, Stored};
use crate::runtime::parallel_map;
use crate::store::{self, assemble};
use crate::subset::{Dims, product, tuple};
use crate::view::as_bytes;

/// The encoded bytes of an inner chunk.
#[derive(Clone)]
pub(super) enum Encoded<'a> {
    /// Bytes of the input.
    Given(&'a [u8]),
    /// A range of a reused buffer that holds several inner chunks.
    Scratch(Arc<Buffer>, Range<usize>),
}

impl Deref for Encoded<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Given(bytes) => bytes,
            Self::Scratch(buffer, range) => &buffer[range.clone()],
        }
    }
}

/// The encoded bytes of an inner chunk while the buffer they are in is being filled.
enum EncodedAt<'a> {
    /// Bytes of the input.
    Input(&'a [u8]),
    /// A range of the buffer.
    Buffer(Range<usize>),
}

/// Inner chunks that are already encoded; `None`: not stored, because it holds only the fill value.
type Ready<'a> = HashMap<Dims, Option<Encoded<'a>>>;

/// An inner chunk of a shard that is being written.
pub(super) enum Inner<'a> {
    /// Keeps its stored bytes: offset and length in the old shard.
    Kept(u64, u64),
    Encoded(Encoded<'a>),
}

impl Inner<'_> {
    fn length(&self) -> u64 {
        match self {
            Self::Kept(_, length) => *length,
            Self::Encoded(bytes) => bytes.len() as u64,
        }
    }
}

/// The inner chunks of a shard that is being written, in C order; `None`: not stored.
pub(super) type Inners<'a> = Vec<Option<Inner<'a>>>;

impl Writer<'_> {
    /// Stores a part of a shard; its axes are in encoded order.
    pub(super) fn store_shard(&self, chunk: &[u64], key: &str, shard: &Shard, part: &Part<'_>) -> Result<()> {
        if part.covering {
            let inners = self.inner_chunks(shard, part, None, HashMap::new())?;
            if inners.iter().all(Option::is_none) {
                return self.erase(key);
            }
            let index = self.index_of(shard, &inners)?;
            let _guard = self.source.store.lock(key)?;
            return self.source.store.set_parts(key, &self.pieces(shard, &inners, &index, 0), None);
        }
        // Inner chunks that need no stored elements.
        let mut covered = Vec::new();
        for (inner, part) in part.split(&shard.grid, &shard.inner) {
            if part.covers(&shard.inner)? {
                covered.push((inner, part));
            }
        }
        let encoded = self.encode_inners(&shard.inner, &covered, |_| Ok(None))?;
        let mut ready: Ready<'_> = covered.into_iter().map(|(inner, _)| inner).zip(encoded).collect();
        self.change(chunk, key, |writer, old| {
            // They are needed again if another process changes the shard first.
            let ready = if self.compares_versions() { ready.clone() } else { std::mem::take(&mut ready) };
            let inners = writer.inner_chunks(shard, part, old, ready)?;
            writer.set_shard(key, shard, &inners, old)
        })
    }

    /// Replaces a shard whose key is locked; returns false if another process has changed it since the read.
    pub(super) fn set_shard(
        &self,
        key: &str,
        shard: &Shard,
        inners: &Inners<'_>,
        old: Option<&Stored>,
    ) -> Result<bool> {
        let (none, compares) = (inners.iter().all(Option::is_none), self.compares_versions());
        // No store can remove an object on the condition that it has a version, so an empty index stays.
        if none && (old.is_none() || !compares) {
            return self.replace(key, None, old);
        }
        if compares {
            let mut stored = Vec::new();
            self.append_shard(shard, inners, old, &mut stored)?;
            return self.replace(key, Some(&stored), old);
        }
        let index = self.index_of(shard, inners)?;
        let pieces = self.pieces(shard, inners, &index, old.map_or(0, |old| old.offset));
        self.source.store.set_parts(key, &pieces, old.map(|old| &*old.object)).map(|()| true)
    }

    /// Appends an encoded shard, with axes in encoded order, to `stored`; returns false if none of its inner chunks is
    /// stored.
    pub(super) fn encode_shard(
        &self,
        shard: &Shard,
        part: &Part<'_>,
        old: Option<&Stored>,
        stored: &mut Vec<u8>,
    ) -> Result<bool> {
        let inners = self.inner_chunks(shard, part, old, HashMap::new())?;
        if inners.iter().all(Option::is_none) {
            return Ok(false);
        }
        self.append_shard(shard, &inners, old, stored).map(|()| true)
    }

    /// Appends a shard to `stored`.
    pub(super) fn append_shard(
        &self,
        shard: &Shard,
        inners: &Inners<'_>,
        old: Option<&Stored>,
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let index = self.index_of(shard, inners)?;
        let pieces = self.pieces(shard, inners, &index, old.map_or(0, |old| old.offset));
        assemble(&pieces, old.map(|old| &*old.object), self.source.store.profile().merge_gap, stored)
    }

    /// Returns the stored inner chunks of a shard, all kept.
    pub(super) fn kept(&self, shard: &Shard, old: Option<&Stored>) -> Result<Inners<'static>> {
        let count = to_usize(product(&shard.grid.shape()).unwrap_or(u64::MAX))?;
        let index = old.map(|old| self.reader().index(old, shard, &Counts::default()));
        let index = index.transpose().place(|| "shard index")?;
        let mut inners: Inners<'_> = Vec::new();
        let none = |_| Error::memory(format_args!("an index of {count} inner chunks"));
        inners.try_reserve_exact(count).map_err(none)?;
        for number in 0..count {
            let entry = index.as_ref().and_then(|index| index.entry(number));
            if let (Some(old), Some((offset, length))) = (old, entry)
                && offset.checked_add(length).is_none_or(|end| end > old.length)
            {
                // Returns the error that names the inner chunk.
                old.inner(&inner(number, &shard.grid.shape()), (offset, length))?;
            }
            inners.push(entry.map(|(offset, length)| Inner::Kept(offset, length)));
        }
        Ok(inners)
    }

    /// Returns the inner chunks of a shard, stored as `old`, after a part is written.
    fn inner_chunks<'b>(
        &self,
        shard: &Shard,
        part: &Part<'b>,
        old: Option<&Stored>,
        mut ready: Ready<'b>,
    ) -> Result<Inners<'b>> {
        let mut inners: Inners<'b> = self.kept(shard, old)?;
        let (mut left, mut numbers) = (Vec::new(), Vec::new());
        for (inner, part) in part.split(&shard.grid, &shard.inner) {
            let number = number(&inner, &shard.grid.shape());
            if let Some(encoded) = ready.remove(&inner) {
                inners[number] = encoded.map(Inner::Encoded);
            } else {
                left.push((inner, part));
                numbers.push(number);
            }
        }
        let encoded = self.encode_inners(&shard.inner, &left, |inner| {
            match (old, &inners[number(inner, &shard.grid.shape())]) {
                (Some(old), Some(Inner::Kept(offset, length))) => old.inner(inner, (*offset, *length)).map(Some),
                _ => Ok(None),
            }
        })?;
        for (number, encoded) in numbers.into_iter().zip(encoded) {
            inners[number] = encoded.map(Inner::Encoded);
        }
        Ok(inners)
    }

    /// Encodes inner chunks, whose stored bytes `old` returns. `None` for an inner chunk that holds only the fill
    /// value.
    fn encode_inners<'b>(
        &self,
        chain: &Chain,
        inners: &[(Dims, Part<'b>)],
        old: impl Fn(&Dims) -> Result<Option<Stored>> + Sync,
    ) -> Result<Vec<Option<Encoded<'b>>>> {
        /// Tasks per thread. A task encodes several inner chunks into one buffer; many small tasks finish at about the
        /// same time.
        const TASKS: usize = 8;
        let threads = self.options.concurrency();
        let tasks: Vec<_> = inners.chunks(inners.len().div_ceil(threads.saturating_mul(TASKS)).max(1)).collect();
        let encoded = parallel_map(&tasks, threads, |task| {
            let mut found = Vec::with_capacity(task.len());
            let buffer = Buffer::written(|bytes| {
                for (inner, part) in *task {
                    let mut encode = || self.encode_inner(chain, part, old(inner)?.as_ref(), bytes);
                    found.push(encode().place(|| format!("inner chunk {}", tuple(inner)))?);
                }
                Ok(())
            })?;
            let buffer = Arc::new(buffer);
            let encoded = |at| match at {
                EncodedAt::Input(bytes) => Encoded::Given(bytes),
                EncodedAt::Buffer(range) => Encoded::Scratch(Arc::clone(&buffer), range),
            };
            Ok(found.into_iter().map(|at| at.map(encoded)).collect::<Vec<_>>())
        })?;
        Ok(encoded.into_iter().flatten().collect())
    }

    /// Appends an encoded inner chunk, stored as `old`, to a buffer; `None` if it holds only the fill value.
    fn encode_inner<'b>(
        &self,
        chain: &Chain,
        part: &Part<'b>,
        old: Option<&Stored>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<EncodedAt<'b>>> {
        let start = buffer.len();
        let keep = match chain.raw() {
            None => self.encode(chain, part, old, buffer)?,
            Some(layout) => {
                if let Some(bytes) = part.stored_input(layout, chain.shape()) {
                    return Ok(self.is_kept(chain, layout, bytes).then_some(EncodedAt::Input(bytes)));
                }
                let size = to_usize(layout.size)?;
                buffer.try_reserve(size).map_err(|_| Error::memory(format_args!("{size} bytes")))?;
                buffer.resize(start + size, 0);
                self.gather(chain, layout, part, old, &mut buffer[start..])?
            }
        };
        if !keep {
            buffer.truncate(start);
        }
        Ok(keep.then_some(EncodedAt::Buffer(start..buffer.len())))
    }

    /// Returns the offset of the first inner chunk.
    fn first(shard: &Shard) -> u64 {
        if shard.index_location == IndexLocation::Start { shard.index_size } else { 0 }
    }

    /// Returns offset and length of each inner chunk, in C order. In the shard, inner chunks are contiguous, in the
    /// order that the options set.
    pub(super) fn entries(&self, shard: &Shard, inners: &Inners<'_>) -> Vec<(u64, u64)> {
        let mut entries = vec![(MISSING, MISSING); inners.len()];
        let mut at = Self::first(shard);
        for number in self.options.inner_chunk_order.numbers(&shard.grid.shape()) {
            if let Some(inner) = &inners[number] {
                entries[number] = (at, inner.length());
                at = at.saturating_add(inner.length());
            }
        }
        entries
    }

    /// Returns the encoded index of a shard.
    fn index_of(&self, shard: &Shard, inners: &Inners<'_>) -> Result<Vec<u8>> {
        let entries: Vec<u64> =
            self.entries(shard, inners).into_iter().flat_map(|(offset, length)| [offset, length]).collect();
        let shape = shard.index.shape();
        let part = Part::whole(Layer::whole(shape, 8, as_bytes(&entries)), shape);
        let mut index = Vec::new();
        self.keeping_empty_chunks().encode(&shard.index, &part, None, &mut index)?;
        Ok(index)
    }

    /// Returns a shard as pieces. The old shard begins at offset `start` of its object; inner chunks that are kept and
    /// adjacent both before and after form one piece.
    fn pieces<'b>(&self, shard: &Shard, inners: &'b Inners<'_>, index: &'b [u8], start: u64) -> Vec<store::Piece<'b>> {
        let mut pieces = Vec::with_capacity(inners.len().min(1 << 16) + 1);
        if shard.index_location == IndexLocation::Start {
            pieces.push(store::Piece::Bytes(index));
        }
        for number in self.options.inner_chunk_order.numbers(&shard.grid.shape()) {
            match &inners[number] {
                Some(Inner::Encoded(bytes)) => pieces.push(store::Piece::Bytes(bytes)),
                Some(Inner::Kept(offset, more)) => match pieces.last_mut() {
                    Some(store::Piece::Kept { offset: before, length }) if *before + *length == start + offset => {
                        *length += more;
                    }
                    _ => pieces.push(store::Piece::Kept { offset: start + offset, length: *more }),
                },
                None => {}
            }
        }
        if shard.index_location == IndexLocation::End {
            pieces.push(store::Piece::Bytes(index));
        }
        pieces
    }
}

/// Returns the number of an inner chunk in C order.
fn number(inner: &[u64], shape: &[u64]) -> usize {
    inner.iter().zip(shape).fold(0, |number, (i, count)| number * *count as usize + *i as usize)
}

/// Returns the index of an inner chunk from its number in C order.
pub(super) fn inner(mut number: usize, shape: &[u64]) -> Dims {
    let mut inner = Dims::from_elem(0, shape.len());
    for (i, count) in inner.iter_mut().zip(shape).rev() {
        *i = number as u64 % count;
        number /= (*count).max(1) as usize;
    }
    inner
}

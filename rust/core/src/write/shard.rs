//! Shards: only the inner chunks that are touched are encoded anew. All others are copied as they are stored.

use std::collections::HashMap;

use super::{Input, Part, Writer};
use crate::buffer::{Buffer, to_usize};
use crate::codec::IndexLocation;
use crate::codec::chain::Shard;
use crate::error::{Place, Result};
use crate::fetch::merge;
use crate::options::CodecOptions;
use crate::read::{Counts, MISSING, Stored};
use crate::runtime::parallel_map;
use crate::store::reserve;
use crate::subset::{Dims, product, tuple};
use crate::view::{as_bytes, c_strides};

/// Inner chunks that are encoded already; `None`: nothing but the fill value.
pub(super) type Ready = HashMap<Dims, Option<Vec<u8>>>;

/// What stays of a shard is read in parts of about this size.
const READ: u64 = 8 << 20;

/// What becomes of an inner chunk.
enum Piece {
    Missing,
    /// It stays as it is stored: offset and length in the old shard.
    Kept(u64, u64),
    Encoded(Vec<u8>),
}

impl Piece {
    fn length(&self) -> Option<u64> {
        match self {
            Self::Missing => None,
            Self::Kept(_, length) => Some(*length),
            Self::Encoded(bytes) => Some(bytes.len() as u64),
        }
    }
}

impl Writer<'_> {
    /// The inner chunks that are touched, and what of them is written.
    fn touched(shard: &Shard, part: &Part) -> Vec<(Dims, Part)> {
        let inner = |(inner, region): (Dims, _)| {
            let lengths = shard.inner.shape().iter().zip(&inner).zip(&part.inside);
            let inside = lengths.map(|((length, i), end)| end.saturating_sub(i * length).min(*length)).collect();
            (inner, Part { region, inside })
        };
        part.region.split(&shard.grid).map(inner).collect()
    }

    /// Encodes the inner chunks of which nothing that is stored stays.
    pub(super) fn encode_covered(&self, shard: &Shard, part: &Part, input: Input<'_>) -> Result<Ready> {
        let mut covered = Self::touched(shard, part);
        covered.retain(|(_, part)| part.covers(shard.inner.shape()));
        let encoded = parallel_map(&covered, self.options.concurrency(), |(_, part)| {
            let mut bytes = Vec::new();
            Ok(self.encode(&shard.inner, part, input, None, &mut bytes)?.then_some(bytes))
        })?;
        Ok(covered.into_iter().map(|(inner, _)| inner).zip(encoded).collect())
    }

    /// Encodes a shard, its axes in encoded order, to the end of `stored`: its inner chunks in C order, and its index.
    /// False: none of them is stored.
    pub(super) fn encode_shard(
        &self,
        shard: &Shard,
        part: &Part,
        input: Input<'_>,
        old: Option<&Stored>,
        mut ready: Ready,
        stored: &mut Vec<u8>,
    ) -> Result<bool> {
        let counts = Counts::default();
        let index = old.map(|old| self.reader().index(old, shard, &counts)).transpose().place(|| "shard index")?;
        let old = old.zip(index);
        let count = to_usize(product(&shard.grid.shape()).unwrap_or(u64::MAX))?;
        let mut pieces: Vec<Piece> = (0..count)
            .map(|number| match old.as_ref().and_then(|(_, index)| index.entry(number)) {
                Some((offset, length)) => Piece::Kept(offset, length),
                None => Piece::Missing,
            })
            .collect();
        let mut left = Vec::new();
        for (inner, part) in Self::touched(shard, part) {
            let number = number(&inner, &shard.grid.shape());
            match ready.remove(&inner) {
                Some(encoded) => pieces[number] = encoded.map_or(Piece::Missing, Piece::Encoded),
                None => left.push((inner, part, number)),
            }
        }
        let encoded = parallel_map(&left, self.options.concurrency(), |(inner, part, number)| {
            let encode = || {
                let old = match (&old, &pieces[*number]) {
                    (Some((old, _)), Piece::Kept(offset, length)) => Some(old.inner(inner, (*offset, *length))?),
                    _ => None,
                };
                let mut bytes = Vec::new();
                Ok(self.encode(&shard.inner, part, input, old.as_ref(), &mut bytes)?.then_some(bytes))
            };
            encode().place(|| format!("inner chunk {}", tuple(inner)))
        })?;
        for ((_, _, number), encoded) in left.into_iter().zip(encoded) {
            pieces[number] = encoded.map_or(Piece::Missing, Piece::Encoded);
        }
        if pieces.iter().all(|piece| matches!(piece, Piece::Missing)) {
            return Ok(false);
        }
        for (number, piece) in pieces.iter().enumerate() {
            if let (Some((old, _)), Piece::Kept(offset, length)) = (&old, piece) {
                old.inner(&inner(number, &shard.grid.shape()), (*offset, *length))?;
            }
        }
        self.assemble(shard, &pieces, old.map(|(old, _)| old), stored)?;
        Ok(true)
    }

    /// Appends the inner chunks and their index to `stored`.
    fn assemble(&self, shard: &Shard, pieces: &[Piece], old: Option<&Stored>, stored: &mut Vec<u8>) -> Result<()> {
        let start = stored.len();
        let index_size = to_usize(shard.index_size)?;
        let first = if shard.index_location == IndexLocation::Start { index_size } else { 0 };
        let total: u64 = pieces.iter().filter_map(Piece::length).fold(0, u64::saturating_add);
        reserve(stored, to_usize(total.saturating_add(shard.index_size))?)?;
        stored.resize(start + first + total as usize, 0);

        let mut entries = Vec::with_capacity(2 * pieces.len());
        let mut kept = Vec::new();
        let mut at = first;
        for piece in pieces {
            let Some(length) = piece.length() else {
                entries.extend([MISSING, MISSING]);
                continue;
            };
            entries.extend([at as u64, length]);
            match piece {
                Piece::Encoded(bytes) => stored[start + at..][..bytes.len()].copy_from_slice(bytes),
                Piece::Kept(offset, length) => kept.push((*offset, *length, start + at)),
                Piece::Missing => {}
            }
            at += length as usize;
        }
        if let Some(old) = old {
            self.copy(old, kept, stored)?;
        }

        let strides = c_strides(shard.index.shape(), 8);
        let (part, input) =
            (Part::whole(shard.index.shape(), &strides), Input { bytes: as_bytes(&entries), heap: &[] });
        let mut index = Vec::with_capacity(index_size);
        let keep = Self { options: CodecOptions { store_empty_chunks: true, ..self.options }, ..*self };
        keep.encode(&shard.index, &part, input, None, &mut index)?;
        match shard.index_location {
            IndexLocation::End => stored.extend_from_slice(&index),
            IndexLocation::Start => stored[start..start + index_size].copy_from_slice(&index),
        }
        Ok(())
    }

    /// Copies parts of an old shard (offset, length) to their places in the new one.
    fn copy(&self, old: &Stored, mut kept: Vec<(u64, u64, usize)>, into: &mut [u8]) -> Result<()> {
        kept.sort_unstable();
        let ranges = kept.iter().map(|(offset, length, _)| (*offset, *length));
        for (offset, length, parts) in merge(ranges, self.source.store.merge_gap(), READ) {
            let together = Stored { offset: old.offset + offset, length, ..old.clone() };
            let buffer: Buffer;
            let bytes = if let Some(bytes) = old.object.bytes() {
                together.slice(bytes)?
            } else {
                buffer = together.read(length)?;
                &buffer
            };
            for (from, length, to) in &kept[parts] {
                let part = &bytes[(from - offset) as usize..][..*length as usize];
                into[*to..*to + part.len()].copy_from_slice(part);
            }
        }
        Ok(())
    }
}

/// The number of an inner chunk in C order.
fn number(inner: &[u64], shape: &[u64]) -> usize {
    inner.iter().zip(shape).fold(0, |number, (i, count)| number * *count as usize + *i as usize)
}

/// The inner chunk of a number.
fn inner(mut number: usize, shape: &[u64]) -> Dims {
    let mut inner = Dims::from_elem(0, shape.len());
    for (i, count) in inner.iter_mut().zip(shape).rev() {
        *i = number as u64 % count;
        number /= (*count).max(1) as usize;
    }
    inner
}

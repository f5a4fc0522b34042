//! Reading the pieces of a large compressed leaf that are wanted of it, instead of all that is stored.
//!
//! Where the pieces of a stream lie is read once, and kept. Then those that something wanted lies in are read, several
//! as one where they are near each other, decoded on all threads, and placed. Elements that lie across pieces come last.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::cuts::{Across, Cuts};
use super::resolve::{Counts, Leaf};
use super::{Caching, READS, Reader};
use crate::buffer::{Buffer, to_usize};
use crate::cache::{CacheLimit, ChunkCache, Lru, Origin};
use crate::codec::{Pieces, ReadEncoded};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::merge;
use crate::runtime::{PerProcess, lock, parallel};
use crate::view::{Output, swap_words};

/// Of less than so many stored bytes the pieces are not worth the reads of where they lie.
const LEAST: u64 = 1 << 20;

/// A store with such gaps is far away: what is wanted whole is read at once.
const FAR: u64 = 512 << 10;

/// Pieces are kept for who wants what is beside them, if all of a read are no more than this.
const KEPT: u64 = 64 << 20;

/// Where the pieces lie of all streams that were read lately; `None`: a stream has none.
static PIECES: PerProcess<Mutex<Lru<Option<Arc<Pieces>>>>> =
    PerProcess::new(|| Mutex::new(Lru::new(CacheLimit::Bytes(64 << 20))));

/// What is read of a leaf.
pub(super) struct Reads {
    /// Offset, length, and which of the `wanted` are in it.
    list: Vec<(u64, u64, Range<usize>)>,
    /// Numbers of pieces, in the order of what is stored.
    wanted: Vec<usize>,
}

impl Reads {
    pub(super) fn requests(&self) -> u64 {
        self.list.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.list.iter().map(|(_, length, _)| length).sum()
    }

    pub(super) fn decoded(&self, pieces: &Pieces) -> u64 {
        let size = |number: &usize| pieces.list()[*number].decoded.end - pieces.list()[*number].decoded.start;
        self.wanted.iter().map(size).sum()
    }
}

impl<'a> Reader<'a> {
    /// Where the pieces of a leaf lie; `None`: it is read whole.
    pub(super) fn pieces(&self, leaf: &Leaf<'a>, counts: Option<&Counts>) -> Result<Option<Arc<Pieces>>> {
        let (stored, store) = (&leaf.stored, &self.source.store);
        let Some(stage) = leaf.chain.pieces_codec() else { return Ok(None) };
        let gap = store.profile().merge_gap;
        let whole = leaf.region.is_whole(leaf.chain.shape());
        if stored.length <= LEAST.max(gap.saturating_mul(4)).max(READS.1)
            || stored.length > leaf.chain.stored_size().bound()
            || stored.object.bytes().is_some()
            || matches!(self.cache, Caching::Own(_))
            || (whole && gap >= FAR)
            || store.profile().whole_reads
        {
            return Ok(None);
        }
        let kept = (stored.lasting && stored.stat.settled).then(|| self.piece_origin(leaf, 0));
        if let Some(origin) = &kept
            && let Some(pieces) = lock(PIECES.get()).get(origin, stored.stat.version)
        {
            return Ok(pieces);
        }
        let mut heads = Heads { offset: 0, bytes: Vec::new(), gap, size: stored.length, read: (0, 0) };
        let mut read = |offset: u64, into: &mut [u8]| {
            heads.read(offset, into, &mut |at, bytes| stored.read_at(stored.offset + at, bytes))
        };
        let found = stage.pieces(stored.length, leaf.elements.size, &mut read);
        let pieces = match found {
            Ok(pieces) => pieces.filter(|pieces| {
                let inside = |range: &Range<u64>| range.start <= range.end && range.end <= stored.length;
                pieces.decoded_size() == leaf.elements.size && pieces.list().iter().all(|piece| inside(&piece.encoded))
            }),
            // Who decodes it whole says what is wrong.
            Err(error) if error.kind() == ErrorKind::CorruptData => None,
            Err(error) => return Err(error),
        };
        let pieces = pieces.map(Arc::new);
        if let Some(counts) = counts {
            counts.index(heads.read);
        }
        if let Some(origin) = kept {
            let size = pieces.as_ref().map_or(128, |pieces| pieces.memory());
            lock(PIECES.get()).put(origin, stored.stat.version, pieces.clone(), size);
        }
        Ok(pieces)
    }

    /// A piece in caches: no leaf has this identity.
    fn piece_origin(&self, leaf: &Leaf<'a>, offset: u64) -> Origin {
        let identity = leaf.stored.store.part((self.source.identity, "piece"));
        Origin { identity, key: leaf.stored.key.to_string(), offset: leaf.stored.offset + offset }
    }

    /// What is read to get at the pieces that are wanted, of those that `is_due` says yes to.
    pub(super) fn reads(
        &self,
        leaf: &Leaf<'a>,
        pieces: &Pieces,
        mut is_due: impl FnMut(usize) -> Result<bool>,
    ) -> Result<Reads> {
        let cuts = Cuts::new(leaf.elements, &leaf.region);
        let mut wanted = Vec::new();
        for number in pieces.within(&cuts.extent()) {
            if cuts.touch(&pieces.list()[number].decoded) && is_due(number)? {
                wanted.push(number);
            }
        }
        wanted.sort_by_key(|number| pieces.list()[*number].encoded.start);
        let ranges = wanted.iter().map(|number| &pieces.list()[*number].encoded);
        let total: u64 = ranges.clone().map(|range| range.end - range.start).sum();
        let largest = self.largest_read(total);
        let ranges = ranges.map(|range| (range.start, range.end - range.start));
        Ok(Reads { list: merge(ranges, self.source.store.profile().merge_gap, largest), wanted })
    }

    /// Reads and places the pieces of a leaf that are wanted.
    pub(super) fn read_pieces(&self, leaf: &Leaf<'a>, pieces: &Pieces, output: &Output<'_>) -> Result<()> {
        let cuts = Cuts::new(leaf.elements, &leaf.region);
        let across = Across::default();
        let stat = leaf.stored.stat;
        let kept = |number: usize| self.piece_origin(leaf, pieces.list()[number].encoded.start);
        let whole = leaf.region.is_whole(leaf.chain.shape());
        let cache = match self.cache {
            Caching::Shared(cache) if leaf.stored.lasting && stat.settled && !whole => Some(cache),
            _ => None,
        };
        let reads = self.reads(leaf, pieces, |number| {
            let Some(found) = cache.and_then(|cache| cache.get(&kept(number), stat.version)) else { return Ok(true) };
            let window = &pieces.list()[number].decoded;
            if found.len() as u64 != window.end - window.start {
                return Ok(true);
            }
            cuts.place(window, &found, output, &across)?;
            Ok(false)
        })?;
        let cache = cache.filter(|_| reads.decoded(pieces) <= KEPT);
        parallel(&reads.list, self.options.concurrency(), |(offset, length, range)| {
            let mut bytes = Buffer::new(to_usize(*length)?)?;
            leaf.stored.read_at(leaf.stored.offset + offset, &mut bytes)?;
            for number in &reads.wanted[range.clone()] {
                let piece = &pieces.list()[*number];
                let from = (piece.encoded.start - offset) as usize..(piece.encoded.end - offset) as usize;
                let keep = cache.map(|cache| (cache, kept(*number)));
                self.read_piece(leaf, (pieces, *number), &bytes[from], &cuts, keep, output, &across)?;
            }
            Ok(())
        })?;
        across.place(output, leaf.elements.item)
    }

    #[allow(clippy::unused_self)] // called like its siblings
    #[allow(clippy::too_many_arguments)] // what the pieces of a read have in common
    fn read_piece(
        &self,
        leaf: &Leaf<'a>,
        (pieces, number): (&Pieces, usize),
        encoded: &[u8],
        cuts: &Cuts,
        keep: Option<(&ChunkCache, Origin)>,
        output: &Output<'_>,
        across: &Across,
    ) -> Result<()> {
        let Some(stage) = leaf.chain.pieces_codec() else { return Ok(()) };
        let (window, item) = (&pieces.list()[number].decoded, leaf.elements.item);
        let length = to_usize(window.end - window.start)?;
        if let Some((cache, origin)) = keep {
            let mut decoded = crate::view::zeroed::<u8>(length)?;
            stage.decode_piece(pieces, number, encoded, &mut decoded)?;
            cuts.place(window, &decoded, output, across)?;
            cache.put(origin, leaf.stored.stat.version, Arc::new(decoded));
            return Ok(());
        }
        if let Some(to) = cuts.all_of(window) {
            // SAFETY: the planner gives each element of the output to one leaf, and each byte of that is in one piece.
            if let Some(target) = unsafe { output.slice(to, length) } {
                stage.decode_piece(pieces, number, encoded, target)?;
                swap_words(target, item.word);
                return Ok(());
            }
        }
        let mut decoded = Buffer::new(length)?;
        stage.decode_piece(pieces, number, encoded, &mut decoded)?;
        cuts.place(window, &decoded, output, across)
    }
}

/// Reads the heads of pieces: where one is near the last, with what lies behind it.
struct Heads {
    offset: u64,
    bytes: Vec<u8>,
    gap: u64,
    size: u64,
    /// Requests, and their bytes.
    read: (u64, u64),
}

impl Heads {
    fn read(&mut self, offset: u64, into: &mut [u8], fetch: &mut ReadEncoded<'_>) -> Result<()> {
        let length = into.len() as u64;
        let left = self.size.checked_sub(offset).filter(|left| length <= *left);
        let left = left.ok_or_else(|| Error::corrupt(format!("{} stored bytes end too early", self.size)))?;
        let end = self.offset + self.bytes.len() as u64;
        if offset < self.offset || offset + length > end {
            let near = self.read.0 > 0 && offset >= self.offset && offset - self.offset <= self.gap;
            let ahead = if near { self.gap } else { 0 };
            self.bytes = crate::view::zeroed(to_usize(length.max(ahead).min(left))?)?;
            self.offset = offset;
            fetch(offset, &mut self.bytes)?;
            self.read.0 += 1;
            self.read.1 += self.bytes.len() as u64;
        }
        let start = (offset - self.offset) as usize;
        into.copy_from_slice(&self.bytes[start..start + into.len()]);
        Ok(())
    }
}

//! Reading a large compressed leaf in pieces, if it is a stream of pieces that decode independently.
//!
//! The layout of the pieces is read once per stream and kept. Pieces with wanted elements are read, neighbors together,
//! decoded on all threads and placed. Elements that straddle pieces are placed last.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::cuts::{Cuts, Straddling};
use super::leaf::Leaf;
use super::reader::{Caching, Counts, LOCAL, Reader};
use crate::buffer::{Buffer, to_usize};
use crate::cache::{CacheLimit, ChunkCache, Lru, Origin};
use crate::codec::{Pieces, ReadEncoded};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Merged, merge};
use crate::runtime::{PerProcess, lock, parallel};
use crate::view::{Output, swap_words, zeroed};

/// Smaller streams are read whole: reading the layout would take about as long.
const SMALLEST: u64 = 1 << 20;

/// Stores with larger gaps are far away: streams that are wanted whole are read at once.
const FAR: u64 = 512 << 10;

/// Maximum number of bytes of pieces that one read may put into the cache, for later reads of their neighbors.
const KEPT: u64 = 64 << 20;

/// Layouts of the streams read lately; `None` for streams without pieces.
static LAYOUTS: PerProcess<Mutex<Lru<Option<Arc<Pieces>>>>> =
    PerProcess::new(|| Mutex::new(Lru::new(CacheLimit::Bytes(64 << 20))));

/// The pieces of a leaf with wanted elements.
pub(super) struct PieceReads {
    pieces: Arc<Pieces>,
    cuts: Cuts,
    /// Numbers of the pieces, by their offset in the stream.
    wanted: Vec<usize>,
}

impl PieceReads {
    /// Joins pieces that are close together into reads; their `parts` are indices into `numbers`.
    pub(super) fn merged(&self, reader: &Reader<'_>, numbers: &[usize]) -> Vec<Merged> {
        let ranges = numbers.iter().map(|number| &self.pieces.list()[*number].encoded);
        let total: u64 = ranges.clone().map(|range| range.end - range.start).sum();
        let ranges = ranges.map(|range| (range.start, range.end - range.start));
        merge(ranges, reader.source.store.profile().merge_gap, reader.largest_read(total))
    }

    pub(super) fn wanted(&self) -> &[usize] {
        &self.wanted
    }

    /// Returns the number of bytes that pieces decode to.
    pub(super) fn decoded_size(&self, numbers: &[usize]) -> u64 {
        let size = |number: &usize| self.window(*number).end - self.window(*number).start;
        numbers.iter().map(size).sum()
    }

    /// Returns the range of a piece in the decoded bytes of the leaf.
    fn window(&self, number: usize) -> &Range<u64> {
        &self.pieces.list()[number].decoded
    }
}

impl<'a> Reader<'a> {
    /// Returns the pieces of a leaf to read, or `None` if it is faster to read it whole.
    pub(super) fn piece_reads(&self, leaf: &Leaf<'a>, counts: &Counts) -> Result<Option<PieceReads>> {
        let Some(pieces) = self.piece_layout(leaf, counts)? else { return Ok(None) };
        let cuts = Cuts::new(leaf.elements, &leaf.region);
        let touched = |number: &usize| cuts.touch(&pieces.list()[*number].decoded);
        let mut wanted: Vec<usize> = pieces.within(&cuts.extent()).filter(touched).collect();
        wanted.sort_by_key(|number| pieces.list()[*number].encoded.start);
        Ok(Some(PieceReads { pieces, cuts, wanted }))
    }

    /// Returns the layout of the pieces of a leaf, or `None` if the leaf is read whole.
    fn piece_layout(&self, leaf: &Leaf<'a>, counts: &Counts) -> Result<Option<Arc<Pieces>>> {
        let (stored, store) = (&leaf.stored, &self.source.store);
        let Some(stage) = leaf.chain.pieces_codec() else { return Ok(None) };
        let gap = store.profile().merge_gap;
        if stored.length <= SMALLEST.max(gap.saturating_mul(4)).max(LOCAL.most)
            || stored.length > leaf.chain.stored_size().bound()
            || stored.object.bytes().is_some()
            || matches!(self.cache, Caching::Array(_))
            || (leaf.is_whole() && gap >= FAR)
            || store.profile().whole_reads
        {
            return Ok(None);
        }
        let origin = (stored.is_lasting && stored.stat.settled).then(|| self.piece_origin(leaf, 0));
        if let Some(origin) = &origin
            && let Some(pieces) = lock(LAYOUTS.get()).get(origin, stored.stat.version)
        {
            return Ok(pieces);
        }
        let mut headers = Headers { offset: 0, bytes: Vec::new(), gap, size: stored.length, requests: 0, read: 0 };
        let mut read = |offset: u64, into: &mut [u8]| {
            headers.read(offset, into, &mut |at, bytes| stored.read_at(stored.offset + at, bytes))
        };
        let found = stage.pieces(stored.length, leaf.elements.size, &mut read);
        let pieces = match found {
            Ok(pieces) => pieces.filter(|pieces| {
                let inside = |range: &Range<u64>| range.start <= range.end && range.end <= stored.length;
                pieces.decoded_size() == leaf.elements.size && pieces.list().iter().all(|piece| inside(&piece.encoded))
            }),
            // Decoding the whole leaf reports the error.
            Err(error) if error.kind() == ErrorKind::CorruptData => None,
            Err(error) => return Err(error),
        };
        let pieces = pieces.map(Arc::new);
        counts.add_index(headers.requests, headers.read);
        if let Some(origin) = origin {
            let size = pieces.as_ref().map_or(128, |pieces| pieces.memory());
            lock(LAYOUTS.get()).put(origin, stored.stat.version, pieces.clone(), size);
        }
        Ok(pieces)
    }

    /// Returns the cache key of a piece (0: of the layout). It differs from that of any leaf.
    fn piece_origin(&self, leaf: &Leaf<'a>, offset: u64) -> Origin {
        let identity = leaf.stored.store.part((self.source.identity, "piece"));
        Origin { identity, key: leaf.stored.key.to_string(), offset: leaf.stored.offset + offset }
    }

    /// Reads and places the wanted pieces of a leaf.
    pub(super) fn read_pieces(&self, leaf: &Leaf<'a>, reads: &PieceReads, output: &Output<'_>) -> Result<()> {
        let cache = match self.cache {
            Caching::Shared(cache) if leaf.stored.is_lasting && leaf.stored.stat.settled && !leaf.is_whole() => {
                Some(cache)
            }
            _ => None,
        };
        let mut placing = Placing { reader: self, leaf, reads, output, straddling: Straddling::default(), cache };
        let mut missing = Vec::with_capacity(reads.wanted.len());
        for number in &reads.wanted {
            if !placing.place_cached(*number)? {
                missing.push(*number);
            }
        }
        placing.cache = cache.filter(|_| reads.decoded_size(&missing) <= KEPT);
        parallel(&reads.merged(self, &missing), self.options.concurrency(), |read| {
            let mut bytes = Buffer::new(to_usize(read.length)?)?;
            leaf.stored.read_at(leaf.stored.offset + read.offset, &mut bytes)?;
            for number in &missing[read.parts.clone()] {
                let encoded = &reads.pieces.list()[*number].encoded;
                let range = (encoded.start - read.offset) as usize..(encoded.end - read.offset) as usize;
                placing.place_encoded(*number, &bytes[range])?;
            }
            Ok(())
        })?;
        placing.straddling.place(output, leaf.elements.item)
    }
}

/// Places the pieces of one leaf.
struct Placing<'r, 'a> {
    reader: &'r Reader<'a>,
    leaf: &'r Leaf<'a>,
    reads: &'r PieceReads,
    output: &'r Output<'r>,
    straddling: Straddling,
    cache: Option<&'a ChunkCache>,
}

impl Placing<'_, '_> {
    fn origin(&self, number: usize) -> Origin {
        self.reader.piece_origin(self.leaf, self.reads.pieces.list()[number].encoded.start)
    }

    fn place(&self, number: usize, decoded: &[u8]) -> Result<()> {
        self.reads.cuts.place(self.reads.window(number), decoded, self.output, &self.straddling)
    }

    /// Places a piece from the cache; returns false if it is not there.
    fn place_cached(&self, number: usize) -> Result<bool> {
        let found = self.cache.and_then(|cache| cache.get(&self.origin(number), self.leaf.stored.stat.version));
        let window = self.reads.window(number);
        let Some(found) = found.filter(|found| found.len() as u64 == window.end - window.start) else {
            return Ok(false);
        };
        self.place(number, &found)?;
        Ok(true)
    }

    /// Decodes a piece, places it, and keeps it in the cache.
    fn place_encoded(&self, number: usize, encoded: &[u8]) -> Result<()> {
        let Some(stage) = self.leaf.chain.pieces_codec() else { return Ok(()) };
        let (pieces, window) = (&self.reads.pieces, self.reads.window(number));
        let length = to_usize(window.end - window.start)?;
        if let Some(cache) = self.cache {
            let mut decoded = zeroed::<u8>(length)?;
            stage.decode_piece(pieces, number, encoded, &mut decoded)?;
            self.place(number, &decoded)?;
            cache.put(self.origin(number), self.leaf.stored.stat.version, Arc::new(decoded));
            return Ok(());
        }
        if let Some(to) = self.reads.cuts.all_of(window) {
            // SAFETY: the planner gives each element of the output to one leaf, and each byte of a leaf is in one
            // piece.
            if let Some(target) = unsafe { self.output.slice(to, length) } {
                stage.decode_piece(pieces, number, encoded, target)?;
                swap_words(target, self.leaf.elements.item.word);
                return Ok(());
            }
        }
        let mut decoded = Buffer::new(length)?;
        stage.decode_piece(pieces, number, encoded, &mut decoded)?;
        self.place(number, &decoded)
    }
}

/// Reads the headers of pieces. If a header is close to the last one, `gap` bytes are read from it, which may contain
/// the next headers.
struct Headers {
    /// The bytes that were read last, and their offset.
    offset: u64,
    bytes: Vec<u8>,
    gap: u64,
    /// Size of the stream.
    size: u64,
    requests: u64,
    /// Total bytes of all requests.
    read: u64,
}

impl Headers {
    fn read(&mut self, offset: u64, into: &mut [u8], fetch: &mut ReadEncoded<'_>) -> Result<()> {
        let length = into.len() as u64;
        let left = self.size.checked_sub(offset).filter(|left| length <= *left);
        let left = left.ok_or_else(|| Error::corrupt(format!("a stream of {} bytes is truncated", self.size)))?;
        let end = self.offset + self.bytes.len() as u64;
        if offset < self.offset || offset + length > end {
            let near = self.requests > 0 && offset >= self.offset && offset - self.offset <= self.gap;
            let ahead = if near { self.gap } else { 0 };
            self.bytes = zeroed(to_usize(length.max(ahead).min(left))?)?;
            self.offset = offset;
            fetch(offset, &mut self.bytes)?;
            self.requests += 1;
            self.read += self.bytes.len() as u64;
        }
        let start = (offset - self.offset) as usize;
        into.copy_from_slice(&self.bytes[start..start + into.len()]);
        Ok(())
    }
}

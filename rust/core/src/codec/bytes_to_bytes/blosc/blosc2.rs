//! Blosc2: a chunk of blocks, or a frame of chunks.
//!
//! Specification: <https://github.com/Blosc/c-blosc2/blob/main/README_CHUNK_FORMAT.rst>,
//! <https://github.com/Blosc/c-blosc2/blob/main/README_CFRAME_FORMAT.rst>
//!
//! A chunk begins as one of `blosc` does, which is a chunk of Blosc2, too: that is what we encode. Its header goes on with
//! filters, and a stream in a block may be one byte repeated. Chunks of one value have no blocks. Read is what C-Blosc2
//! writes with its own codecs and filters, but for dictionaries.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::HEADER;
use super::blosc2_chunk::{Chunk, EXTENDED, FIRST, WINDOW, bad, flag, unsupported};
use super::pieces::out_of_bounds;
use crate::buffer::to_usize;
use crate::codec::append::append;
use crate::codec::bytes_to_bytes::sizes::at_most;
use crate::codec::{BytesToBytes, Pieces, ReadEncoded, Size, TakeEncoded};
use crate::error::Result;
use crate::runtime::{lock, parallel, threads};

/// Chunks and frames of Blosc2; what is encoded is left to `blosc`.
#[derive(Debug)]
pub(crate) struct Blosc2(Arc<dyn BytesToBytes>);

/// What a frame begins with.
const FRAME: [u8; 10] = *b"\x9e\xa8b2frame\0";

/// More chunks in a frame would take more memory than they are worth.
const MOST_CHUNKS: u64 = 1 << 20;

/// As far as a frame's header is read.
const FRAME_HEADER: usize = 62;

/// The chunks of a stream: their size, but for the last, and their headers.
struct Chunks {
    size: u64,
    headers: Vec<u8>,
}

impl Chunks {
    /// Of a stream whose pieces are known.
    fn of(pieces: &Pieces) -> Result<(u64, &[[u8; EXTENDED]])> {
        let (size, headers) = pieces.head().split_first_chunk().ok_or_else(out_of_bounds)?;
        Ok((u64::from_le_bytes(*size).max(1), headers.as_chunks().0))
    }

    /// Adds the chunk at a byte, which ends before another and is to decode to so many bytes.
    fn add(&mut self, at: u64, end: u64, due: u64, pieces: &mut Pieces, read: &mut ReadEncoded<'_>) -> Result<Chunk> {
        let mut header = [0; EXTENDED];
        let there = EXTENDED.min(to_usize(end.saturating_sub(at))?);
        read(at, &mut header[..there])?;
        let chunk = Chunk::parse(&header, end.saturating_sub(at))?;
        if chunk.size as u64 != due {
            return Err(bad(format_args!("a chunk of {} bytes instead of {due}", chunk.size)));
        }
        chunk.push(at, pieces, read)?;
        self.headers.extend_from_slice(&header);
        Ok(chunk)
    }
}

/// Where the blocks of all chunks lie, and whether they depend on each other.
fn find(encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<(Pieces, bool)> {
    let mut start = [0; FRAME_HEADER];
    let there = FRAME_HEADER.min(to_usize(encoded_size)?);
    read(0, &mut start[..there])?;
    let (mut pieces, mut linked) = (Pieces::default(), false);
    let mut chunks = Chunks { size: decoded_size, headers: Vec::new() };
    if start.starts_with(&FRAME) {
        let long = |at: usize| u64::from_be_bytes(std::array::from_fn(|k| start[at + k]));
        let short = |at: usize| u64::from(u32::from_be_bytes(std::array::from_fn(|k| start[at + k])));
        let (header, total, size, stored, chunk_size) = (short(11), long(16), long(30), long(39), short(58));
        if there < FRAME_HEADER || total > encoded_size || size != decoded_size {
            return Err(bad(format_args!("a frame of {total} bytes for {size} instead of {decoded_size}")));
        }
        if start[26] & 0x0f != 0 || start[25] & 0xc0 != 0 || (chunk_size == 0 && size > 0) {
            return Err(unsupported("a frame of chunks of any size, or in several files"));
        }
        chunks.size = chunk_size;
        let count = size.div_ceil(chunk_size.max(1));
        if count > MOST_CHUNKS {
            return Err(unsupported(format_args!("a frame of {count} chunks")));
        }
        let index = header.checked_add(stored).filter(|index| *index <= total).ok_or_else(out_of_bounds)?;
        let offsets = if count == 0 { Vec::new() } else { offsets(index..total, count, read)? };
        for (number, offset) in offsets.into_iter().enumerate() {
            let due = chunk_size.min(size - number as u64 * chunk_size);
            if offset < 0 {
                // A chunk of one value, of which nothing is stored.
                let mut chunk = [0; EXTENDED];
                let numbers = [due, due, EXTENDED as u64].map(|number| (number as u32).to_le_bytes());
                chunk[..4].copy_from_slice(&[5, 1, flag::EXTENDED, start[51]]);
                chunk[4..16].copy_from_slice(numbers.as_flattened());
                chunk[31] = ((offset >> 56 & 7) as u8) << 4;
                Chunk::parse(&chunk, EXTENDED as u64)?.push(0, &mut pieces, read)?;
                chunks.headers.extend_from_slice(&chunk);
                continue;
            }
            let at = header.checked_add(offset.unsigned_abs()).filter(|at| *at < index).ok_or_else(out_of_bounds)?;
            let chunk = chunks.add(at, index, due, &mut pieces, read)?;
            linked |= chunk.is_linked();
        }
    } else {
        let chunk = chunks.add(0, encoded_size, decoded_size, &mut pieces, read)?;
        linked = chunk.is_linked();
    }
    pieces.set_head([&chunks.size.to_le_bytes(), chunks.headers.as_slice()].concat());
    Ok((pieces, linked))
}

/// The index of a frame, which is a chunk itself: where its chunks begin behind its header.
fn offsets(range: Range<u64>, count: u64, read: &mut ReadEncoded<'_>) -> Result<Vec<i64>> {
    let mut header = [0; EXTENDED];
    let there = EXTENDED.min((range.end - range.start) as usize);
    read(range.start, &mut header[..there])?;
    let chunk = Chunk::parse(&header, range.end - range.start)?;
    if count.checked_mul(8) != Some(chunk.size as u64) {
        return Err(bad(format_args!("an index of {} bytes for {count} chunks", chunk.size)));
    }
    let mut encoded = crate::view::zeroed::<u8>(chunk.encoded)?;
    read(range.start, &mut encoded)?;
    let mut decoded = crate::view::zeroed::<u8>(chunk.size)?;
    decode(&encoded, &mut decoded, 1)?;
    Ok(decoded.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
}

/// Reads out of bytes that are there.
fn read_from(encoded: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<()> + '_ {
    |offset, into| {
        let bytes = usize::try_from(offset).ok().and_then(|start| encoded.get(start..)?.get(..into.len()));
        into.copy_from_slice(bytes.ok_or_else(out_of_bounds)?);
        Ok(())
    }
}

/// Decodes all of a chunk or frame.
fn decode(encoded: &[u8], decoded: &mut [u8], limit: usize) -> Result<()> {
    let (pieces, linked) = find(encoded.len() as u64, decoded.len() as u64, &mut read_from(encoded))?;
    let (size, headers) = Chunks::of(&pieces)?;
    let mut rest = &mut *decoded;
    let mut jobs = Vec::with_capacity(pieces.list().len());
    for piece in pieces.list() {
        let (target, behind) = rest.split_at_mut((piece.decoded.end - piece.decoded.start) as usize);
        jobs.push((piece, Mutex::new(target)));
        rest = behind;
    }
    parallel(&jobs, limit, |(piece, target)| {
        let bytes = encoded.get(piece.encoded.start as usize..piece.encoded.end as usize).ok_or_else(out_of_bounds)?;
        decode_in(size, headers, piece.decoded.start, bytes, &mut lock(target))
    })?;
    drop(jobs);
    if linked {
        for (chunk, header) in decoded.chunks_mut(to_usize(size)?).zip(headers) {
            let header = Chunk::parse(header, u64::MAX)?;
            if header.is_linked() {
                header.undo_delta(chunk);
            }
        }
    }
    Ok(())
}

/// Decodes a piece, which begins at a decoded byte, of chunks of a size.
fn decode_in(size: u64, headers: &[[u8; EXTENDED]], start: u64, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
    let header = headers.get((start / size) as usize).ok_or_else(out_of_bounds)?;
    Chunk::parse(header, u64::MAX)?.decode(encoded, start % size, decoded)
}

/// What `blosc` itself decodes: its own chunks.
fn is_first(encoded: &[u8]) -> bool {
    encoded.first() == Some(&FIRST)
}

impl Blosc2 {
    /// Encodes as `blosc` does.
    pub(crate) fn new(blosc: Arc<dyn BytesToBytes>) -> Self {
        Self(blosc)
    }
}

impl BytesToBytes for Blosc2 {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        if is_first(encoded) {
            return self.0.decode_into(encoded, decoded);
        }
        decode(encoded, decoded, if decoded.len() > WINDOW as usize { threads() } else { 1 })
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        if is_first(encoded) {
            return self.0.decode_bounded(encoded, limit, decoded);
        }
        let mut header = [0; FRAME_HEADER];
        let there = FRAME_HEADER.min(encoded.len());
        header[..there].copy_from_slice(&encoded[..there]);
        let size = if header.starts_with(&FRAME) {
            to_usize(u64::from_be_bytes(std::array::from_fn(|k| header[30 + k])))?
        } else {
            Chunk::parse(header.first_chunk().ok_or_else(out_of_bounds)?, encoded.len() as u64)?.size
        };
        at_most("blosc2", size, limit)?;
        append(decoded, size, |target| decode(encoded, target, 1).map(|()| size)).map(drop)
    }

    fn has_pieces(&self) -> bool {
        true
    }

    fn pieces(&self, encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        let mut version = [0];
        if encoded_size < HEADER as u64 || decoded_size == 0 {
            return Ok(None);
        }
        read(0, &mut version)?;
        if version[0] == FIRST {
            return self.0.pieces(encoded_size, decoded_size, read);
        }
        let (pieces, linked) = find(encoded_size, decoded_size, read)?;
        Ok((!linked).then_some(pieces))
    }

    fn decode_piece(&self, pieces: &Pieces, number: usize, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        // The head that `blosc` leaves is shorter.
        if pieces.head().len() == HEADER {
            return self.0.decode_piece(pieces, number, encoded, decoded);
        }
        let (size, headers) = Chunks::of(pieces)?;
        let start = pieces.list().get(number).ok_or_else(out_of_bounds)?.decoded.start;
        decode_in(size, headers, start, encoded, decoded)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        self.0.encode(decoded, encoded)
    }

    fn encode_to(&self, decoded: &[u8], threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        self.0.encode_to(decoded, threads, take)
    }
}

//! Blosc2: a chunk of blocks, or a frame of chunks.
//!
//! Specification: <https://github.com/Blosc/c-blosc2/blob/main/README_CHUNK_FORMAT.rst>,
//! <https://github.com/Blosc/c-blosc2/blob/main/README_CFRAME_FORMAT.rst>
//!
//! A chunk extends the format of `blosc`: its header lists filters, a stream of a block may be one repeated byte, and
//! chunks of a single value have no blocks. Chunks of `blosc` are valid chunks of Blosc2, and are what is encoded here.
//! Everything that C-Blosc2 writes with its built-in codecs and filters is decoded, except dictionaries.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::blosc2_chunk::{Chunk, EXTENDED, FIRST, WINDOW, bad, flag, unsupported};
use super::header::{HEADER, out_of_bounds};
use crate::buffer::to_usize;
use crate::codec::append::append;
use crate::codec::bytes_to_bytes::sizes::check_limit;
use crate::codec::{BytesToBytes, Pieces, ReadEncoded, Size, TakeEncoded};
use crate::error::Result;
use crate::runtime::{lock, parallel, threads};

/// Decodes chunks and frames of Blosc2, and encodes with `blosc`.
#[derive(Debug)]
pub(crate) struct Blosc2(Arc<dyn BytesToBytes>);

/// The first bytes of a frame.
const FRAME: [u8; 10] = *b"\x9e\xa8b2frame\0";

/// Maximum number of chunks in a frame, which bounds the memory.
const MAX_CHUNKS: u64 = 1 << 20;

/// Bytes of a frame's header that are read.
const FRAME_HEADER: usize = 62;

/// The chunks of a stream.
struct Chunks {
    /// Decoded size of each chunk but the last, in bytes.
    size: u64,
    headers: Vec<u8>,
}

impl Chunks {
    /// Returns the chunk size and the headers, which are stored with the pieces.
    fn of(pieces: &Pieces) -> Result<(u64, &[[u8; EXTENDED]])> {
        let (size, headers) = pieces.head().split_first_chunk().ok_or_else(out_of_bounds)?;
        Ok((u64::from_le_bytes(*size).max(1), headers.as_chunks().0))
    }

    /// Adds the chunk at `at..end`, which decodes to `size` bytes.
    fn add(&mut self, at: u64, end: u64, size: u64, pieces: &mut Pieces, read: &mut ReadEncoded<'_>) -> Result<Chunk> {
        let mut header = [0; EXTENDED];
        let there = EXTENDED.min(to_usize(end.saturating_sub(at))?);
        read(at, &mut header[..there])?;
        let chunk = Chunk::parse(&header, end.saturating_sub(at))?;
        if chunk.size as u64 != size {
            return Err(bad(format_args!("a chunk of {} bytes instead of {size}", chunk.size)));
        }
        chunk.push(at, pieces, read)?;
        self.headers.extend_from_slice(&header);
        Ok(chunk)
    }
}

/// Finds the blocks of all chunks. Returns them, and whether blocks depend on each other.
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
            return Err(unsupported("a frame of chunks of different sizes, or in several files"));
        }
        chunks.size = chunk_size;
        let count = size.div_ceil(chunk_size.max(1));
        if count > MAX_CHUNKS {
            return Err(unsupported(format_args!("a frame of {count} chunks")));
        }
        let index = header.checked_add(stored).filter(|index| *index <= total).ok_or_else(out_of_bounds)?;
        let offsets = if count == 0 { Vec::new() } else { offsets(index..total, count, read)? };
        for (number, offset) in offsets.into_iter().enumerate() {
            let length = chunk_size.min(size - number as u64 * chunk_size);
            if offset < 0 {
                // A chunk of a single value has no stored bytes.
                let mut chunk = [0; EXTENDED];
                let numbers = [length, length, EXTENDED as u64].map(|number| (number as u32).to_le_bytes());
                chunk[..4].copy_from_slice(&[5, 1, flag::EXTENDED, start[51]]);
                chunk[4..16].copy_from_slice(numbers.as_flattened());
                chunk[31] = ((offset >> 56 & 7) as u8) << 4;
                Chunk::parse(&chunk, EXTENDED as u64)?.push(0, &mut pieces, read)?;
                chunks.headers.extend_from_slice(&chunk);
                continue;
            }
            let at = header.checked_add(offset.unsigned_abs()).filter(|at| *at < index).ok_or_else(out_of_bounds)?;
            let chunk = chunks.add(at, index, length, &mut pieces, read)?;
            linked |= chunk.is_linked();
        }
    } else {
        let chunk = chunks.add(0, encoded_size, decoded_size, &mut pieces, read)?;
        linked = chunk.is_linked();
    }
    pieces.set_head([&chunks.size.to_le_bytes(), chunks.headers.as_slice()].concat());
    Ok((pieces, linked))
}

/// Decodes the index of a frame, which is itself a chunk: the offsets of the chunks from the end of the header.
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

/// Returns a function that reads from a slice.
fn read_from(encoded: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<()> + '_ {
    |offset, into| {
        let bytes = usize::try_from(offset).ok().and_then(|start| encoded.get(start..)?.get(..into.len()));
        into.copy_from_slice(bytes.ok_or_else(out_of_bounds)?);
        Ok(())
    }
}

/// Decodes a whole chunk or frame.
fn decode(encoded: &[u8], decoded: &mut [u8], limit: usize) -> Result<()> {
    let (pieces, linked) = find(encoded.len() as u64, decoded.len() as u64, &mut read_from(encoded))?;
    let (size, headers) = Chunks::of(&pieces)?;
    let mut rest = &mut *decoded;
    let mut jobs = Vec::with_capacity(pieces.list().len());
    for piece in pieces.list() {
        let (target, after) = rest.split_at_mut((piece.decoded.end - piece.decoded.start) as usize);
        jobs.push((piece, Mutex::new(target)));
        rest = after;
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

/// Decodes the piece at decoded offset `start`; `size` is the chunk size.
fn decode_in(size: u64, headers: &[[u8; EXTENDED]], start: u64, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
    let header = headers.get((start / size) as usize).ok_or_else(out_of_bounds)?;
    Chunk::parse(header, u64::MAX)?.decode(encoded, start % size, decoded)
}

/// Whether the bytes are a chunk of `blosc`.
fn is_first(encoded: &[u8]) -> bool {
    encoded.first() == Some(&FIRST)
}

impl Blosc2 {
    /// Creates the codec from a codec `blosc`.
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
        check_limit("blosc2", size, limit)?;
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
        // The header of a chunk of `blosc` is shorter.
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

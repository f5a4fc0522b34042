//! Chunks of Blosc2: headers, ranges of the blocks, and decoding of a block.
//!
//! Specification: <https://github.com/Blosc/c-blosc2/blob/main/README_CHUNK_FORMAT.rst>

use super::bitshuffle::unshuffle_bits;
use super::c_blosc::decode_stream;
use super::header::{HEADER, out_of_bounds};
use super::pieces::push_blocks;
use crate::buffer::Buffer;
use crate::codec::bytes_to_bytes::shuffle;
use crate::codec::{Pieces, ReadEncoded};
use crate::error::{Error, Result};

/// Size in bytes of a header with filters.
pub(super) const EXTENDED: usize = 32;

/// The version of `blosc` chunks.
pub(super) const FIRST: u8 = 2;

/// Chunks without blocks are decoded in pieces of this size in bytes.
pub(super) const WINDOW: u64 = 1 << 20;

pub(super) mod flag {
    pub(crate) const EXTENDED: u8 = 0x05;
    pub(crate) const COPIED: u8 = 0x02;
    pub(crate) const DELTA: u8 = 0x08;
    pub(crate) const NOT_SPLIT: u8 = 0x10;
}

/// A filter, applied to a block before compression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    Shuffle(usize),
    Bits,
    Delta,
}

/// The value of a chunk without blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Zeros,
    NotANumber,
    /// The bytes after the header, repeated.
    Value,
}

/// The header of a chunk.
pub(super) struct Chunk {
    flags: u8,
    type_size: usize,
    pub(super) size: usize,
    block_size: usize,
    pub(super) encoded: usize,
    /// Size of the header in bytes.
    start: usize,
    /// In the order of encoding.
    filters: Vec<Filter>,
    special: Option<Special>,
}

pub(super) fn bad(cause: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("blosc2: {cause}"))
}

pub(super) fn unsupported(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("blosc2: {what}"))
}

impl Special {
    fn new(number: u8) -> Result<Option<Self>> {
        match number {
            0 => Ok(None),
            1 | 4 => Ok(Some(Self::Zeros)),
            2 => Ok(Some(Self::NotANumber)),
            3 => Ok(Some(Self::Value)),
            _ => Err(bad(format_args!("unknown special value {number}"))),
        }
    }
}

impl Chunk {
    /// Reads the header of a chunk that has at most `available` bytes.
    pub(super) fn parse(header: &[u8; EXTENDED], available: u64) -> Result<Self> {
        let number = |at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        let (version, flags, type_size) = (header[0], header[2], header[3].max(1) as usize);
        let (size, block_size, encoded) = (number(4), number(8), number(12));
        if !(FIRST..=5).contains(&version) {
            return Err(unsupported(format_args!("chunk format {version}; formats 2 to 5 are supported")));
        }
        let extended = version > FIRST && flags & flag::EXTENDED == flag::EXTENDED;
        let start = if extended { EXTENDED } else { HEADER };
        if encoded < start || encoded as u64 > available || size > i32::MAX as usize {
            return Err(bad(format_args!(
                "a chunk of {encoded} bytes for {size}, but {available} bytes are available"
            )));
        }
        if size > 0 && (block_size == 0 || block_size > size) {
            return Err(bad(format_args!("blocks of {block_size} bytes in a chunk of {size}")));
        }
        let mut filters = Vec::new();
        let (slots, more) = if extended { (&header[16..22], header[31]) } else { (&[][..], 0) };
        for (slot, filter) in slots.iter().enumerate() {
            let element = if header[24 + slot] == 0 { type_size } else { header[24 + slot].into() };
            match filter {
                0 | 4 => {}
                1 => filters.push(Filter::Shuffle(element)),
                2 => filters.push(Filter::Bits),
                3 => filters.push(Filter::Delta),
                _ => return Err(unsupported(format_args!("filter {filter}; filters 0 to 4 are supported"))),
            }
        }
        if !extended {
            let all = [(flag::DELTA, Filter::Delta), (1, Filter::Shuffle(type_size)), (4, Filter::Bits)];
            filters.extend(all.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, filter)| *filter));
        }
        if filters.iter().skip(1).any(|filter| *filter == Filter::Delta) {
            return Err(unsupported("the filter delta after others"));
        }
        let special = Special::new(more >> 4 & 7)?;
        if special.is_none() && (more & 0x89 != 0 || (extended && header[30] & 1 != 0)) {
            return Err(unsupported(
                "a chunk that is lazy or instrumented, or has a dictionary or blocks of different sizes",
            ));
        }
        Ok(Self { flags, type_size, size, block_size, encoded, start, filters, special })
    }

    /// Adds the pieces of the chunk at byte `at`.
    pub(super) fn push(&self, at: u64, pieces: &mut Pieces, read: &mut ReadEncoded<'_>) -> Result<()> {
        let most = |fits: bool| if fits { Ok(()) } else { Err(unsupported("too many blocks")) };
        let size = self.size as u64;
        let plain = self.flags & flag::COPIED != 0;
        if self.special.is_some() || plain {
            let value = at + self.start as u64..at + self.encoded as u64;
            if plain && self.special.is_none() && value.end - value.start != size {
                return Err(bad(format_args!("{} bytes instead of {size}", value.end - value.start)));
            }
            for start in (0..size).step_by(WINDOW as usize) {
                let length = WINDOW.min(size - start);
                let from = if self.special.is_some() {
                    value.clone()
                } else {
                    value.start + start..value.start + start + length
                };
                most(pieces.push(from, length)?)?;
            }
            return Ok(());
        }
        let blocks = self.size.div_ceil(self.block_size.max(1));
        let starts = self.start + 4 * blocks;
        if starts > self.encoded {
            return Err(out_of_bounds());
        }
        let mut offsets = crate::view::zeroed::<u8>(4 * blocks)?;
        read(at + self.start as u64, &mut offsets)?;
        most(push_blocks(pieces, &offsets, (at, starts..self.encoded), (self.size, self.block_size))?)
    }

    /// Decodes the piece at decoded offset `offset` of the chunk.
    pub(super) fn decode(&self, encoded: &[u8], offset: u64, decoded: &mut [u8]) -> Result<()> {
        match self.special {
            Some(Special::Zeros) => decoded.fill(0),
            Some(Special::NotANumber) => match self.type_size {
                4 => repeat(&f32::NAN.to_le_bytes(), offset, decoded),
                8 => repeat(&f64::NAN.to_le_bytes(), offset, decoded),
                size => return Err(bad(format_args!("a NaN of {size} bytes"))),
            },
            Some(Special::Value) if encoded.is_empty() => return Err(bad("a repeated value of no bytes")),
            Some(Special::Value) => repeat(encoded, offset, decoded),
            None if self.flags & flag::COPIED != 0 => {
                if encoded.len() != decoded.len() {
                    return Err(out_of_bounds());
                }
                decoded.copy_from_slice(encoded);
            }
            None => return self.decode_block(encoded, decoded),
        }
        Ok(())
    }

    fn decode_block(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let mut filters = self.filters.iter().rev().filter(|filter| **filter != Filter::Delta);
        let Some(mut filter) = filters.next() else { return self.decode_streams(encoded, decoded) };
        let mut before = Buffer::new(decoded.len())?;
        self.decode_streams(encoded, &mut before)?;
        loop {
            match filter {
                Filter::Shuffle(element) => shuffle::unshuffle(*element, &before, decoded),
                Filter::Bits => unshuffle_bits(self.type_size, &before, decoded),
                Filter::Delta => {}
            }
            let Some(next) = filters.next() else { return Ok(()) };
            before.copy_from_slice(decoded);
            filter = next;
        }
    }

    /// Decodes the streams of a block.
    fn decode_streams(&self, mut encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let split = self.flags & flag::NOT_SPLIT == 0 && decoded.len() == self.block_size;
        let streams = if split { self.type_size } else { 1 };
        let length = decoded.len() / streams;
        if length == 0 || length * streams != decoded.len() {
            return Err(bad(format_args!("{streams} streams in a block of {}", decoded.len())));
        }
        for stream in decoded.chunks_exact_mut(length) {
            let (size, rest) = encoded.split_first_chunk().ok_or_else(out_of_bounds)?;
            encoded = match i32::from_le_bytes(*size) {
                0 => {
                    stream.fill(0);
                    rest
                }
                run @ -255..0 => {
                    let (token, rest) = rest.split_first().ok_or_else(out_of_bounds)?;
                    if token & 1 == 0 {
                        return Err(bad(format_args!("unknown token {token}")));
                    }
                    stream.fill(run.unsigned_abs() as u8);
                    rest
                }
                size => {
                    let size = usize::try_from(size).map_err(|_| out_of_bounds())?;
                    let (bytes, rest) = rest.split_at_checked(size).ok_or_else(out_of_bounds)?;
                    if size == length {
                        stream.copy_from_slice(bytes);
                    } else {
                        match self.flags >> 5 {
                            format @ (0 | 1 | 3 | 4) => decode_stream(format, bytes, stream)?,
                            format => return Err(unsupported(format_args!("compressor {format}"))),
                        }
                    }
                    rest
                }
            };
        }
        Ok(())
    }

    /// Whether blocks are stored as differences from the first one.
    pub(super) fn is_linked(&self) -> bool {
        self.filters.contains(&Filter::Delta) && self.special.is_none() && self.flags & flag::COPIED == 0
    }

    /// Undoes the filter `delta` on a whole chunk: elements of the first block differ from the element before, and
    /// other blocks from the first block.
    pub(super) fn undo_delta(&self, decoded: &mut [u8]) {
        let unit = match self.type_size {
            size @ (1 | 2 | 4 | 8) => size,
            size if size.is_multiple_of(8) => 8,
            _ => 1,
        };
        let (first, others) = decoded.split_at_mut(self.block_size.min(decoded.len()));
        for at in unit..first.len() / unit * unit {
            first[at] ^= first[at - unit];
        }
        for block in others.chunks_mut(self.block_size) {
            let whole = block.len() / unit * unit;
            block[..whole].iter_mut().zip(&*first).for_each(|(byte, other)| *byte ^= other);
        }
    }
}

/// Fills a slice with a repeated value; the slice begins at an offset of the repetition.
fn repeat(value: &[u8], offset: u64, decoded: &mut [u8]) {
    let start = (offset % value.len() as u64) as usize;
    decoded.iter_mut().zip(value.iter().cycle().skip(start)).for_each(|(to, from)| *to = *from);
}

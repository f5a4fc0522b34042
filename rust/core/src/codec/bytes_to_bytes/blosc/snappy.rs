//! What snappy compressed in the container of `blosc`: blosc's own library would need snappy's in C++ for it.
//!
//! After a header of 16 bytes come the offsets of the blocks, then the blocks. A block is shuffled, then split into as
//! many pieces as an element has bytes, or not at all. A piece is a size and as many bytes: compressed, unless the size
//! is that of the piece itself. Numbers are of four bytes, little-endian.
//!
//! Specification: <https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst>,
//! <https://github.com/google/snappy/blob/main/format_description.txt>

use std::array;

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::HEADER;
use crate::codec::bytes_to_bytes::shuffle;
use crate::error::{Error, Result};

/// What the upper three bits of the flags say.
pub(super) const FORMAT: u8 = 2;
/// What the second byte of the header says.
const VERSION: u8 = 1;

const SHUFFLED: u8 = 0x01;
pub(super) const COPIED: u8 = 0x02;
const BIT_SHUFFLED: u8 = 0x04;
const RESERVED: u8 = 0x08;
pub(super) const NOT_SPLIT: u8 = 0x10;

const MAX_SPLITS: usize = 16;
const MIN_SIZE: usize = 128;
const USUAL_BLOCK: usize = 256 << 10;
/// Blosc refuses to decode larger ones.
const MAX_BLOCK: usize = (i32::MAX as usize - 255 * 4) / 3;

#[derive(Debug)]
pub(super) struct Layout {
    pub(super) flags: u8,
    pub(super) type_size: usize,
    pub(super) block_size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    None,
    Bytes,
    Bits,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Shuffle,
    Unshuffle,
}

impl Layout {
    /// How to encode so many bytes; `shuffle` is 0 for none, 1 for bytes, 2 for bits, and a block size of 0 the usual.
    pub(super) fn new(size: usize, shuffle: u8, type_size: usize, block_size: usize) -> Self {
        let block_size = if block_size == 0 { USUAL_BLOCK } else { block_size.clamp(MIN_SIZE, MAX_BLOCK) };
        let block_size = block_size.min(size).max(1);
        let block_size = block_size - if block_size > type_size { block_size % type_size } else { 0 };
        let shuffled = match shuffle {
            0 => 0,
            1 => SHUFFLED,
            _ => BIT_SHUFFLED,
        };
        let mut layout = Self { flags: FORMAT << 5 | shuffled, type_size, block_size };
        // The decoders of old that do not know this flag split just where it is not set.
        if layout.splits(block_size) == 1 {
            layout.flags |= NOT_SPLIT;
        }
        layout
    }

    /// How many pieces a block of this size has.
    pub(super) fn splits(&self, size: usize) -> usize {
        let splits = self.flags & NOT_SPLIT == 0
            && self.type_size <= MAX_SPLITS
            && size / self.type_size >= MIN_SIZE
            && size == self.block_size;
        if splits { self.type_size } else { 1 }
    }

    /// What was done to a block of this size.
    fn filter(&self, size: usize) -> Filter {
        if self.flags & SHUFFLED != 0 && self.type_size > 1 {
            Filter::Bytes
        } else if self.flags & BIT_SHUFFLED != 0 && (size / self.type_size).is_multiple_of(8) {
            Filter::Bits
        } else {
            Filter::None
        }
    }

    /// Room for a block between its filter and snappy.
    fn scratch(&self) -> Vec<u8> {
        let is_needed = self.flags & (SHUFFLED | BIT_SHUFFLED) != 0;
        vec![0; if is_needed { self.block_size } else { 0 }]
    }

    fn reorder(&self, way: Way, filter: Filter, from: &[u8], to: &mut [u8]) {
        let elements = from.len() / self.type_size;
        let (from, from_rest) = from.split_at(elements * self.type_size);
        let (to, to_rest) = to.split_at_mut(from.len());
        to_rest.copy_from_slice(from_rest);
        match filter {
            Filter::None => to.copy_from_slice(from),
            Filter::Bytes => match way {
                Way::Shuffle => shuffle::shuffle(self.type_size, from, to),
                Way::Unshuffle => shuffle::unshuffle(self.type_size, from, to),
            },
            Filter::Bits => reorder_bits(way, self.type_size, from, to),
        }
    }

    /// Decodes all that is due. The sizes are positive, and a block is no larger than what is due.
    pub(super) fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let bad = |cause: &str| Error::corrupt(format!("blosc: {cause}"));
        let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize;
        if encoded[1] != VERSION || self.flags & RESERVED != 0 {
            return Err(bad("another format than the known one of snappy"));
        }
        let offsets = HEADER + 4 * decoded.len().div_ceil(self.block_size);
        let offsets = encoded.get(HEADER..offsets).ok_or_else(|| bad("no room for the offsets of its blocks"))?;
        let mut decoder = Decoder::new();
        let mut scratch = self.scratch();
        for (offset, block) in offsets.as_chunks().0.iter().zip(decoded.chunks_mut(self.block_size)) {
            let offset = number(*offset);
            let mut rest = encoded.get(offset..).ok_or_else(|| bad("a block is out of bounds"))?;
            let filter = self.filter(block.len());
            let target = if filter == Filter::None { &mut *block } else { &mut scratch[..block.len()] };
            let splits = self.splits(target.len());
            if !target.len().is_multiple_of(splits) {
                return Err(bad("the sizes of blocks and elements do not fit"));
            }
            for target in target.chunks_exact_mut(target.len() / splits) {
                let piece = rest.split_first_chunk().and_then(|(size, rest)| rest.split_at_checked(number(*size)));
                let (piece, behind) = piece.ok_or_else(|| bad("a block is out of bounds"))?;
                rest = behind;
                if piece.len() == target.len() {
                    target.copy_from_slice(piece);
                } else if decompress_len(piece).ok() != Some(target.len()) {
                    return Err(bad("snappy has another size than is due"));
                } else {
                    decoder.decompress(piece, target).map_err(|error| bad(&error.to_string()))?;
                }
            }
            if filter != Filter::None {
                self.reorder(Way::Unshuffle, filter, &scratch[..block.len()], block);
            }
        }
        Ok(())
    }

    /// Puts blocks and all that is before them behind `encoded`, or a copy where these would be as large, or where
    /// nothing is to be compressed.
    pub(super) fn encode(&self, compress: bool, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let size = decoded.len() + HEADER;
        encoded.try_reserve_exact(size).map_err(|_| Error::corrupt(format!("no memory for {size} bytes")))?;
        let start = encoded.len();
        encoded.resize(start + HEADER, 0);
        let is_copy = decoded.len() < MIN_SIZE || !compress || !self.compress(decoded, start, encoded)?;
        if is_copy {
            encoded.truncate(start + HEADER);
            encoded.extend(decoded);
        }
        let [decoded_size, block_size, encoded_size] =
            [decoded.len(), self.block_size, encoded.len() - start].map(|size| (size as u32).to_le_bytes());
        let flags = self.flags | if is_copy { COPIED } else { 0 };
        let header = [[2, VERSION, flags, self.type_size as u8], decoded_size, block_size, encoded_size];
        encoded[start..start + HEADER].copy_from_slice(header.as_flattened());
        Ok(())
    }

    /// Puts offsets and blocks behind `encoded`, of which the header begins at `start`. Gives up, answering `false`,
    /// when they get as large as a copy.
    fn compress(&self, decoded: &[u8], start: usize, encoded: &mut Vec<u8>) -> Result<bool> {
        let limit = encoded.len() + decoded.len();
        let offsets = encoded.len();
        encoded.resize(offsets + 4 * decoded.len().div_ceil(self.block_size), 0);
        let mut encoder = Encoder::new();
        let mut compressed = vec![0; max_compress_len(self.block_size)];
        let mut scratch = self.scratch();
        for (index, block) in decoded.chunks(self.block_size).enumerate() {
            let offset = (encoded.len() - start) as u32;
            encoded[offsets + 4 * index..][..4].copy_from_slice(&offset.to_le_bytes());
            let filter = self.filter(block.len());
            let shuffled = if filter == Filter::None {
                block
            } else {
                self.reorder(Way::Shuffle, filter, block, &mut scratch[..block.len()]);
                &scratch[..block.len()]
            };
            for piece in shuffled.chunks_exact(block.len() / self.splits(block.len())) {
                let size = encoder
                    .compress(piece, &mut compressed)
                    .map_err(|error| Error::unsupported(format!("blosc: cannot encode: {error}")))?;
                let piece = if size < piece.len() { &compressed[..size] } else { piece };
                if encoded.len() + 4 + piece.len() >= limit {
                    return Ok(false);
                }
                encoded.extend((piece.len() as u32).to_le_bytes());
                encoded.extend(piece);
            }
        }
        Ok(true)
    }
}

/// Undoes the shuffling of bits of as many elements as are a multiple of 8; what is behind them stays as it is.
pub(super) fn unshuffle_bits(type_size: usize, from: &[u8], to: &mut [u8]) {
    let (from, from_rest) = from.split_at(from.len() / type_size / 8 * 8 * type_size);
    let (to, to_rest) = to.split_at_mut(from.len());
    to_rest.copy_from_slice(from_rest);
    reorder_bits(Way::Unshuffle, type_size, from, to);
}

/// First bits of all elements, second bits of all, and so on; or back. The number of elements is a multiple of 8.
fn reorder_bits(way: Way, type_size: usize, from: &[u8], to: &mut [u8]) {
    let groups = from.len() / type_size / 8;
    for at in 0..type_size {
        for group in 0..groups {
            let byte = |element| (group * 8 + element) * type_size + at;
            let bits = |bit| (at * 8 + bit) * groups + group;
            match way {
                Way::Shuffle => reorder_8_bytes(from, byte, to, bits),
                Way::Unshuffle => reorder_8_bytes(from, bits, to, byte),
            }
        }
    }
}

fn reorder_8_bytes(from: &[u8], from_at: impl Fn(usize) -> usize, to: &mut [u8], to_at: impl Fn(usize) -> usize) {
    let square = u64::from_le_bytes(array::from_fn(|row| from[from_at(row)]));
    for (row, byte) in transpose(square).to_le_bytes().into_iter().enumerate() {
        to[to_at(row)] = byte;
    }
}

/// Makes rows of columns, where a byte is a row of bits.
fn transpose(mut square: u64) -> u64 {
    for (distance, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0xf0f0_f0f0)] {
        let swapped = (square ^ (square >> distance)) & mask;
        square ^= swapped ^ (swapped << distance);
    }
    square
}

//! Buffers of `blosc` whose blocks snappy compressed. C-Blosc would need snappy's C++ library for these.
//!
//! The offsets of the blocks follow the header of 16 bytes, then the blocks. A block is shuffled, then split into one
//! stream for each byte of an element, or not split. A stream is its size and its bytes, which are compressed unless
//! the size is that of the decoded stream. Numbers have four bytes, little-endian.
//!
//! Specification: <https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst>,
//! <https://github.com/google/snappy/blob/main/format_description.txt>

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::bitshuffle::{Way, reorder_bits};
use super::header::{BIT_SHUFFLED, COPIED, HEADER, Layout, MIN_SIZE, NOT_SPLIT, RESERVED, SHUFFLED, SNAPPY};
use crate::codec::bytes_to_bytes::shuffle;
use crate::error::{Error, Result};

/// Version of the format of the streams, in the second byte of the header.
const VERSION: u8 = 1;

const DEFAULT_BLOCK: usize = 256 << 10;
/// Largest block that C-Blosc decodes, in bytes.
const MAX_BLOCK: usize = (i32::MAX as usize - 255 * 4) / 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    None,
    Bytes,
    Bits,
}

impl Layout {
    /// Creates the layout for `size` decoded bytes. `shuffle` is 0 for none, 1 for bytes, 2 for bits; a block size of 0
    /// means the default.
    pub(super) fn new(size: usize, shuffle: u8, type_size: usize, block_size: usize) -> Self {
        let block_size = if block_size == 0 { DEFAULT_BLOCK } else { block_size.clamp(MIN_SIZE, MAX_BLOCK) };
        let block_size = block_size.min(size).max(1);
        let block_size = block_size - if block_size > type_size { block_size % type_size } else { 0 };
        let shuffled = match shuffle {
            0 => 0,
            1 => SHUFFLED,
            _ => BIT_SHUFFLED,
        };
        let mut layout = Self { flags: SNAPPY << 5 | shuffled, type_size, block_size };
        // Old decoders split blocks unless the flag is set.
        if layout.splits(block_size) == 1 {
            layout.flags |= NOT_SPLIT;
        }
        layout
    }

    /// Returns the filter of a block of a size.
    fn filter(&self, size: usize) -> Filter {
        if self.flags & SHUFFLED != 0 && self.type_size > 1 {
            Filter::Bytes
        } else if self.flags & BIT_SHUFFLED != 0 && (size / self.type_size).is_multiple_of(8) {
            Filter::Bits
        } else {
            Filter::None
        }
    }

    /// Returns a buffer for a shuffled block.
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

    /// Decodes a whole buffer. The sizes are positive, and a block is not larger than `decoded`.
    pub(super) fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let bad = |cause: &str| Error::corrupt(format!("blosc: {cause}"));
        let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize;
        if encoded[1] != VERSION || self.flags & RESERVED != 0 {
            return Err(bad("unknown version of the snappy format"));
        }
        let offsets = HEADER + 4 * decoded.len().div_ceil(self.block_size);
        let offsets = encoded.get(HEADER..offsets).ok_or_else(|| bad("the offsets of the blocks are truncated"))?;
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
                let stream = rest.split_first_chunk().and_then(|(size, rest)| rest.split_at_checked(number(*size)));
                let (stream, after) = stream.ok_or_else(|| bad("a block is out of bounds"))?;
                rest = after;
                if stream.len() == target.len() {
                    target.copy_from_slice(stream);
                } else if decompress_len(stream).ok() != Some(target.len()) {
                    return Err(bad("a snappy stream has the wrong decoded size"));
                } else {
                    decoder.decompress(stream, target).map_err(|error| bad(&error.to_string()))?;
                }
            }
            if filter != Filter::None {
                self.reorder(Way::Unshuffle, filter, &scratch[..block.len()], block);
            }
        }
        Ok(())
    }

    /// Encodes a buffer and appends it to `encoded`. Copies the bytes if `compress` is false, or compression saves
    /// nothing.
    pub(super) fn encode(&self, compress: bool, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let size = decoded.len() + HEADER;
        encoded.try_reserve_exact(size).map_err(|_| Error::memory(format_args!("{size} bytes")))?;
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

    /// Appends offsets and blocks to `encoded`, whose header begins at `start`. Returns false as soon as these are not
    /// smaller than a copy.
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
            for stream in shuffled.chunks_exact(block.len() / self.splits(block.len())) {
                let size = encoder
                    .compress(stream, &mut compressed)
                    .map_err(|error| Error::unsupported(format!("blosc: cannot encode: {error}")))?;
                let stream = if size < stream.len() { &compressed[..size] } else { stream };
                if encoded.len() + 4 + stream.len() >= limit {
                    return Ok(false);
                }
                encoded.extend((stream.len() as u32).to_le_bytes());
                encoded.extend(stream);
            }
        }
        Ok(true)
    }
}

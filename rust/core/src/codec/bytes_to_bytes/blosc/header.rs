//! The header of a buffer of `blosc`, and how it describes the blocks.
//!
//! Specification: <https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst>

use crate::error::{Error, Result};

/// Size of the header in bytes.
pub(super) const HEADER: usize = 16;

/// Maximum decoded size of a buffer in bytes.
pub(super) const MAX_SIZE: usize = i32::MAX as usize - HEADER;

/// Bits of the flags.
pub(super) const SHUFFLED: u8 = 0x01;
pub(super) const COPIED: u8 = 0x02;
pub(super) const BIT_SHUFFLED: u8 = 0x04;
pub(super) const RESERVED: u8 = 0x08;
pub(super) const NOT_SPLIT: u8 = 0x10;

/// The number of snappy among the compressors.
pub(super) const SNAPPY: u8 = 2;

/// Blocks are split into at most this many streams.
const MAX_SPLITS: usize = 16;
/// Minimum size of a stream of a split block, and of a block, in bytes.
pub(super) const MIN_SIZE: usize = 128;

/// How the decoded bytes are divided into blocks, and what was done to each.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) flags: u8,
    pub(super) type_size: usize,
    pub(super) block_size: usize,
}

/// Reads a header, with `available` bytes from its start on. Returns the layout, the decoded and the encoded size.
pub(super) fn read_header(header: &[u8; HEADER], available: usize) -> Result<(Layout, usize, usize)> {
    let bad = |cause: String| Error::corrupt(format!("blosc: {cause}"));
    let size = |at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let (version, flags, type_size) = (header[0], header[2], header[3]);
    let (decoded_size, block_size, encoded_size) = (size(4), size(8), size(12));
    if version != 2 {
        return Err(bad(format!("format {version} instead of 2")));
    }
    let compressor = flags >> 5;
    if compressor >= 5 {
        return Err(bad(format!("unknown compressor {compressor}")));
    }
    if encoded_size < HEADER || encoded_size > available {
        return Err(bad(format!("the header declares {encoded_size} bytes, but there are {available}")));
    }
    if decoded_size > MAX_SIZE {
        return Err(bad(format!("the header declares a decoded size of {decoded_size} bytes, which is impossible")));
    }
    if decoded_size > 0 && (type_size == 0 || block_size == 0 || block_size > decoded_size) {
        let sizes = format!("elements of {type_size} bytes in blocks of {block_size}, {decoded_size} in all");
        return Err(bad(format!("the header declares impossible sizes: {sizes}")));
    }
    Ok((Layout { flags, type_size: type_size.into(), block_size }, decoded_size, encoded_size))
}

/// Checks the decoded size that a header declares.
pub(super) fn check_declared_size(size: usize, expected: usize) -> Result<()> {
    if size == expected {
        return Ok(());
    }
    Err(Error::corrupt(format!("blosc: the header declares a decoded size of {size} bytes instead of {expected}")))
}

pub(super) fn out_of_bounds() -> Error {
    Error::corrupt("blosc: a block is out of bounds")
}

impl Layout {
    /// Whether the bytes were copied, without compression.
    pub(super) fn is_copy(&self) -> bool {
        self.flags & COPIED != 0
    }

    /// Whether snappy compressed the blocks, which C-Blosc is built without.
    pub(super) fn is_snappy(&self) -> bool {
        self.flags >> 5 == SNAPPY && !self.is_copy()
    }

    /// Returns the number of streams of a block of a size.
    pub(super) fn splits(&self, size: usize) -> usize {
        let splits = self.flags & NOT_SPLIT == 0
            && self.type_size <= MAX_SPLITS
            && size / self.type_size >= MIN_SIZE
            && size == self.block_size;
        if splits { self.type_size } else { 1 }
    }

    /// Makes a buffer of a single block, which decodes to `length` bytes. `header` is that of the whole buffer, and
    /// `bytes` begin with the block.
    pub(super) fn single(&self, header: &[u8], bytes: &[u8], length: usize) -> Result<Vec<u8>> {
        let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
        let splits = self.splits(length);
        let end = (0..splits).try_fold(0usize, |at, _| at.checked_add(4)?.checked_add(number(at)?));
        let bytes = end.and_then(|end| bytes.get(..end)).ok_or_else(out_of_bounds)?;
        let mut header = [header[0], header[1], self.flags, header[3]];
        // A short last block is not split. As the first block of a buffer it would be.
        if splits == 1 {
            header[2] |= NOT_SPLIT;
        }
        let offset = HEADER + 4;
        let numbers = [length, length, offset + bytes.len(), offset].map(|number| (number as u32).to_le_bytes());
        Ok([&header[..], numbers.as_flattened(), bytes].concat())
    }
}

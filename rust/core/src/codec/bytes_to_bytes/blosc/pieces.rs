//! The blocks of a buffer of `blosc`: where they lie, and each as a buffer of its own.
//!
//! Specification: <https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst>

use super::snappy::{self, Layout};
use super::{HEADER, MAX_SIZE};
use crate::buffer::to_usize;
use crate::codec::{Pieces, ReadEncoded};
use crate::error::{Error, Result};

/// Bytes that were copied and not compressed are read in pieces of this size.
const COPIED: usize = 256 << 10;

/// What a header says of so many bytes: how they were made, to how many they decode, and how many belong to it.
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
        return Err(bad(format!("{encoded_size} bytes by its header, but there are {available}")));
    }
    if decoded_size > MAX_SIZE {
        return Err(bad(format!("decodes to {decoded_size} bytes by its header, which is impossible")));
    }
    if decoded_size > 0 && (type_size == 0 || block_size == 0 || block_size > decoded_size) {
        let sizes = format!("elements of {type_size} bytes in blocks of {block_size}, {decoded_size} in all");
        return Err(bad(format!("impossible sizes in its header: {sizes}")));
    }
    Ok((Layout { flags, type_size: type_size.into(), block_size }, decoded_size, encoded_size))
}

/// Reads where the blocks of a buffer lie. Not of snappy's, for which blosc's own decoder does not do.
pub(super) fn find(encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
    let mut header = [0; HEADER];
    if encoded_size < HEADER as u64 {
        return Ok(None);
    }
    read(0, &mut header)?;
    let (layout, size, encoded) = read_header(&header, to_usize(encoded_size)?)?;
    due(size, to_usize(decoded_size)?)?;
    let mut pieces = Pieces::new(header.to_vec());
    if size == 0 || (layout.flags >> 5 == snappy::FORMAT && !layout.is_copy()) {
        return Ok(None);
    }
    if layout.is_copy() {
        if encoded - HEADER != size {
            return Err(Error::corrupt(format!("blosc: damaged ({} instead of {size} bytes)", encoded - HEADER)));
        }
        for start in (0..size).step_by(COPIED) {
            let (from, length) = ((HEADER + start) as u64, COPIED.min(size - start) as u64);
            if !pieces.push(from..from + length, length)? {
                return Ok(None);
            }
        }
        return Ok(Some(pieces));
    }
    let blocks = size.div_ceil(layout.block_size);
    let starts = HEADER + 4 * blocks;
    if starts > encoded {
        return Err(out_of_bounds());
    }
    let mut offsets = crate::view::zeroed::<u8>(4 * blocks)?;
    read(HEADER as u64, &mut offsets)?;
    Ok(push_blocks(&mut pieces, &offsets, (0, starts..encoded), (size, layout.block_size))?.then_some(pieces))
}

/// Adds the blocks of the buffer at a byte that begin at offsets of four bytes, all of them within a range, and decode to
/// blocks of a size, so many bytes in all; false: there are too many.
pub(super) fn push_blocks(
    pieces: &mut Pieces,
    offsets: &[u8],
    (at, within): (u64, std::ops::Range<usize>),
    (size, block_size): (usize, usize),
) -> Result<bool> {
    let offsets: Vec<usize> =
        offsets.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
    // Several threads leave the blocks in any order: one ends where the next in the stream begins.
    let mut sorted = offsets.clone();
    sorted.sort_unstable();
    for (block, offset) in offsets.into_iter().enumerate() {
        if !within.contains(&offset) {
            return Err(out_of_bounds());
        }
        let end = sorted.get(sorted.partition_point(|other| *other <= offset)).map_or(within.end, |next| *next);
        let length = block_size.min(size - block * block_size);
        if !pieces.push(at + offset as u64..at + end as u64, length as u64)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn due(size: usize, due: usize) -> Result<()> {
    if size == due {
        return Ok(());
    }
    Err(Error::corrupt(format!("blosc: decodes to {size} bytes by its header instead of {due}")))
}

pub(super) fn out_of_bounds() -> Error {
    Error::corrupt("blosc: a block is out of bounds")
}

impl Layout {
    pub(super) fn is_copy(&self) -> bool {
        self.flags & snappy::COPIED != 0
    }

    /// A buffer of just one block, which decodes to so many bytes, out of the header of all and the bytes that begin with
    /// the block.
    pub(super) fn single(&self, header: &[u8], bytes: &[u8], length: usize) -> Result<Vec<u8>> {
        let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
        let splits = self.splits(length);
        let end = (0..splits).try_fold(0usize, |at, _| at.checked_add(4)?.checked_add(number(at)?));
        let bytes = end.and_then(|end| bytes.get(..end)).ok_or_else(out_of_bounds)?;
        let mut header = [header[0], header[1], self.flags, header[3]];
        // The last block, which may be shorter than the others, is not split then. Here it is the first.
        if splits == 1 {
            header[2] |= snappy::NOT_SPLIT;
        }
        let offset = HEADER + 4;
        let numbers = [length, length, offset + bytes.len(), offset].map(|number| (number as u32).to_le_bytes());
        Ok([&header[..], numbers.as_flattened(), bytes].concat())
    }
}

//! The byte ranges of the blocks of a buffer.

use super::header::{HEADER, check_declared_size, out_of_bounds, read_header};
use crate::buffer::to_usize;
use crate::codec::{Pieces, ReadEncoded};
use crate::error::{Error, Result};

/// Copied bytes are divided into pieces of this size.
const COPY_PIECE: usize = 256 << 10;

/// Reads the ranges of the blocks of a buffer; `None` for an empty buffer, for snappy, and for too many blocks.
pub(super) fn find(encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
    let mut header = [0; HEADER];
    if encoded_size < HEADER as u64 {
        return Ok(None);
    }
    read(0, &mut header)?;
    let (layout, size, encoded) = read_header(&header, to_usize(encoded_size)?)?;
    check_declared_size(size, to_usize(decoded_size)?)?;
    let mut pieces = Pieces::new(header.to_vec());
    if size == 0 || layout.is_snappy() {
        return Ok(None);
    }
    if layout.is_copy() {
        if encoded - HEADER != size {
            return Err(Error::corrupt(format!("blosc: damaged ({} instead of {size} bytes)", encoded - HEADER)));
        }
        for start in (0..size).step_by(COPY_PIECE) {
            let (from, length) = ((HEADER + start) as u64, COPY_PIECE.min(size - start) as u64);
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

/// Adds the blocks of the buffer at byte `at`. Their offsets have four bytes and are inside `within`; they decode to
/// `size` bytes in blocks of `block_size`. Returns false if there are too many.
pub(super) fn push_blocks(
    pieces: &mut Pieces,
    offsets: &[u8],
    (at, within): (u64, std::ops::Range<usize>),
    (size, block_size): (usize, usize),
) -> Result<bool> {
    let offsets: Vec<usize> =
        offsets.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
    // Threads may have written the blocks in any order: a block ends where the next one in the stream begins.
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

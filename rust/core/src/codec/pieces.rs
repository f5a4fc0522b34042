//! Pieces of an encoded stream that decode independently, such as the blocks of blosc.
//!
//! A read of part of a large chunk fetches and decodes only the pieces it needs, several of them in parallel.

use std::ops::Range;

use crate::error::{Error, Result};

/// Fills a slice with the encoded bytes from an offset on; an error if they end before the slice does.
pub type ReadEncoded<'a> = dyn FnMut(u64, &mut [u8]) -> Result<()> + 'a;

/// A byte range that decodes independently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Range of the encoded bytes.
    pub encoded: Range<u64>,
    /// Range of the decoded bytes.
    pub decoded: Range<u64>,
}

/// The pieces of a stream.
#[derive(Debug, Default)]
pub struct Pieces {
    /// The header of the stream, which the codec needs to decode a piece.
    head: Vec<u8>,
    /// In decoded order, without gaps.
    list: Vec<Piece>,
}

/// Maximum number of pieces. A stream with more is decoded whole.
const MAX_PIECES: usize = 1 << 20;

impl Pieces {
    /// Creates an empty list with the stream's header.
    pub fn new(head: Vec<u8>) -> Self {
        Self { head, list: Vec::new() }
    }

    /// Appends a piece that decodes to `decoded` bytes. Returns false if there are too many pieces.
    pub fn push(&mut self, encoded: Range<u64>, decoded: u64) -> Result<bool> {
        let start = self.decoded_size();
        let end = start.checked_add(decoded).filter(|end| *end > start);
        let end = end.ok_or_else(|| Error::corrupt(format!("a piece of {decoded} bytes at decoded offset {start}")))?;
        self.list.push(Piece { encoded, decoded: start..end });
        Ok(self.list.len() < MAX_PIECES)
    }

    /// Returns the size of all decoded pieces in bytes.
    pub fn decoded_size(&self) -> u64 {
        self.list.last().map_or(0, |last| last.decoded.end)
    }

    /// Returns the header of the stream.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Sets the header of the stream.
    pub(crate) fn set_head(&mut self, head: Vec<u8>) {
        self.head = head;
    }

    /// Returns all pieces, in decoded order.
    pub fn list(&self) -> &[Piece] {
        &self.list
    }

    /// Returns the indices of the pieces that overlap a range of decoded bytes.
    pub(crate) fn within(&self, range: &Range<u64>) -> Range<usize> {
        let first = self.list.partition_point(|piece| piece.decoded.end <= range.start);
        let end = self.list.partition_point(|piece| piece.decoded.start < range.end);
        first..end.max(first)
    }

    /// Returns the approximate memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        (self.head.len() + self.list.len() * size_of::<Piece>() + 128) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_by_their_decoded_range() {
        let mut pieces = Pieces::new(Vec::new());
        for size in [10, 5, 7] {
            assert!(pieces.push(0..1, size).unwrap());
        }
        assert_eq!(pieces.decoded_size(), 22);
        for (range, expected) in [(0..1, 0..1), (9..10, 0..1), (9..11, 0..2), (10..15, 1..2), (14..30, 1..3)] {
            assert_eq!(pieces.within(&range), expected, "{range:?}");
        }
        assert!(pieces.within(&(22..30)).is_empty() && pieces.within(&(10..10)).is_empty());
        assert!(pieces.push(0..1, 0).is_err() && pieces.push(0..1, u64::MAX).is_err());
    }
}

//! Pieces of encoded bytes that decode without each other, for codecs whose streams are made of such.
//!
//! Who wants a part of a large chunk then reads, and decodes, the pieces that it lies in, and several of them at once.

use std::ops::Range;

use crate::error::{Error, Result};

/// Fills a slice with the encoded bytes from an offset on; what reaches beyond them is an error.
pub type ReadEncoded<'a> = dyn FnMut(u64, &mut [u8]) -> Result<()> + 'a;

/// Bytes that decode without what is before and behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where they lie in the encoded bytes.
    pub encoded: Range<u64>,
    /// Which of the decoded bytes they become.
    pub decoded: Range<u64>,
}

/// The pieces of a stream.
#[derive(Debug, Default)]
pub struct Pieces {
    /// What a codec must know of the whole stream to decode a piece of it.
    head: Vec<u8>,
    /// In the order of the decoded bytes, all of which they are.
    list: Vec<Piece>,
}

/// A stream of more pieces is decoded whole.
const MOST: usize = 1 << 20;

impl Pieces {
    /// No pieces yet.
    pub fn new(head: Vec<u8>) -> Self {
        Self { head, list: Vec::new() }
    }

    /// Adds a piece behind the others; false: there are too many.
    pub fn push(&mut self, encoded: Range<u64>, decoded: u64) -> Result<bool> {
        let start = self.decoded_size();
        let end = start.checked_add(decoded).filter(|end| *end > start);
        let end = end.ok_or_else(|| Error::corrupt(format!("a piece of {decoded} bytes behind {start}")))?;
        self.list.push(Piece { encoded, decoded: start..end });
        Ok(self.list.len() < MOST)
    }

    /// Bytes that all of them become.
    pub fn decoded_size(&self) -> u64 {
        self.list.last().map_or(0, |last| last.decoded.end)
    }

    /// What the codec keeps of the stream's head.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Sets what the codec keeps of the stream's head.
    pub(crate) fn set_head(&mut self, head: Vec<u8>) {
        self.head = head;
    }

    /// All of them.
    pub fn list(&self) -> &[Piece] {
        &self.list
    }

    /// Those that some of a range of decoded bytes lies in.
    pub(crate) fn within(&self, range: &Range<u64>) -> Range<usize> {
        let first = self.list.partition_point(|piece| piece.decoded.end <= range.start);
        let end = self.list.partition_point(|piece| piece.decoded.start < range.end);
        first..end.max(first)
    }

    /// Bytes that this takes, about.
    pub(crate) fn memory(&self) -> u64 {
        (self.head.len() + self.list.len() * size_of::<Piece>() + 128) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_by_what_they_become() {
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

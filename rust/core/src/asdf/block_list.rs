//! Finding the blocks of a file.
//!
//! Nothing is read until a block is requested. With a block index, that reads the end of the file and the header of that
//! block. The index is only a hint, and wrong in files that were edited by hand: its first entry must be the first block,
//! each entry used must be a header, and that block must end at the next entry. Otherwise, and without an index, the
//! blocks are found by walking from header to header.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::block::{BLOCK_MAGIC, BlockHeader, HEADER_LENGTH, INDEX_MAGIC};
use super::yaml::{Document, Limits, Scalar};
use crate::error::{Error, Place, Result};
use crate::store::{ByteRange, Object};

/// Bytes read first at the end of the file to find the index.
const TAIL: usize = 1 << 10;

/// Size of the largest index, in bytes.
const MAX_INDEX: usize = 64 << 20;

/// Bytes read at once while walking from header to header.
const STEP: usize = 4 << 10;

/// Bytes of a block that [`Blocks::read_pieces`] reads at once.
const PIECE: usize = 8 << 20;

/// The blocks of a file.
pub struct Blocks {
    object: Arc<dyn Object>,
    size: u64,
    /// The whole file if it is small, else empty.
    whole: Vec<u8>,
    /// Offset of the first block.
    first: Option<u64>,
    index: OnceLock<Option<Index>>,
    /// Headers found by walking from one to the next; the last may be an error.
    walked: OnceLock<Vec<Result<BlockHeader>>>,
}

/// The block index.
struct Index {
    /// Offsets of the blocks, and their headers once they were read.
    entries: Vec<(u64, OnceLock<BlockHeader>)>,
    /// Offset of the index, which is the end of the last block.
    offset: u64,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("first", &self.first).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Blocks {
    /// Creates the blocks of a file of `size` bytes whose first block, if any, is at `first`. Reads nothing.
    pub fn open(object: Arc<dyn Object>, size: u64, first: Option<u64>) -> Self {
        Self { object, size, whole: Vec::new(), first, index: OnceLock::new(), walked: OnceLock::new() }
    }

    /// Adds the content of a file that was read whole; an empty vector adds nothing.
    pub(super) fn with_whole(self, whole: Vec<u8>) -> Self {
        Self { whole, ..self }
    }

    /// Returns the file.
    pub fn object(&self) -> &Arc<dyn Object> {
        &self.object
    }

    /// Whether the file has no blocks. Reads nothing.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Returns the number of blocks.
    pub fn len(&self) -> Result<usize> {
        match self.index()? {
            Some(index) if self.indexed(index, index.entries.len() - 1)?.is_some() => Ok(index.entries.len()),
            _ => Ok(self.walk()?.len()),
        }
    }

    /// Returns the header of a block, counted from 0, or backward from -1.
    pub fn block(&self, number: i64) -> Result<BlockHeader> {
        let place = || format!("block {number}");
        if let Some(index) = self.index()? {
            let count = index.entries.len();
            // Counting backward needs an index that lists the last block.
            let complete = || self.indexed(index, count - 1).map(|last| last.is_some());
            if let Some(position) = position(number, count)
                && (number >= 0 || complete().place(place)?)
                && let Some(header) = self.indexed(index, position).place(place)?
            {
                return Ok(header);
            }
        }
        let headers = self.walk()?;
        let count = headers.len();
        match position(number, count) {
            Some(position) => headers[position].clone().place(place),
            None => Err(Error::metadata(format!("there is no block {number}; the file has {count}"))),
        }
    }

    /// Reads the stored data of a block.
    pub fn read(&self, header: &BlockHeader, into: &mut Vec<u8>) -> Result<()> {
        let range = ByteRange::Range { offset: header.data_offset, length: header.used };
        self.object.read(range, header.used, into)?.ok_or_else(gone).map(drop)
    }

    /// Reads the stored data of a block in pieces of bounded size.
    pub fn read_pieces(&self, header: &BlockHeader, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut piece = Vec::new();
        for at in (0..header.used).step_by(PIECE) {
            piece.clear();
            let range =
                ByteRange::Range { offset: header.data_offset + at, length: (header.used - at).min(PIECE as u64) };
            self.object.read(range, PIECE as u64, &mut piece)?.ok_or_else(gone)?;
            take(&piece)?;
        }
        Ok(())
    }

    /// Returns a range of the file, borrowed if it is in memory.
    fn bytes(&self, offset: u64, length: usize) -> Result<Cow<'_, [u8]>> {
        for known in [Some(self.whole.as_slice()), self.object.bytes()].into_iter().flatten() {
            let known = usize::try_from(offset).ok().and_then(|start| known.get(start..)?.get(..length));
            if let Some(known) = known {
                return Ok(Cow::Borrowed(known));
            }
        }
        let mut bytes = Vec::new();
        self.object.read(ByteRange::Range { offset, length: length as u64 }, u64::MAX, &mut bytes)?.ok_or_else(gone)?;
        Ok(Cow::Owned(bytes))
    }

    /// Returns the bytes from `offset` to the end of the file, but at most `most`.
    fn bytes_up_to(&self, offset: u64, most: usize) -> Result<Cow<'_, [u8]>> {
        let left = self.size.saturating_sub(offset);
        self.bytes(offset, usize::try_from(left).map_or(most, |left| left.min(most)))
    }

    /// Returns the header of an entry of the index; `None` if the index proves wrong.
    fn indexed(&self, index: &Index, position: usize) -> Result<Option<BlockHeader>> {
        if self.walked.get().is_some() {
            return Ok(None);
        }
        let Some((offset, header)) = index.entries.get(position) else { return Ok(None) };
        if let Some(header) = header.get() {
            return Ok(Some(*header));
        }
        let end = index.entries.get(position + 1).map_or(index.offset, |(next, _)| *next);
        // A remote file returns the data of a small block with its header.
        self.object.prepare(*offset, end - *offset)?;
        let bytes = self.bytes_up_to(*offset, HEADER_LENGTH)?;
        match BlockHeader::parse(&bytes, *offset, self.size) {
            Ok(found) if found.end() == Some(end) => Ok(Some(*header.get_or_init(|| found))),
            _ => Ok(None),
        }
    }

    /// Returns the index, which is read once; `None` if walking is better or already done.
    fn index(&self) -> Result<Option<&Index>> {
        // Walking a file in memory costs less than parsing its index.
        if self.walked.get().is_some() || !self.whole.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.index.get() {
            return Ok(known.as_ref());
        }
        let found = self.find_index()?;
        Ok(self.index.get_or_init(|| found).as_ref())
    }

    fn find_index(&self) -> Result<Option<Index>> {
        let Some(first) = self.first else { return Ok(None) };
        let most = usize::try_from(self.size.saturating_sub(first)).unwrap_or(usize::MAX).min(MAX_INDEX);
        let mut tail = Vec::new();
        let mut start = self.size;
        loop {
            let more = tail.len().max(TAIL).min(most - tail.len());
            start -= more as u64;
            tail = [&self.bytes(start, more)?, tail.as_slice()].concat();
            let filled = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let text = tail[..filled].trim_ascii_end();
            if let Some(at) = text.windows(INDEX_MAGIC.len()).rposition(|window| window == INDEX_MAGIC) {
                return Ok(parse_index(&text[at..], first, start + at as u64));
            }
            let is_entry = |byte: &u8| byte.is_ascii_digit() || b"- \r\n,[].".contains(byte);
            let continues = text.is_empty() || (text.ends_with(b"...") && text.iter().all(is_entry));
            if !continues || tail.len() == most {
                return Ok(None);
            }
        }
    }

    /// Finds all headers from the first to the last; the result is kept.
    fn walk(&self) -> Result<&[Result<BlockHeader>]> {
        if let Some(known) = self.walked.get() {
            return Ok(known);
        }
        let mut headers = Vec::new();
        let mut next = self.first;
        let mut window = (0, Cow::Borrowed(&[][..]));
        while let Some(offset) = next {
            let held = usize::try_from(offset - window.0).ok().and_then(|skip| window.1.get(skip..));
            let bytes = match held {
                Some(bytes) if bytes.len() >= HEADER_LENGTH => bytes,
                _ => {
                    window = (offset, self.bytes_up_to(offset, STEP)?);
                    &*window.1
                }
            };
            if !bytes.starts_with(&BLOCK_MAGIC) {
                break;
            }
            let header = BlockHeader::parse(bytes, offset, self.size);
            next = header.as_ref().ok().and_then(BlockHeader::end).filter(|end| *end <= self.size);
            headers.push(header);
        }
        Ok(self.walked.get_or_init(|| headers))
    }
}

fn gone() -> Error {
    Error::not_found("the file no longer exists")
}

/// Converts a block number to a position; negative numbers count from the end.
fn position(number: i64, count: usize) -> Option<usize> {
    let from_start = if number < 0 { number.checked_add_unsigned(count as u64)? } else { number };
    usize::try_from(from_start).ok().filter(|position| *position < count)
}

/// Parses the index at `offset`; `None` if it cannot be right.
fn parse_index(text: &[u8], first: u64, offset: u64) -> Option<Index> {
    let limits = Limits { bytes: MAX_INDEX, depth: 2, ..Limits::DEFAULT };
    let document = Document::parse_with(text, &limits).ok()?;
    let items = document.items(document.root())?;
    let entries = items.iter().map(|item| match document.scalar(*item) {
        Ok(Scalar::Int(entry)) => u64::try_from(entry).ok(),
        _ => None,
    });
    let entries = entries.collect::<Option<Vec<u64>>>()?;
    let is_rising = entries.windows(2).all(|pair| pair[0] < pair[1]);
    let is_consistent = entries.first() == Some(&first) && entries.last().is_some_and(|last| *last < offset);
    let entries = entries.into_iter().map(|entry| (entry, OnceLock::new())).collect();
    (is_rising && is_consistent).then_some(Index { entries, offset })
}

//! Blocks: the binary part of an ASDF file, and the index of it at the end
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html#blocks)).
//!
//! Nothing is read before a block is asked for. With an index, that is the tail of the file and the header of that
//! block. The index is only a hint, and in a file edited by hand a wrong one: the first entry must be the first block,
//! the header that is read must be one, and its block must end where the next entry says. Where that fails, and where
//! there is no index, the blocks are found by going from header to header.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use md5::{Digest, Md5};

use super::yaml::{Document, Limits, Scalar};
use crate::error::{Error, Place, Result};
use crate::store::{ByteRange, Object};

/// What a block begins with; it cannot occur in UTF-8.
pub const BLOCK_MAGIC: [u8; 4] = *b"\xd3BLK";

/// What the block index begins with.
pub const INDEX_MAGIC: &[u8] = b"#ASDF BLOCK INDEX";

/// Bytes of a block header from the magic on, as we write it and the least there can be.
pub const HEADER_LENGTH: usize = 54;

/// Bytes from the magic to where the header's own size begins to count.
const BEFORE_SIZE: u64 = 6;

/// What is read at the end of the file in search of the index, at first.
const TAIL: usize = 1 << 10;

/// The largest index that is searched for.
const MOST_TAIL: usize = 64 << 20;

/// What is read at a time when going from header to header.
const STEP: usize = 4 << 10;

/// What the header of a block says, checked against the size of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Where the block begins, with its magic.
    pub offset: u64,
    /// Where the data begin.
    pub data_offset: u64,
    /// Bytes from there to the next block. Of the last block, some may lie beyond the end of the file.
    pub allocated: u64,
    /// Bytes that hold data.
    pub used: u64,
    /// Bytes that the data have once they are decompressed.
    pub data_size: u64,
    /// How they are compressed: a name such as `zlib`, filled up with NULs, or all NULs.
    pub compression: [u8; 4],
    /// The MD5 checksum, or all NULs.
    pub checksum: [u8; 16],
    /// The data run to the end of the file.
    pub streamed: bool,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut number = [0; N];
    if let Some(bytes) = bytes.get(at..at + N) {
        number.copy_from_slice(bytes);
    }
    number
}

impl BlockHeader {
    /// Reads a header at `offset` of a file of `size` bytes.
    pub fn parse(bytes: &[u8], offset: u64, size: u64) -> Result<Self> {
        if !bytes.starts_with(&BLOCK_MAGIC) {
            return Err(Error::corrupt("there is no block"));
        }
        let cut = || Error::corrupt("the file ends within the block's header");
        if bytes.len() < HEADER_LENGTH {
            return Err(cut());
        }
        let length = u16::from_be_bytes(number(bytes, 4));
        if u64::from(length) + BEFORE_SIZE < HEADER_LENGTH as u64 {
            return Err(Error::metadata(format!("the header has {length} bytes where 48 is the least")));
        }
        let data_offset = offset.checked_add(BEFORE_SIZE + u64::from(length)).filter(|start| *start <= size);
        let data_offset = data_offset.ok_or_else(cut)?;
        let [allocated, used, data_size] = [14, 22, 30].map(|at| u64::from_be_bytes(number(bytes, at)));
        let mut header = Self {
            offset,
            data_offset,
            allocated,
            used,
            data_size,
            compression: number(bytes, 10),
            checksum: number(bytes, 38),
            streamed: u32::from_be_bytes(number(bytes, 6)) & 1 != 0,
        };
        let available = size - data_offset;
        if header.streamed {
            if header.is_compressed() {
                return Err(Error::metadata("a streamed block cannot be compressed"));
            }
            (header.allocated, header.used, header.data_size) = (available, available, available);
        }
        if !header.is_compressed() {
            // Readers look at one of the two only, so writers can have the other wrong.
            header.data_size = header.used;
        }
        if header.used > header.allocated {
            let Self { used, allocated, .. } = header;
            return Err(Error::metadata(format!("{used} bytes are used of {allocated} that are allocated")));
        }
        if header.used > available {
            let used = header.used;
            return Err(Error::corrupt(format!("{used} bytes of data, but the file ends after {available}")));
        }
        Ok(header)
    }

    /// The header as it is stored.
    pub fn to_bytes(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        let sizes = if self.streamed { [0; 3] } else { [self.allocated, self.used, self.data_size] };
        bytes[..4].copy_from_slice(&BLOCK_MAGIC);
        bytes[4..6].copy_from_slice(&48u16.to_be_bytes());
        bytes[6..10].copy_from_slice(&u32::from(self.streamed).to_be_bytes());
        bytes[10..14].copy_from_slice(&self.compression);
        bytes[14..22].copy_from_slice(&sizes[0].to_be_bytes());
        bytes[22..30].copy_from_slice(&sizes[1].to_be_bytes());
        bytes[30..38].copy_from_slice(&sizes[2].to_be_bytes());
        bytes[38..].copy_from_slice(&self.checksum);
        bytes
    }

    /// Whether the data are stored in another form than they mean.
    pub fn is_compressed(&self) -> bool {
        self.compression != [0; 4]
    }

    /// Whether there is a checksum.
    pub fn has_checksum(&self) -> bool {
        self.checksum != [0; 16]
    }

    /// Compares the checksum, where there is one, with the data as they are stored and, as the Python library meant it
    /// before its version 5.3, with the decompressed data.
    pub fn verify(&self, used: &[u8], decoded: Option<&[u8]>) -> Result<()> {
        let fits = |data: &[u8]| md5(data) == self.checksum;
        if !self.has_checksum() || fits(used) || (self.is_compressed() && decoded.is_some_and(fits)) {
            return Ok(());
        }
        Err(Error::corrupt(format!("the block at byte {} does not have the checksum that it names", self.offset)))
    }

    /// Where the next block begins, if this is not the last one.
    fn end(&self) -> Option<u64> {
        self.data_offset.checked_add(self.allocated).filter(|_| !self.streamed)
    }
}

/// The MD5 checksum of data.
pub fn md5(data: &[u8]) -> [u8; 16] {
    Md5::digest(data).into()
}

/// The blocks of a file.
pub struct Blocks {
    object: Arc<dyn Object>,
    size: u64,
    /// The whole file, where it is so small that it was read anyway.
    whole: Vec<u8>,
    first: Option<u64>,
    index: OnceLock<Option<Index>>,
    /// Headers found by going from one to the next; the last may be an error.
    walked: OnceLock<Vec<Result<BlockHeader>>>,
}

/// The block index.
struct Index {
    entries: Vec<(u64, OnceLock<BlockHeader>)>,
    /// Where the index begins, which is where the last block ends.
    offset: u64,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("first", &self.first).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Blocks {
    /// The blocks of a file of `size` bytes whose first block, if any, begins at `first`. Nothing is read yet.
    pub fn open(object: Arc<dyn Object>, size: u64, first: Option<u64>) -> Self {
        Self { object, size, whole: Vec::new(), first, index: OnceLock::new(), walked: OnceLock::new() }
    }

    /// The same, where the whole file is in memory already (or nothing is: an empty vector).
    pub(super) fn with_whole(self, whole: Vec<u8>) -> Self {
        Self { whole, ..self }
    }

    /// The file.
    pub fn object(&self) -> &Arc<dyn Object> {
        &self.object
    }

    /// Whether there are none; costs nothing.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The number of blocks.
    pub fn len(&self) -> Result<usize> {
        match self.index()? {
            Some(index) if self.indexed(index, index.entries.len() - 1)?.is_some() => Ok(index.entries.len()),
            _ => Ok(self.walk()?.len()),
        }
    }

    /// The header of a block, counted from 0, or from -1 at the end.
    pub fn block(&self, number: i64) -> Result<BlockHeader> {
        let place = || format!("block {number}");
        if let Some(index) = self.index()? {
            let count = index.entries.len();
            // From the end can be counted only if the index lists the blocks to the last.
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
            None => Err(Error::metadata(format!("there is no block {number} among {count}"))),
        }
    }

    /// The bytes of a block as they are stored.
    pub fn read(&self, header: &BlockHeader, into: &mut Vec<u8>) -> Result<()> {
        let range = ByteRange::Range { offset: header.data_offset, length: header.used };
        self.object.read(range, header.used, into)?.ok_or_else(gone).map(drop)
    }

    /// [`Blocks::read`] piece by piece, so that no more than one is in memory.
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

    fn bytes(&self, offset: u64, length: usize) -> Result<Cow<'_, [u8]>> {
        let within = |bytes: &'_ [u8]| {
            let start = usize::try_from(offset).ok()?;
            Some(start..start.checked_add(length)?).filter(|range| range.end <= bytes.len())
        };
        for known in [Some(self.whole.as_slice()), self.object.bytes()].into_iter().flatten() {
            if let Some(range) = within(known) {
                return Ok(Cow::Borrowed(&known[range]));
            }
        }
        let mut bytes = Vec::new();
        self.object.read(ByteRange::Range { offset, length: length as u64 }, u64::MAX, &mut bytes)?.ok_or_else(gone)?;
        Ok(Cow::Owned(bytes))
    }

    /// As many bytes as the file has from `offset` on, but at most `most`.
    fn bytes_up_to(&self, offset: u64, most: usize) -> Result<Cow<'_, [u8]>> {
        let left = self.size.saturating_sub(offset);
        self.bytes(offset, usize::try_from(left).map_or(most, |left| left.min(most)))
    }

    /// The header of an entry of the index; `None` where the index turns out to be wrong.
    fn indexed(&self, index: &Index, position: usize) -> Result<Option<BlockHeader>> {
        if self.walked.get().is_some() {
            return Ok(None);
        }
        let Some((offset, header)) = index.entries.get(position) else { return Ok(None) };
        if let Some(header) = header.get() {
            return Ok(Some(*header));
        }
        let end = index.entries.get(position + 1).map_or(index.offset, |(next, _)| *next);
        // Of a small block on another machine the data come with the header.
        self.object.prepare(*offset, end - *offset)?;
        let bytes = self.bytes_up_to(*offset, HEADER_LENGTH)?;
        match BlockHeader::parse(&bytes, *offset, self.size) {
            Ok(found) if found.end() == Some(end) => Ok(Some(*header.get_or_init(|| found))),
            _ => Ok(None),
        }
    }

    fn index(&self) -> Result<Option<&Index>> {
        // Going through a file in memory costs less than reading its index.
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
        let most = usize::try_from(self.size.saturating_sub(first)).unwrap_or(usize::MAX).min(MOST_TAIL);
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
            let part = |byte: &u8| byte.is_ascii_digit() || b"- \r\n,[].".contains(byte);
            let goes_on = text.is_empty() || (text.ends_with(b"...") && text.iter().all(part));
            if !goes_on || tail.len() == most {
                return Ok(None);
            }
        }
    }

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

/// Bytes of a block that are read at once.
const PIECE: usize = 8 << 20;

fn gone() -> Error {
    Error::not_found("the file is gone")
}

/// Counts from the end where the number is negative.
fn position(number: i64, count: usize) -> Option<usize> {
    let from_start = if number < 0 { number.checked_add_unsigned(count as u64)? } else { number };
    usize::try_from(from_start).ok().filter(|position| *position < count)
}

/// Reads the index that begins at `offset`; `None` where it cannot be right.
fn parse_index(text: &[u8], first: u64, offset: u64) -> Option<Index> {
    let limits = Limits { bytes: MOST_TAIL, depth: 2, ..Limits::DEFAULT };
    let document = Document::parse_with(text, &limits).ok()?;
    let items = document.items(document.root())?;
    let entries = items.iter().map(|item| match document.scalar(*item) {
        Ok(Scalar::Int(entry)) => u64::try_from(entry).ok(),
        _ => None,
    });
    let entries = entries.collect::<Option<Vec<u64>>>()?;
    let rising = entries.windows(2).all(|pair| pair[0] < pair[1]);
    let fits = entries.first() == Some(&first) && entries.last().is_some_and(|last| *last < offset);
    let entries = entries.into_iter().map(|entry| (entry, OnceLock::new())).collect();
    (rising && fits).then_some(Index { entries, offset })
}

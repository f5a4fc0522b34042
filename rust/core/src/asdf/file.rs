//! The layout of an ASDF file: header, comments, tree, blocks
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html)).
//!
//! The size of the tree is not stored, so the start of the file is read in doubling pieces until it contains the end of
//! the tree.

use std::ops::Range;
use std::sync::Arc;

use super::block::BLOCK_MAGIC;
use super::block_list::Blocks;
use super::yaml::{Document, Limits};
use crate::error::{Error, Place, Result};
use crate::store::{Ahead, ByteRange, Object, Stat};

/// Size in bytes up to which a file is read whole.
const SMALL: u64 = 64 << 10;

/// Bytes read first of a larger file: most trees are short, and data after the tree are not needed yet.
const FIRST: u64 = 2 << 10;

/// Maximum size in bytes of the lines before the tree.
const MAX_HEADER: usize = 1 << 20;

/// Maximum bytes read at once to find the first block.
const STEP: u64 = 1 << 20;

/// First bytes of the tree.
const TREE_MAGIC: &[u8] = b"%YAML";

/// The only version of the file format.
pub const FILE_FORMAT: &str = "1.0.0";

/// The version of the standard of a file that declares none.
pub const FIRST_STANDARD: &str = "1.0.0";

/// The parts of an ASDF file.
#[derive(Debug)]
pub struct Layout {
    /// Version of the file format, always [`FILE_FORMAT`].
    pub version: String,
    /// Version of the standard that the file declares, known to us or not.
    pub standard: Option<String>,
    /// Other comments of the header, without `#`.
    pub comments: Vec<String>,
    /// Byte range of the tree from its `%YAML` line to its `...` line; `None` without a tree.
    pub tree: Option<Range<u64>>,
    /// The tree; an empty mapping without one.
    pub document: Document,
    /// The blocks.
    pub blocks: Blocks,
    /// Size and version of the file.
    pub stat: Stat,
}

impl Layout {
    /// Reads the header and tree of a file.
    pub fn read(object: Arc<dyn Object>) -> Result<Self> {
        Self::read_with(object, &Limits::DEFAULT)
    }

    /// Reads the header and tree of a remote file, and its end, which has the block index, in the same round trip.
    pub fn read_remote(object: Arc<dyn Object>, limits: &Limits) -> Result<(Self, Arc<dyn Object>)> {
        let ahead = Ahead::ends(object, SMALL, SMALL)?.ok_or_else(|| Error::not_found("no such file"))?;
        let object: Arc<dyn Object> = Arc::new(ahead);
        Ok((Self::read_with(object.clone(), limits)?, object))
    }

    /// Reads the header and tree of a file, within limits.
    pub fn read_with(object: Arc<dyn Object>, limits: &Limits) -> Result<Self> {
        let stat = object.stat()?.ok_or_else(|| Error::not_found("no such file"))?;
        let mut start = Start { object: &*object, size: stat.size, bytes: Vec::new() };
        start.grow()?;
        let version = start.version()?;
        let (lines, offset) = start.comments()?;
        let count = lines.len();
        let mut comments = Vec::new();
        let mut standard = None;
        for line in lines {
            match line.strip_prefix("ASDF_STANDARD ") {
                Some(version) if standard.is_none() => standard = Some(version.trim().to_owned()),
                _ => comments.push(line),
            }
        }
        let (tree, document, first) = if start.bytes[offset..].starts_with(TREE_MAGIC) {
            let end = start.tree_end(offset, limits)?;
            let lines_before = 1 + count;
            let document = Document::parse_at(&start.bytes[offset..end], lines_before, limits).place(|| "the tree")?;
            (Some(offset as u64..end as u64), document, start.first_block(end)?)
        } else {
            let first = start.bytes[offset..].starts_with(&BLOCK_MAGIC).then_some(offset as u64);
            (None, Document::new(), first)
        };
        let whole = if stat.size <= SMALL { start.bytes } else { Vec::new() };
        let blocks = Blocks::open(object, stat.size, first).with_whole(whole);
        Ok(Self { version, standard, comments, tree, document, blocks, stat })
    }
}

/// How files start that are taken for ASDF files, and what they are.
const KNOWN_STARTS: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "compressed with gzip, so decompress it first: in Python, pass gzip.open(path)"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd, so decompress it first"),
    (b"BZh", "compressed with bzip2, so decompress it first: in Python, pass bz2.open(path)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\x89HDF", "an HDF5 file"),
];

/// The start of a file, as far as it was read.
struct Start<'a> {
    object: &'a dyn Object,
    size: u64,
    bytes: Vec<u8>,
}

impl Start<'_> {
    /// Doubles the bytes read; returns false at the end of the file.
    fn grow(&mut self) -> Result<bool> {
        let offset = self.bytes.len() as u64;
        let length = offset.max(if self.size <= SMALL { SMALL } else { FIRST }).min(self.size.saturating_sub(offset));
        if length > 0 {
            let read = self.object.read(ByteRange::Range { offset, length }, u64::MAX, &mut self.bytes)?;
            read.ok_or_else(|| Error::not_found("the file no longer exists"))?;
        }
        Ok(length > 0)
    }

    fn is_complete(&self) -> bool {
        self.bytes.len() as u64 == self.size
    }

    /// Returns the line at `start` without its end, and the offset of the next line.
    fn line(&mut self, start: usize) -> Result<(&[u8], usize)> {
        loop {
            let end = self.bytes[start..].iter().position(|byte| *byte == b'\n').map(|length| start + length);
            let end = match end {
                None if self.bytes.len() > MAX_HEADER => {
                    return Err(Error::metadata(format!("the lines before the tree exceed {MAX_HEADER} bytes")));
                }
                None if self.grow()? => continue,
                None => self.bytes.len(),
                Some(end) => end,
            };
            let line = &self.bytes[start..end];
            return Ok((line.strip_suffix(b"\r").unwrap_or(line), self.bytes.len().min(end + 1)));
        }
    }

    fn version(&mut self) -> Result<String> {
        const MAGIC: &[u8] = b"#ASDF ";
        if !self.bytes.starts_with(MAGIC) {
            let what = KNOWN_STARTS.iter().find(|(start, _)| self.bytes.starts_with(start));
            let what = what.map(|(_, what)| format!("; it is {what}")).unwrap_or_default();
            return Err(Error::metadata(format!("not an ASDF file: it does not start with \"#ASDF \"{what}")));
        }
        let (line, _) = self.line(0)?;
        let version = String::from_utf8_lossy(&line[MAGIC.len()..]).trim().to_owned();
        if version == FILE_FORMAT {
            return Ok(version);
        }
        let start: String = version.chars().take(40).collect();
        Err(Error::unsupported(format!("file format version {start:?} is not supported, only {FILE_FORMAT}")))
    }

    /// Returns the comments after the first line, and the offset of the tree or the first block.
    fn comments(&mut self) -> Result<(Vec<String>, usize)> {
        let mut comments = Vec::new();
        let (_, mut start) = self.line(0)?;
        while start < MAX_HEADER {
            if self.bytes.len() < start + TREE_MAGIC.len() {
                self.grow()?;
            }
            let rest = &self.bytes[start..];
            if rest.is_empty() || rest.starts_with(TREE_MAGIC) || rest.starts_with(&BLOCK_MAGIC) {
                return Ok((comments, start));
            }
            let (line, next) = self.line(start)?;
            let comment = line.strip_prefix(b"#");
            let comment =
                comment.ok_or_else(|| Error::metadata("the header is not followed by a comment, a tree or a block"))?;
            comments.push(String::from_utf8_lossy(comment).into_owned());
            start = next;
        }
        Err(Error::metadata(format!("the lines before the tree exceed {MAX_HEADER} bytes")))
    }

    /// Returns the end of the tree at `start`, which is after a line `...`.
    fn tree_end(&mut self, start: usize, limits: &Limits) -> Result<usize> {
        let mut from = start;
        loop {
            if let Some(end) = find_end(&self.bytes, from, self.is_complete()) {
                return Ok(end);
            }
            // A tree cannot contain the magic, so a tree without an end does not cause a search through all data.
            if find(&self.bytes[from..], &BLOCK_MAGIC).is_some() {
                return Err(Error::metadata("the tree does not end before the first block"));
            }
            if self.bytes.len() - start > limits.bytes {
                return Err(Error::metadata(format!("the tree exceeds the limit of {} bytes", limits.bytes)));
            }
            from = start.max(self.bytes.len().saturating_sub(6));
            if !self.grow()? {
                return Err(Error::corrupt("the tree does not end with a line \"...\""));
            }
        }
    }

    /// Returns the offset of the first block at or after `start`; padding may precede it.
    fn first_block(&self, start: usize) -> Result<Option<u64>> {
        if let Some(at) = find(&self.bytes[start..], &BLOCK_MAGIC) {
            return Ok(Some((start + at) as u64));
        }
        // The magic may cross the border of two pieces.
        let overlap = BLOCK_MAGIC.len() as u64 - 1;
        let mut offset = (self.bytes.len() as u64).saturating_sub(overlap).max(start as u64);
        let mut piece = Vec::new();
        let mut step = offset.clamp(FIRST, STEP);
        while self.size.saturating_sub(offset) > overlap {
            let length = step.min(self.size - offset);
            step = STEP.min(2 * step);
            piece.clear();
            let read = self.object.read(ByteRange::Range { offset, length }, u64::MAX, &mut piece)?;
            read.ok_or_else(|| Error::not_found("the file no longer exists"))?;
            if let Some(at) = find(&piece, &BLOCK_MAGIC) {
                return Ok(Some(offset + at as u64));
            }
            offset += length - overlap;
        }
        Ok(None)
    }
}

/// Returns the position of a pattern, which is not empty.
pub(super) fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    let (first, length) = (*pattern.first()?, pattern.len());
    let mut starts = bytes.windows(length);
    starts.position(|window| window[0] == first && window == pattern)
}

/// Returns the end of the first line `...` at or after `from`; `is_complete` says that the file ends with `bytes`.
fn find_end(bytes: &[u8], mut from: usize, is_complete: bool) -> Option<usize> {
    loop {
        let end = from + find(&bytes[from..], b"\n...")? + 4;
        match &bytes[end..] {
            [b'\n', ..] => return Some(end + 1),
            [b'\r', b'\n', ..] => return Some(end + 2),
            [] if is_complete => return Some(end),
            _ => from = end,
        }
    }
}

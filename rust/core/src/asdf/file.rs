//! The layout of an ASDF file: header, comments, tree, blocks
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html)).
//!
//! The size of the tree is not stored, so the head of the file is read in doubling pieces until the tree's end is in
//! it. Blocks are found and read only when one is asked for.

use std::ops::Range;
use std::sync::Arc;

use super::block::BLOCK_MAGIC;
use super::block_list::Blocks;
use super::yaml::{Document, Limits};
use crate::error::{Error, Place, Result};
use crate::store::{Ahead, ByteRange, Object, Stat};

/// A file of at most so many bytes is read whole.
const HEAD: u64 = 64 << 10;

/// What is read of a larger one at first: most trees are short, and what is read beyond them is read in vain.
const FIRST: u64 = 2 << 10;

/// What the lines before the tree may take.
const MOST_COMMENTS: usize = 1 << 20;

/// What is read at most at a time in search of the first block.
const STEP: u64 = 1 << 20;

/// What the tree begins with.
const TREE_MAGIC: &[u8] = b"%YAML";

/// The version of the file format that there is.
pub const FILE_FORMAT: &str = "1.0.0";

/// The version of the standard in a file that names none.
pub const FIRST_STANDARD: &str = "1.0.0";

/// The parts of an ASDF file.
#[derive(Debug)]
pub struct Layout {
    /// Version of the file format, always [`FILE_FORMAT`].
    pub version: String,
    /// Version of the standard that the file claims to follow, whether we know it or not; `None`: it does not say.
    pub standard: Option<String>,
    /// The other comments of the header, without `#`.
    pub comments: Vec<String>,
    /// Where the tree is, from its `%YAML` line to its `...` line; `None`: there is no tree.
    pub tree: Option<Range<u64>>,
    /// The tree; an empty mapping where there is none.
    pub document: Document,
    /// The blocks.
    pub blocks: Blocks,
    /// Size and version of the file.
    pub stat: Stat,
}

impl Layout {
    /// Reads header and tree of a file.
    pub fn read(object: Arc<dyn Object>) -> Result<Self> {
        Self::read_with(object, &Limits::DEFAULT)
    }

    /// Reads header and tree of a file on another machine, and its tail at once, in which the index of blocks is.
    pub fn read_remote(object: Arc<dyn Object>, limits: &Limits) -> Result<(Self, Arc<dyn Object>)> {
        let ahead = Ahead::ends(object, HEAD, HEAD)?.ok_or_else(|| Error::not_found("there is no such file"))?;
        let object: Arc<dyn Object> = Arc::new(ahead);
        Ok((Self::read_with(object.clone(), limits)?, object))
    }

    /// Reads header and tree of a file, within limits.
    pub fn read_with(object: Arc<dyn Object>, limits: &Limits) -> Result<Self> {
        let stat = object.stat()?.ok_or_else(|| Error::not_found("there is no such file"))?;
        let mut head = Head { object: &*object, size: stat.size, bytes: Vec::new() };
        head.grow()?;
        let version = head.version()?;
        let (lines, start) = head.comments()?;
        let count = lines.len();
        let mut comments = Vec::new();
        let mut standard = None;
        for line in lines {
            match line.strip_prefix("ASDF_STANDARD ") {
                Some(version) if standard.is_none() => standard = Some(version.trim().to_owned()),
                _ => comments.push(line),
            }
        }
        let (tree, document, first) = if head.bytes[start..].starts_with(TREE_MAGIC) {
            let end = head.tree_end(start, limits)?;
            let lines_before = 1 + count;
            let document = Document::parse_at(&head.bytes[start..end], lines_before, limits).place(|| "the tree")?;
            (Some(start as u64..end as u64), document, head.first_block(end)?)
        } else {
            let first = head.bytes[start..].starts_with(&BLOCK_MAGIC).then_some(start as u64);
            (None, Document::new(), first)
        };
        let whole = if stat.size <= HEAD { head.bytes } else { Vec::new() };
        let blocks = Blocks::open(object, stat.size, first).with_whole(whole);
        Ok(Self { version, standard, comments, tree, document, blocks, stat })
    }
}

/// The beginning of a file, as far as it was needed.
struct Head<'a> {
    object: &'a dyn Object,
    size: u64,
    bytes: Vec<u8>,
}

impl Head<'_> {
    /// Reads as much again; false at the end of the file.
    fn grow(&mut self) -> Result<bool> {
        let offset = self.bytes.len() as u64;
        let length = offset.max(if self.size <= HEAD { HEAD } else { FIRST }).min(self.size.saturating_sub(offset));
        if length > 0 {
            let read = self.object.read(ByteRange::Range { offset, length }, u64::MAX, &mut self.bytes)?;
            read.ok_or_else(|| Error::not_found("the file is gone"))?;
        }
        Ok(length > 0)
    }

    fn complete(&self) -> bool {
        self.bytes.len() as u64 == self.size
    }

    /// The line that begins at `start`, without its end, and where the next one begins.
    fn line(&mut self, start: usize) -> Result<(&[u8], usize)> {
        loop {
            let end = self.bytes[start..].iter().position(|byte| *byte == b'\n').map(|length| start + length);
            let end = match end {
                None if self.bytes.len() > MOST_COMMENTS => {
                    return Err(Error::metadata(format!("the header exceeds {MOST_COMMENTS} bytes")));
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
            return Err(Error::metadata("this is not an ASDF file"));
        }
        let (line, _) = self.line(0)?;
        let version = String::from_utf8_lossy(&line[MAGIC.len()..]).trim().to_owned();
        if version == FILE_FORMAT {
            return Ok(version);
        }
        let start: String = version.chars().take(40).collect();
        Err(Error::unsupported(format!("the file has version {start:?} of the ASDF format, {FILE_FORMAT} is known")))
    }

    /// The comments after the first line, and where the tree or the first block begins.
    fn comments(&mut self) -> Result<(Vec<String>, usize)> {
        let mut comments = Vec::new();
        let (_, mut start) = self.line(0)?;
        while start < MOST_COMMENTS {
            if self.bytes.len() < start + TREE_MAGIC.len() {
                self.grow()?;
            }
            let rest = &self.bytes[start..];
            if rest.is_empty() || rest.starts_with(TREE_MAGIC) || rest.starts_with(&BLOCK_MAGIC) {
                return Ok((comments, start));
            }
            let (line, next) = self.line(start)?;
            let comment = line.strip_prefix(b"#");
            let comment = comment
                .ok_or_else(|| Error::metadata("neither a comment nor a tree nor a block follows the header"))?;
            comments.push(String::from_utf8_lossy(comment).into_owned());
            start = next;
        }
        Err(Error::metadata(format!("the header exceeds {MOST_COMMENTS} bytes")))
    }

    /// Where the tree that begins at `start` ends: after a line `...`.
    fn tree_end(&mut self, start: usize, limits: &Limits) -> Result<usize> {
        let mut from = start;
        loop {
            if let Some(end) = find_end(&self.bytes, from, self.complete()) {
                return Ok(end);
            }
            // What cannot be in a tree ends the search: a tree without an end is not looked for in all the data.
            if find(&self.bytes[from..], &BLOCK_MAGIC).is_some() {
                return Err(Error::metadata("the tree does not end before the first block"));
            }
            if self.bytes.len() - start > limits.bytes {
                return Err(Error::metadata(format!("the tree exceeds the limit of {} bytes", limits.bytes)));
            }
            from = start.max(self.bytes.len().saturating_sub(6));
            if !self.grow()? {
                return Err(Error::corrupt("the tree does not end: there is no line \"...\""));
            }
        }
    }

    /// The first block at `start` or later; between tree and blocks there may be padding.
    fn first_block(&self, start: usize) -> Result<Option<u64>> {
        if let Some(at) = find(&self.bytes[start..], &BLOCK_MAGIC) {
            return Ok(Some((start + at) as u64));
        }
        // The magic may lie across two pieces.
        let overlap = BLOCK_MAGIC.len() as u64 - 1;
        let mut offset = (self.bytes.len() as u64).saturating_sub(overlap).max(start as u64);
        let mut piece = Vec::new();
        let mut step = offset.clamp(FIRST, STEP);
        while self.size.saturating_sub(offset) > overlap {
            let length = step.min(self.size - offset);
            step = STEP.min(2 * step);
            piece.clear();
            let read = self.object.read(ByteRange::Range { offset, length }, u64::MAX, &mut piece)?;
            read.ok_or_else(|| Error::not_found("the file is gone"))?;
            if let Some(at) = find(&piece, &BLOCK_MAGIC) {
                return Ok(Some(offset + at as u64));
            }
            offset += length - overlap;
        }
        Ok(None)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The end of the first line that is `...`, searched from `from` on; `complete`: nothing follows the bytes.
fn find_end(bytes: &[u8], mut from: usize, complete: bool) -> Option<usize> {
    loop {
        let end = from + find(&bytes[from..], b"\n...")? + 4;
        match &bytes[end..] {
            [b'\n', ..] => return Some(end + 1),
            [b'\r', b'\n', ..] => return Some(end + 2),
            [] if complete => return Some(end),
            _ => from = end,
        }
    }
}

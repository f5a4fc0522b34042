//! Bytes of a chunk on their way back through the stages of its chain, not copied by those that only strip some.

use std::ops::Range;

use super::{BytesToBytes, Size};
use crate::buffer::{Buffer, to_usize};
use crate::error::{Error, Result};

/// Bytes of which no size is known are decoded to at most so many times themselves, and so many bytes more.
const UNKNOWN: (u64, u64) = (64, 256 << 20);

/// Bytes on their way back through the stages: a part of what was stored, or of a buffer.
pub(crate) struct Decoded<'a> {
    base: Base<'a>,
    range: Range<usize>,
}

enum Base<'a> {
    Borrowed(&'a [u8]),
    Buffer(Buffer),
}

impl std::ops::Deref for Decoded<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let base = match &self.base {
            Base::Borrowed(bytes) => bytes,
            Base::Buffer(buffer) => &**buffer,
        };
        &base[self.range.clone()]
    }
}

impl<'a> Decoded<'a> {
    /// What was stored, before any stage.
    pub(super) fn stored(bytes: &'a [u8]) -> Self {
        Self { base: Base::Borrowed(bytes), range: 0..bytes.len() }
    }

    /// Goes back through a stage, before which there were so many bytes.
    pub(super) fn back_through(self, stage: &dyn BytesToBytes, size: Size, validate: bool) -> Result<Self> {
        if let Some(stripped) = stage.strip(&self, validate)? {
            let start = stripped.as_ptr().addr() - self.as_ptr().addr() + self.range.start;
            let range = start..start + stripped.len();
            let stripped = Self { base: self.base, range };
            stripped.check(size)?;
            return Ok(stripped);
        }
        let buffer = match size {
            Size::Exact(size) => {
                let mut buffer = Buffer::new(to_usize(size)?)?;
                stage.decode_into(&self, &mut buffer)?;
                buffer
            }
            Size::Bounded(limit) => {
                // Of elements of variable length no size is known: what compressed bytes can sensibly become is the limit.
                let sensible = (self.len() as u64).saturating_mul(UNKNOWN.0).saturating_add(UNKNOWN.1);
                let limit = usize::try_from(if limit == u64::MAX { sensible } else { limit }).unwrap_or(usize::MAX);
                Buffer::written(|into| stage.decode_bounded(&self, limit, into))?
            }
        };
        Ok(Self { range: 0..buffer.len(), base: Base::Buffer(buffer) })
    }

    /// Checks the size.
    pub(super) fn check(&self, size: Size) -> Result<()> {
        match size {
            Size::Exact(size) if self.len() as u64 != size => {
                Err(Error::corrupt(format!("{} bytes are stored instead of {size}", self.len())))
            }
            Size::Bounded(limit) if self.len() as u64 > limit => {
                Err(Error::corrupt(format!("{} bytes are stored where at most {limit} can belong", self.len())))
            }
            _ => Ok(()),
        }
    }
}

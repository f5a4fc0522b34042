//! The bytes of a chunk while bytes-to-bytes codecs decode it. Codecs that only strip bytes do not copy the rest.

use std::ops::Range;

use super::{BytesToBytes, Size};
use crate::buffer::{Buffer, to_usize};
use crate::error::{Error, Result};

/// Limit where the decoded size is unknown: (factor of the encoded size, bytes added to it).
const UNKNOWN: (u64, u64) = (64, 256 << 20);

/// Partly decoded bytes: a range of the stored bytes, or of a buffer.
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
    /// Starts with the stored bytes.
    pub(super) fn stored(bytes: &'a [u8]) -> Self {
        Self { base: Base::Borrowed(bytes), range: 0..bytes.len() }
    }

    /// Decodes one codec; `size` is the size of the result.
    pub(super) fn decode_with(self, codec: &dyn BytesToBytes, size: Size, validate: bool) -> Result<Self> {
        if let Some(stripped) = codec.strip(&self, validate)? {
            let start = stripped.as_ptr().addr() - self.as_ptr().addr() + self.range.start;
            let range = start..start + stripped.len();
            let stripped = Self { base: self.base, range };
            stripped.check(size)?;
            return Ok(stripped);
        }
        let buffer = match size {
            Size::Exact(size) => {
                let mut buffer = Buffer::new(to_usize(size)?)?;
                codec.decode_into(&self, &mut buffer)?;
                buffer
            }
            Size::Bounded(limit) => {
                // The size of elements of variable length is unknown: limit them to a plausible compression ratio.
                let plausible = (self.len() as u64).saturating_mul(UNKNOWN.0).saturating_add(UNKNOWN.1);
                let limit = usize::try_from(if limit == u64::MAX { plausible } else { limit }).unwrap_or(usize::MAX);
                Buffer::written(|into| codec.decode_bounded(&self, limit, into))?
            }
        };
        Ok(Self { range: 0..buffer.len(), base: Base::Buffer(buffer) })
    }

    /// Checks the size of the bytes.
    pub(super) fn check(&self, size: Size) -> Result<()> {
        match size {
            Size::Exact(size) if self.len() as u64 != size => {
                Err(Error::corrupt(format!("{} bytes are stored instead of {size}", self.len())))
            }
            Size::Bounded(limit) if self.len() as u64 > limit => {
                Err(Error::corrupt(format!("{} bytes are stored, but at most {limit} are possible", self.len())))
            }
            _ => Ok(()),
        }
    }
}

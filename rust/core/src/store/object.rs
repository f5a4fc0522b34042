//! Objects of a store: handles to read them, their size and version, and byte ranges.

use std::ops::Deref;

use crate::error::{Error, Result};

/// A range of an object's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// The whole object.
    All,
    /// `length` bytes from `offset`.
    Range {
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// The given number of bytes at the end.
    Suffix(u64),
}

/// Size and version of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stat {
    /// Size of the whole object in bytes.
    pub size: u64,
    /// Changes whenever the object does: a hash of modification time and inode, or of an etag, or a counter.
    pub version: u64,
    /// Whether equal versions prove equal bytes; false for a file that changed so recently that the clock might give
    /// the next change the same time.
    pub settled: bool,
}

/// An open object of a [`Store`](super::Store).
///
/// An implementor writes [`stat`](Self::stat) and [`read_at`](Self::read_at); the other methods have defaults that suit
/// objects on this machine.
pub trait Object: Send + Sync {
    /// Returns size and version without reading the object's bytes; `None` if there is no such object.
    fn stat(&self) -> Result<Option<Stat>>;

    /// Fills `into` with the bytes from `offset`; `None` if there is no such object.
    ///
    /// # Errors
    /// [`ErrorKind::CorruptData`](crate::ErrorKind::CorruptData) if the range leaves the object.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>>;

    /// Appends a range to `into`; `None` if there is no such object.
    ///
    /// # Errors
    /// [`ErrorKind::CorruptData`](crate::ErrorKind::CorruptData) if the range reaches outside the object, or if it is
    /// [`ByteRange::All`] and the object has more than `limit` bytes; then nothing is read.
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let Some(stat) = self.stat()? else { return Ok(None) };
        let (offset, length) = resolve(range, stat.size, limit)?;
        reserve(into, length)?;
        if let Some(bytes) = self.bytes() {
            into.extend_from_slice(&bytes[offset as usize..][..length]);
            return Ok(Some(stat));
        }
        let start = into.len();
        into.resize(start + length, 0);
        self.read_at(offset, &mut into[start..])
    }

    /// Appends the part of a range that is inside the object, so that its start or end can be read before its size is
    /// known; `None` if there is no such object.
    fn read_most(&self, range: ByteRange, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let Some(stat) = self.stat()? else { return Ok(None) };
        let (offset, length) = clipped(range, stat.size);
        self.read(ByteRange::Range { offset, length }, u64::MAX, into)
    }

    /// Returns the whole object if it is already in memory.
    fn bytes(&self) -> Option<&[u8]> {
        None
    }

    /// Returns the open file if the object is one. The system copies from it, which moves the file's position.
    fn file(&self) -> Option<&std::fs::File> {
        None
    }

    /// Returns size and version of the object as any handle of this process last saw it in a
    /// [remote](super::Profile::remote) store. This handle then reads only that version: if the object has changed
    /// since, reads fail and [`changed`](Self::changed) is true.
    fn recall(&self) -> Option<Stat> {
        None
    }

    /// Whether the object still has the version that was [recalled](Self::recall). Sends a request if this handle has
    /// not read yet.
    fn confirm(&self) -> Result<bool> {
        Ok(!self.changed())
    }

    /// Whether a read failed because the object no longer has the version that this handle read before.
    fn changed(&self) -> bool {
        false
    }

    /// Announces that a small range will be read in several parts, so that the handle can fetch it with one request.
    fn prepare(&self, _offset: u64, _length: u64) -> Result<()> {
        Ok(())
    }
}

/// An object whose bytes are in memory, or a missing object.
pub struct InMemory<B>(Option<(B, u64)>);

impl<B> InMemory<B> {
    /// Creates an object of the given bytes; see [`Stat::version`].
    pub fn new(bytes: B, version: u64) -> Self {
        Self(Some((bytes, version)))
    }

    /// Creates the handle of an object that does not exist.
    pub fn missing() -> Self {
        Self(None)
    }
}

impl<B: Deref<Target: AsRef<[u8]>> + Send + Sync> Object for InMemory<B> {
    fn stat(&self) -> Result<Option<Stat>> {
        let stat = |(bytes, version): &(B, u64)| {
            let size = (**bytes).as_ref().len() as u64;
            Stat { size, version: *version, settled: true }
        };
        Ok(self.0.as_ref().map(stat))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        if let Some(bytes) = self.bytes() {
            let range = ByteRange::Range { offset, length: into.len() as u64 };
            let (offset, length) = resolve(range, bytes.len() as u64, u64::MAX)?;
            into.copy_from_slice(&bytes[offset as usize..][..length]);
        }
        self.stat()
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|(bytes, _)| (**bytes).as_ref())
    }
}

/// An object that is a range of another object.
pub(crate) struct ObjectPart {
    pub(crate) object: Box<dyn Object>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl ObjectPart {
    fn stat_of(&self, whole: Option<Stat>) -> Option<Stat> {
        whole.map(|stat| Stat { size: self.length, ..stat })
    }
}

impl Object for ObjectPart {
    fn stat(&self) -> Result<Option<Stat>> {
        Ok(self.stat_of(self.object.stat()?))
    }

    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        let (start, length) = resolve(range, self.length, limit)?;
        let range = ByteRange::Range { offset: self.offset.saturating_add(start), length: length as u64 };
        Ok(self.stat_of(self.object.read(range, limit, into)?))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        resolve(ByteRange::Range { offset, length: into.len() as u64 }, self.length, u64::MAX)?;
        Ok(self.stat_of(self.object.read_at(self.offset.saturating_add(offset), into)?))
    }

    fn changed(&self) -> bool {
        self.object.changed()
    }
}

/// Returns offset and length of a range of an object of `size` bytes.
pub fn resolve(range: ByteRange, size: u64, limit: u64) -> Result<(u64, usize)> {
    let (offset, length) = match range {
        ByteRange::All if size > limit => {
            return Err(Error::corrupt(format!("the object has {size} bytes, more than the {limit} that it can have")));
        }
        ByteRange::All => (0, size),
        ByteRange::Range { offset, length } => (offset, length),
        ByteRange::Suffix(length) => match size.checked_sub(length) {
            Some(offset) => (offset, length),
            None => {
                return Err(Error::corrupt(format!(
                    "cannot read the last {length} bytes of an object of {size} bytes"
                )));
            }
        },
    };
    match offset.checked_add(length) {
        Some(end) if end <= size => {
            let length =
                usize::try_from(length).map_err(|_| Error::corrupt(format!("{length} bytes do not fit in memory")))?;
            Ok((offset, length))
        }
        _ => Err(Error::corrupt(format!("cannot read {length} bytes at byte {offset} of an object of {size} bytes"))),
    }
}

/// Returns offset and length of the part of a range that is inside an object of `size` bytes.
pub(crate) fn clipped(range: ByteRange, size: u64) -> (u64, u64) {
    match range {
        ByteRange::All => (0, size),
        ByteRange::Range { offset, length } => (offset.min(size), length.min(size.saturating_sub(offset))),
        ByteRange::Suffix(length) => (size.saturating_sub(length), length.min(size)),
    }
}

/// Reserves memory for `length` more bytes; returns an error instead of aborting.
pub(crate) fn reserve(into: &mut Vec<u8>, length: usize) -> Result<()> {
    into.try_reserve_exact(length).map_err(|_| Error::memory(format_args!("{length} bytes")))
}

//! Scratch memory that each thread reuses.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::error::{Error, Result};

/// Maximum number of bytes that a thread keeps between calls.
const KEPT: usize = 64 << 20;

/// Maximum number of buffers that a thread keeps; a shard takes several at once.
const BUFFERS: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that must be written before they are read. Dropping the buffer returns it to the thread's pool.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// Returns a buffer of a length, with arbitrary content.
    pub(crate) fn new(length: usize) -> Result<Self> {
        let mut bytes = take(|pool| {
            let fitting = (0..pool.len()).filter(|k| pool[*k].len() >= length);
            fitting.min_by_key(|k| pool[*k].len()).or(pool.len().checked_sub(1))
        });
        if bytes.len() < length {
            // A new allocation, because growing the old one would copy bytes that are overwritten anyway.
            bytes = crate::view::zeroed(length)?;
        }
        Ok(Self { bytes, length })
    }

    /// Returns a buffer with the bytes that `write` appends.
    pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Self> {
        let mut bytes = take(|pool| (0..pool.len()).max_by_key(|k| pool[*k].capacity()));
        bytes.clear();
        write(&mut bytes)?;
        let length = bytes.len();
        Ok(Self { bytes, length })
    }
}

/// Takes a buffer out of the pool; an empty one if `choose` finds none.
fn take(choose: impl FnOnce(&[Vec<u8>]) -> Option<usize>) -> Vec<u8> {
    POOL.with_borrow_mut(|pool| choose(pool).map(|k| pool.swap_remove(k)).unwrap_or_default())
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // The pool no longer exists if the thread is ending.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            let kept: usize = pool.iter().map(Vec::capacity).sum();
            if pool.len() < BUFFERS && kept + bytes.capacity() <= KEPT {
                pool.push(bytes);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

/// Converts a size to `usize`. Fails if no memory has that size.
pub(crate) fn to_usize(size: u64) -> Result<usize> {
    usize::try_from(size).map_err(|_| Error::memory(format_args!("{size} bytes")))
}

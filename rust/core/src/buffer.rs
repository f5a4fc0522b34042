//! Scratch memory that a thread uses again and again.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::error::{Error, Result};

/// A thread keeps at most so many bytes of scratch between calls.
const KEPT: usize = 64 << 20;

/// In so many buffers, of which a shard takes several at once.
const BUFFERS: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes to write into before they are read; back to the thread's pool when dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// A buffer of so many bytes, whose values are left over from whatever was there.
    pub(crate) fn new(length: usize) -> Result<Self> {
        let mut bytes = take(|pool| {
            let fitting = (0..pool.len()).filter(|k| pool[*k].len() >= length);
            fitting.min_by_key(|k| pool[*k].len()).or(pool.len().checked_sub(1))
        });
        if bytes.len() < length {
            // Not worth copying what is overwritten anyway.
            bytes = crate::view::zeroed(length)?;
        }
        Ok(Self { bytes, length })
    }

    /// A buffer that `write` appends to.
    pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Self> {
        let mut bytes = take(|pool| (0..pool.len()).max_by_key(|k| pool[*k].capacity()));
        bytes.clear();
        write(&mut bytes)?;
        let length = bytes.len();
        Ok(Self { bytes, length })
    }
}

/// The kept buffer that is chosen.
fn take(choose: impl FnOnce(&[Vec<u8>]) -> Option<usize>) -> Vec<u8> {
    POOL.with_borrow_mut(|pool| choose(pool).map(|k| pool.swap_remove(k)).unwrap_or_default())
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // The thread may be ending: then there is no pool any more.
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

/// A size in memory out of a size in a file.
pub(crate) fn to_usize(size: u64) -> Result<usize> {
    usize::try_from(size).map_err(|_| Error::store(format!("no memory for {size} bytes")))
}

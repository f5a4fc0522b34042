//! Appending to a vector with functions that fill slices.

use crate::error::{Error, Result};

/// Appends up to `capacity` bytes that `write` fills; it returns their number, which is returned.
pub(super) fn append(
    bytes: &mut Vec<u8>,
    capacity: usize,
    write: impl FnOnce(&mut [u8]) -> Result<usize>,
) -> Result<usize> {
    let start = bytes.len();
    bytes.try_reserve_exact(capacity).map_err(|_| Error::memory(format_args!("{capacity} bytes")))?;
    bytes.resize(start + capacity, 0);
    let written = write(&mut bytes[start..]);
    bytes.truncate(start + written.as_ref().map_or(0, |&written| written));
    written
}

/// Like [`append`], if the size is unknown: while `write` returns `None`, its slice was too small, and it gets a larger
/// one. Returns `None` if `limit` bytes are not enough.
pub(super) fn append_growing(
    bytes: &mut Vec<u8>,
    guess: usize,
    limit: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<Option<usize>>,
) -> Result<Option<usize>> {
    let mut capacity = guess.clamp(1 << 8, 1 << 30).min(limit);
    loop {
        let mut fits = true;
        let written = append(bytes, capacity, |slice| {
            let written = write(slice)?;
            fits = written.is_some();
            Ok(written.unwrap_or(0))
        })?;
        if fits {
            return Ok(Some(written));
        } else if capacity == limit {
            return Ok(None);
        }
        capacity = capacity.saturating_mul(4).min(limit);
    }
}

/// Like [`append`], for a streaming decoder: calls `fill` with one slice after the other, until it fills one only in
/// part, or `limit` bytes are filled.
pub(super) fn append_stream(
    bytes: &mut Vec<u8>,
    limit: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize>,
) -> Result<()> {
    let mut filled = 0;
    while filled < limit {
        let capacity = filled.max(64 << 10).min(limit - filled);
        let more = append(bytes, capacity, &mut fill)?;
        filled += more;
        if more < capacity {
            break;
        }
    }
    Ok(())
}

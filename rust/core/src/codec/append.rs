//! Writing behind the bytes of a vector, by functions that fill slices.

use crate::error::{Error, Result};

/// Lets `write` fill up to `room` bytes behind `bytes`, and keeps as many as it says.
pub(super) fn append(
    bytes: &mut Vec<u8>,
    room: usize,
    write: impl FnOnce(&mut [u8]) -> Result<usize>,
) -> Result<usize> {
    let start = bytes.len();
    bytes.try_reserve_exact(room).map_err(|_| Error::corrupt(format!("no memory for {room} bytes")))?;
    bytes.resize(start + room, 0);
    let written = write(&mut bytes[start..]);
    bytes.truncate(start + written.as_ref().map_or(0, |&written| written));
    written
}

/// As [`append`], where the size is not known: as long as `write` answers `None`, which means that its slice is too
/// small, it gets a larger one, of `limit` bytes at last.
pub(super) fn append_growing(
    bytes: &mut Vec<u8>,
    guess: usize,
    limit: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<Option<usize>>,
) -> Result<Option<usize>> {
    let mut room = guess.clamp(1 << 8, 1 << 30).min(limit);
    loop {
        let mut fits = true;
        let written = append(bytes, room, |slice| {
            let written = write(slice)?;
            fits = written.is_some();
            Ok(written.unwrap_or(0))
        })?;
        if fits {
            return Ok(Some(written));
        } else if room == limit {
            return Ok(None);
        }
        room = room.saturating_mul(4).min(limit);
    }
}

/// As [`append`], for a decoder that goes on where it stopped: `fill` fills one slice after the other, each as far as
/// there is something to fill it with, until it cannot fill one or there are `limit` bytes.
pub(super) fn append_stream(
    bytes: &mut Vec<u8>,
    limit: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize>,
) -> Result<()> {
    let mut filled = 0;
    while filled < limit {
        let room = filled.max(64 << 10).min(limit - filled);
        let more = append(bytes, room, &mut fill)?;
        filled += more;
        if more < room {
            break;
        }
    }
    Ok(())
}

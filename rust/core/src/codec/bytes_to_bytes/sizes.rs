//! Checks of what decoded to how many bytes, which every codec of bytes words alike.

use crate::error::{Error, Result};

/// Checks that so many bytes are those that are due.
pub(super) fn exactly(codec: &str, size: usize, due: usize) -> Result<()> {
    if size == due { Ok(()) } else { Err(Error::corrupt(format!("{codec}: decodes to {size} bytes instead of {due}"))) }
}

/// Checks that so many bytes are not more than can be.
pub(super) fn at_most(codec: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::corrupt(format!("{codec}: decodes to {size} bytes where at most {limit} belong")))
}

/// Takes bytes that are there for those that are due.
pub(super) fn fill(codec: &str, bytes: &[u8], decoded: &mut [u8]) -> Result<()> {
    exactly(codec, bytes.len(), decoded.len())?;
    decoded.copy_from_slice(bytes);
    Ok(())
}

/// Puts bytes that are there, if they are not too many, behind others.
pub(super) fn extend(codec: &str, bytes: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
    at_most(codec, bytes.len(), limit)?;
    decoded.extend_from_slice(bytes);
    Ok(())
}

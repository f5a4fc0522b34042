//! Checks of decoded sizes, with the same messages for every bytes-to-bytes codec.

use crate::error::{Error, Result};

/// Checks that the decoded size is the expected one.
pub(super) fn check_size(codec: &str, size: usize, expected: usize) -> Result<()> {
    if size == expected {
        Ok(())
    } else {
        Err(Error::corrupt(format!("{codec}: decodes to {size} bytes instead of {expected}")))
    }
}

/// Checks that the decoded size is at most `limit`.
pub(super) fn check_limit(codec: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::corrupt(format!("{codec}: decodes to {size} bytes, but at most {limit} are possible")))
}

/// Copies bytes into `decoded`, whose size must be theirs.
pub(super) fn copy_exact(codec: &str, bytes: &[u8], decoded: &mut [u8]) -> Result<()> {
    check_size(codec, bytes.len(), decoded.len())?;
    decoded.copy_from_slice(bytes);
    Ok(())
}

/// Appends at most `limit` bytes.
pub(super) fn copy_bounded(codec: &str, bytes: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
    check_limit(codec, bytes.len(), limit)?;
    decoded.extend_from_slice(bytes);
    Ok(())
}

//! Bytes as slices of Rust numbers, which the crates of some codecs take.

use std::borrow::Cow;

use bytemuck::Pod;

use crate::error::{Error, Result};

/// Returns the elements as numbers; a copy if they are not aligned.
pub(super) fn numbers<T: Pod>(elements: &[u8]) -> Cow<'_, [T]> {
    match bytemuck::try_cast_slice(elements) {
        Ok(numbers) => Cow::Borrowed(numbers),
        Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(elements)),
    }
}

/// Returns `count` zeros.
pub(super) fn zeros<T: Pod>(count: usize) -> Result<Vec<T>> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(count).map_err(|_| Error::memory(format_args!("{count} numbers")))?;
    zeros.resize(count, T::zeroed());
    Ok(zeros)
}

/// Calls `fill` with the elements as numbers, which need not be aligned.
pub(super) fn fill_numbers<T: Pod>(elements: &mut [u8], fill: impl FnOnce(&mut [T]) -> Result<()>) -> Result<()> {
    if let Ok(numbers) = bytemuck::try_cast_slice_mut(elements) {
        return fill(numbers);
    }
    let mut numbers = zeros::<T>(elements.len() / size_of::<T>())?;
    fill(&mut numbers)?;
    elements.copy_from_slice(bytemuck::cast_slice(&numbers));
    Ok(())
}

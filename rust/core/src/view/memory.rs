//! Zeroed memory, and elements as bytes.

use crate::error::{Error, Result};

/// Allocates a vector of zeros. Fails if there is no memory for it.
///
/// The operating system provides zeroed pages when they are first touched.
pub(crate) fn zeroed<E: Zeroable>(length: usize) -> Result<Vec<E>> {
    let failed = || Error::memory(format_args!("{length} elements of {} bytes", size_of::<E>()));
    let layout = std::alloc::Layout::array::<E>(length).map_err(|_| failed())?;
    if layout.size() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the layout is not empty; all-zero bytes are a value of a `Zeroable`; length and capacity are what was
    // allocated, with the layout that `Vec` frees.
    unsafe {
        let start = std::alloc::alloc_zeroed(layout);
        if start.is_null() {
            return Err(failed());
        }
        large_pages(start, layout.size());
        #[allow(clippy::same_length_and_capacity)] // allocated with this layout
        Ok(Vec::from_raw_parts(start.cast(), length, length))
    }
}

/// A type whose values may consist of zero bytes.
///
/// # Safety
/// All-zero bytes must be a value of the type, and the type must have no padding.
pub(crate) unsafe trait Zeroable: Copy {}
// SAFETY: plain bytes.
unsafe impl Zeroable for u8 {}
// SAFETY: plain bytes.
unsafe impl Zeroable for u64 {}

/// Asks the system for large pages, so that a large buffer causes fewer page faults.
fn large_pages(start: *mut u8, length: usize) {
    #[cfg(target_os = "linux")]
    if length >= 4 << 20 {
        let page = 4096;
        let skip = start.align_offset(page);
        // SAFETY: the memory was just allocated; advice does not change its content.
        unsafe { libc::madvise(start.add(skip).cast(), length - skip, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, length);
}

/// Returns elements as bytes that can be written.
pub(crate) fn bytes_of<E: Zeroable>(elements: &mut [E]) -> &mut [u8] {
    // SAFETY: `Zeroable` types have no padding, and callers write only bytes that are values of the type.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}

/// Returns elements as bytes.
pub(crate) fn as_bytes<E: Zeroable>(elements: &[E]) -> &[u8] {
    // SAFETY: `Zeroable` types have no padding, so every byte is initialized.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// Returns booleans as bytes.
pub(crate) fn bool_bytes(elements: &[bool]) -> &[u8] {
    // SAFETY: a bool is one byte, 0 or 1.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) }
}

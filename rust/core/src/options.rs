//! How reads and writes are done, for all arrays or for one.

use std::sync::RwLock;

use crate::runtime::threads;

/// How an array is read and written; see [`Array::with_options`](crate::Array::with_options).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecOptions {
    /// At most so many chunks are decoded at once. 0: as many as the pool has threads.
    pub concurrent_target: usize,
    /// Whether a checksum that does not fit is an error.
    pub validate_checksums: bool,
    /// Whether chunks that hold nothing but the fill value are stored; otherwise they are erased.
    pub store_empty_chunks: bool,
    /// Whether chunks are changed in part where the store cannot keep other processes from doing the same: of two who
    /// change one chunk at once, one loses what it wrote.
    pub unlocked_writes: bool,
}

impl CodecOptions {
    /// How many chunks are decoded at once.
    pub(crate) fn concurrency(&self) -> usize {
        if self.concurrent_target == 0 { threads() } else { self.concurrent_target }
    }
}

const DEFAULT: CodecOptions =
    CodecOptions { concurrent_target: 0, validate_checksums: true, store_empty_chunks: false, unlocked_writes: false };

static GLOBAL: RwLock<CodecOptions> = RwLock::new(DEFAULT);

impl Default for CodecOptions {
    /// The global options as they are now.
    fn default() -> Self {
        global_options()
    }
}

/// The options that an array takes when it is opened.
pub fn global_options() -> CodecOptions {
    *GLOBAL.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Changes the options for all arrays that are opened from now on.
pub fn set_global_options(options: CodecOptions) {
    *GLOBAL.write().unwrap_or_else(std::sync::PoisonError::into_inner) = options;
}

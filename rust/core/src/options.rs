//! How reads and writes are done, for all arrays or for one.

use std::sync::RwLock;

use crate::error::{Error, Result};
use crate::runtime::threads;

/// How an array is read and written; see [`Array::with_options`](crate::Array::with_options).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodecOptions {
    /// At most so many chunks are decoded at once. 0: as many as the pool has threads.
    pub concurrent_target: usize,
    /// Whether a checksum that does not fit is an error.
    pub validate_checksums: bool,
    /// Whether chunks that hold nothing but the fill value are stored; otherwise they are erased.
    pub store_empty_chunks: bool,
    /// In which order inner chunks lie in the shards that are written.
    pub inner_chunk_order: InnerChunkOrder,
    /// Whether chunks are changed in part where the store cannot keep other processes from doing the same: of two who
    /// change one chunk at once, one loses what it wrote.
    pub unlocked_writes: bool,
}

/// In which order inner chunks lie in a shard. Readers need not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InnerChunkOrder {
    /// The last axis runs fastest.
    #[default]
    C,
    /// By the interleaved bits of their indices, so that neighbours along all axes lie close together.
    Morton,
}

impl InnerChunkOrder {
    /// The orders, by name.
    pub const ALL: &[(&str, Self)] = &[("C", Self::C), ("morton", Self::Morton)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, order)| *order == self).map_or("", |(name, _)| name)
    }
}

impl std::str::FromStr for InnerChunkOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        let none = || Error::selection(format!("{text:?} is no order of inner chunks: there are \"C\" and \"morton\""));
        found.map(|(_, order)| *order).ok_or_else(none)
    }
}

impl CodecOptions {
    /// How many chunks are decoded at once.
    pub(crate) fn concurrency(&self) -> usize {
        if self.concurrent_target == 0 { threads() } else { self.concurrent_target }
    }
}

const DEFAULT: CodecOptions = CodecOptions {
    concurrent_target: 0,
    validate_checksums: true,
    store_empty_chunks: false,
    inner_chunk_order: InnerChunkOrder::C,
    unlocked_writes: false,
};

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

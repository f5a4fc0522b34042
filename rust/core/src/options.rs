//! Options of reads and writes, global and per array.

use std::sync::RwLock;

use crate::error::{Error, Result};
use crate::runtime::threads;

/// Options of an array's reads and writes; see [`Array::with_options`](crate::Array::with_options).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodecOptions {
    /// Maximum number of chunks decoded at once; 0: the number of threads in the pool.
    pub concurrent_target: usize,
    /// Whether a wrong checksum is an error.
    pub validate_checksums: bool,
    /// Whether chunks that hold only the fill value are stored instead of erased.
    pub store_empty_chunks: bool,
    /// Order of the inner chunks in shards that are written.
    pub inner_chunk_order: InnerChunkOrder,
    /// Whether parts of chunks are written even if the store cannot exclude other processes. If two processes change a
    /// chunk at the same time, one change is lost.
    pub unlocked_writes: bool,
}

/// Order of inner chunks in a shard; readers accept any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InnerChunkOrder {
    /// C order: the last axis varies fastest.
    #[default]
    C,
    /// Morton order: by the interleaved bits of the indices. It keeps neighbors along all axes close together.
    Morton,
}

impl InnerChunkOrder {
    /// All orders with their names.
    pub const ALL: &[(&str, Self)] = &[("C", Self::C), ("morton", Self::Morton)];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, order)| *order == self).map_or("", |(name, _)| name)
    }
}

impl std::str::FromStr for InnerChunkOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        let none =
            || Error::selection(format!("unknown order of inner chunks {text:?}; the orders are \"C\" and \"morton\""));
        found.map(|(_, order)| *order).ok_or_else(none)
    }
}

impl CodecOptions {
    /// Returns the maximum number of chunks decoded at once.
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
    /// Returns the current global options.
    fn default() -> Self {
        global_options()
    }
}

/// Returns the options that newly opened arrays get.
pub fn global_options() -> CodecOptions {
    *GLOBAL.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sets the options that newly opened arrays get.
pub fn set_global_options(options: CodecOptions) {
    *GLOBAL.write().unwrap_or_else(std::sync::PoisonError::into_inner) = options;
}

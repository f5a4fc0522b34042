//! Options of reads and writes, global and per array.

use std::sync::LazyLock;

use crate::error::{Error, Result};
use crate::runtime::{Shared, threads};

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
    /// What a read finds in chunks and inner chunks that are not stored.
    pub missing_chunks: MissingChunks,
}

/// What a read finds in chunks that are not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissingChunks {
    /// The fill value.
    #[default]
    Fill,
    /// An error of the kind [`NotFound`](crate::ErrorKind::NotFound), which names the chunk and its key.
    Error,
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

/// Names the values of an option.
macro_rules! named {
    ($type:ident, $what:literal: $($name:literal = $value:ident),*) => {
        impl $type {
            /// All values with their names.
            pub const ALL: &[(&str, Self)] = &[$(($name, Self::$value)),*];

            /// Returns the name.
            pub fn name(self) -> &'static str {
                Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
            }
        }

        impl std::str::FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let found = Self::ALL.iter().find(|(name, _)| *name == text);
                let names = || Self::ALL.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(" and ");
                let unknown = || Error::selection(format!("unknown {} {text:?}; there are {}", $what, names()));
                found.map(|(_, value)| *value).ok_or_else(unknown)
            }
        }
    };
}

named!(InnerChunkOrder, "order of inner chunks": "C" = C, "morton" = Morton);
named!(MissingChunks, "treatment of missing chunks": "fill" = Fill, "error" = Error);

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
    missing_chunks: MissingChunks::Fill,
};

static GLOBAL: LazyLock<Shared<CodecOptions>> = LazyLock::new(|| Shared::new(DEFAULT));

impl Default for CodecOptions {
    /// Returns the current global options.
    fn default() -> Self {
        global_options()
    }
}

/// Returns the options that newly opened arrays get.
pub fn global_options() -> CodecOptions {
    *GLOBAL.read()
}

/// Sets the options that newly opened arrays get.
pub fn set_global_options(options: CodecOptions) {
    *GLOBAL.write() = options;
}

//! Under which key a chunk is stored.

use std::fmt::Write;

/// How the indices of a chunk become its key, below the array's path.
///
/// Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/chunk-key-encodings/index.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkKeyEncoding {
    /// `c/1/2`
    Default {
        /// `/` or `.`
        separator: char,
    },
    /// `1.2`
    V2 {
        /// `/` or `.`
        separator: char,
    },
}

impl ChunkKeyEncoding {
    /// Writes the key of a chunk behind what is in `key`.
    pub fn write(self, chunk: &[u64], key: &mut String) {
        let (mut first, separator) = match self {
            Self::Default { separator } => {
                key.push('c');
                (false, separator)
            }
            Self::V2 { separator } => (true, separator),
        };
        for index in chunk {
            if !std::mem::take(&mut first) {
                key.push(separator);
            }
            let _ = write!(key, "{index}");
        }
        if chunk.is_empty() && matches!(self, Self::V2 { .. }) {
            key.push('0');
        }
    }
}

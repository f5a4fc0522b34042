//! Keys of chunks.

use std::fmt::Write;

use crate::error::{Error, Result};

/// An encoding of a chunk's indices as its key, relative to the array's path.
///
/// Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/chunk-key-encodings/index.html>
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// `c/1/2.tif`
    DefaultSuffix {
        /// `/` or `.`
        separator: char,
        /// Suffix after the indices; see [`check_suffix`].
        suffix: String,
    },
}

impl ChunkKeyEncoding {
    /// Appends the key of a chunk to `key`.
    pub fn write(&self, chunk: &[u64], key: &mut String) {
        let (mut first, separator) = match self {
            Self::Default { separator } | Self::DefaultSuffix { separator, .. } => {
                key.push('c');
                (false, separator)
            }
            Self::V2 { separator } => (true, separator),
        };
        for index in chunk {
            if !std::mem::take(&mut first) {
                key.push(*separator);
            }
            let _ = write!(key, "{index}");
        }
        match self {
            Self::V2 { .. } if chunk.is_empty() => key.push('0'),
            Self::DefaultSuffix { suffix, .. } => key.push_str(suffix),
            _ => {}
        }
    }

    /// Decodes a key relative to the array's path; `None` if it is not the key of a chunk with this number of
    /// dimensions.
    pub fn read(&self, key: &str, dimensionality: usize) -> Option<Vec<u64>> {
        let (indices, separator) = match self {
            Self::Default { separator } => (key.strip_prefix('c')?, separator),
            Self::DefaultSuffix { separator, suffix } => (key.strip_prefix('c')?.strip_suffix(&**suffix)?, separator),
            Self::V2 { separator } => (key, separator),
        };
        let indices = indices.strip_prefix(*separator).unwrap_or(indices);
        let chunk: Vec<u64> = match dimensionality {
            0 => Vec::new(),
            _ => indices.split(*separator).map(|index| index.parse().ok()).collect::<Option<_>>()?,
        };
        // An index with a leading zero, for example, is not this chunk's key.
        let mut written = String::new();
        self.write(&chunk, &mut written);
        (chunk.len() == dimensionality && written == key).then_some(chunk)
    }
}

/// Checks that a suffix of keys has no path separators and is not too long.
pub(crate) fn check_suffix(suffix: &str) -> Result<()> {
    const LONGEST: usize = 100;
    let plain = |letter: char| !letter.is_control() && !matches!(letter, '/' | '\\');
    if suffix.len() <= LONGEST && suffix.chars().all(plain) {
        Ok(())
    } else {
        Err(Error::metadata(format!("{suffix:?} cannot be the suffix of a key")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written() {
        let suffixed = |separator| ChunkKeyEncoding::DefaultSuffix { separator, suffix: ".tif".into() };
        for (encoding, two, none) in [
            (ChunkKeyEncoding::Default { separator: '/' }, "c/1/20", "c"),
            (ChunkKeyEncoding::Default { separator: '.' }, "c.1.20", "c"),
            (ChunkKeyEncoding::V2 { separator: '/' }, "1/20", "0"),
            (ChunkKeyEncoding::V2 { separator: '.' }, "1.20", "0"),
            (suffixed('/'), "c/1/20.tif", "c.tif"),
            (suffixed('.'), "c.1.20.tif", "c.tif"),
        ] {
            for (chunk, key) in [(&[1, 20][..], two), (&[], none)] {
                let mut found = "a/".to_owned();
                encoding.write(chunk, &mut found);
                assert_eq!(found, format!("a/{key}"));
                assert_eq!(encoding.read(key, chunk.len()).as_deref(), Some(chunk));
                let others = [format!("{key}0x"), format!("x{key}"), key.replace('2', "02"), String::new()];
                for other in others.iter().filter(|other| *other != key) {
                    assert_eq!(encoding.read(other, chunk.len()), None, "{other}");
                }
                assert_eq!(encoding.read(key, chunk.len() + 2), None);
            }
        }
        assert!(["", ".tif", "-ü"].iter().all(|suffix| check_suffix(suffix).is_ok()));
        assert!(["/..", "\\x", "\0", &"x".repeat(101)].iter().all(|suffix| check_suffix(suffix).is_err()));
    }
}

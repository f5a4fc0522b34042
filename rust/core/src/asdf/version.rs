//! Versions of local files, by which an update notices the changes of others.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};

/// Identifies the content of a local file. Changes of its name or permissions do not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVersion(pub [u64; 5]);

impl FileVersion {
    /// Returns the version of the file at a path; `None` without one.
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|about| Self::from(&about))
    }

    pub(super) fn of(file: &File) -> Option<Self> {
        file.metadata().ok().map(|about| Self::from(&about))
    }

    fn from(about: &fs::Metadata) -> Self {
        let (seconds, nanoseconds) = (about.mtime().cast_unsigned(), about.mtime_nsec().cast_unsigned());
        Self([about.dev(), about.ino(), about.size(), seconds, nanoseconds])
    }

    /// Fails if the file at a path has another version.
    pub(super) fn check(expected: Option<Self>, path: &Path) -> Result<()> {
        if expected.is_none() || expected == Self::at(path) {
            return Ok(());
        }
        let what = "the file was changed since it was opened, and the changes would be lost; open it again and repeat \
                    the update, or pass another path to write_to";
        Err(Error::store(what))
    }
}

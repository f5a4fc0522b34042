//! Closing replaced files on another thread.
//!
//! When the last handle on a file without a name is closed, the system frees its pages and disk blocks. For a large file
//! that takes longer than an update of an inner chunk.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::runtime::{PerProcess, spawn};

/// Minimum size of a file that is closed on another thread.
const LARGE: u64 = 1 << 20;

/// Maximum number of files that wait to be closed, because they occupy the disk until then.
const MOST: usize = 8;

static WAITING: PerProcess<AtomicUsize> = PerProcess::new(AtomicUsize::default);

/// Opens the file that `new` will replace, so that it can be closed later, if both are large.
pub(super) fn replaced(path: &Path, new: &File) -> io::Result<Option<File>> {
    let large = |metadata: std::fs::Metadata| metadata.is_file() && metadata.len() >= LARGE;
    let both = large(new.metadata()?) && path.metadata().is_ok_and(large);
    Ok(if both { File::open(path).ok() } else { None })
}

/// Closes a file on another thread.
pub(super) fn close(file: File) {
    let goes = |metadata: std::fs::Metadata| metadata.nlink() == 0 && metadata.len() >= LARGE;
    if !file.metadata().is_ok_and(goes) {
        return;
    }
    let waiting = WAITING.get();
    if waiting.fetch_add(1, Ordering::Relaxed) < MOST {
        spawn(move || {
            drop(file);
            WAITING.get().fetch_sub(1, Ordering::Relaxed);
        });
    } else {
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_names_are_closed_in_the_end() {
        let path = std::env::temp_dir().join(format!("tegula-closing-{}", std::process::id()));
        for _ in 0..3 * MOST {
            std::fs::write(&path, vec![7; LARGE as usize]).unwrap();
            let new = File::open(&path).unwrap();
            let old = replaced(&path, &new).unwrap().expect("both are large");
            std::fs::remove_file(&path).unwrap();
            assert!(replaced(&path, &new).unwrap().is_none(), "there is no old file");
            close(old);
            close(new);
        }
        for _ in 0..1000 {
            if WAITING.get().load(Ordering::Relaxed) == 0 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("files are still open");
    }
}

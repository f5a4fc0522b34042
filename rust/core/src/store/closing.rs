//! Closing files that were replaced.
//!
//! With the last handle on a file that has no name any more the system frees its pages and its place on the disk. For a
//! large file that takes longer than an update of an inner chunk, so that another thread does it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::runtime::{PerProcess, spawn};

/// Smaller files are closed at once.
const LARGE: u64 = 1 << 20;

/// So many files at most wait to be closed, as they take place on the disk until then.
const MOST: usize = 8;

static WAITING: PerProcess<AtomicUsize> = PerProcess::new(AtomicUsize::default);

/// The file at a path that `new` is about to replace, to be closed later, if both are large.
pub(super) fn replaced(path: &Path, new: &File) -> io::Result<Option<File>> {
    let large = |metadata: std::fs::Metadata| metadata.is_file() && metadata.len() >= LARGE;
    let both = large(new.metadata()?) && path.metadata().is_ok_and(large);
    Ok(if both { File::open(path).ok() } else { None })
}

/// Closes a file, which others may have open.
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
            assert!(replaced(&path, &new).unwrap().is_none(), "nothing is there");
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

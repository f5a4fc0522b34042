//! A lock file per file, for systems without locks of bytes.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::lock::LOCK;
use super::system::open_when_possible;
use crate::runtime::check_now;

/// How a lock file can be made.
#[derive(Clone, Copy)]
pub(super) struct Prepare<'c> {
    /// Creates the folder.
    pub(super) create: &'c dyn Fn(&Path) -> io::Result<()>,
    /// Closes files that are not used, for when too many are open.
    pub(super) free: fn(),
}

/// A locked file beside the file that is changed; visible to other processes, and removed when it is unlocked.
pub(super) struct SingleLock {
    file: File,
    path: PathBuf,
}

impl SingleLock {
    /// Locks a file; waits until that is possible, or without `block` fails with `WouldBlock`. `None` if the filesystem
    /// has no locks.
    pub(super) fn take(path: &Path, prepare: Prepare<'_>, block: bool) -> io::Result<Option<Self>> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut name = OsString::from(format!("{LOCK}-"));
        name.push(path.file_name().unwrap_or_default());
        let path = folder.join(name);
        loop {
            let file = open(&path, folder, prepare)?;
            loop {
                match if block { file.lock() } else { file.try_lock().map_err(io::Error::from) } {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                        check_now().map_err(io::Error::other)?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        let _ = fs::remove_file(&path);
                        return Ok(None);
                    }
                    locked => break locked?,
                }
            }
            // The previous holder has removed the file: another process may already have locked the next file of that
            // name.
            if is_at(&file, &path)? {
                return Ok(Some(Self { file, path }));
            }
        }
    }
}

impl Drop for SingleLock {
    fn drop(&mut self) {
        // Removed before it is unlocked: while a locked file has its name, it is the lock.
        let _ = fs::remove_file(&self.path);
        // Closing does not unlock if a forked child has the file open too.
        let _ = self.file.unlock();
    }
}

/// Opens a lock file; creates it and its folder if they are missing.
pub(super) fn open(path: &Path, folder: &Path, prepare: Prepare<'_>) -> io::Result<File> {
    /// Number of attempts: others may remove the folder while it is empty.
    const ATTEMPTS: usize = 100;
    let open = || {
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        open_when_possible(prepare.free, open)
    };
    for _ in 0..ATTEMPTS {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (prepare.create)(folder)?,
            opened => return opened,
        }
    }
    open()
}

/// Whether an open file is the file at a path. No other file gets its inode number while it is open.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

//! A lock file for each file: where there are no [locks of bytes](super::folder_lock).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::lock::LOCK;

/// A locked file beside the file that is to be changed, which other processes see too. It goes when it is unlocked.
pub(super) struct SingleLock {
    file: File,
    path: PathBuf,
}

impl SingleLock {
    /// Waits for the lock of a file; `None`: the filesystem has no locks.
    pub(super) fn wait(path: &Path, create: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<Option<Self>> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut name = OsString::from(format!("{LOCK}-"));
        name.push(path.file_name().unwrap_or_default());
        let path = folder.join(name);
        loop {
            let file = open(&path, folder, create)?;
            loop {
                match file.lock() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        let _ = fs::remove_file(&path);
                        return Ok(None);
                    }
                    locked => break locked?,
                }
            }
            // Who held it before has removed it: then others may have locked the next file of that name already.
            if is_at(&file, &path)? {
                return Ok(Some(Self { file, path }));
            }
        }
    }
}

impl Drop for SingleLock {
    fn drop(&mut self) {
        // First removed, then unlocked: what is locked and still there is the lock.
        let _ = fs::remove_file(&self.path);
        // Closing would not do where a forked child has the file too.
        let _ = self.file.unlock();
    }
}

/// Opens a lock file, and makes it and its folder where they are not there.
pub(super) fn open(path: &Path, folder: &Path, create: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<File> {
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(folder)?;
            open()
        }
        opened => opened,
    }
}

/// Whether an open file still is the one at a path. As long as it is open, no other file has its number.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

//! Temporary files, which replace objects once they are complete, and files left by killed processes.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::closing;
use super::folder_lock::{close_all, close_idle, is_unused, lock_file};
use super::lock::{Guard, LOCK, hash};
use super::system::{EarlyWriteback, open_when_possible};
use crate::runtime::{Call, PerProcess, check, current, lock, storing};

/// Prefix of the names of files that are not objects.
pub(super) const TEMPORARY: &str = ".tegula-";

/// Age from which a temporary file counts as left over, even if a process has its id.
const OLD: Duration = Duration::from_secs(60 * 60);

/// Maximum depth of folders that are searched.
const DEPTH: usize = 256;

/// Identifies the context in which process ids are valid: one boot of one host, in one container.
static PROCESS_CONTEXT: PerProcess<Option<u64>> = PerProcess::new(|| {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let container = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(hash(&[&boot, container.as_os_str().as_encoded_bytes()].concat()))
});

/// The temporary files that this process is writing, and the calls that they belong to.
static WRITTEN: PerProcess<Mutex<HashMap<PathBuf, Arc<Call>>>> = PerProcess::new(Mutex::default);

/// Removes the temporary files of an interrupted call, or, at the end of the process, those of all calls and their lock
/// files: a thread that still writes one cannot rename it any more.
pub fn remove_temporaries(call: Option<&Call>) {
    lock(WRITTEN.get()).retain(|path, owner| {
        let is_kept = call.is_some_and(|call| !std::ptr::eq(call, &raw const **owner) && !owner.is_in(call));
        if !is_kept {
            let _ = fs::remove_file(path);
        }
        is_kept
    });
    if call.is_some() { close_idle() } else { close_all() }
}

/// Removes a temporary file if it was not renamed.
struct Written<'a>(&'a Path);

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if lock(WRITTEN.get()).remove(self.0).is_some() {
            let _ = fs::remove_file(self.0);
        }
    }
}

/// Returns a name for a temporary file that no other thread or process uses. If its writer is killed, the file is
/// found by [`Store::leftovers`](super::Store::leftovers).
pub fn temporary_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (here, count) = (PROCESS_CONTEXT.get().unwrap_or_default(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{TEMPORARY}{here:016x}-{}-{count}", process::id())
}

/// Creates a file with a unique name.
pub(super) fn create(folder: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let path = folder.join(temporary_name());
        let open = || OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        match open_when_possible(close_idle, open) {
            // A killed process with the same id left a file of this name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, path)),
        }
    }
}

/// Replaces a file with what `write` writes to a temporary file beside it; the old file stays until the new one is
/// complete.
pub(crate) fn replace_file<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let interrupted = |error| E::from(io::Error::other(error));
    check().map_err(interrupted)?;
    let (mut file, temporary) = create(path.parent().unwrap_or(Path::new(".")))?;
    lock(WRITTEN.get()).insert(temporary.clone(), current());
    let _written = Written(&temporary);
    write(&mut file)?;
    let _storing = storing().map_err(interrupted)?;
    fs::rename(&temporary, path)?;
    lock(WRITTEN.get()).remove(&temporary);
    Ok(())
}

/// A file that a user named and that is about to be replaced. Links are followed and permissions are kept.
pub(crate) struct NamedFile {
    path: PathBuf,
    old: Option<(File, Metadata)>,
}

impl NamedFile {
    /// Fails if the path is not that of a regular file, or if the user may not write it. The file need not exist.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let path = followed(path)?;
        // Opened only to check that the user may write it.
        let old = match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path) {
            Ok(file) => Some(file.metadata().map(|about| (file, about))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if old.as_ref().is_some_and(|(_, about)| !about.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { path, old })
    }

    /// Waits for the lock that writers of the file hold, in this process and others.
    pub(crate) fn lock(&self) -> io::Result<Guard> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = self.path.file_name().unwrap_or_default();
        // The lock would create a missing folder.
        fs::metadata(folder)?;
        lock_file(&folder.join(name), &|_| Err(io::ErrorKind::NotFound.into()))
    }

    /// Replaces the file when `write` has succeeded.
    pub(crate) fn replace<E: From<io::Error>>(
        self,
        write: impl FnOnce(&mut EarlyWriteback<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        replace_file(&self.path, |file| {
            if let Some((_, about)) = &self.old {
                file.set_permissions(about.permissions())?;
            }
            write(&mut EarlyWriteback::new(file, self.old.is_some()))
        })?;
        self.old.into_iter().for_each(|(old, _)| closing::close(old));
        Ok(())
    }
}

/// Follows the links at a path; the target need not exist.
pub(super) fn followed(path: &Path) -> io::Result<PathBuf> {
    /// The number of links that Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "too many levels of symbolic links"))
}

/// Waits until names created, renamed or removed in a folder are on the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // The parent of a bare name is the current folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Creates a folder and its parents; with `sync`, waits until they are on the disk.
pub(super) fn create_folder(folder: &Path, sync: bool) -> io::Result<()> {
    let new = if sync { folder.ancestors().take_while(|above| !above.exists()).count() } else { 0 };
    fs::create_dir_all(folder)?;
    let parent = |folder: &Path| folder.parent().filter(|above| !above.as_os_str().is_empty()).map(Path::to_owned);
    folder.ancestors().take(new).try_for_each(|folder| sync_folder(&parent(folder).unwrap_or_else(|| ".".into())))
}

/// Removes everything below a folder, and the folder itself if nothing of other writers is left in it. Links are
/// removed, not followed. Temporary files and lock files that are in use stay.
pub(super) fn erase_folder(folder: &Path) -> io::Result<()> {
    let gone = |done: io::Result<()>| match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    for entry in fs::read_dir(folder)? {
        check().map_err(io::Error::other)?;
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            gone(erase_folder(&path))?;
        } else if name.starts_with(TEMPORARY) {
            gone(remove_if_unused(&path, &name, true).map(|_| ()))?;
        } else {
            gone(fs::remove_file(&path))?;
        }
    }
    match fs::remove_dir(folder) {
        // Other writers use it; or it is the current folder, or that of a mount.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

/// Finds unused temporary files and lock files below a folder, without following links.
pub(super) fn left_over(folder: &Path, remove: bool) -> io::Result<Vec<PathBuf>> {
    left_over_within(folder, DEPTH, remove)
}

/// Finds unused temporary files and lock files in a folder and up to `depth` levels below it.
pub(crate) fn left_over_within(folder: &Path, depth: usize, remove: bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, level)) = folders.pop() {
        check().map_err(io::Error::other)?;
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if kind.is_dir() && level < depth {
                folders.push((entry.path(), level + 1));
            } else if kind.is_file() && name.starts_with(TEMPORARY) {
                match remove_if_unused(&entry.path(), &name, remove) {
                    // It was renamed or removed since.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    unused => found.extend(unused?.then(|| entry.path())),
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Finds unused temporary files and lock files in the folder of a file.
pub(super) fn left_beside(file: &Path, remove: bool) -> io::Result<Vec<PathBuf>> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    left_over_within(folder, 0, remove)
}

/// Removes temporary files that killed writers left in the folder of a file, as far as that is possible.
pub(super) fn clean(file: &Path) {
    let _ = left_beside(file, true);
}

/// Whether a file is unused; with `remove`, such a file is removed.
fn remove_if_unused(path: &Path, name: &str, remove: bool) -> io::Result<bool> {
    if name == LOCK {
        return is_unused(path, remove);
    }
    let unused = if name.starts_with(LOCK) {
        let file = File::open(path)?;
        let free = file.try_lock().is_ok();
        if free && remove {
            // Removed while locked, as its users remove it.
            fs::remove_file(path)?;
        }
        return Ok(free);
    } else {
        let age = SystemTime::now().duration_since(fs::metadata(path)?.modified()?).unwrap_or_default();
        age > OLD || writer(name).is_some_and(is_gone)
    };
    if unused && remove {
        fs::remove_file(path)?;
    }
    Ok(unused)
}

/// Returns the process that writes a temporary file, if its id is valid here.
fn writer(name: &str) -> Option<u32> {
    let (here, rest) = name.strip_prefix(TEMPORARY)?.split_once('-')?;
    let (writer, _) = rest.split_once('-')?;
    let known = u64::from_str_radix(here, 16).ok()? == (*PROCESS_CONTEXT.get())?;
    if known { writer.parse().ok() } else { None }
}

fn is_gone(process: u32) -> bool {
    // A process that has ended remains as a zombie until its parent waits for it.
    match fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(stat) => {
            stat.rsplit_once(')').is_some_and(|(_, rest)| matches!(rest.trim().chars().next(), Some('Z' | 'X')))
        }
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unused_files_are_removed() {
        let folder = std::env::temp_dir().join(format!("tegula-left-{}", process::id()));
        fs::create_dir_all(folder.join("a/b")).unwrap();
        let here = PROCESS_CONTEXT.get().unwrap();
        let mut child = process::Command::new("true").spawn().unwrap();
        let gone = child.id();
        child.wait().unwrap();
        let names = [
            (format!("a/b/.tegula-{here:016x}-{gone}-0"), true),
            (format!("a/.tegula-{here:016x}-{}-7", process::id()), false),
            (format!("a/.tegula-{:016x}-{gone}-7", here ^ 1), false),
            (".tegula-17-4".to_owned(), false),
            ("a/.tegula-lock".to_owned(), true),
            (".tegula-lock-zarr.json".to_owned(), true),
            ("tegula-17".to_owned(), false),
        ];
        for (name, _) in &names {
            fs::write(folder.join(name), b"x").unwrap();
        }
        let mut unused: Vec<_> =
            names.iter().filter(|(_, unused)| *unused).map(|(name, _)| folder.join(name)).collect();
        unused.sort();
        assert_eq!(left_over(&folder, false).unwrap(), unused);
        assert!(unused.iter().all(|path| path.exists()));
        assert_eq!(left_over(&folder, true).unwrap(), unused);
        assert!(left_over(&folder, false).unwrap().is_empty());
        assert!(names.iter().all(|(name, unused)| folder.join(name).exists() != *unused));
        let old = SystemTime::now() - 2 * OLD;
        File::options().write(true).open(folder.join(&names[3].0)).unwrap().set_modified(old).unwrap();
        assert_eq!(left_over(&folder, true).unwrap(), [folder.join(&names[3].0)]);
        fs::remove_dir_all(folder).unwrap();
    }
}

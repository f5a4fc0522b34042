//! System calls that speed up writing large files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::{mem::MaybeUninit, os::fd::AsRawFd};

use memmap2::{Mmap, MmapOptions};

use crate::runtime::{PerProcess, check};

/// Filesystems, by the fastest way to write to them.
#[derive(PartialEq, Eq)]
pub(super) enum Filesystem {
    /// Ext4, which allocates disk space page by page unless it was preallocated.
    Ext,
    /// A filesystem in memory.
    Memory,
    /// Any other filesystem; it may support files that share disk blocks.
    Other,
}

impl Filesystem {
    #[cfg(target_os = "linux")]
    pub(super) fn of(file: &File) -> Self {
        let mut about = MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the file is open; the structure is read only if the call filled it.
        let kind = unsafe {
            (libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr()) == 0).then(|| about.assume_init_ref().f_type)
        };
        match kind {
            Some(libc::EXT4_SUPER_MAGIC) => Self::Ext,
            Some(libc::TMPFS_MAGIC) => Self::Memory,
            _ => Self::Other,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: &File) -> Self {
        Self::Other
    }
}

/// Preallocates space for a file that is about to be written.
pub(super) fn preallocate(file: &File, length: u64) {
    #[cfg(target_os = "linux")]
    if let Ok(length) = length.try_into() {
        // SAFETY: the file is open. The result does not matter: if there is no space, the write fails.
        unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, length) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, length);
}

/// A file that may replace another. When it is renamed, ext4 first writes all of it to the disk, so that one of the two
/// survives a loss of power. This type starts that earlier, while the file is being written.
pub(crate) struct EarlyWriteback<'f> {
    file: &'f mut File,
    is_active: bool,
    /// Bytes written since the system was last told to write them to the disk.
    new: u64,
}

impl<'f> EarlyWriteback<'f> {
    pub(super) fn new(file: &'f mut File, replaces: bool) -> Self {
        let is_active = replaces && Filesystem::of(file) == Filesystem::Ext;
        Self { file, is_active, new: 0 }
    }
}

impl Write for EarlyWriteback<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const PART: u64 = 16 << 20;
        let count = self.file.write(&bytes[..bytes.len().min(PART as usize)])?;
        self.new += count as u64;
        if self.is_active && self.new >= PART {
            start_writeback(self.file);
            self.new = 0;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for EarlyWriteback<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Tells the system to start writing a file to the disk.
fn start_writeback(file: &File) {
    #[cfg(target_os = "linux")]
    // SAFETY: the file is open. The result does not matter: the system writes the file later anyway.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE)
    };
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Returns the error for an old file that was truncated.
pub(super) fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was changed")
}

/// Maps the bytes `first..last` of a file. If at least half of them will be `used`, their pages are loaded at once.
pub(super) fn map(file: Option<&File>, first: u64, last: u64, used: u64) -> io::Result<Mmap> {
    let file = file.ok_or(io::ErrorKind::InvalidInput)?;
    if last > file.metadata()?.len() {
        return Err(cut_short());
    }
    let mut options = MmapOptions::new();
    options.offset(first).len((last - first) as usize);
    if used >= (last - first) / 2 {
        options.populate();
    }
    // SAFETY: only the system reads the map, and it tolerates that others change or truncate the file.
    unsafe { options.map(file) }
}

/// Returns the number of files that the process may have open.
fn open_file_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the structure.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 256;
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Returns the number of files that may stay open for later use.
pub(super) fn idle_files(most: usize) -> usize {
    most.min(open_file_limit() / 8)
}

static RESERVED: PerProcess<AtomicUsize> = PerProcess::new(AtomicUsize::default);

/// Numbers of files up to this are not worth counting.
const FEW: usize = 4;

/// A number of files that a call may have open at once, until this is dropped.
pub(crate) struct OpenFiles {
    count: usize,
    reserved: usize,
}

impl OpenFiles {
    /// Reserves at most `most` files, and at least one. All calls together get half of those that the process may have.
    pub(crate) fn reserve(most: usize) -> Self {
        if most <= FEW {
            return Self { count: most.max(1), reserved: 0 };
        }
        let limit = open_file_limit() / 2;
        let reserve = |reserved: usize| most.min(limit.saturating_sub(reserved)).max(1);
        let reserved = RESERVED
            .get()
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |reserved| Some(reserved + reserve(reserved)));
        let count = reserve(reserved.unwrap_or_default());
        Self { count, reserved: count }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        if self.reserved > 0 {
            RESERVED.get().fetch_sub(self.reserved, Ordering::Relaxed);
        }
    }
}

/// Opens a file. While the process has too many files open, closes idle ones with `free` and tries again.
pub(super) fn open_when_possible<T>(free: fn(), open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    const PAUSES: u32 = 12;
    let mut pause = Duration::from_millis(1);
    for _ in 0..PAUSES {
        match open() {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                free();
                thread::sleep(pause);
                check().map_err(io::Error::other)?;
                pause *= 2;
            }
            opened => return opened,
        }
    }
    open()
}

//! System calls that speed up writing large files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
#[cfg(target_os = "linux")]
use std::{mem::MaybeUninit, os::fd::AsRawFd};

use memmap2::{Mmap, MmapOptions};

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

//! Locks of single bytes of a file (`fcntl` with `F_OFD_SETLK`). They belong to the open file, not to the process.
//!
//! <https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html>

use std::fs::File;
use std::io;

use crate::runtime::check_now;

/// The lock mode of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Other open files may share it.
    Shared,
    /// No other open file holds it.
    Exclusive,
    Free,
}

/// Locks a byte; waits until that is possible.
pub(super) fn wait(file: &File, byte: i64, mode: Mode) -> io::Result<()> {
    loop {
        match system::lock(file, byte, mode, true) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => check_now().map_err(io::Error::other)?,
            locked => return locked,
        }
    }
}

/// Tries to lock a byte; returns false if another open file holds it.
pub(super) fn attempt(file: &File, byte: i64, mode: Mode) -> io::Result<bool> {
    match system::lock(file, byte, mode, false) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an error means that the filesystem has no byte locks.
pub(super) fn unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOLCK))
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;

    use super::Mode;

    pub(super) fn lock(file: &File, byte: i64, mode: Mode, wait: bool) -> io::Result<()> {
        let kind = match mode {
            Mode::Shared => libc::F_RDLCK,
            Mode::Exclusive => libc::F_WRLCK,
            Mode::Free => libc::F_UNLCK,
        };
        let range = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: byte,
            l_len: 1,
            l_pid: 0,
        };
        let command = if wait { libc::F_OFD_SETLKW } else { libc::F_OFD_SETLK };
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and the structure is what the command reads.
        let done = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const range) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod system {
    use std::fs::File;
    use std::io;

    use super::Mode;

    pub(super) fn lock(_: &File, _: i64, _: Mode, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

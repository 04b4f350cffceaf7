//! IOCB_FLAG_RESFD: telling an eventfd from other files, and signalling it.

use crate::errno::Errno;
use crate::file::{File, FileType};
use crate::sys;
use std::ffi::c_int;

/// Mirrors `eventfd_ctx_fdget`.
///
/// # Errors
/// EBADF: not open, or O_PATH. EINVAL: not an eventfd.
pub fn check(fd: c_int) -> Result<(), Errno> {
    let file = File::get(fd)?;
    // Nothing is written: the address is bad. An eventfd finds that out (EFAULT);
    // the other anonymous files cannot be written at all (EINVAL).
    // SAFETY: the null page is never mapped; a fault is answered with EFAULT.
    let answer = || unsafe { crate::sys!(write, fd, 0usize, 8usize) };
    if file.kind == FileType::Anonymous && answer() == Err(Errno::EFAULT) {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// Mirrors `eventfd_signal`: adds 1 and never blocks; a full one stays full.
pub fn signal(fd: c_int) {
    if sys::poll_now(fd, libc::POLLOUT).is_ok_and(|r| r & libc::POLLOUT != 0) {
        let _ = sys::write(fd, &1u64.to_ne_bytes());
    }
}

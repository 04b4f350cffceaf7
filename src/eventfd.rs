//! IOCB_FLAG_RESFD: telling an eventfd from other files, and signalling it.

use crate::errno::Errno;
use crate::sys;
use std::ffi::c_int;

/// Mirrors `eventfd_ctx_fdget`. `known`: the number named an eventfd before.
///
/// # Errors
/// EBADF: not open, or O_PATH. EINVAL: not an eventfd.
pub fn check(fd: c_int, known: bool) -> Result<(), Errno> {
    // The type is looked at every time: another file would be written to.
    let anonymous = sys::stat(fd)?.file_type() == 0;
    // Nothing is written: the address is bad. An eventfd finds that out (EFAULT);
    // the other anonymous files cannot be written at all.
    // SAFETY: the null page is never mapped; a fault is answered with EFAULT.
    let asked = || unsafe { crate::sys!(write, fd, 0usize, 8usize) } == Err(Errno::EFAULT);
    if anonymous && (known || asked()) {
        return Ok(());
    }
    Err(if sys::getfl(fd)? & libc::O_PATH != 0 { Errno::EBADF } else { Errno::EINVAL })
}

/// Mirrors `eventfd_signal`: adds `n` and never blocks; a full one stays full.
pub fn signal(fd: c_int, n: u64) {
    let nonblock = sys::getfl(fd).is_ok_and(|f| f & libc::O_NONBLOCK != 0);
    if nonblock && sys::write(fd, &n.to_ne_bytes()).is_ok() {
        return;
    }
    for _ in 0..n {
        // ppoll refuses one descriptor where RLIMIT_NOFILE is 0.
        let room = sys::poll_now(fd, libc::POLLOUT).map_or(true, |r| r & libc::POLLOUT != 0);
        if nonblock || room {
            let _ = sys::write(fd, &1u64.to_ne_bytes());
        }
    }
}

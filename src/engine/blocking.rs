//! A device operation done by plain system calls that may block.

use super::op::{Kind, OpArgs};
use crate::errno::Errno;
use crate::sys;
use std::ffi::c_int;

/// Runs a read or write of a seekable file to its full length, the end of the
/// file or an error, or an fsync. Returns the event's result.
///
/// # Safety
/// The caller holds the operation; `fd` names its file in the calling thread's
/// table.
pub unsafe fn run(fd: c_int, args: &mut OpArgs) -> i64 {
    let write = match args.kind {
        Kind::Fsync { data_only } => {
            return sys::fsync(fd, data_only).map_or_else(Errno::neg, |()| 0);
        }
        kind => kind == Kind::Write,
    };
    while args.iov.total > 0 {
        let n = args.iov.count as usize;
        // SAFETY: the segments are the request's.
        match unsafe { sys::rwv2(write, fd, args.iov.as_mut_ptr(), n, args.pos, args.rw_flags) } {
            Ok(0) => break,
            Ok(n) => args.advance(n as u64),
            Err(Errno::EINTR) => {}
            // What was moved before the error counts.
            Err(e) if args.done == 0 => return e.neg(),
            Err(_) => break,
        }
    }
    args.done as i64
}

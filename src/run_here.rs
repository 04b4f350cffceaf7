//! The way of last resort: an operation is run inside io_submit, as the kernel
//! runs buffered I/O, because no engine exists or none could pin its file.

use crate::engine::Complete;
use crate::engine::op::{Kind, OpPtr};
use crate::errno::Errno;
use crate::sys;
use std::sync::atomic::Ordering::Acquire;

/// # Safety
/// The caller holds the operation, which was not pinned; its order's gate may
/// still be passed by others.
pub unsafe fn run_here(op: OpPtr, complete: Complete) {
    // SAFETY: by the caller's word.
    let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
    // The gate of the pin is never passed; the other one is the order's.
    while o.gates.load(Acquire) > 1 {
        sys::nap();
    }
    let res = match args.kind {
        Kind::Read | Kind::Write => {
            // SAFETY: the buffers are the request's.
            unsafe { transfer(args) }
        }
        Kind::Fsync { data_only } => sys::fsync(args.fd, data_only).map_or_else(Errno::neg, |()| 0),
        // Waiting here could wait for ever.
        Kind::Poll => Errno::EAGAIN.neg(),
    };
    // SAFETY: done, and not used afterwards.
    unsafe { complete(op, res) };
}

/// # Safety
/// As `sys::rwv2`.
unsafe fn transfer(args: &mut crate::engine::op::OpArgs) -> i64 {
    let write = args.kind == Kind::Write;
    // SAFETY: passed on.
    let r = unsafe {
        let n = args.iov.count as usize;
        sys::rwv2(write, args.fd, args.iov.as_mut_ptr(), n, args.pos, args.rw_flags)
    };
    match r {
        Ok(n) => (args.done + n as u64) as i64,
        Err(e) if args.done == 0 => e.neg(),
        Err(_) => args.done as i64,
    }
}

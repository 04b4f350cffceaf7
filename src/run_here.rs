//! The way of last resort: an operation is run inside io_submit, as the kernel
//! runs buffered I/O, because no engine exists or none could pin its file.

use crate::engine::op::{Kind, OpPtr};
use crate::engine::{Complete, Done, blocking};
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
        _ if o.abandoned.load(Acquire) => Errno::ECANCELED.neg(),
        // Waiting here could wait for ever.
        Kind::Poll => Errno::EAGAIN.neg(),
        // SAFETY: ours; the program's number still names the file.
        _ => unsafe { blocking::run(args.fd, args) },
    };
    // SAFETY: done, and not used afterwards.
    unsafe { complete(&[Done { op, res }]) };
}

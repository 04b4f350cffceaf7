//! Contexts of the kernel's own. A program that has made one behind our back, by
//! a system call instruction of its own, may use it through the doors that are
//! ours: such a call goes on to the kernel. No other ever does.

use crate::abi::{AIO_RING_MAGIC, AioRing};
use crate::aio_ring::PAGE_SIZE;
use crate::errno::Errno;
use crate::sys::{self, Sysno};
use std::mem::offset_of;

/// True when the kernel's ring, and so a context of the kernel's, is at `ctx_id`.
pub fn is_kernels(ctx_id: u64) -> bool {
    ctx_id.is_multiple_of(PAGE_SIZE as u64)
        && sys::peek_u32(ctx_id + offset_of!(AioRing, magic) as u64) == Some(AIO_RING_MAGIC)
        && sys::cannot_sync(ctx_id)
}

/// The kernel's answer to a call for a context that is not ours, args[0].
///
/// # Errors
/// EINVAL: it is not the kernel's either. Otherwise the kernel's.
pub fn call(nr: Sysno, args: [u64; 6]) -> Result<i64, Errno> {
    if is_kernels(args[0]) { sys::pass_on(nr, args) } else { Err(Errno::EINVAL) }
}

//! `import_iovec`: the program's vector, copied and checked.
//!
//! Long vectors go into 16 KiB blocks that are mapped when first needed and then
//! used again: io_submit may not call malloc, for it may run in a signal handler
//! that interrupted it.

use crate::abi::{MAX_RW_COUNT, UIO_MAXIOV};
use crate::engine::op::{INLINE_IOVECS, IoVecs};
use crate::errno::Errno;
use crate::{sys, uaccess};
use std::ptr::null_mut;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const BLOCK: usize = UIO_MAXIOV as usize * size_of::<libc::iovec>();

/// Free blocks, chained through their first word. A block's address leaves the
/// low 12 and the high 16 bits to a counter against ABA.
static FREE: AtomicU64 = AtomicU64::new(0);
const ADDR: u64 = 0x0000_ffff_ffff_f000;

/// `seen`'s counter plus one.
fn tag_after(seen: u64) -> u64 {
    let count = (seen >> 48 << 12 | seen & 0xfff).wrapping_add(1);
    count >> 12 << 48 | count & 0xfff
}

fn block_alloc() -> Result<*mut libc::iovec, Errno> {
    let mut seen = FREE.load(Acquire);
    while seen & ADDR != 0 {
        let block = (seen & ADDR) as *mut u64;
        // SAFETY: blocks are never unmapped, so a stale one can still be read.
        let next = unsafe { block.read_volatile() };
        match FREE.compare_exchange_weak(seen, next & ADDR | tag_after(seen), AcqRel, Acquire) {
            Ok(_) => return Ok(block.cast()),
            Err(now) => seen = now,
        }
    }
    sys::mmap_anon(BLOCK, libc::MAP_PRIVATE).map(|p| p.cast()).map_err(|_| Errno::EAGAIN)
}

fn block_free(block: *mut libc::iovec) {
    let mut seen = FREE.load(Relaxed);
    loop {
        // SAFETY: ours until it is in the list.
        unsafe { block.cast::<u64>().write_volatile(seen & ADDR) };
        match FREE.compare_exchange_weak(seen, block as u64 | tag_after(seen), AcqRel, Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

/// Gives back what `import_iovec` took.
pub fn release(iov: &mut IoVecs) {
    if !iov.heap.is_null() {
        block_free(std::mem::replace(&mut iov.heap, null_mut()));
    }
}

/// Mirrors `import_ubuf`.
///
/// # Errors
/// EFAULT: the buffer does not lie in user space.
#[inline]
pub fn import_ubuf(base: u64, len: u64) -> Result<IoVecs, Errno> {
    let len = len.min(MAX_RW_COUNT);
    if !uaccess::access_ok(base, len) {
        return Err(Errno::EFAULT);
    }
    Ok(IoVecs::one(base, len))
}

/// Mirrors `lib/iov_iter.c:__import_iovec()`: the sum is cut to MAX_RW_COUNT.
///
/// # Errors
/// EINVAL: more than 1024 segments, or a length that is negative. EFAULT: the
/// vector cannot be read, or a segment does not lie in user space. EAGAIN: no
/// memory for a long vector.
pub fn import_iovec(vec: u64, nr_segs: u32) -> Result<IoVecs, Errno> {
    if nr_segs > UIO_MAXIOV {
        return Err(Errno::EINVAL);
    }
    let mut iov = IoVecs::EMPTY;
    let n = nr_segs as usize;
    if n > INLINE_IOVECS {
        iov.heap = block_alloc()?;
    }
    iov.count = nr_segs;
    let copied = if nr_segs == 1 { copy_one(vec, &mut iov) } else { copy(vec, &mut iov) };
    if copied.is_err() {
        release(&mut iov);
    }
    copied.map(|()| iov)
}

/// A single segment is taken as a buffer: cut before its range is looked at.
fn copy_one(vec: u64, iov: &mut IoVecs) -> Result<(), Errno> {
    let seg = uaccess::get_user::<libc::iovec>(vec)?;
    if (seg.iov_len as isize) < 0 {
        return Err(Errno::EINVAL);
    }
    *iov = import_ubuf(seg.iov_base as u64, seg.iov_len as u64)?;
    Ok(())
}

fn copy(vec: u64, iov: &mut IoVecs) -> Result<(), Errno> {
    let size = size_of::<libc::iovec>() as u64;
    for (i, seg) in iov.as_slice_mut().iter_mut().enumerate() {
        *seg = uaccess::get_user(vec.wrapping_add(i as u64 * size))?;
        if (seg.iov_len as isize) < 0 {
            return Err(Errno::EINVAL);
        }
    }
    let mut total = 0;
    for seg in iov.as_slice_mut() {
        if !uaccess::access_ok(seg.iov_base as u64, seg.iov_len as u64) {
            return Err(Errno::EFAULT);
        }
        seg.iov_len = (seg.iov_len as u64).min(MAX_RW_COUNT - total) as usize;
        total += seg.iov_len as u64;
    }
    iov.total = total;
    Ok(())
}

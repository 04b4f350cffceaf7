//! Mappings, and questions about the program's memory that only the kernel can
//! answer without a fault.

use crate::errno::Errno;
use crate::sys;
use std::ffi::{c_int, c_void};
use std::sync::atomic::AtomicU32;

const FUTEX_WAKE_OP_PRIVATE: u32 = 5 | 128;

/// True when `addr` (4-byte aligned) can be written: a FUTEX_WAKE_OP that adds 0
/// there, the one cheap call that takes a write fault and changes nothing.
pub fn probe_write(addr: usize) -> bool {
    // FUTEX_OP(ADD, 0, LT, 0): *addr += 0; then wake sleepers of addr if old < 0.
    const OP_ADD_0_CMP_LT_0: u32 = (1 << 28) | (2 << 24);
    static NOBODY: AtomicU32 = AtomicU32::new(0);
    // SAFETY: a bad `addr` is answered with EFAULT; a good one keeps its value.
    unsafe {
        sys!(futex, NOBODY.as_ptr(), FUTEX_WAKE_OP_PRIVATE, 0, 0, addr, OP_ADD_0_CMP_LT_0).is_ok()
    }
}

/// True when the 8 bytes at `addr` can be read: rt_sigprocmask copies the set in
/// before it refuses the unknown `how`.
pub fn probe_read(addr: usize) -> bool {
    // SAFETY: a bad `addr` is answered with EFAULT, a good one with EINVAL.
    unsafe { sys!(rt_sigprocmask, usize::MAX, addr, 0usize, 8usize) == Err(Errno::EINVAL) }
}

/// Anonymous memory, zeroed.
///
/// # Errors
/// ENOMEM, EAGAIN (mlockall and RLIMIT_MEMLOCK).
pub fn mmap_anon(len: usize, flags: c_int) -> Result<*mut c_void, Errno> {
    // SAFETY: a new mapping at an address that the kernel chooses.
    unsafe {
        sys!(
            mmap,
            0usize,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_ANONYMOUS | flags,
            usize::MAX,
            0usize
        )
    }
    .map(|p| p as *mut c_void)
}

/// The beginning of a file, shared with whoever has it.
///
/// # Errors
/// As mmap(2).
pub fn map_shared(fd: c_int, len: usize) -> Result<*mut c_void, Errno> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address that the kernel chooses.
    unsafe { sys!(mmap, 0usize, len, prot, libc::MAP_SHARED, fd, 0usize) }.map(|p| p as *mut c_void)
}

/// munmap(2)
///
/// # Safety
/// The range is a mapping of ours that nobody uses any more.
pub unsafe fn munmap(addr: usize, len: usize) {
    // SAFETY: passed on from the caller.
    let _ = unsafe { sys!(munmap, addr, len) };
}

/// Whether two addresses show the same page of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamePage {
    Yes,
    No,
    /// The first cannot be read.
    Fault,
}

/// Asks the kernel by a call that changes nothing: FUTEX_CMP_REQUEUE_PI refuses
/// two names of one futex (EINVAL) before it looks at anything else. `ours` can
/// be written; both are 4-byte aligned.
pub fn same_page(theirs: u64, ours: u64) -> SamePage {
    const FUTEX_CMP_REQUEUE_PI: u32 = 12;
    // SAFETY: there are no waiters to move, so nothing is written.
    match unsafe { sys!(futex, theirs, FUTEX_CMP_REQUEUE_PI, 1, 0, ours, !0u32) } {
        Err(Errno::EINVAL) => SamePage::Yes,
        Err(Errno::EFAULT) => SamePage::Fault,
        // A kernel without PI futexes cannot tell; believe what can be read.
        Err(Errno::ENOSYS) if probe_read(theirs as usize) => SamePage::Yes,
        Err(Errno::ENOSYS) => SamePage::Fault,
        _ => SamePage::No,
    }
}

/// True when a shared file is mapped at `addr` (on a page's boundary) that knows
/// no fsync: the kernel's AIO ring is one, memory of our own is not.
pub fn cannot_sync(addr: u64) -> bool {
    // SAFETY: writes back at most what is dirty.
    unsafe { sys!(msync, addr, 1, libc::MS_SYNC) == Err(Errno::EINVAL) }
}

/// Four bytes of the program's memory, without touching it ourselves: another
/// thread may be unmapping it.
pub fn peek_u32(addr: u64) -> Option<u32> {
    let mut value = 0u32;
    let ours = libc::iovec { iov_base: (&raw mut value).cast(), iov_len: 4 };
    let theirs = libc::iovec { iov_base: addr as *mut c_void, iov_len: 4 };
    // SAFETY: the kernel copies into `value`; a bad address is EFAULT.
    let n = unsafe {
        let pid = sys!(getpid).ok()?;
        sys!(process_vm_readv, pid, &raw const ours, 1, &raw const theirs, 1, 0)
    };
    match n {
        Ok(4) => Some(value),
        Err(Errno::EFAULT) => None,
        // Refused by a sandbox: the careful look has to do.
        _ => crate::uaccess::get_user_probed(addr).ok(),
    }
}

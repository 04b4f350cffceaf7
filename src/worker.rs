//! The only place that makes threads: all signals blocked, a small stack, a name.

use crate::errno::Errno;
use crate::sys;
use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32};

/// Enough for our loops and a log line; a page of it is touched.
const STACK: usize = 128 * 1024;

/// Starts a detached thread that runs `body(arg)` with every signal blocked, so
/// that the program's handlers never run on it. The thread shares the
/// descriptor table of the caller.
///
/// # Errors
/// EAGAIN (RLIMIT_NPROC, the pids cgroup), ENOMEM.
///
/// # Safety
/// `arg` is what `body` expects and lives as long as the thread uses it.
pub unsafe fn spawn(
    body: extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
) -> Result<(), Errno> {
    let mut attr = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let _signals = sys::SignalsBlocked::new();
    // SAFETY: `attr` is initialised before it is used and destroyed after; the
    // new thread inherits the blocked mask; its handle is used while it exists.
    unsafe {
        let e = libc::pthread_attr_init(attr.as_mut_ptr());
        if e != 0 {
            return Err(Errno(e));
        }
        libc::pthread_attr_setdetachstate(attr.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        libc::pthread_attr_setstacksize(attr.as_mut_ptr(), STACK);
        COMING.fetch_add(1, AcqRel);
        let e = libc::pthread_create(thread.as_mut_ptr(), attr.as_ptr(), body, arg);
        libc::pthread_attr_destroy(attr.as_mut_ptr());
        if e != 0 {
            COMING.fetch_sub(1, AcqRel);
            return Err(Errno(e));
        }
    }
    Ok(())
}

/// Our threads by number, so that they can be told from the program's.
static OURS: [AtomicI32; 512] = [const { AtomicI32::new(0) }; 512];

/// Held by each of our threads as long as it runs.
pub struct Running(Option<&'static AtomicI32>);

/// The first thing a thread of ours does: it lets in the two signals by which
/// glibc asks all threads to take part in setuid(2) and waits. The name is shown by ps -L and top -H:
/// at most 15 bytes.
#[must_use]
pub fn enter(name: &'static CStr) -> Running {
    const OF_GLIBC: sys::SigSet = 3 << 31;
    sys::sigmask_set(!OF_GLIBC);
    // SAFETY: PR_SET_NAME reads a NUL-terminated string.
    let _ = unsafe { crate::sys!(prctl, libc::PR_SET_NAME, name.as_ptr()) };
    let tid = sys::gettid();
    let slot = OURS.iter().find(|s| s.compare_exchange(0, tid, AcqRel, Relaxed).is_ok());
    COMING.fetch_sub(1, AcqRel);
    Running(slot)
}

/// Threads that are made and have not yet come to `enter`.
static COMING: AtomicI32 = AtomicI32::new(0);
/// Set when one of our threads ends: it may be seen for a moment longer.
static DEPARTED: AtomicBool = AtomicBool::new(false);

/// Whether one of our threads is coming, or has ended since this was asked last:
/// `is_ours` may not tell it.
pub fn unsettled() -> bool {
    DEPARTED.swap(false, AcqRel) || COMING.load(Acquire) > 0
}

impl Drop for Running {
    fn drop(&mut self) {
        DEPARTED.store(true, Release);
        if let Some(slot) = self.0 {
            slot.store(0, Release);
        }
    }
}

pub fn is_ours(tid: c_int) -> bool {
    OURS.iter().any(|s| s.load(Acquire) == tid)
}

/// In a forked child: the parent's threads are not there.
pub fn forget_all() {
    COMING.store(0, Relaxed);
    for slot in &OURS {
        slot.store(0, Relaxed);
    }
}

//! The only place that makes threads: all signals blocked, a small stack, a name.

use crate::errno::Errno;
use crate::sys;
use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicU32};

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
        MADE.fetch_add(1, AcqRel);
        let e = libc::pthread_create(thread.as_mut_ptr(), attr.as_ptr(), body, arg);
        libc::pthread_attr_destroy(attr.as_mut_ptr());
        if e != 0 {
            ENTERED.fetch_add(1, Release);
            return Err(Errno(e));
        }
    }
    Ok(())
}

/// Our threads by number, so that they can be told from the program's. Negative:
/// it has ended, and may be seen for a moment longer.
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
    let free = |t: c_int| t == 0 || t < 0 && !sys::is_thread(-t);
    let slot = OURS.iter().find(|s| {
        let t = s.load(Relaxed);
        free(t) && s.compare_exchange(t, tid, AcqRel, Relaxed).is_ok()
    });
    ENTERED.fetch_add(1, Release);
    Running(slot)
}

/// Threads that were made, and those of them that have come to `enter`.
static MADE: AtomicU32 = AtomicU32::new(0);
static ENTERED: AtomicU32 = AtomicU32::new(0);

/// How many threads were made so far; whether `is_ours` knows them all.
pub fn made() -> (u32, bool) {
    let made = MADE.load(Acquire);
    // Acquire: pairs with the release in `enter`, behind its number.
    (made, ENTERED.load(Acquire) == made)
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.store(-slot.load(Relaxed), Release);
        }
    }
}

/// Also for one that is about to go: the name tells it from one of the program's
/// that was given the same number since.
pub fn is_ours(tid: c_int) -> bool {
    let is = |tid| OURS.iter().any(|s| s.load(Acquire) == tid);
    is(tid) || is(-tid) && sys::task_is_named(tid, "aio-rs-")
}

/// In a forked child: the parent's threads are not there.
pub fn forget_all() {
    MADE.store(0, Relaxed);
    ENTERED.store(0, Relaxed);
    for slot in &OURS {
        slot.store(0, Relaxed);
    }
}

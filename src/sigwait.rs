//! Sleeping with another signal mask, atomically: io_pgetevents.
//!
//! A futex call cannot set the mask, and setting it before leaves a moment in
//! which a handler runs and the sleep that should have ended begins. ppoll can,
//! but needs a descriptor. So for the length of one sleep a helper thread waits on
//! the futex and passes the wake-up on to an eventfd.

use crate::errno::Errno;
use crate::sys::{self, SigSet};
use crate::wait::{Prepared, WaitQueue};
use crate::worker;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

/// The mask to have while asleep.
pub type Mask = SigSet;

/// What the helper needs. In memory of its own: a handler may leave the sleep by
/// longjmp, and the helper must not care.
struct Helper {
    wait: *const WaitQueue,
    at: Prepared,
    eventfd: c_int,
    /// 1: stop. 2: stopped.
    state: AtomicU32,
}

const RUNNING: u32 = 0;
const STOP: u32 = 1;
const STOPPED: u32 = 2;

/// Waits as `WaitQueue::wait`, with `mask` in force. All signals are blocked
/// before and after.
///
/// # Errors
/// EINTR: a signal handler ran. ETIMEDOUT.
pub fn wait(
    wait: &WaitQueue,
    at: Prepared,
    deadline: Option<libc::timespec>,
    mask: Mask,
) -> Result<(), Errno> {
    if sys::pending_signals() & !mask != 0 {
        return Err(Errno::EINTR);
    }
    with_helper(wait, at, deadline, mask).unwrap_or_else(|| {
        // No descriptor or no thread to be had: not atomic, but it waits.
        sys::sigmask_set(mask);
        let r = wait.wait(at, deadline);
        sys::sigmask_set(!0);
        r
    })
}

fn with_helper(
    wait: &WaitQueue,
    at: Prepared,
    deadline: Option<libc::timespec>,
    mask: Mask,
) -> Option<Result<(), Errno>> {
    // SAFETY: no memory is passed.
    let fd =
        unsafe { crate::sys!(eventfd2, 0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }.ok()? as c_int;
    let helper = sys::mmap_anon(size_of::<Helper>(), libc::MAP_PRIVATE).ok().and_then(|p| {
        let h = p.cast::<Helper>();
        // SAFETY: fresh memory, large enough; unmapped after the helper stopped.
        unsafe {
            h.write(Helper { wait, at, eventfd: fd, state: AtomicU32::new(RUNNING) });
            match worker::spawn(helper_main, p) {
                Ok(()) => Some(&*h),
                Err(_) => {
                    sys::munmap(p as usize, size_of::<Helper>());
                    None
                }
            }
        }
    });
    let result = helper.map(|h| {
        let r = sys::ppoll_one(fd, deadline, mask);
        h.state.store(STOP, Release);
        sys::futex_wake(&h.state, 1);
        // The word it sleeps on is that of all waiters; they look and sleep on.
        wait.wake_all();
        while h.state.load(Acquire) != STOPPED {
            let _ = sys::futex_wait(&h.state, STOP, None);
        }
        // SAFETY: the helper has stopped.
        unsafe { sys::munmap(std::ptr::from_ref(h) as usize, size_of::<Helper>()) };
        r
    });
    sys::close(fd);
    result
}

extern "C" fn helper_main(arg: *mut c_void) -> *mut c_void {
    let running = worker::enter(c"aio-rs-sigwait");
    // SAFETY: lives until STOPPED is stored.
    let h = unsafe { &*arg.cast::<Helper>() };
    // SAFETY: waiting queues are in memory that is never unmapped.
    let _ = unsafe { &*h.wait }.wait(h.at, None);
    let _ = sys::write(h.eventfd, &1u64.to_ne_bytes());
    while h.state.load(Acquire) != STOP {
        let _ = sys::futex_wait(&h.state, RUNNING, None);
    }
    drop(running);
    h.state.store(STOPPED, Release);
    sys::futex_wake(&h.state, 1);
    null_mut()
}

//! The only place that makes threads: all signals blocked, a small stack, a name.

use crate::errno::Errno;
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;

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
    let _signals = crate::sys::SignalsBlocked::new();
    // SAFETY: `attr` is initialised before it is used and destroyed after; the
    // new thread inherits the blocked mask; its handle is used while it exists.
    unsafe {
        let e = libc::pthread_attr_init(attr.as_mut_ptr());
        if e != 0 {
            return Err(Errno(e));
        }
        libc::pthread_attr_setdetachstate(attr.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        libc::pthread_attr_setstacksize(attr.as_mut_ptr(), STACK);
        let e = libc::pthread_create(thread.as_mut_ptr(), attr.as_ptr(), body, arg);
        libc::pthread_attr_destroy(attr.as_mut_ptr());
        if e != 0 {
            return Err(Errno(e));
        }
    }
    Ok(())
}

/// Names the calling thread (shown by ps -L, top -H): at most 15 bytes.
pub fn set_name(name: &'static CStr) {
    // SAFETY: PR_SET_NAME reads a NUL-terminated string.
    let _ = unsafe { crate::sys!(prctl, libc::PR_SET_NAME, name.as_ptr()) };
}

//! The io_queue_* functions, which libaio makes of the system calls.

use super::header::{io_context_t, io_event, iocb};
use super::syscalls::{SHORTCUT, destroy, getevents, setup};
use super::{entry, symver};
use crate::errno::Errno;
use crate::uaccess;
use std::ffi::{c_int, c_long, c_void};
use std::mem::MaybeUninit;

/// What io_set_callback stores in `iocb.data`.
type IoCallback = unsafe extern "C" fn(io_context_t, *mut iocb, c_long, c_long);

static NO_WAIT: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

/// io_setup for `maxevents` > 0, whatever `*ctxp` holds; -EINVAL otherwise, and
/// -EFAULT for a `ctxp` that cannot be written.
#[unsafe(no_mangle)]
pub extern "C" fn io_queue_init(maxevents: c_int, ctxp: *mut io_context_t) -> c_int {
    entry(|| {
        if maxevents <= 0 {
            return Err(Errno::EINVAL);
        }
        uaccess::put_user_probed(ctxp as u64, 0usize)?;
        setup(maxevents as u32, ctxp as u64)
    })
}
symver!("io_queue_init", "io_queue_init@@LIBAIO_0.1");

/// io_destroy.
#[unsafe(no_mangle)]
pub extern "C" fn io_queue_release(ctx: io_context_t) -> c_int {
    entry(|| destroy(ctx as u64))
}
symver!("io_queue_release", "io_queue_release@@LIBAIO_0.1");

/// Calls the callback of each event that is there, in ring order, until none is
/// left; also of those that callbacks submit. Returns 0 or what io_getevents says.
///
/// # Safety
/// Every event's `data` is a callback, as io_set_callback stores it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_run(ctx: io_context_t) -> c_int {
    loop {
        let mut event = MaybeUninit::<io_event>::uninit();
        let at = event.as_mut_ptr() as u64;
        let no_wait = &raw const NO_WAIT as u64;
        let n = entry(|| getevents(ctx as u64, 0, 1, at, no_wait, SHORTCUT));
        if n != 1 {
            return n;
        }
        // SAFETY: one event was stored, and by the caller's word its data is a
        // callback; a null one is the caller's fault and faults, as in libaio.
        unsafe {
            let event = event.assume_init();
            let callback = std::mem::transmute::<*mut c_void, IoCallback>(event.data);
            callback(ctx, event.obj, event.res as c_long, event.res2 as c_long);
        }
    }
}
symver!("io_queue_run", "io_queue_run@@LIBAIO_0.1");

/// Waits for no event at all: 0 at once, or what io_getevents says.
#[unsafe(no_mangle)]
pub extern "C" fn io_queue_wait(ctx: io_context_t, timeout: *mut libc::timespec) -> c_int {
    entry(|| getevents(ctx as u64, 0, 0, 0, timeout as u64, SHORTCUT))
}
symver!("io_queue_wait", "io_queue_wait@@LIBAIO_0.4");

//! The functions of LIBAIO_0.1 whose signatures differ from today's: for
//! programs that were linked long ago, and for libraries without versions.

use super::header::{io_context_t, io_event, iocb};
use super::syscalls::{SHORTCUT, cancel, getevents};
use super::{entry, symver};
use std::ffi::{c_int, c_long};

/// io_cancel without a place for the event.
#[unsafe(no_mangle)]
pub extern "C" fn io_cancel_0_1(ctx: io_context_t, iocb: *mut iocb) -> c_int {
    entry(|| cancel(ctx as u64, iocb as u64, 0))
}
symver!("io_cancel_0_1", "io_cancel@LIBAIO_0.1");

/// io_getevents for at least one event.
#[unsafe(no_mangle)]
pub extern "C" fn io_getevents_0_1(
    ctx: io_context_t,
    nr: c_long,
    events: *mut io_event,
    timeout: *const libc::timespec,
) -> c_int {
    entry(|| getevents(ctx as u64, 1, nr, events as u64, timeout as u64, SHORTCUT))
}
symver!("io_getevents_0_1", "io_getevents@LIBAIO_0.1");

/// As io_queue_wait today.
#[unsafe(no_mangle)]
pub extern "C" fn io_queue_wait_0_1(ctx: io_context_t, timeout: *mut libc::timespec) -> c_int {
    entry(|| getevents(ctx as u64, 0, 0, 0, timeout as u64, SHORTCUT))
}
symver!("io_queue_wait_0_1", "io_queue_wait@LIBAIO_0.1");

//! exit(3): what was submitted gets done before the process ends, as with the
//! kernel, which finishes a dead process's requests itself. And the statistics are
//! told.

use crate::{aio_kiocb, hazard, mm, stats, sys};
use std::sync::atomic::Ordering::Acquire;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destructor;

extern "C" fn destructor() {
    finish(i64::MAX);
    tell_statistics();
}

pub(super) fn tell_statistics() {
    if let Some(mm) = mm::mm()
        && let Some(stats) = mm.stats
    {
        stats::finish(stats, &mm.config);
    }
}

/// Waits for what was submitted. A signal handler may have come here out of a call
/// of ours, whose requests never end then.
pub(super) fn finish(patience_ns: i64) {
    const INTERRUPTED_NS: i64 = 100_000_000;
    let Some(mm) = mm::mm() else { return };
    let limit = if hazard::interrupted() { INTERRUPTED_NS } else { patience_ns };
    let began = sys::monotonic_now();
    let patient = || sys::ns_between(began, sys::monotonic_now()) < limit;
    mm::exit_aio(mm, |ctx| {
        // vfork's child shares its parent's memory. Without need nothing is asked of
        // the kernel: it may be a sandbox.
        if ctx.in_flight.load(Acquire) != 0 && mm.pid == sys::getpid() {
            aio_kiocb::finish_data(mm, ctx, &patient);
        }
    });
}

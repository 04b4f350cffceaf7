//! The system calls of AIO as libaio wraps them, and what a call does by
//! whichever door it comes.
//!
//! All may be called from any thread and from signal handlers; none is a
//! cancellation point.

use super::header::{io_context_t, io_event, iocb};
use super::{entry, symver};
use crate::abi::{AIO_RING_MAGIC, AioRing, AioSigset, KIOCB_KEY};
use crate::aio_kiocb;
use crate::aio_ring::PAGE_SIZE;
use crate::batch;
use crate::engine::caller;
use crate::errno::Errno;
use crate::kioctx::KioctxRef;
use crate::mm::{self, Mm, lookup_at_once, lookup_ioctx};
use crate::read_events::{Until, read_events};
use crate::sys::Sysno;
use crate::trace::Call;
use crate::{kernel_ctx, last_thread, polled, submit, sys, uaccess, watch};
use std::ffi::{c_int, c_long};
use std::mem::offset_of;

/// Makes a context for `maxevents` requests at a time and stores it in `*ctxp`,
/// which must be 0.
///
/// Returns 0, or
/// - -EFAULT: `ctxp` cannot be read or written,
/// - -EINVAL: `*ctxp` is not 0, `maxevents` is 0 or above 4194304,
/// - -EAGAIN: more than AIO_RS_MAX_NR events would be in use by this process,
/// - -ENOMEM: no memory (RLIMIT_AS, mlockall) for the ring.
///
/// Mirrors `fs/aio.c:SYSCALL_DEFINE2(io_setup)`; io_setup(2).
#[unsafe(no_mangle)]
pub extern "C" fn io_setup(maxevents: c_int, ctxp: *mut io_context_t) -> c_int {
    entry(|| setup(maxevents as u32, ctxp as u64))
}
symver!("io_setup", "io_setup@@LIBAIO_0.4");

pub(super) fn setup(nr_events: u32, ctxp: u64) -> Result<i64, Errno> {
    watch::setup(nr_events, ctxp, || do_setup(nr_events, ctxp))
}

fn do_setup(nr_events: u32, ctxp: u64) -> Result<i64, Errno> {
    if uaccess::get_user_probed::<usize>(ctxp)? != 0 || nr_events == 0 {
        return Err(Errno::EINVAL);
    }
    let mm = mm::mm_or_init(aio_kiocb::complete_pinned, batch::go_on)?;
    last_thread::note_user();
    let id = mm::ioctx_alloc(mm, nr_events)?;
    let stored = uaccess::put_user_probed(ctxp, id as usize);
    if stored.is_err()
        && let Some(ctx) = lookup_ioctx(id)
    {
        let _ = mm::kill_ioctx(mm, ctx, aio_kiocb::cancel_endless);
    }
    stored.map(|()| 0)
}

/// Destroys a context: cancels its polls, waits for its other requests, and
/// drops its unread events.
///
/// Returns 0, or -EINVAL: no such context. Threads that wait in io_getevents
/// return with what they have, or -EINVAL. Not interrupted by signals.
///
/// Mirrors `fs/aio.c:SYSCALL_DEFINE1(io_destroy)`; io_destroy(2).
#[unsafe(no_mangle)]
pub extern "C" fn io_destroy(ctx: io_context_t) -> c_int {
    entry(|| destroy(ctx as u64))
}
symver!("io_destroy", "io_destroy@@LIBAIO_0.4");

pub(super) fn destroy(ctx_id: u64) -> Result<i64, Errno> {
    watch::call(|| Call::Destroy { ctx: ctx_id }, || do_destroy(ctx_id))
}

fn do_destroy(ctx_id: u64) -> Result<i64, Errno> {
    let Some((mm, ctx)) = find(ctx_id) else {
        return kernel_ctx::call(Sysno::io_destroy, [ctx_id, 0, 0, 0, 0, 0]);
    };
    mm::kill_ioctx(mm, ctx, aio_kiocb::cancel_endless).map(|()| 0)
}

/// A context of ours.
#[inline]
fn find(ctx_id: u64) -> Option<(&'static Mm, KioctxRef)> {
    Some((mm::mm()?, lookup_ioctx(ctx_id)?))
}

/// Submits the `nr` requests of the array `ios`.
///
/// Returns how many were accepted before the first that was refused; if that was
/// the first of all
/// - -EINVAL: no such context, `nr` negative, or a bad field in the iocb,
/// - -EFAULT: the array, the iocb, a vector or a buffer's range is bad,
/// - -EBADF: the descriptor is not open, or not for this kind of transfer,
/// - -EAGAIN: the context has no slot free,
/// - -EOPNOTSUPP: `aio_rw_flags` has a flag that the file does not support,
/// - -EPERM: a real-time I/O priority without the right to it.
///
/// Errors of the transfer itself are in its event. A write may raise SIGPIPE or
/// SIGXFSZ in the calling thread.
///
/// Mirrors `fs/aio.c:SYSCALL_DEFINE3(io_submit)`; io_submit(2).
#[unsafe(no_mangle)]
pub extern "C" fn io_submit(ctx: io_context_t, nr: c_long, ios: *mut *mut iocb) -> c_int {
    entry(|| submit(ctx as u64, nr, ios as u64))
}
symver!("io_submit", "io_submit@@LIBAIO_0.1");

#[inline]
pub(super) fn submit(ctx_id: u64, nr: c_long, ios: u64) -> Result<i64, Errno> {
    if nr >= 0
        && let Some((mm, ctx)) = lookup_at_once(ctx_id)
    {
        uaccess::look_at_clock();
        polled::submitted(ctx_id);
        return submit::io_submit(mm, &ctx, nr, ios);
    }
    submit_slowly(ctx_id, nr, ios)
}

#[cold]
fn submit_slowly(ctx_id: u64, nr: c_long, ios: u64) -> Result<i64, Errno> {
    uaccess::look_at_clock();
    polled::submitted(ctx_id);
    watch::call(|| Call::submit(ctx_id, nr, ios), || do_submit(ctx_id, nr, ios))
}

fn do_submit(ctx_id: u64, nr: c_long, ios: u64) -> Result<i64, Errno> {
    if nr < 0 {
        return Err(Errno::EINVAL);
    }
    let Some((mm, ctx)) = find(ctx_id) else {
        return kernel_ctx::call(Sysno::io_submit, [ctx_id, nr as u64, ios, 0, 0, 0]);
    };
    submit::io_submit(mm, &ctx, nr, ios)
}

/// Tries to stop a request. Its event comes through the ring; `evt` is not used.
///
/// Returns -EINPROGRESS when it was stopped (the event's res is 0 for a poll,
/// -ECANCELED for the others), or
/// - -EFAULT: the iocb cannot be read,
/// - -EINVAL: no such context, no such request, or it cannot be stopped any more.
///
/// Mirrors `fs/aio.c:SYSCALL_DEFINE3(io_cancel)`; io_cancel(2).
#[unsafe(no_mangle)]
pub extern "C" fn io_cancel(ctx: io_context_t, iocb: *mut iocb, evt: *mut io_event) -> c_int {
    entry(|| cancel(ctx as u64, iocb as u64, evt as u64))
}
symver!("io_cancel", "io_cancel@@LIBAIO_0.4");

pub(super) fn cancel(ctx_id: u64, iocb: u64, event: u64) -> Result<i64, Errno> {
    watch::call(|| Call::Cancel { ctx: ctx_id, iocb }, || do_cancel(ctx_id, iocb, event))
}

fn do_cancel(ctx_id: u64, iocb: u64, event: u64) -> Result<i64, Errno> {
    let key_at = iocb.wrapping_add(offset_of!(crate::abi::Iocb, key) as u64);
    let key = uaccess::get_user_probed::<u32>(key_at)?;
    let Some((mm, ctx)) = find(ctx_id) else {
        return kernel_ctx::call(Sysno::io_cancel, [ctx_id, iocb, event, 0, 0, 0]);
    };
    if key != KIOCB_KEY {
        return Err(Errno::EINVAL);
    }
    aio_kiocb::cancel(mm, &ctx, iocb)?;
    Err(Errno::EINPROGRESS)
}

/// Takes up to `nr` events into `events`, waiting until `min_nr` are there or
/// `timeout` has passed. `timeout` NULL or negative: no limit; zero: no waiting.
/// With `min_nr` 0 it waits only for buffered I/O that was submitted before it:
/// the kernel has that done when io_submit returns.
///
/// Returns the number of events, or
/// - -EFAULT: `timeout` or `events` is bad (no event is lost),
/// - -EINVAL: no such context, or not 0 <= `min_nr` <= `nr`,
/// - -EINTR: a signal handler ran while nothing had been taken yet, whatever
///   SA_RESTART says.
///
/// Mirrors `fs/aio.c:SYSCALL_DEFINE5(io_getevents)`; io_getevents(2).
#[unsafe(no_mangle)]
pub extern "C" fn io_getevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *mut libc::timespec,
) -> c_int {
    if polls_nothing_again(ctx as u64, timeout as u64) {
        return 0;
    }
    getevents_entry(ctx as u64, min_nr, nr, events as u64, timeout as u64)
}
symver!("io_getevents", "io_getevents@@LIBAIO_0.4");

/// With libaio's shortcut, see `aio_ring_is_empty`; the system calls have none.
pub(super) const SHORTCUT: bool = true;

#[inline]
pub(super) fn getevents(
    ctx_id: u64,
    min_nr: c_long,
    nr: c_long,
    events: u64,
    timeout: u64,
    shortcut: bool,
) -> Result<i64, Errno> {
    uaccess::look_at_clock();
    if let Ok((until, zero)) = read_timeout(timeout) {
        if zero && shortcut && aio_ring_is_empty(ctx_id) {
            remember_poll(ctx_id, timeout);
            return Ok(0);
        }
        if let Some((_, ctx)) = lookup_at_once(ctx_id) {
            return read_events(ctx, min_nr, nr, events, until, None);
        }
    }
    getevents_slowly(ctx_id, min_nr, nr, events, timeout)
}

#[cold]
fn getevents_slowly(
    ctx_id: u64,
    min_nr: c_long,
    nr: c_long,
    events: u64,
    timeout: u64,
) -> Result<i64, Errno> {
    watch::call(
        || Call::GetEvents { ctx: ctx_id, min_nr, nr, events, timeout },
        || do_getevents(ctx_id, min_nr, nr, events, timeout),
    )
}

fn do_getevents(
    ctx_id: u64,
    min_nr: c_long,
    nr: c_long,
    events: u64,
    timeout: u64,
) -> Result<i64, Errno> {
    let (until, _) = read_timeout(timeout)?;
    let Some(ctx) = lookup_ioctx(ctx_id) else {
        let args = [ctx_id, min_nr as u64, nr as u64, events, timeout, 0];
        return kernel_ctx::call(Sysno::io_getevents, args);
    };
    read_events(ctx, min_nr, nr, events, until, None)
}

/// Apart from the poll above, which then needs next to no stack.
#[inline(never)]
fn getevents_entry(ctx_id: u64, min_nr: c_long, nr: c_long, events: u64, timeout: u64) -> c_int {
    entry(|| getevents(ctx_id, min_nr, nr, events, timeout, SHORTCUT))
}

/// The shortcut of `getevents` for a poll like the last one: a few loads, and
/// nothing that touches `errno`. What was known may have gone; but just this
/// libaio reads in user space, too, in this order.
#[inline(always)]
fn polls_nothing_again(ctx_id: u64, timeout: u64) -> bool {
    let (until, ring) = (timeout as *const libc::timespec, ctx_id as *const AioRing);
    // SAFETY: what is known can be read; the ring is shared with other threads.
    polled::is_known(ctx_id, timeout)
        && unsafe {
            (&raw const (*ring).magic).read_volatile() == AIO_RING_MAGIC
                && (&raw const (*until).tv_sec).read_unaligned()
                    | (&raw const (*until).tv_nsec).read_unaligned()
                    == 0
                && (&raw const (*ring).head).read_volatile()
                    == (&raw const (*ring).tail).read_volatile()
        }
}

/// Lets the next poll be answered at once. Not while requests are in the
/// submitter's own ring: to look for them there is what a poll is for.
#[inline(never)]
fn remember_poll(ctx_id: u64, timeout: u64) {
    let can_be_read = ctx_id.is_multiple_of(PAGE_SIZE as u64)
        && uaccess::is_known::<libc::timespec>(timeout)
        && uaccess::is_known::<AioRing>(ctx_id);
    if can_be_read {
        polled::remember(ctx_id, timeout);
        if caller::any_used() && lookup_ioctx(ctx_id).is_none_or(|ctx| ctx.sleeper.has_requests()) {
            polled::forget(ctx_id);
        }
    }
}

/// The timeout, and whether it is {0, 0} to the letter.
#[inline]
fn read_timeout(timeout: u64) -> Result<(Until, bool), Errno> {
    if timeout == 0 {
        return Ok((Until::Forever, false));
    }
    let ts = uaccess::get_user::<libc::timespec>(timeout)?;
    Ok((Until::from_timespec(ts), ts.tv_sec == 0 && ts.tv_nsec == 0))
}

/// libaio's shortcut (its `src/aio_ring.h`): with a timeout of zero an empty ring
/// is answered from user space, without a look at the other arguments; in a
/// forked child it speaks for the parent's ring.
#[inline]
fn aio_ring_is_empty(ctx_id: u64) -> bool {
    let empty = || match uaccess::get_user::<AioRing>(ctx_id) {
        Ok(ring) => ring.magic == AIO_RING_MAGIC && ring.head == ring.tail,
        Err(_) => {
            mm::distrust_ioctx(ctx_id);
            false
        }
    };
    empty() && !(caller::any_used() && look(ctx_id) && !empty())
}

/// Publishes what is done in the caller's own ring.
#[cold]
fn look(ctx_id: u64) -> bool {
    lookup_ioctx(ctx_id).map(|ctx| ctx.sleeper.look()).is_some()
}

/// io_getevents with the thread's signal mask replaced by `*sigmask` while it
/// waits, atomically. `sigmask` NULL: like io_getevents.
///
/// Returns as io_getevents; -EFAULT also for a bad `sigmask`. A signal that the
/// mask lets through is handled before the call returns, and is -EINTR only when
/// there is no event to return.
///
/// Mirrors `fs/aio.c:SYSCALL_DEFINE6(io_pgetevents)`; io_pgetevents(2).
#[unsafe(no_mangle)]
pub extern "C" fn io_pgetevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *mut libc::timespec,
    sigmask: *mut libc::sigset_t,
) -> c_int {
    let usig = AioSigset { sigmask: sigmask as usize, sigsetsize: size_of::<sys::SigSet>() };
    entry(|| pgetevents(ctx as u64, min_nr, nr, events as u64, timeout as u64, usig, SHORTCUT))
}
symver!("io_pgetevents", "io_pgetevents@@LIBAIO_0.5");

pub(super) fn pgetevents(
    ctx_id: u64,
    min_nr: c_long,
    nr: c_long,
    events: u64,
    timeout: u64,
    usig: AioSigset,
    shortcut: bool,
) -> Result<i64, Errno> {
    if usig.sigmask == 0 {
        return getevents(ctx_id, min_nr, nr, events, timeout, shortcut);
    }
    uaccess::look_at_clock();
    watch::call(
        || Call::GetEvents { ctx: ctx_id, min_nr, nr, events, timeout },
        || do_pgetevents(ctx_id, min_nr, nr, events, timeout, usig, shortcut),
    )
}

fn do_pgetevents(
    ctx_id: u64,
    min_nr: c_long,
    nr: c_long,
    events: u64,
    timeout: u64,
    usig: AioSigset,
    shortcut: bool,
) -> Result<i64, Errno> {
    let (until, zero) = read_timeout(timeout)?;
    if zero && shortcut && aio_ring_is_empty(ctx_id) {
        return Ok(0);
    }
    if usig.sigsetsize != size_of::<sys::SigSet>() {
        return Err(Errno::EINVAL);
    }
    let mask = uaccess::get_user_probed::<sys::SigSet>(usig.sigmask as u64)?;
    let ctx = lookup_ioctx(ctx_id);
    if ctx.is_none() && kernel_ctx::is_kernels(ctx_id) {
        let usig = &raw const usig as u64;
        let args = [ctx_id, min_nr as u64, nr as u64, events, timeout, usig];
        return kernel_ctx::call(Sysno::io_pgetevents, args);
    }
    let old = sys::sigmask_set(!0);
    let r = ctx
        .ok_or(Errno::EINVAL)
        .and_then(|ctx| read_events(ctx, min_nr, nr, events, until, Some(mask)));
    // Signals that the mask lets through are handled before we return.
    let interrupted = sys::pending_signals() & !mask != 0;
    if interrupted {
        sys::sigmask_set(mask);
    }
    sys::sigmask_set(old);
    match r {
        Ok(0) if interrupted => Err(Errno::EINTR),
        r => r,
    }
}

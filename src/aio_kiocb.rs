//! A request's life: `aio_get_req`, `aio_complete`, cancel.

use crate::abi::IoEvent;
use crate::engine::op::{Kind, Op, OpPtr};
use crate::engine::{Cancelled, Done};
use crate::errno::Errno;
use crate::eventfd;
use crate::kioctx::{AioKiocb, Kioctx};
use crate::mm::{self, Mm};
use crate::reqs_available::completed_and_read;
use crate::sys::{self, SignalsBlocked};
use probe::probe;
use std::ffi::c_int;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::compiler_fence;

/// Mirrors `fs/aio.c:aio_get_req()`: takes slots, up to `wanted`, looking at what
/// has left the ring when there seems to be none. 0: there is none.
#[inline]
pub fn aio_get_req(ctx: &Kioctx, wanted: u32) -> u32 {
    match ctx.reqs.get(wanted) {
        0 => get_req_slowly(ctx, wanted),
        taken => taken,
    }
}

/// As in the kernel, which holds completion_lock with interrupts off: who finds no
/// slot because others have them in hand, on the way from the ring, waits. A
/// signal handler could not.
#[cold]
fn get_req_slowly(ctx: &Kioctx, wanted: u32) -> u32 {
    let _signals = SignalsBlocked::new();
    let _guard = ctx.refill_lock.lock().unwrap_or_else(|_| std::process::abort());
    match ctx.reqs.get(wanted) {
        0 => {
            refill_reqs_available(ctx);
            ctx.reqs.get(wanted)
        }
        taken => taken,
    }
}

/// Gives the slots back whose events have left the ring. Under `refill_lock`, while
/// others complete: the events are counted before the tail is read, so one that is
/// published meanwhile makes the answer too small at most.
fn refill_reqs_available(ctx: &Kioctx) {
    let refilled = ctx.refilled.load(Relaxed);
    // Acquire: pairs with the release in `post_locked`.
    let count = ctx.completed_events.load(Acquire).wrapping_sub(refilled);
    let tail = ctx.tail.load(Acquire);
    let head = ctx.ring.head().load(Acquire);
    let n = completed_and_read(ctx.ring.nr_events, head, tail, count);
    if n > 0 {
        ctx.refilled.store(refilled.wrapping_add(n), Relaxed);
        ctx.reqs.put(n);
    }
}

/// Stores the events and publishes them: `fs/aio.c:aio_complete()` up to the
/// unlock.
#[inline]
fn post(ctx: &Kioctx, events: &[IoEvent]) {
    match ctx.completion_lock.lock() {
        Some(guard) => {
            post_locked(ctx, events);
            drop(guard);
            // A signal handler may have run on this thread in between.
            compiler_fence(std::sync::atomic::Ordering::SeqCst);
            if !ctx.left_over.load(Relaxed).is_null() {
                post_left_over(ctx);
            }
        }
        None => events.iter().for_each(|&event| leave_over(ctx, event)),
    }
}

#[inline]
fn post_locked(ctx: &Kioctx, events: &[IoEvent]) {
    let mut tail = ctx.tail.load(Relaxed);
    for &event in events {
        tail = ctx.ring.push(tail, event);
    }
    ctx.ring.publish(tail);
    ctx.tail.store(tail, Release);
    let completed = ctx.completed_events.load(Relaxed).wrapping_add(events.len() as u32);
    // Release: pairs with the acquire in `refill_reqs_available`.
    ctx.completed_events.store(completed, Release);
}

/// In a signal handler above a thread that holds completion_lock: that thread
/// publishes the event as soon as it runs again.
#[cold]
fn leave_over(ctx: &Kioctx, event: IoEvent) {
    // There are as many request structures as slots, and this event has a slot.
    let Some((index, req)) = ctx.slab.alloc() else { std::process::abort() };
    // SAFETY: just allocated to us, in memory that is valid in any state.
    unsafe {
        (*req.as_ptr()).index = index;
        let req = req.as_ref();
        req.obj.store(event.obj, Relaxed);
        req.data.store(event.data, Relaxed);
        req.op.args().done = event.res as u64;
        let op = req_to_op(req);
        let mut top = ctx.left_over.load(Relaxed);
        loop {
            op.as_ref().next.store(top, Relaxed);
            match ctx.left_over.compare_exchange(top, op.as_ptr(), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }
}

#[cold]
fn post_left_over(ctx: &Kioctx) {
    while !ctx.left_over.load(Relaxed).is_null() {
        let Some(_guard) = ctx.completion_lock.lock() else { return };
        // Newest first: turned round on the way.
        let mut newest = ctx.left_over.swap(null_mut(), Acquire);
        let mut oldest: *mut Op = null_mut();
        // SAFETY: what is in the list was left to us by `leave_over`.
        unsafe {
            while !newest.is_null() {
                let next = (*newest).next.load(Relaxed);
                (*newest).next.store(oldest, Relaxed);
                oldest = newest;
                newest = next;
            }
            while let Some(op) = NonNull::new(oldest) {
                oldest = op.as_ref().next.load(Relaxed);
                let req = op_to_req(op);
                let event = IoEvent {
                    data: req.data.load(Relaxed),
                    obj: req.obj.load(Relaxed),
                    res: op.as_ref().args().done as i64,
                    res2: 0,
                };
                ctx.slab.free(req.index);
                post_locked(ctx, &[event]);
            }
        }
    }
}

/// Operations finished inside io_submit, in the caller's thread. `resfd` is the
/// program's eventfd, checked in this very call.
#[inline]
pub fn aio_complete(ctx: &Kioctx, events: &[IoEvent], resfd: Option<c_int>) {
    post(ctx, events);
    if let Some(fd) = resfd {
        eventfd::signal(fd, events.len() as u64);
    }
    wake_up(ctx, events.len());
}

/// Whoever sleeps has taken `ring_lock` before: nobody does while that is given
/// to the thread that is awake here.
#[inline]
fn wake_up(ctx: &Kioctx, events: usize) {
    if !ctx.ring_lock.is_mine() {
        // More cannot run at a time; who is woken wakes others for what it leaves.
        let most = (events as u32).min(ctx.reqs.cpus());
        ctx.wait.complete(most, || ctx.ring.available());
    }
}

pub fn req_to_op(req: &AioKiocb) -> OpPtr {
    NonNull::from(&req.op)
}

/// # Safety
/// `op` is the operation of a request in a slab.
unsafe fn op_to_req<'a>(op: OpPtr) -> &'a AioKiocb {
    // SAFETY: `op` is the first field of the request (repr(C)).
    unsafe { op.cast::<AioKiocb>().as_ref() }
}

/// One reason less not to start.
pub fn pass_gate(mm: &'static Mm, op: OpPtr) {
    // AcqRel: whoever passes the last gate sees what the other left.
    // SAFETY: the operation lives until it is completed.
    if unsafe { op.as_ref() }.gates.fetch_sub(1, AcqRel) == 1
        && let Some(engine) = mm.engine
    {
        // SAFETY: pinned, and handed over here.
        unsafe { engine.start(op) };
    }
}

/// `Complete` for the engines.
///
/// # Safety
/// As `engine::Complete` says.
pub unsafe fn complete_pinned(done: &[Done]) {
    // SAFETY: passed on.
    unsafe {
        complete(done, true, |mm, same| {
            if let Some(engine) = mm.engine {
                engine.signal(same);
            }
        });
    }
}

/// The same for operations that were run in the caller's thread.
///
/// # Safety
/// As for `complete_pinned`.
pub unsafe fn complete_unpinned(done: &[Done]) {
    let _signals = SignalsBlocked::new();
    // SAFETY: passed on; the operations are not used otherwise.
    unsafe {
        complete(done, false, |_, same| eventfd::signal(resfd_of(&same[0]), same.len() as u64));
    }
}

/// # Safety
/// The operation is in the caller's hands.
unsafe fn resfd_of(done: &Done) -> c_int {
    // SAFETY: by the caller's word.
    unsafe { done.op.as_ref().args() }.resfd
}

/// All events first, then the eventfds, then the sleepers: each is told once.
///
/// # Safety
/// The operations are done and used by nobody else.
unsafe fn complete(done: &[Done], pinned: bool, signal: impl Fn(&'static Mm, &[Done])) {
    let Some(mm) = mm::mm() else { return };
    // SAFETY: by the caller's word; a request's context lives as long as it.
    unsafe {
        for one in done {
            if let Some(stats) = mm.stats {
                let since = op_to_req(one.op).since.load(Relaxed);
                stats.done(one.op.as_ref(), one.op.as_ref().args(), pinned, since);
            }
            publish(mm, *one);
        }
        let with_eventfd = done.split(|one| resfd_of(one) < 0);
        for some in with_eventfd {
            let pin = |one: &Done| one.op.as_ref().res_pin.load(Relaxed);
            some.chunk_by(|a, b| pin(a) == pin(b) && resfd_of(a) == resfd_of(b))
                .for_each(|same| signal(mm, same));
        }
        let ctx = |one: &Done| op_to_req(one.op).ctx.load(Relaxed);
        for same in done.chunk_by(|a, b| ctx(a) == ctx(b)) {
            wake_up(&*ctx(&same[0]), same.len());
        }
        for one in done {
            aio_free_req(one.op);
        }
    }
}

/// The event of an operation that is done.
///
/// # Safety
/// As for `complete`.
unsafe fn publish(mm: &'static Mm, Done { op, res }: Done) {
    // SAFETY: by the caller's word; a request's context lives as long as it.
    let (req, args, ctx) = unsafe {
        let req = op_to_req(op);
        (req, op.as_ref().args(), &*req.ctx.load(Relaxed))
    };
    // A cancelled poll reports no events, as the kernel's does.
    let res = if args.kind == Kind::Poll && res == Errno::ECANCELED.neg() { 0 } else { res };
    crate::iovec::release(&mut args.iov);
    let event = IoEvent { data: req.data.load(Relaxed), obj: req.obj.load(Relaxed), res, res2: 0 };
    probe!(aio_rs, complete, event.obj, event.res);
    post(ctx, &[event]);
    // Behind its event, for what finds the way clear posts its own at once.
    // SAFETY: in our hands; entered at most once, by `defer`.
    unsafe {
        if op.as_ref().is_ordered() {
            mm.order.leave(op.as_ref(), &|next| pass_gate(mm, next));
            if let Some(engine) = mm.engine {
                engine.kick();
            }
        }
    }
    if args.is_buffered_io() {
        ctx.late.done();
    }
}

/// Mirrors the end of `fs/aio.c:iocb_put()`.
///
/// # Safety
/// As for `complete`; the operation is gone.
unsafe fn aio_free_req(op: OpPtr) {
    // SAFETY: by the caller's word; a request's context lives as long as it.
    let (req, ctx) = unsafe {
        let req = op_to_req(op);
        (req, &*req.ctx.load(Relaxed))
    };
    req.life.fetch_add(1, Release);
    ctx.slab.free(req.index);
    ctx.in_flight.fetch_sub(1, Relaxed);
    ctx.put();
}

/// Mirrors `fs/aio.c:io_cancel()`'s search: the request of this iocb is stopped
/// if it can be. Its event comes through the ring.
///
/// # Errors
/// EINVAL: no such request, or it cannot be stopped any more.
pub fn cancel(mm: &'static Mm, ctx: &Kioctx, iocb: u64) -> Result<(), Errno> {
    ctx.slab
        .iter()
        .filter(|r| r.obj.load(Relaxed) == iocb)
        .any(|r| cancel_req(mm, r))
        .then_some(())
        .ok_or(Errno::EINVAL)
}

/// Stops what may never end by itself, when its context goes away.
pub fn cancel_endless(mm: &'static Mm, ctx: &Kioctx) {
    if ctx.in_flight.load(Acquire) == 0 {
        return;
    }
    for req in ctx.slab.iter() {
        // SAFETY: a hint, checked again where it matters: requests are plain
        // memory that stays.
        if !unsafe { req.op.args() }.is_device_io() {
            cancel_req(mm, req);
        }
    }
}

/// What a process that exits waits for: the requests that it finds in flight and
/// that a device has to finish. Each once: other threads may go on submitting. The
/// others are stopped if somebody waits for their eventfd. `patient` is asked
/// while it waits.
pub fn finish_data(mm: &'static Mm, ctx: &Kioctx, patient: &dyn Fn() -> bool) {
    for req in ctx.slab.iter() {
        let life = req.life.load(Acquire);
        let alive = || life & 1 == 1 && req.life.load(Acquire) == life;
        // SAFETY: a hint, read anew each time: requests are plain memory that stays.
        let args = || unsafe { req.op.args() };
        while alive() && args().is_device_io() && patient() {
            ctx.sleeper.help();
            sys::nap();
        }
        if alive() && args().resfd >= 0 {
            cancel_req(mm, req);
        }
    }
}

fn cancel_req(mm: &'static Mm, req: &AioKiocb) -> bool {
    let life = req.life.load(Acquire);
    let Some(engine) = mm.engine else { return false };
    if life & 1 == 0 {
        return false;
    }
    let op = req_to_op(req);
    // At the device, as far as it can be told.
    if req.op.by_caller.load(Relaxed) {
        return false;
    }
    let _signals = SignalsBlocked::new();
    let alive = || req.life.load(Acquire) == life;
    let release = |next: OpPtr| pass_gate(mm, next);
    // SAFETY: slab memory; `withdraw` looks whether it really waits there.
    unsafe {
        if mm.order.withdraw(op, crate::order::OrderTable::bucket_hint(op), &release) {
            // It waited for an earlier operation: ours now. It goes through the
            // engine like every other, which only completes it.
            op.as_ref().abandoned.store(true, Release);
            pass_gate(mm, op);
            engine.kick();
            while alive() {
                sys::nap();
            }
            return true;
        }
        engine.cancel(op, &alive) == Cancelled::Yes
    }
}

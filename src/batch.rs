//! The requests of one io_submit that it does not finish itself: made when they
//! are met, handed to the engine when the call ends.

use crate::advice;
use crate::aio_kiocb::{complete_unpinned, pass_gate, req_to_op};
use crate::engine::op::{Op, OpArgs, OpList};
use crate::errno::Errno;
use crate::kioctx::Kioctx;
use crate::mm::{self, Mm};
use crate::order::{Class, Key};
use crate::sys::SignalsBlocked;
use crate::{last_thread, polled, run_here};
use probe::probe;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, fence};

/// The requests of one io_submit that have to be deferred.
pub struct Batch {
    list: OpList,
}

impl Batch {
    pub const fn new() -> Self {
        Self { list: OpList::new() }
    }

    /// Makes a request out of an operation; the caller has a slot for it. It
    /// starts at `flush` at the earliest.
    ///
    /// # Errors
    /// EAGAIN: no memory for its place in the file's order.
    pub fn defer(
        &mut self,
        mm: &'static Mm,
        ctx: &Kioctx,
        (obj, data): (u64, u64),
        args: OpArgs,
        order: Option<(Key, Class)>,
    ) -> Result<(), Errno> {
        let (index, mut req) = ctx.slab.alloc().ok_or(Errno::EAGAIN)?;
        // SAFETY: just allocated to us, in memory that is valid in any state.
        let req = unsafe {
            req.as_mut().index = index;
            req.as_ref()
        };
        req.obj.store(obj, Relaxed);
        req.data.store(data, Relaxed);
        req.ctx.store(std::ptr::from_ref(ctx).cast_mut(), Relaxed);
        let op = &req.op;
        let late = args.is_buffered_io();
        // SAFETY: ours until it is started.
        unsafe { *op.args() = args };
        op.pin.store(Op::NO_PIN, Relaxed);
        op.res_pin.store(Op::NO_PIN, Relaxed);
        op.state.store(0, Relaxed);
        op.abandoned.store(false, Relaxed);
        op.by_caller.store(false, Relaxed);
        // One gate for the pin, one for the order.
        op.gates.store(2, Relaxed);
        ctx.get();
        ctx.in_flight.fetch_add(1, Relaxed);
        let ready = match order {
            None => Ok(true),
            Some((key, class)) => {
                let _signals = SignalsBlocked::new();
                // SAFETY: ours until it is started.
                unsafe { mm.order.enter(op, key, class) }
            }
        };
        match ready {
            Ok(ready) => {
                if ready {
                    op.gates.fetch_sub(1, AcqRel);
                }
                if late {
                    ctx.late.deferred();
                }
                if let Some(stats) = mm.stats {
                    // SAFETY: ours until it is started.
                    req.since.store(stats.deferred(unsafe { op.args() }), Relaxed);
                }
                // SAFETY: as above.
                let (fd, len) = unsafe { (op.args().fd, op.args().iov.total) };
                probe!(aio_rs, submit, obj, fd, len);
                req.life.fetch_add(1, Release);
                self.list.push(req_to_op(req));
                Ok(())
            }
            Err(_) => {
                ctx.slab.free(index);
                ctx.in_flight.fetch_sub(1, Relaxed);
                ctx.put();
                Err(Errno::EAGAIN)
            }
        }
    }

    /// Lets all deferred requests start: in the caller's own ring, or, with their
    /// files pinned, in the engine.
    #[inline]
    pub fn flush(&mut self, mm: &'static Mm, ctx: &Kioctx) {
        if !self.list.is_empty() {
            self.flush_some(mm, ctx);
        }
    }

    #[cold]
    fn flush_some(&mut self, mm: &'static Mm, ctx: &Kioctx) {
        last_thread::note_user();
        if let Some(ring) = ctx.sleeper.submits(mm.caller_rings()) {
            ring.submit(&mut self.list);
            // Pairs with the fence in `polled::remember`.
            fence(SeqCst);
            polled::forget(ctx.user_id.load(Relaxed));
        }
        self.hand_over_all(mm);
    }

    fn hand_over_all(&mut self, mm: &'static Mm) {
        while let Err(why) = self.hand_over(mm) {
            advise(why);
            if let Some(op) = self.list.pop() {
                probe!(aio_rs, fallback, why.0);
                // SAFETY: ours, not pinned, hence not started.
                unsafe { run_here::run_here(op, complete_unpinned) };
            }
        }
    }

    /// # Errors
    /// Why the first request that is left could not be pinned.
    fn hand_over(&mut self, mm: &'static Mm) -> Result<(), Errno> {
        if self.list.is_empty() {
            return Ok(());
        }
        let engine = mm.engine.ok_or(Errno::ENOSYS)?;
        let _signals = SignalsBlocked::new();
        let mut pinned = OpList::new();
        // SAFETY: the operations in the list are ours and filled in.
        let result = unsafe { engine.pin(&mut self.list, &mut pinned) };
        while let Some(op) = pinned.pop() {
            pass_gate(mm, op);
        }
        engine.kick();
        result
    }
}

/// Says once that io_submit blocks, and why.
#[cold]
fn advise(why: Errno) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Relaxed) {
        let advice = advice::Threads(why);
        log::warn!("no engine can take a file ({why}): io_submit does its I/O itself; {advice}");
    }
}

/// `GoOn` for callers' rings.
///
/// # Safety
/// As `GoOn` says.
pub unsafe fn go_on(list: OpList) {
    if let Some(mm) = mm::mm() {
        Batch { list }.hand_over_all(mm);
    }
}

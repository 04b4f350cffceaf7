//! Issuing requests: in the owner, while it is in io_submit.

use super::life::CallerRing;
use super::ring;
use crate::abi::RWF_NOWAIT;
use crate::engine::op::{Kind, Op, OpList, OpPtr};
use crate::engine::uring::sqe;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};

/// Most requests in flight: all of them and the futex fit into the completions.
const IN_FLIGHT: u32 = ring::COMPLETIONS - 8;
/// Larger ones take long enough to issue that the engine does it.
const MAX_LEN: u64 = 512 * 1024;

impl CallerRing {
    /// Issues those operations of the list that this ring is for; the others,
    /// and those that would have to wait for more than the device, stay in it.
    /// In the owner.
    pub fn submit(&self, list: &mut OpList) {
        let Some(_visit) = self.visit() else { return };
        if self.is_closing() || self.pushing.swap(true, AcqRel) {
            return;
        }
        // Above the engine's own states.
        let round = self.round.load(Relaxed).wrapping_add(1).max(2);
        self.round.store(round, Relaxed);
        let mut rest = OpList::new();
        let mut pushed = [null_mut::<Op>(); ring::ENTRIES as usize];
        let mut n = 0;
        while let Some(op) = list.pop() {
            // SAFETY: the submitter holds the operations of its list.
            if !self.takes(unsafe { op.as_ref() }) {
                rest.push(op);
                continue;
            }
            if n == pushed.len() {
                self.enter(&pushed[..n], &mut rest);
                n = 0;
            }
            // SAFETY: as above.
            if unsafe { self.push(op, round) } {
                pushed[n] = op.as_ptr();
                n += 1;
            } else {
                rest.push(op);
            }
        }
        self.enter(&pushed[..n], &mut rest);
        self.pushing.store(false, Relaxed);
        self.all().watch.look();
        // Also errors come as completions: those that would have had to wait go
        // to the engine while their descriptors still name their files.
        self.fetch_all();
        self.reap_round(round, &mut rest);
        *list = rest;
    }

    fn takes(&self, op: &Op) -> bool {
        // SAFETY: the submitter holds the operation.
        let args = unsafe { op.args() };
        let fits = matches!(args.kind, Kind::Read | Kind::Write)
            && args.traits.direct
            && args.traits.seekable
            && args.resfd < 0
            && args.rw_flags == 0
            && args.done == 0
            && args.iov.total <= MAX_LEN
            // SAFETY: as above.
            && !unsafe { op.is_ordered() }
            && self.in_flight() < IN_FLIGHT;
        fits && self.skip.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_err()
    }

    /// # Safety
    /// The caller holds the operation.
    unsafe fn push(&self, op: OpPtr, round: u32) -> bool {
        // SAFETY: by the caller's word; the ring gets pointers to the request's
        // own vector and the program's buffers, for the operation.
        let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
        args.rw_flags = RWF_NOWAIT;
        let entry = sqe::build(args, sqe::Target::Fd(args.fd));
        args.rw_flags = 0;
        o.state.store(round, Relaxed);
        o.by_caller.store(true, Relaxed);
        self.in_flight.fetch_add(1, SeqCst);
        let pushed = self.pages.push(entry.user_data(op.as_ptr() as u64));
        if !pushed {
            self.take_back(o);
        }
        pushed
    }

    pub(super) fn take_back(&self, op: &Op) {
        op.state.store(0, Relaxed);
        op.by_caller.store(false, Relaxed);
        self.in_flight.fetch_sub(1, AcqRel);
    }

    /// Submits what was pushed; what the kernel did not take goes to `rest`.
    fn enter(&self, pushed: &[*mut Op], rest: &mut OpList) {
        if pushed.is_empty() {
            return;
        }
        // With what is done, errors among it: the kernel's mark for that is set
        // behind the first of it, perhaps by another processor, and late.
        let r = self.pages.enter(self.fd.load(Relaxed));
        let left = self.pages.queued() as usize;
        if left == 0 {
            return;
        }
        self.pages.unpush();
        for op in pushed[pushed.len() - left.min(pushed.len())..].iter().copied() {
            if let Some(op) = NonNull::new(op) {
                // SAFETY: the kernel has not taken it: still the submitter's.
                self.take_back(unsafe { op.as_ref() });
                rest.push(op);
            }
        }
        self.look_at_error(r.err());
    }
}

//! Polls that the ring ends too early: it tells of POLLRDHUP unasked, and a socket
//! that has it once has it for good. Such a poll goes on as one that tells of
//! changes only.

use super::service::{Service, TAG_NOTHING, TAG_OP};
use crate::engine::op::{OpArgs, OpPtr};
use io_uring::{opcode, squeue, types};
use std::sync::atomic::Ordering::Relaxed;

/// What a poll may tell of: what it was asked for, and what comes unasked.
pub fn polled(args: &OpArgs, res: i32) -> i32 {
    res & (i32::from(args.poll_events) | i32::from(libc::POLLERR | libc::POLLHUP))
}

impl Service {
    /// It is to tell of each change, not of how things are.
    pub(super) fn watch(&mut self, op: OpPtr) {
        // SAFETY: in this thread's hands until it is finished.
        let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
        let file = types::Fixed(o.pin.load(Relaxed));
        let sqe = opcode::PollAdd::new(file, u32::from(args.poll_events)).multi(true).build();
        self.in_flight += 1;
        self.push(sqe.flags(squeue::Flags::FIXED_FILE).user_data(op.as_ptr() as u64 | TAG_OP));
    }

    /// One that watches has something to tell, and goes on.
    pub(super) fn changed(&mut self, op: OpPtr, res: i32) {
        // SAFETY: in this thread's hands until it is finished.
        let args = unsafe { op.as_ref().args() };
        if res > 0 && args.done == 0 && polled(args, res) != 0 {
            // The result, for when it is over.
            args.done = polled(args, res) as u64;
            self.in_flight += 1;
            let stop = opcode::AsyncCancel::new(op.as_ptr() as u64 | TAG_OP).build();
            self.push(stop.user_data(TAG_NOTHING));
        }
    }
}

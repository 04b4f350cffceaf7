//! Taking an operation back: asked for by a thread of the program, done by a
//! worker, which has the descriptors.

use super::{RUNNING, Threads};
use crate::engine::Cancelled;
use crate::engine::op::OpPtr;
use crate::errno::Errno;
use crate::sys;
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

const PENDING: u32 = 0;
const YES: u32 = 1;
const NO: u32 = 2;

/// How long an operation may be on its way from one place to the next, in naps.
const NAPS: u32 = 100;

/// More messages than the socket can hold.
const QUEUE: u32 = 1000;

/// A request to cancel, on the stack of the thread that waits for the answer.
pub(super) struct CancelRequest {
    op: OpPtr,
    still_there: *const (dyn Fn() -> bool + Sync),
    /// Under the pool's lock.
    pub(super) next: Cell<*mut CancelRequest>,
    answer: AtomicU32,
}

impl Threads {
    /// # Safety
    /// As `Engine::cancel`.
    pub(super) unsafe fn ask_to_cancel(
        &self,
        op: OpPtr,
        still_there: &(dyn Fn() -> bool + Sync),
    ) -> Cancelled {
        // SAFETY: only the lifetime is dropped: this thread stays here until a
        // worker has answered.
        let still_there = unsafe {
            std::mem::transmute::<&(dyn Fn() -> bool + Sync), &'static (dyn Fn() -> bool + Sync)>(
                still_there,
            )
        };
        let request = CancelRequest {
            op,
            still_there,
            next: Cell::new(null_mut()),
            answer: AtomicU32::new(PENDING),
        };
        let mut pool = self.pool.lock();
        request.next.set(pool.cancels);
        pool.cancels = std::ptr::from_ref(&request).cast_mut();
        drop(pool);
        self.wake_one_if_needed();
        loop {
            // Acquire: pairs with the release in `try_cancel`.
            match request.answer.load(Acquire) {
                PENDING => {
                    let _ = sys::futex_wait(&request.answer, PENDING, None);
                }
                YES => return Cancelled::Yes,
                _ => return Cancelled::No,
            }
        }
    }

    /// On a worker.
    pub(super) fn try_cancel(&self, request: NonNull<CancelRequest>) {
        // SAFETY: lives until it is answered.
        let (op, still_there) = unsafe { (request.as_ref().op, &*request.as_ref().still_there) };
        let cancelled = self.take_back(op, still_there);
        if cancelled {
            // SAFETY: taken out, so in this thread's hands.
            unsafe { self.finish(op, Errno::ECANCELED.neg()) };
        }
        // The last touch: the request is gone once it is answered. A wake-up needs
        // no more than its address.
        // SAFETY: as above.
        let answer = unsafe { &raw const (*request.as_ptr()).answer };
        // SAFETY: as above.
        unsafe { (*answer).store(if cancelled { YES } else { NO }, Release) };
        // SAFETY: FUTEX_WAKE only uses the address as a key.
        let _ =
            unsafe { crate::sys!(futex, answer, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
    }

    /// Takes the operation from wherever it waits. It cannot complete then, and
    /// only then it is asked whether it is the one that was meant.
    fn take_back(&self, op: OpPtr, still_there: &dyn Fn() -> bool) -> bool {
        for _ in 0..NAPS {
            if !still_there() {
                return false;
            }
            // All that was sent before.
            let _ = (0..QUEUE).all(|_| self.inbox.has_mail() && self.receive());
            if self.pool.lock().take(op) || self.poller.take(&self.pins, op) {
                if still_there() {
                    return true;
                }
                // Another request in the same memory: it goes on.
                self.queue(op);
                return false;
            }
            // SAFETY: request memory stays.
            let state = unsafe { op.as_ref() }.state.load(Acquire);
            if state & RUNNING != 0 {
                return false;
            }
            // On its way: to be received or started, or in the hands of a thread
            // that tries whether its file is ready.
            sys::nap();
        }
        false
    }
}

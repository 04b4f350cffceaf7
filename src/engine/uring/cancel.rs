//! Stopping an operation: the question of a thread of the program, and the
//! answer of the ring's thread.

use super::ring::Ring;
use crate::engine::Cancelled;
use crate::engine::op::OpPtr;
use crate::sys;
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32};

/// A cancellation on its way: on the stack of the thread that asked.
pub struct CancelRequest {
    pub(super) op: OpPtr,
    still_there: *const (dyn Fn() -> bool + Sync),
    pub next: AtomicPtr<CancelRequest>,
    answer: AtomicU32,
    /// What is known of the two completions that a cancellation has.
    pub(super) stage: Cell<Stage>,
}

/// The cancelled operation completes, and the request to cancel it; in either
/// order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Asked,
    /// The ring has found the operation; it is about to complete.
    Found,
    /// The operation has completed; whether it was stopped.
    Completed(bool),
}

const PENDING: u32 = 0;
const YES: u32 = 1;
const NO: u32 = 2;

impl CancelRequest {
    pub fn new(op: OpPtr, still_there: &(dyn Fn() -> bool + Sync)) -> Self {
        // SAFETY: only the lifetime is dropped: the asking thread stays in
        // `wait` until the engine has answered.
        let still_there = unsafe {
            std::mem::transmute::<&(dyn Fn() -> bool + Sync), &'static (dyn Fn() -> bool + Sync)>(
                still_there,
            )
        };
        Self {
            op,
            still_there,
            next: AtomicPtr::new(null_mut()),
            answer: AtomicU32::new(PENDING),
            stage: Cell::new(Stage::Asked),
        }
    }

    pub fn wait(&self) -> Cancelled {
        loop {
            match self.answer.load(Acquire) {
                PENDING => {
                    let _ = sys::futex_wait(&self.answer, PENDING, None);
                }
                YES => return Cancelled::Yes,
                _ => return Cancelled::No,
            }
        }
    }

    /// Whether the operation still is the one that was meant. On the thread that
    /// keeps it from completing meanwhile.
    pub(super) fn is_there(&self) -> bool {
        // SAFETY: the asking thread keeps what it lent until it is answered.
        unsafe { (*self.still_there)() }
    }

    /// The last touch: the request is gone afterwards.
    pub(super) fn reply(&self, cancelled: bool) {
        let word = std::ptr::from_ref(&self.answer);
        self.answer.store(if cancelled { YES } else { NO }, Release);
        // SAFETY: FUTEX_WAKE only uses the address as a key.
        let _ = unsafe { crate::sys!(futex, word, 1 | 128, 1) };
    }
}

/// `Ring::started` when the thread has ended.
pub const GONE: u32 = u32::MAX;

/// For a ring whose thread has ended: nothing is there to be cancelled.
pub fn refuse_cancels(ring: &Ring) {
    let mut at = ring.cancels.swap(null_mut(), SeqCst);
    // SAFETY: each lives until it is answered.
    while let Some(c) = unsafe { at.as_ref() } {
        at = c.next.load(Relaxed);
        c.reply(false);
    }
}

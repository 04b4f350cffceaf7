//! A queue of operations that are ready to run, linked through themselves. Lives
//! under the pool's lock.

use super::QUEUED;
use crate::engine::op::{Op, OpPtr};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::Ordering::Relaxed;

pub(super) struct Queue {
    head: *mut Op,
    tail: *mut Op,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { head: null_mut(), tail: null_mut() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends an operation that is in nobody else's hands.
    pub(super) fn push(&mut self, op: OpPtr) {
        // SAFETY: operations that are not completed live; the links are ours.
        unsafe {
            op.as_ref().next.store(null_mut(), Relaxed);
            op.as_ref().state.fetch_or(QUEUED, Relaxed);
            match self.tail.as_ref() {
                None => self.head = op.as_ptr(),
                Some(last) => last.next.store(op.as_ptr(), Relaxed),
            }
        }
        self.tail = op.as_ptr();
    }

    pub(super) fn pop(&mut self) -> Option<OpPtr> {
        let op = NonNull::new(self.head)?;
        // SAFETY: the first one.
        unsafe { self.unlink(op.as_ref(), null_mut()) };
        Some(op)
    }

    /// Takes an operation out, wherever it is. False: it is not in this queue.
    pub(super) fn take(&mut self, op: OpPtr) -> bool {
        let mut before = null_mut();
        let mut at = self.head;
        // SAFETY: operations in the queue live.
        while let Some(o) = unsafe { at.as_ref() } {
            if at == op.as_ptr() {
                // SAFETY: found behind `before`.
                unsafe { self.unlink(o, before) };
                return true;
            }
            before = at;
            at = o.next.load(Relaxed);
        }
        false
    }

    /// # Safety
    /// `op` is in the queue, behind `before` if that is not null.
    unsafe fn unlink(&mut self, op: &Op, before: *mut Op) {
        let next = op.next.load(Relaxed);
        // SAFETY: operations in the queue live.
        match unsafe { before.as_ref() } {
            None => self.head = next,
            Some(b) => b.next.store(next, Relaxed),
        }
        if next.is_null() {
            self.tail = before;
        }
        op.state.fetch_and(!QUEUED, Relaxed);
    }
}

//! The threads that run operations.
//!
//! As many workers as there are operations that block, up to a limit; beyond it
//! one more, which receives, cancels and makes workers while the others are busy.
//! At most a few look for work at a time: whoever takes an operation wakes the
//! next when there is more. So operations that do not block are run by few
//! threads, and those that do get a thread each within microseconds.

use super::cancel::CancelRequest;
use super::queue::Queue;
use super::{QUEUED, Threads, locked, run};
use crate::engine::Done;
use crate::engine::op::OpPtr;
use crate::errno::Errno;
use crate::{sys, worker};
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, MutexGuard};

/// After this many seconds those leave that were not needed in the time.
const IDLE_SECONDS: i64 = 5;

pub(super) struct Pool {
    state: Mutex<State>,
    /// Sleepers that may go on. Grows under the lock, and what they sleep on.
    tokens: AtomicU32,
    max_running: u32,
    max_looking: u32,
}

pub(super) struct State {
    /// What never blocks is run by anyone, what may block only by as many as are
    /// allowed: a pipe does not wait for a device.
    quick: Queue,
    slow: Queue,
    pub(super) cancels: *mut CancelRequest,
    /// Workers, and those of them that run an operation or sleep; the others
    /// look for work.
    total: u32,
    running: u32,
    sleeping: u32,
    /// The fewest sleepers since `since`: they were not needed.
    fewest_sleeping: u32,
    since: i64,
    /// How many are to leave.
    surplus: u32,
    /// No attempt to make a thread before: the last one failed.
    spawn_after: i64,
}

// SAFETY: the pointers are reached only under the mutex that the state lies in.
unsafe impl Send for State {}

impl Pool {
    pub(super) fn new(max_running: u32) -> Self {
        let state = State {
            quick: Queue::new(),
            slow: Queue::new(),
            cancels: null_mut(),
            total: 1,
            running: 0,
            sleeping: 0,
            fewest_sleeping: 0,
            since: 0,
            surplus: 0,
            spawn_after: 0,
        };
        Self {
            state: Mutex::new(state),
            tokens: AtomicU32::new(0),
            max_running,
            max_looking: (sys::possible_cpus() / 2).max(1),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl Threads {
    /// True when there is something that one more worker could do.
    fn has_work(&self, s: &State) -> bool {
        !s.quick.is_empty()
            || !s.slow.is_empty() && s.running < self.pool.max_running
            || !s.cancels.is_null()
            || self.inbox.has_mail()
            || self.link.wants_worker()
    }

    pub(super) fn wake_one_if_needed(&self) {
        let mut s = self.pool.lock();
        let wake = self.may_wake(&mut s);
        drop(s);
        if wake {
            sys::futex_wake(&self.pool.tokens, 1);
        }
    }

    /// True when a sleeper was given a token: it has to be woken, without the lock.
    fn may_wake(&self, s: &mut State) -> bool {
        let needed = s.sleeping > 0 && s.looking() < self.pool.max_looking && self.has_work(s);
        if needed {
            s.sleeping -= 1;
            s.fewest_sleeping = s.fewest_sleeping.min(s.sleeping);
            // Release: pairs with the acquire in `take_token`.
            self.pool.tokens.fetch_add(1, Release);
        }
        needed
    }

    /// A worker is about to be busy: somebody else must be left to receive, and
    /// another one is needed if there is more to do.
    fn leave_to_others(&self, mut s: MutexGuard<'_, State>) {
        let wake = self.may_wake(&mut s);
        let nobody = s.looking() == 0 && s.sleeping == 0;
        let spawn = nobody && s.total <= self.pool.max_running && seconds() >= s.spawn_after;
        if spawn {
            s.total += 1;
        }
        drop(s);
        if wake {
            sys::futex_wake(&self.pool.tokens, 1);
        }
        // SAFETY: the thread's argument lives for ever. The new thread has this
        // one's descriptor table.
        if spawn && unsafe { worker::spawn(main, self.as_arg()) }.is_err() {
            let mut s = self.pool.lock();
            s.total -= 1;
            s.spawn_after = seconds() + 1;
        }
    }

    pub(super) fn work(&self) {
        let mut ioprio = 0;
        let mut s = self.pool.lock();
        loop {
            if let Some(request) = s.pop_cancel() {
                drop(s);
                self.try_cancel(request);
            } else if let Some(op) = self.next(&mut s) {
                s.running += 1;
                self.leave_to_others(s);
                self.run_and_complete(op, &mut ioprio);
            } else if self.inbox.has_mail() {
                drop(s);
                self.receive();
            } else if self.link.wants_worker() {
                drop(s);
                self.take_link_step();
            } else if !self.sleep(s) {
                return;
            }
            s = self.pool.lock();
        }
    }

    fn next(&self, s: &mut State) -> Option<OpPtr> {
        let may_block = s.running < self.pool.max_running;
        s.quick.pop().or_else(|| if may_block { s.slow.pop() } else { None })
    }

    fn run_and_complete(&self, op: OpPtr, ioprio: &mut u16) {
        // SAFETY: taken from the queue: in this thread's hands, and after the
        // completion in nobody's.
        unsafe {
            let done = self.run(op, ioprio);
            if done.is_some() {
                self.drop_file(op.as_ref());
            }
            // What the completion lets start can be left to this thread.
            self.pool.lock().running -= 1;
            if let Some(res) = done {
                (self.complete)(&[Done { op, res }]);
            }
        }
    }

    /// Sleeps until there is work. False: the thread is to end.
    fn sleep<'a>(&'a self, mut s: MutexGuard<'a, State>) -> bool {
        s.sleeping += 1;
        loop {
            if s.is_surplus() {
                s.sleeping -= 1;
                s.total -= 1;
                return false;
            }
            let deadline = (s.total > 1).then(|| sys::monotonic_in(IDLE_SECONDS * 1_000_000_000));
            drop(s);
            if self.pool.wait_for_token(deadline) {
                return true;
            }
            s = self.pool.lock();
            // It may have come in between: under the lock none is on its way.
            if self.pool.take_token() {
                return true;
            }
        }
    }
}

impl Pool {
    fn take_token(&self) -> bool {
        // Acquire: pairs with the release in `may_wake`.
        self.tokens.fetch_update(Acquire, Relaxed, |n| n.checked_sub(1)).is_ok()
    }

    fn wait_for_token(&self, deadline: Option<libc::timespec>) -> bool {
        loop {
            if self.take_token() {
                return true;
            }
            if sys::futex_wait(&self.tokens, 0, deadline) == Err(Errno::ETIMEDOUT) {
                return false;
            }
        }
    }
}

impl State {
    fn looking(&self) -> u32 {
        self.total - self.running - self.sleeping
    }

    /// Adds an operation that is received and started.
    pub(super) fn push(&mut self, op: OpPtr) {
        // SAFETY: in the caller's hands, so it lives.
        let quick = run::never_blocks(unsafe { op.as_ref() });
        if quick { &mut self.quick } else { &mut self.slow }.push(op);
    }

    /// Takes an operation back.
    pub(super) fn take(&mut self, op: OpPtr) -> bool {
        // SAFETY: request memory stays.
        let queued = unsafe { op.as_ref() }.state.load(Relaxed) & QUEUED != 0;
        queued && (self.quick.take(op) || self.slow.take(op))
    }

    fn is_surplus(&mut self) -> bool {
        let now = seconds();
        if now - self.since >= IDLE_SECONDS {
            self.surplus = self.fewest_sleeping.saturating_sub(1);
            self.fewest_sleeping = self.sleeping;
            self.since = now;
        }
        // One stays asleep to be woken.
        let leave = self.surplus > 0 && self.sleeping > 1;
        if leave {
            self.surplus -= 1;
        }
        leave
    }

    fn pop_cancel(&mut self) -> Option<NonNull<CancelRequest>> {
        let request = NonNull::new(self.cancels)?;
        // SAFETY: the asking thread waits, so it lives.
        self.cancels = unsafe { request.as_ref() }.next.get();
        Some(request)
    }
}

fn seconds() -> i64 {
    sys::monotonic_now().tv_sec
}

extern "C" fn main(arg: *mut c_void) -> *mut c_void {
    let _running = worker::enter(c"aio-rs-worker");
    // SAFETY: `as_arg` made it.
    unsafe { Threads::from_arg(arg) }.work();
    null_mut()
}

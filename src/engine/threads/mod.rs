//! The threads engine, for where io_uring is refused: plain system calls, made by
//! threads of ours.
//!
//! - `message`, `link`, `inbox`: how an operation gets here with its files. The
//!   program's thread sends descriptors through a socket; a worker receives them
//!   into a table that only our threads share. A file is thus held as the kernel
//!   would hold it, whatever the program does to the number, and closing our copy
//!   touches neither the program's table nor its record locks.
//! - `pins`: the files that are held.
//! - `pool`, `queue`: what is ready to run, and the threads that run it.
//! - `run`: one operation; `poller`: those that wait for a pipe, socket or tty.
//! - `cancel`: taking one back.
//!
//! An operation runs when it is both received and started, in whichever order
//! that happens; its `state` tells where it is.
//!
//! Locks, in the order in which they are taken: inbox, poller or pool.

mod cancel;
mod inbox;
mod link;
mod message;
mod pins;
mod poller;
mod pool;
mod queue;
mod run;
#[cfg(test)]
mod tests;

use super::op::{Op, OpList, OpPtr};
use super::{Cancelled, Complete, Done, Engine};
use crate::errno::Errno;
use crate::{eventfd, fork, sys, worker};
use inbox::Inbox;
use link::Link;
use pins::Pins;
use poller::Poller;
use pool::Pool;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32};
use std::sync::{Mutex, MutexGuard};

/// `Op::state`: received by a worker; its pins are known.
const RECEIVED: u32 = 1;
/// `start` was called.
const STARTED: u32 = 2;
/// In the run queue. Changes under the pool's lock.
const QUEUED: u32 = 4;
/// In the poller's set. Changes under the poller's lock.
const WAITING: u32 = 8;
/// In a system call that may block; there is no way back.
const RUNNING: u32 = 16;
/// A stream that can only be had by a call that may block.
const BLOCKS: u32 = 32;
/// Counts how often the file was said to be ready and was not.
const FRUITLESS: u32 = 256;

pub struct Threads {
    complete: Complete,
    link: Link,
    inbox: Inbox,
    pins: Pins,
    pool: Pool,
    poller: Poller,
    /// 0: starting. 1: runs. Else: 2 + the error it could not start for. Released
    /// by the first worker, acquired by `start_on`.
    started: AtomicU32,
}

/// The engine whose descriptor a forked child inherits.
static LATEST: AtomicPtr<Threads> = AtomicPtr::new(null_mut());

impl Threads {
    /// Starts the engine with one worker and the poller. More workers, up to
    /// `max_workers` that run something and one that receives, come and go.
    ///
    /// # Errors
    /// EAGAIN (no thread), EMFILE, ENOMEM; EPERM or ENOSYS where a thread cannot
    /// have a descriptor table of its own.
    pub fn start(complete: Complete, max_workers: u32) -> Result<&'static Self, Errno> {
        let (sender, receiver) = link::pair()?;
        let receiver_id = sys::file_id(receiver);
        let made = Self::start_on(complete, max_workers, sender, receiver);
        // Only the workers have it from now on.
        if receiver_id.is_ok() && sys::file_id(receiver) == receiver_id {
            sys::close(receiver);
        }
        match made {
            Ok(engine) => engine.register(),
            Err(_) => sys::close(sender),
        }
        made
    }

    fn start_on(
        complete: Complete,
        max_workers: u32,
        sender: c_int,
        receiver: c_int,
    ) -> Result<&'static Self, Errno> {
        let engine = Self {
            complete,
            link: Link::new(sender)?,
            inbox: Inbox::new(receiver)?,
            pins: Pins::new()?,
            pool: Pool::new(max_workers.max(1)),
            poller: Poller::new(),
            started: AtomicU32::new(0),
        };
        let memory = sys::mmap_anon(size_of::<Self>(), libc::MAP_PRIVATE)?.cast::<Self>();
        // SAFETY: fresh memory, large enough, never unmapped: the threads and
        // operations point into it for ever.
        let engine = unsafe {
            memory.write(engine);
            &*memory
        };
        // SAFETY: the thread's argument lives for ever.
        unsafe { worker::spawn(first_worker, engine.as_arg())? };
        loop {
            match engine.started.load(Acquire) {
                0 => {
                    let _ = sys::futex_wait(&engine.started, 0, None);
                }
                1 => return Ok(engine),
                e => return Err(Errno(e as c_int - 2)),
            }
        }
    }

    fn register(&'static self) {
        static ONCE: AtomicU32 = AtomicU32::new(0);
        LATEST.store(std::ptr::from_ref(self).cast_mut(), Release);
        if ONCE.swap(1, Relaxed) == 0 {
            fork::on_child(close_in_child);
        }
    }

    fn as_arg(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// # Safety
    /// `arg` is what `as_arg` returned.
    unsafe fn from_arg(arg: *mut c_void) -> &'static Self {
        // SAFETY: passed on.
        unsafe { &*arg.cast_const().cast::<Self>() }
    }

    /// What must be there before the first operation, on a thread with a table of
    /// its own.
    fn set_up(&'static self) -> Result<(), Errno> {
        self.inbox.make_table_private()?;
        self.poller.open()?;
        // SAFETY: the thread's argument lives for ever.
        unsafe { worker::spawn(poller::main, self.as_arg()) }
    }

    /// Drops a reference to a pinned file; the last one closes it.
    fn unpin(&self, pin: u32) {
        if self.pins.release(pin, 1) {
            self.inbox.forget(&self.pins, pin);
            self.close_pin(pin);
        }
    }

    /// Closes a pin without references that the inbox has forgotten.
    fn close_pin(&self, pin: u32) {
        self.poller.remove(&self.pins, pin);
        self.pins.close(pin);
        if self.inbox.is_held() && self.inbox.let_go() {
            self.kick();
        }
    }

    /// Drops the operation's file. Before its completion: the program may rely on
    /// the file being let go of then.
    fn drop_file(&self, op: &Op) {
        let pin = op.pin.swap(Op::NO_PIN, Relaxed);
        if pin != Op::NO_PIN {
            self.unpin(pin);
        }
        // The cancel of another thread must not find the rest of it. Release: pairs
        // with the acquire in `take_back`.
        op.state.store(0, Release);
    }

    /// # Safety
    /// The operation is in the caller's hands; it is gone afterwards.
    unsafe fn finish(&self, op: OpPtr, res: i64) {
        // SAFETY: by the caller's word.
        unsafe {
            self.drop_file(op.as_ref());
            (self.complete)(&[Done { op, res }]);
        }
    }

    /// For the child of a fork: closes its copy of our descriptor, if it is still
    /// ours. Async-signal-safe.
    pub fn close_in_child(&self) {
        self.link.close_if_ours();
    }
}

extern "C" fn first_worker(arg: *mut c_void) -> *mut c_void {
    // SAFETY: `start_on` passed it.
    let engine = unsafe { Threads::from_arg(arg) };
    let _running = worker::enter(c"aio-rs-worker");
    let set_up = engine.set_up();
    engine.started.store(set_up.map_or_else(|e| 2 + e.0 as u32, |()| 1), Release);
    sys::futex_wake(&engine.started, 1);
    if set_up.is_ok() {
        engine.work();
    }
    null_mut()
}

extern "C" fn close_in_child() {
    // SAFETY: engines are never unmapped.
    if let Some(engine) = unsafe { LATEST.swap(null_mut(), Acquire).as_ref() } {
        engine.close_in_child();
    }
}

impl Engine for Threads {
    fn name(&self) -> &'static str {
        "threads"
    }

    unsafe fn pin(&self, batch: &mut OpList, pinned: &mut OpList) -> Result<(), Errno> {
        // SAFETY: passed on.
        unsafe { self.send_batch(batch, pinned) }
    }

    unsafe fn start(&self, op: OpPtr) {
        // AcqRel: pairs with the receiver's, so that whoever comes second sees
        // the operation's arguments and pins.
        // SAFETY: handed to us.
        if unsafe { op.as_ref() }.state.fetch_or(STARTED, AcqRel) & RECEIVED != 0 {
            self.pool.lock().push(op);
        }
    }

    fn kick(&self) {
        self.wake_one_if_needed();
    }

    unsafe fn cancel(&self, op: OpPtr, still_there: &(dyn Fn() -> bool + Sync)) -> Cancelled {
        // SAFETY: passed on.
        unsafe { self.ask_to_cancel(op, still_there) }
    }

    unsafe fn signal(&self, ops: &[Done]) {
        for done in ops {
            // SAFETY: the operation is ours until its completion returns.
            let pin = unsafe { done.op.as_ref() }.res_pin.swap(Op::NO_PIN, Relaxed);
            if pin != Op::NO_PIN {
                eventfd::signal(pin as c_int, 1);
                self.unpin(pin);
            }
        }
    }
}

/// A thread that panics aborts the process: no lock is ever poisoned.
fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|_| std::process::abort())
}

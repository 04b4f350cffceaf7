//! The io_uring engine: rings entered only by threads of ours.
//!
//! A ring entered by the program's threads would run its completions in them and
//! interrupt their system calls, and would lose requests when they exit. So the
//! program's threads only pin files (io_uring_register works from any thread) and
//! hand operations over; everything else happens on the ring's thread, which has
//! a descriptor table of its own with nothing but the ring in it.
//!
//! One ring serves all contexts. Another is made when its table of pinned files
//! is full, or when the program has closed its descriptor.

mod cancel;
mod polls;
mod ring;
mod service;
mod slots;
pub mod sqe;

use super::op::{OpList, OpPtr};
use super::{Cancelled, Complete, Done, Engine};
use crate::errno::Errno;
use crate::{eventfd, fork, sys};
use cancel::CancelRequest;
use ring::Ring;
use slots::Met;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize};

const RINGS: usize = 64;

pub struct Uring {
    rings: [AtomicPtr<Ring>; RINGS],
    /// The one that is tried first.
    current: AtomicUsize,
    /// Held while rings are made.
    making: Mutex<()>,
    complete: Complete,
}

impl Uring {
    /// # Errors
    /// As `Ring::start`.
    pub fn start(complete: Complete) -> Result<&'static Self, Errno> {
        let first = Ring::start(complete)?;
        let memory = sys::mmap_anon(size_of::<Self>(), libc::MAP_PRIVATE)?.cast::<Self>();
        // SAFETY: fresh memory, large enough, never unmapped.
        let uring = unsafe {
            memory.write(Self {
                rings: std::array::from_fn(|_| AtomicPtr::new(null_mut())),
                current: AtomicUsize::new(0),
                making: Mutex::new(()),
                complete,
            });
            &*memory
        };
        uring.set_ring(0, first);
        fork::on_child(close_in_child);
        Ok(uring)
    }

    fn ring(&self, index: usize) -> Option<&'static Ring> {
        // Acquire: pairs with the release in `set_ring`.
        // SAFETY: rings are never unmapped.
        unsafe { self.rings[index].load(Acquire).as_ref() }
    }

    fn set_ring(&self, index: usize, ring: &'static Ring) {
        IN_PROGRAM[index].remember(ring);
        self.rings[index].store(std::ptr::from_ref(ring).cast_mut(), Release);
        self.current.store(index, Relaxed);
    }

    /// What to do when ring `index` could not pin: use a new one in its place, or
    /// the next one.
    ///
    /// # Errors
    /// `why`, when that is not the ring's fault, or what refuses a new ring.
    fn other_ring(&self, index: usize, why: Errno) -> Result<usize, Errno> {
        let _making = self.making.lock().unwrap_or_else(|_| std::process::abort());
        let lost = self.ring(index).is_none_or(|r| !r.still_ours());
        if lost {
            let fresh = Ring::start(self.complete)?;
            if let Some(old) = self.ring(index) {
                old.retire();
            }
            self.set_ring(index, fresh);
            return Ok(index);
        }
        let next = index + 1;
        if why != Errno::EMFILE || next >= RINGS {
            return Err(why);
        }
        if self.ring(next).is_none() {
            self.set_ring(next, Ring::start(self.complete)?);
        }
        Ok(next)
    }

    /// # Safety
    /// `op` was pinned by this engine.
    unsafe fn home(op: OpPtr) -> &'static Ring {
        // SAFETY: set by `pin_op`; rings are never unmapped.
        unsafe { &*op.as_ref().home.load(Relaxed).cast::<Ring>() }
    }
}

impl Engine for Uring {
    fn name(&self) -> &'static str {
        "uring"
    }

    unsafe fn pin(&self, batch: &mut OpList, pinned: &mut OpList) -> Result<(), Errno> {
        let mut index = self.current.load(Relaxed);
        let mut met = Met::new();
        while let Some(op) = batch.front() {
            // SAFETY: the caller holds the operations.
            let o = unsafe { op.as_ref() };
            let r = self.ring(index).ok_or(Errno::EMFILE).and_then(|ring| ring.pin_op(o, &mut met));
            if let Err(why) = r {
                index = match self.other_ring(index, why) {
                    // All were tried: begin with the first next time.
                    Err(e) => {
                        self.current.store(0, Relaxed);
                        return Err(e);
                    }
                    Ok(index) => index,
                };
                met = Met::new();
                continue;
            }
            batch.pop();
            pinned.push(op);
        }
        Ok(())
    }

    unsafe fn start(&self, op: OpPtr) {
        // SAFETY: pinned here; handed to us.
        unsafe {
            let ring = Self::home(op);
            push(&ring.inbox, op.as_ptr(), |next| op.as_ref().next.store(next, Relaxed));
        }
    }

    #[inline]
    fn kick(&self) {
        for ring in (0..RINGS).map_while(|i| self.ring(i)) {
            ring.kick();
        }
    }

    unsafe fn cancel(&self, op: OpPtr, still_there: &(dyn Fn() -> bool + Sync)) -> Cancelled {
        // SAFETY: slab memory; `home` is checked again by the ring's thread.
        let Some(ring) = (unsafe { op.as_ref().home.load(Relaxed).cast::<Ring>().as_ref() }) else {
            return Cancelled::No;
        };
        let request = CancelRequest::new(op, still_there);
        let at = std::ptr::from_ref(&request).cast_mut();
        push(&ring.cancels, at, |next| request.next.store(next, Relaxed));
        ring.kick();
        // The fence in `kick` and the thread's last SeqCst store: one of us two
        // sees the request.
        if ring.started.load(SeqCst) == cancel::GONE {
            cancel::refuse_cancels(ring);
        }
        request.wait()
    }

    unsafe fn signal(&self, ops: &[Done]) {
        let Some(&Done { op, .. }) = ops.first() else { return };
        let times = ops.len() as u32;
        // SAFETY: the operation is ours until its completion returns.
        let (ring, pin) = unsafe { (Self::home(op), op.as_ref().res_pin.load(Relaxed)) };
        match ring.installed(pin) {
            Some(fd) => {
                eventfd::signal(fd, u64::from(times));
                ring.unpin_many(ring.own_fd, pin, times);
            }
            None => (0..times).for_each(|_| service::signal_by_ring(ring, pin)),
        }
    }
}

/// Adds to a stack that the engine's thread takes as a whole.
fn push<T>(stack: &AtomicPtr<T>, item: *mut T, set_next: impl Fn(*mut T)) {
    let mut top = stack.load(Relaxed);
    loop {
        set_next(top);
        // Release: pairs with the acquire in the engine thread's swap.
        match stack.compare_exchange_weak(top, item, Release, Relaxed) {
            Ok(_) => return,
            Err(now) => top = now,
        }
    }
}

/// A ring's descriptor in the program's table, for the child of a fork: it has no
/// use for it, and would keep the ring and its files alive.
struct InProgram {
    fd: AtomicI32,
    dev: AtomicU64,
    ino: AtomicU64,
}

static IN_PROGRAM: [InProgram; RINGS] = [const {
    InProgram { fd: AtomicI32::new(-1), dev: AtomicU64::new(0), ino: AtomicU64::new(0) }
}; RINGS];

impl InProgram {
    fn remember(&self, ring: &Ring) {
        self.dev.store(ring.identity.dev, Relaxed);
        self.ino.store(ring.identity.ino, Relaxed);
        self.fd.store(ring.program_fd, Release);
    }
}

extern "C" fn close_in_child() {
    for p in &IN_PROGRAM {
        let fd = p.fd.swap(-1, Acquire);
        let id = sys::FileId { dev: p.dev.load(Relaxed), ino: p.ino.load(Relaxed) };
        sys::close_if_ours(fd, id);
    }
}

//! Operations that wait for a file to become ready: an epoll set in the workers'
//! table, and the thread that watches it.
//!
//! A file is in the set once, under the number of its pin, for all operations
//! that wait for it, and asks for one report at a time (EPOLLONESHOT).

use super::pins::{Pin, Pins};
use super::{Threads, WAITING, locked};
use crate::engine::op::{Kind, Op, OpList, OpPtr};
use crate::errno::Errno;
use crate::worker;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const EVENTS: usize = 64;
/// Reported whether asked for or not.
const ALWAYS: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
const ONESHOT: u32 = libc::EPOLLONESHOT as u32;

pub(super) struct Poller {
    epoll: AtomicI32,
    /// Guards the lists of waiting operations and the epoll entries.
    lock: Mutex<()>,
}

/// What an operation waits for.
fn wanted(op: &Op) -> u32 {
    // SAFETY: the operation is in the poller's hands, or is just given to it.
    let args = unsafe { op.args() };
    match args.kind {
        Kind::Poll => u32::from(args.poll_events),
        Kind::Write => libc::EPOLLOUT as u32,
        _ => libc::EPOLLIN as u32,
    }
}

impl Poller {
    pub(super) fn new() -> Self {
        Self { epoll: AtomicI32::new(-1), lock: Mutex::new(()) }
    }

    /// Makes the set, in the calling thread's table.
    pub(super) fn open(&self) -> Result<(), Errno> {
        // SAFETY: no memory is passed.
        let fd = unsafe { crate::sys!(epoll_create1, libc::EPOLL_CLOEXEC)? };
        self.epoll.store(fd as c_int, Release);
        Ok(())
    }

    fn control(&self, what: c_int, pin: u32, events: u32, data: u64) -> Result<(), Errno> {
        let mut event = libc::epoll_event { events, u64: data };
        // SAFETY: the event lives through the call.
        unsafe { crate::sys!(epoll_ctl, self.epoll.load(Relaxed), what, pin, &raw mut event) }
            .map(|_| ())
    }

    /// Waits for the operation's file; the operation is in the poller's hands on
    /// success.
    ///
    /// # Errors
    /// EPERM: such a file is always ready. ENOSPC, ENOMEM, ELOOP.
    pub(super) fn add(&self, pins: &Pins, op: OpPtr) -> Result<(), Errno> {
        let _guard = locked(&self.lock);
        // SAFETY: the caller holds it.
        let o = unsafe { op.as_ref() };
        let pin = o.pin.load(Relaxed);
        let slot = pins.at(pin);
        let others = slot.waiting.load(Relaxed);
        o.next.store(others, Relaxed);
        slot.waiting.store(op.as_ptr(), Relaxed);
        self.arm(slot, pin).inspect_err(|_| slot.waiting.store(others, Relaxed))?;
        // Release: pairs with the acquire in `take`, which looks at it without being
        // handed the operation.
        o.state.fetch_or(WAITING, Release);
        Ok(())
    }

    /// Has the set report what the waiting operations want. Under the lock.
    fn arm(&self, slot: &Pin, pin: u32) -> Result<(), Errno> {
        let mut events = ONESHOT;
        let mut at = slot.waiting.load(Relaxed);
        // SAFETY: waiting operations live.
        while let Some(op) = unsafe { at.as_ref() } {
            events |= wanted(op);
            at = op.next.load(Relaxed);
        }
        let known = slot.interest.load(Relaxed) != 0;
        let what = if known { libc::EPOLL_CTL_MOD } else { libc::EPOLL_CTL_ADD };
        let generation = slot.generation.load(Relaxed);
        self.control(what, pin, events, u64::from(generation) << 32 | u64::from(pin))?;
        slot.interest.store(events, Relaxed);
        Ok(())
    }

    /// Takes a pin without references out of the set. Closing alone would not: the
    /// file stays open elsewhere.
    pub(super) fn remove(&self, pins: &Pins, pin: u32) {
        if pins.at(pin).interest.swap(0, Relaxed) != 0 {
            let _ = self.control(libc::EPOLL_CTL_DEL, pin, 0, 0);
        }
    }

    /// Takes a waiting operation back.
    pub(super) fn take(&self, pins: &Pins, op: OpPtr) -> bool {
        let _guard = locked(&self.lock);
        // SAFETY: request memory stays; what waits, lives.
        unsafe {
            let o = op.as_ref();
            if o.state.load(Acquire) & WAITING == 0 {
                return false;
            }
            let mut link = &pins.at(o.pin.load(Relaxed)).waiting;
            while let Some(at) = NonNull::new(link.load(Relaxed)) {
                if at == op {
                    link.store(o.next.load(Relaxed), Relaxed);
                    o.state.fetch_and(!WAITING, Relaxed);
                    return true;
                }
                link = &(*at.as_ptr()).next;
            }
        }
        false
    }

    /// Takes out the operations that `ready` is for, newest first as in the kernel.
    fn take_ready(&self, pins: &Pins, pin: u32, generation: u32, ready: u32) -> OpList {
        let mut list = OpList::new();
        let slot = pins.at(pin);
        let _guard = locked(&self.lock);
        // The number may mean another file by now; it has its own entry then.
        if slot.generation.load(Relaxed) != generation {
            return list;
        }
        let mut link = &slot.waiting;
        // SAFETY: waiting operations live.
        unsafe {
            while let Some(op) = NonNull::new(link.load(Relaxed)) {
                let o = &*op.as_ptr();
                if ready & (wanted(o) | ALWAYS) == 0 {
                    link = &o.next;
                    continue;
                }
                link.store(o.next.load(Relaxed), Relaxed);
                o.state.fetch_and(!WAITING, Relaxed);
                list.push(op);
            }
        }
        if !slot.waiting.load(Relaxed).is_null() {
            let _ = self.arm(slot, pin);
        }
        list
    }
}

impl Threads {
    fn watch(&self) -> ! {
        let epoll = self.poller.epoll.load(Acquire);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        loop {
            // SAFETY: the array is writable.
            let n = unsafe {
                crate::sys!(
                    epoll_pwait,
                    epoll,
                    events.as_mut_ptr(),
                    EVENTS,
                    -1isize,
                    0usize,
                    8usize
                )
            };
            for event in &events[..n.unwrap_or(0)] {
                let (pin, generation, ready) =
                    (event.u64 as u32, (event.u64 >> 32) as u32, event.events);
                let mut list = self.poller.take_ready(&self.pins, pin, generation, ready);
                while let Some(op) = list.pop() {
                    // SAFETY: taken out, so in this thread's hands.
                    unsafe { self.on_ready(op, ready) };
                }
            }
        }
    }

    /// # Safety
    /// The caller holds the operation.
    unsafe fn on_ready(&self, op: OpPtr, ready: u32) {
        // SAFETY: by the caller's word.
        unsafe {
            let done = match op.as_ref().args().kind {
                Kind::Poll => Some(i64::from(ready & (wanted(op.as_ref()) | ALWAYS))),
                _ => self.run_stream(op),
            };
            if let Some(res) = done {
                self.finish(op, res);
            }
        }
    }
}

pub(super) extern "C" fn main(arg: *mut c_void) -> *mut c_void {
    let _running = worker::enter(c"aio-rs-poller");
    // SAFETY: `as_arg` made it.
    unsafe { Threads::from_arg(arg) }.watch()
}

//! Requests that are late: kernel AIO finishes buffered I/O inside io_submit, so
//! a program may ask for its events with a min_nr of 0. That call, if it has a
//! timeout, waits for what was deferred before it.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// How many were deferred, and how many of them are done. Both only grow.
pub struct Late {
    deferred: AtomicU32,
    done: AtomicU32,
}

/// All that were deferred so far.
#[derive(Clone, Copy)]
pub struct Mark(u32);

impl Late {
    pub const fn new() -> Self {
        Self { deferred: AtomicU32::new(0), done: AtomicU32::new(0) }
    }

    pub fn deferred(&self) {
        self.deferred.fetch_add(1, Relaxed);
    }

    /// Its event is in the ring.
    pub fn done(&self) {
        // Release: pairs with the acquire in `passed`.
        self.done.fetch_add(1, Release);
    }

    pub fn mark(&self) -> Mark {
        Mark(self.deferred.load(Relaxed))
    }

    /// True when as many are done as were deferred before the mark. Not those
    /// very ones: it comes true in any case, whoever takes their events.
    pub fn passed(&self, mark: Mark) -> bool {
        // Acquire: whoever is told so finds the events in the ring.
        self.done.load(Acquire).wrapping_sub(mark.0).cast_signed() >= 0
    }
}

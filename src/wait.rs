//! `ctx->wait`: sleeping until a context's ring holds enough events.
//!
//! A sleeper notes in `wake_at` how many events it still needs; a completion
//! wakes everybody when that many are in the ring, and each looks for itself.
//! All of it is a few atomic accesses, so that completions in signal handlers
//! need no lock, and sleepers hold no reference to their context.

use crate::errno::Errno;
use crate::sys;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

pub struct WaitQueue {
    /// Changes at every wake-up; what the futex watches.
    seq: AtomicU32,
    /// The least number of events that some sleeper waits for; NOBODY: no sleeper.
    wake_at: AtomicU32,
}

const NOBODY: u32 = u32::MAX;

/// What `prepare_to_wait` saw, for `wait`.
#[derive(Clone, Copy)]
pub struct Prepared(u32);

impl WaitQueue {
    pub const fn new() -> Self {
        Self { seq: AtomicU32::new(0), wake_at: AtomicU32::new(NOBODY) }
    }

    /// Announces a sleeper that needs `events` in the ring. Look at the ring
    /// after this, then `wait`.
    pub fn prepare_to_wait(&self, events: u32) -> Prepared {
        let seq = self.seq.load(Acquire);
        self.wake_at.fetch_min(events, SeqCst);
        // Pairs with the fence in `complete`: either the completion sees this
        // sleeper, or the sleeper's next look at the ring sees the event.
        fence(SeqCst);
        Prepared(seq)
    }

    /// # Errors
    /// EINTR: a signal handler ran. ETIMEDOUT.
    pub fn wait(&self, at: Prepared, deadline: Option<libc::timespec>) -> Result<(), Errno> {
        sys::futex_wait(&self.seq, at.0, deadline)
    }

    /// Takes an announcement back, when something else ended the sleep: it would
    /// wake later sleepers before their time, and a signal that hits one outside
    /// its sleep is not seen to end it.
    pub fn forget(&self, events: u32) {
        if self.wake_at.load(Relaxed) == events {
            self.wake_all();
        }
    }

    /// After an event was published: `available` are in the ring now.
    #[inline]
    pub fn complete(&self, available: impl FnOnce() -> u32) {
        // Pairs with the fence in `prepare_to_wait`.
        fence(SeqCst);
        let needed = self.wake_at.load(Relaxed);
        if needed != NOBODY && available() >= needed {
            self.wake_all();
        }
    }

    /// Wakes every sleeper, whatever it waits for.
    #[cold]
    pub fn wake_all(&self) {
        self.wake_at.store(NOBODY, Relaxed);
        // Release: a sleeper that sees the new number announces itself anew
        // after the store above.
        self.seq.fetch_add(1, Release);
        sys::futex_wake(&self.seq, i32::MAX as u32);
    }
}

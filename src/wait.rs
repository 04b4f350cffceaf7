//! `ctx->wait`: sleeping until a context's ring holds enough events.
//!
//! A sleeper notes in `sleepers` how many events it still needs; a completion
//! wakes everybody when that many are in the ring, and each looks for itself.
//! All of it is a few atomic accesses, so that completions in signal handlers
//! need no lock, and sleepers hold no reference to their context.

use crate::errno::Errno;
use crate::sys;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;
use std::sync::atomic::{AtomicU32, AtomicU64};

pub struct WaitQueue {
    /// Changes at every wake-up; what the futex watches.
    seq: AtomicU32,
    /// `Sleepers`
    sleepers: AtomicU64,
}

/// Who has announced a sleep since the last wake-up.
#[derive(Clone, Copy)]
struct Sleepers {
    /// The least number of events that one of them waits for; NOBODY: none does.
    wake_at: u32,
    count: u16,
    /// Changes at every wake-up.
    generation: u16,
}

const NOBODY: u32 = u32::MAX;

impl Sleepers {
    const fn pack(self) -> u64 {
        self.wake_at as u64 | (self.count as u64) << 32 | (self.generation as u64) << 48
    }

    fn unpack(v: u64) -> Self {
        Self { wake_at: v as u32, count: (v >> 32) as u16, generation: (v >> 48) as u16 }
    }

    const fn none(generation: u16) -> Self {
        Self { wake_at: NOBODY, count: 0, generation }
    }
}

/// What `prepare_to_wait` saw, for `wait`.
#[derive(Clone, Copy)]
pub struct Prepared {
    seq: u32,
    generation: u16,
}

impl WaitQueue {
    pub const fn new() -> Self {
        Self { seq: AtomicU32::new(0), sleepers: AtomicU64::new(Sleepers::none(0).pack()) }
    }

    /// Announces a sleeper that needs `events` in the ring. Look at the ring
    /// after this, then `wait`.
    pub fn prepare_to_wait(&self, events: u32) -> Prepared {
        let seq = self.seq.load(Acquire);
        let generation = self.update(|s| {
            Some(Sleepers { wake_at: s.wake_at.min(events), count: s.count.saturating_add(1), ..s })
        });
        // Pairs with the fence in `complete`: either the completion sees this
        // sleeper, or the sleeper's next look at the ring sees the event.
        fence(SeqCst);
        Prepared { seq, generation }
    }

    /// The generation that it met.
    fn update(&self, f: impl Fn(Sleepers) -> Option<Sleepers>) -> u16 {
        let change = |v| f(Sleepers::unpack(v)).map(Sleepers::pack);
        let (Ok(v) | Err(v)) = self.sleepers.fetch_update(SeqCst, Relaxed, change);
        Sleepers::unpack(v).generation
    }

    /// # Errors
    /// EINTR: a signal handler ran. ETIMEDOUT.
    pub fn wait(&self, at: Prepared, deadline: Option<libc::timespec>) -> Result<(), Errno> {
        sys::futex_wait(&self.seq, at.seq, deadline)
    }

    /// What `wait` would sleep on: the word, and the value that it has meanwhile.
    pub fn futex(&self, at: Prepared) -> (&AtomicU32, u32) {
        (&self.seq, at.seq)
    }

    /// Takes an announcement back, when something else ended the sleep: it would
    /// wake later sleepers before their time, and a signal that hits one outside
    /// its sleep is not seen to end it.
    pub fn forget(&self, at: Prepared, events: u32) {
        let alone = |s: Sleepers| s.generation == at.generation && s.count == 1;
        let now = Sleepers::unpack(self.sleepers.load(Relaxed));
        if now.generation != at.generation {
            return;
        }
        self.update(|s| alone(s).then_some(Sleepers::none(s.generation)));
        let left = Sleepers::unpack(self.sleepers.load(Relaxed));
        if left.generation == at.generation && left.wake_at == events {
            // The others announce themselves anew.
            self.wake_all();
        }
    }

    /// After an event was published: `available` are in the ring now.
    #[inline]
    pub fn complete(&self, available: impl FnOnce() -> u32) {
        // Pairs with the fence in `prepare_to_wait`.
        fence(SeqCst);
        let needed = Sleepers::unpack(self.sleepers.load(Relaxed)).wake_at;
        if needed != NOBODY && available() >= needed {
            self.wake_all();
        }
    }

    /// Wakes every sleeper, whatever it waits for.
    #[cold]
    pub fn wake_all(&self) {
        self.update(|s| Some(Sleepers::none(s.generation.wrapping_add(1))));
        // Release: a sleeper that sees the new number announces itself anew
        // after the store above.
        self.seq.fetch_add(1, Release);
        sys::futex_wake(&self.seq, i32::MAX as u32);
    }
}

//! What io_submit expects before it asks: guesses about descriptors, and whether
//! inline writes are quick at present. Wrong ones cost time, nothing else.

use crate::sys;
use std::ffi::c_int;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32};

/// What a descriptor number stood for when it was last looked at. A guess about
/// the number, not knowledge of the file: it only decides what is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Guess {
    /// A buffered read with NOWAIT is worth trying at once.
    ReadNowait = 1,
    /// A small buffered write does not block.
    WriteInline = 2,
}

const FDS: usize = 4096;
/// After that many uses a guess is checked against the descriptor.
const GUESS_USES: u8 = 63;

/// Guesses by descriptor number: low 2 bits which, high 6 bits how often used.
pub struct FdCache([AtomicU8; FDS]);

impl FdCache {
    fn slot(&self, fd: c_int) -> Option<&AtomicU8> {
        self.0.get(usize::try_from(fd).ok()?)
    }

    #[inline]
    pub fn is(&self, fd: c_int, guess: Guess) -> bool {
        let Some(slot) = self.slot(fd) else { return false };
        let e = slot.load(Relaxed);
        if e & guess as u8 == 0 || e >> 2 >= GUESS_USES {
            return false;
        }
        slot.store(e + 4, Relaxed);
        true
    }

    pub fn learn(&self, fd: c_int, guess: Guess) {
        if let Some(slot) = self.slot(fd) {
            let e = slot.load(Relaxed);
            let others = if e >> 2 >= GUESS_USES { 0 } else { e };
            slot.store(others | guess as u8, Relaxed);
        }
    }

    pub fn forget(&self, fd: c_int) {
        if let Some(slot) = self.slot(fd) {
            slot.store(0, Relaxed);
        }
    }
}

/// An inline write that took longer than this has waited for something...
const SLOW_WRITE_NS: i64 = 1_000_000;
/// ...and so many of those that follow are deferred.
const DEFER_AFTER_SLOW: u32 = 64;

/// How many writes are still to be deferred after a slow one.
#[derive(Default)]
pub struct WritePolicy(AtomicU32);

impl WritePolicy {
    #[inline]
    pub fn is_slow(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// True when the write that asks is to be deferred.
    pub fn defer_this(&self) -> bool {
        self.0.load(Relaxed) != 0
            && self.0.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_ok()
    }
}

/// Runs an inline write and learns from the time it took.
#[inline]
pub fn timed<T>(policy: &WritePolicy, write: impl FnOnce() -> T) -> T {
    let start = sys::monotonic_now();
    let r = write();
    let end = sys::monotonic_now();
    let ns = (end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec;
    if ns > SLOW_WRITE_NS {
        policy.0.store(DEFER_AFTER_SLOW, Relaxed);
    }
    r
}

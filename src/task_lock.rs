//! A lock that a signal handler may meet held by the very thread it interrupted.
//!
//! The kernel's completion_lock disables interrupts for that; blocking signals
//! costs two system calls. Here the lock knows its owner, and a second `lock` by
//! the owner is refused instead of waiting for ever. Its users leave their work
//! to the owner below, which looks for it after unlocking.

use crate::sys;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// 0, or the owner's thread pointer; bit 0: somebody sleeps.
pub struct TaskLock(AtomicU64);

const SLEEPERS: u64 = 1;
const SPINS: u32 = 100;

pub struct Guard<'a>(&'a TaskLock);

/// This thread, as a number that is even and not 0.
#[inline]
fn current() -> u64 {
    // SAFETY: pthread_self has no preconditions.
    unsafe { libc::pthread_self() as u64 }
}

impl TaskLock {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// None: this thread holds the lock already, below the signal handler that
    /// is running now.
    #[inline]
    pub fn lock(&self) -> Option<Guard<'_>> {
        let me = current();
        // Acquire: pairs with the release in `Guard::drop`.
        match self.0.compare_exchange(0, me, Acquire, Relaxed) {
            Ok(_) => Some(Guard(self)),
            Err(owner) if owner & !SLEEPERS == me => None,
            Err(_) => self.lock_slow(me),
        }
    }

    #[cold]
    fn lock_slow(&self, me: u64) -> Option<Guard<'_>> {
        for _ in 0..SPINS {
            if self.0.load(Relaxed) == 0 && self.0.compare_exchange(0, me, Acquire, Relaxed).is_ok()
            {
                return Some(Guard(self));
            }
            std::hint::spin_loop();
        }
        loop {
            let seen = self.0.load(Relaxed);
            if seen == 0 {
                // Others may sleep still: keep their mark.
                if self.0.compare_exchange(0, me | SLEEPERS, Acquire, Relaxed).is_ok() {
                    return Some(Guard(self));
                }
            } else if seen & SLEEPERS != 0
                || self.0.compare_exchange(seen, seen | SLEEPERS, Relaxed, Relaxed).is_ok()
            {
                let _ = sys::futex_wait(self.low_half(), (seen | SLEEPERS) as u32, None);
            }
        }
    }

    /// The half of the word that carries bit 0: what a futex can watch.
    fn low_half(&self) -> &AtomicU32 {
        let halves = self.0.as_ptr().cast::<u32>();
        let low = if cfg!(target_endian = "big") { 1 } else { 0 };
        // SAFETY: inside the u64, aligned; only the futex call looks at it.
        unsafe { AtomicU32::from_ptr(halves.add(low)) }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the acquires above.
        if self.0.0.swap(0, Release) & SLEEPERS != 0 {
            sys::futex_wake(self.0.low_half(), 1);
        }
    }
}

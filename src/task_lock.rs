//! A lock that a signal handler may meet held by the very thread it interrupted.
//!
//! The kernel's completion_lock disables interrupts for that; blocking signals
//! costs two system calls. Here the lock knows its owner, and a second `lock` by
//! the owner is refused instead of waiting for ever. Its users leave their work
//! to the owner below, which looks for it after unlocking.
//!
//! Most contexts are used by one thread only. So the first thread that locks is
//! given the lock for good, and from then on needs no atomic read-modify-write;
//! until another one comes, which takes that away by a barrier (`hazard`).

use crate::{hazard, sys};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, compiler_fence};

pub struct TaskLock {
    /// The thread that it was given to; NOBODY yet.
    given_to: AtomicU64,
    /// It was taken away again, for ever.
    shared: AtomicBool,
    /// Whether that thread holds it. Written by that thread only.
    held: AtomicBool,
    /// 0, or the thread pointer of another owner.
    owner: AtomicU64,
    /// Threads that sleep or are about to.
    sleepers: AtomicU32,
}

const NOBODY: u64 = 0;
const SPINS: u32 = 100;

pub struct Guard<'a> {
    lock: &'a TaskLock,
    given: bool,
}

impl TaskLock {
    pub const fn new() -> Self {
        Self {
            given_to: AtomicU64::new(NOBODY),
            shared: AtomicBool::new(false),
            held: AtomicBool::new(false),
            owner: AtomicU64::new(0),
            sleepers: AtomicU32::new(0),
        }
    }

    /// True while no other thread has ever locked it, and what this one has
    /// written is seen by the first that will.
    #[inline]
    pub fn is_mine(&self) -> bool {
        // Pairs with the barrier in `take_away`.
        compiler_fence(SeqCst);
        self.given_to.load(Relaxed) == sys::thread_pointer() && !self.shared.load(Relaxed)
    }

    /// None: this thread holds the lock already, below the signal handler that
    /// is running now.
    #[inline]
    pub fn lock(&self) -> Option<Guard<'_>> {
        let me = sys::thread_pointer();
        if self.given_to.load(Relaxed) == me {
            // Also when it has been taken away since: the other waits for that.
            if self.held.load(Relaxed) {
                return None;
            }
            if !self.shared.load(Relaxed) {
                self.held.store(true, Relaxed);
                // Pairs with the barrier in `take_away`.
                if self.is_mine() {
                    return Some(Guard { lock: self, given: true });
                }
                self.held.store(false, Release);
            }
        }
        // Acquire: pairs with the release in `Guard::drop`.
        match self.owner.compare_exchange(0, me, Acquire, Relaxed) {
            Ok(_) => {}
            Err(owner) if owner == me => return None,
            Err(_) => self.lock_slow(me),
        }
        let given = self.given_to.load(Relaxed) == NOBODY;
        if given {
            self.give_to(me);
        } else if !self.shared.load(Relaxed) {
            self.take_away();
        }
        Some(Guard { lock: self, given })
    }

    /// The owner is the first ever. A signal handler finds it held all the time.
    #[cold]
    fn give_to(&self, me: u64) {
        self.held.store(true, Relaxed);
        compiler_fence(SeqCst);
        self.given_to.store(me, Relaxed);
        compiler_fence(SeqCst);
        self.unlock();
    }

    /// The owner is the first other thread.
    #[cold]
    fn take_away(&self) {
        self.shared.store(true, SeqCst);
        hazard::barrier();
        // Acquire: pairs with the releases of `held`.
        while self.held.load(Acquire) {
            sys::nap();
        }
    }

    #[cold]
    fn lock_slow(&self, me: u64) {
        let try_lock = || {
            self.owner.load(Relaxed) == 0
                && self.owner.compare_exchange(0, me, Acquire, Relaxed).is_ok()
        };
        for _ in 0..SPINS {
            if try_lock() {
                return;
            }
            std::hint::spin_loop();
        }
        self.sleepers.fetch_add(1, SeqCst);
        // Pairs with the compiler's fence in `unlock`: an owner sees the
        // sleeper from here on, or has unlocked already.
        hazard::barrier();
        while !try_lock() {
            let owner = self.owner.load(Relaxed);
            if owner != 0 {
                let _ = sys::futex_wait(self.low_half(), owner as u32, None);
            }
        }
        self.sleepers.fetch_sub(1, Relaxed);
    }

    #[inline]
    fn unlock(&self) {
        // Release: pairs with the acquires in `lock`.
        self.owner.store(0, Release);
        compiler_fence(SeqCst);
        if self.sleepers.load(Relaxed) != 0 {
            sys::futex_wake(self.low_half(), 1);
        }
    }

    /// The half of the owner's number that tells threads apart: what a futex can
    /// watch.
    fn low_half(&self) -> &AtomicU32 {
        let halves = self.owner.as_ptr().cast::<u32>();
        let low = if cfg!(target_endian = "big") { 1 } else { 0 };
        // SAFETY: inside the u64, aligned; only the futex call looks at it.
        unsafe { AtomicU32::from_ptr(halves.add(low)) }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.given {
            // Release: pairs with the acquire in `take_away`.
            true => self.lock.held.store(false, Release),
            false => self.lock.unlock(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::UnsafeCell;

    struct Counted(TaskLock, UnsafeCell<u64>);

    // SAFETY: the count is touched under the lock.
    unsafe impl Sync for Counted {}

    impl Counted {
        fn add(&self) {
            let _guard = self.0.lock().unwrap();
            assert!(self.0.lock().is_none(), "held by this thread");
            // SAFETY: under the lock.
            unsafe { *self.1.get() += 1 };
        }
    }

    #[test]
    fn is_the_first_thread_s_until_another_comes() {
        const MANY: u64 = 20_000;
        sys::membarrier_register();
        for _ in 0..20 {
            let counted = Counted(TaskLock::new(), UnsafeCell::new(0));
            assert!(!counted.0.is_mine());
            counted.add();
            assert!(counted.0.is_mine());
            std::thread::scope(|s| {
                for _ in 0..3 {
                    s.spawn(|| (0..MANY / 10).for_each(|_| counted.add()));
                }
                (0..MANY).for_each(|_| counted.add());
            });
            assert!(!counted.0.is_mine());
            assert_eq!(counted.1.into_inner(), 1 + MANY + 3 * (MANY / 10));
        }
    }
}

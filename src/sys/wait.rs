//! Futexes, the clock, signal masks.

use crate::errno::Errno;
use crate::sys;
use std::sync::atomic::AtomicU32;

const FUTEX_WAIT_BITSET_PRIVATE: u32 = 9 | 128;
const FUTEX_BITSET_MATCH_ANY: u32 = !0;
/// The bit of sleepers that are woken by `futex_wake` only.
pub const FUTEX_TOGETHER: u32 = 1 << 31;

/// Sleeps while `*word == expected`, until woken, a signal handler ran (EINTR)
/// or CLOCK_MONOTONIC reached `deadline` (ETIMEDOUT).
///
/// Without a deadline a far one is used: a futex wait without a time limit is
/// restarted by the kernel after an SA_RESTART handler, and io_getevents has to
/// return EINTR then.
pub fn futex_wait(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<libc::timespec>,
) -> Result<(), Errno> {
    futex_wait_bits(word, expected, FUTEX_TOGETHER, deadline)
}

/// The same for a sleeper that `futex_wake_bits` can be told to wake.
pub fn futex_wait_bits(
    word: &AtomicU32,
    expected: u32,
    bits: u32,
    deadline: Option<libc::timespec>,
) -> Result<(), Errno> {
    let far = libc::timespec { tv_sec: libc::time_t::MAX >> 8, tv_nsec: 0 };
    let deadline = deadline.unwrap_or(far);
    // SAFETY: the word and the deadline outlive the call.
    match unsafe {
        sys!(
            futex,
            word.as_ptr(),
            FUTEX_WAIT_BITSET_PRIVATE,
            expected,
            &raw const deadline,
            0usize,
            bits
        )
    } {
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Wakes up to `n` sleepers of `word`.
pub fn futex_wake(word: &AtomicU32, n: u32) {
    futex_wake_bits(word, n, FUTEX_BITSET_MATCH_ANY);
}

/// Wakes up to `n` of the sleepers that have one of these bits. How many it were.
pub fn futex_wake_bits(word: &AtomicU32, n: u32, bits: u32) -> usize {
    const FUTEX_WAKE_BITSET_PRIVATE: u32 = 10 | 128;
    // SAFETY: FUTEX_WAKE only uses the address as a key.
    unsafe { sys!(futex, word.as_ptr(), FUTEX_WAKE_BITSET_PRIVATE, n, 0usize, 0usize, bits) }
        .unwrap_or(0)
}

/// membarrier(2): every other running thread of the process passes a full memory
/// barrier.
///
/// # Errors
/// ENOSYS, EPERM (seccomp or not registered).
pub fn membarrier() -> Result<(), Errno> {
    const PRIVATE_EXPEDITED: u32 = 1 << 3;
    // SAFETY: no memory is passed.
    unsafe { sys!(membarrier, PRIVATE_EXPEDITED, 0u32) }.map(|_| ())
}

/// Once for a process, before `membarrier`.
pub fn membarrier_register() {
    const REGISTER_PRIVATE_EXPEDITED: u32 = 1 << 4;
    // SAFETY: no memory is passed.
    let _ = unsafe { sys!(membarrier, REGISTER_PRIVATE_EXPEDITED, 0u32) };
}

/// The calling thread: a number that is even and not 0, and no other thread's.
#[inline]
pub fn thread_pointer() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let own: u64;
        // SAFETY: the ABI keeps the thread pointer in the word that it points to.
        unsafe {
            std::arch::asm!("mov {}, fs:0", out(reg) own,
                options(pure, readonly, nostack, preserves_flags));
        }
        own
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: pthread_self has no preconditions.
    unsafe {
        libc::pthread_self() as u64
    }
}

/// Now on CLOCK_MONOTONIC.
pub fn monotonic_now() -> libc::timespec {
    now(libc::CLOCK_MONOTONIC)
}

/// As of the last timer interrupt, at most 10 ms ago: a third of the price.
#[inline]
pub fn monotonic_coarse() -> libc::timespec {
    now(libc::CLOCK_MONOTONIC_COARSE)
}

#[inline]
fn now(clock: libc::clockid_t) -> libc::timespec {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock always exists; the vDSO call does not fail or set errno.
    unsafe { libc::clock_gettime(clock, &raw mut ts) };
    ts
}

/// A signal mask as the kernel has it.
pub type SigSet = u64;

/// Sets the thread's signal mask and returns the old one.
pub fn sigmask_set(mask: SigSet) -> SigSet {
    let mut old: SigSet = 0;
    // SAFETY: both masks live through the call.
    let _ =
        unsafe { sys!(rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut old, 8usize) };
    old
}

/// Blocks all signals of the thread until dropped: for the parts that take locks
/// which a signal handler on the same thread could want too.
pub struct SignalsBlocked(SigSet);

impl SignalsBlocked {
    #[must_use]
    pub fn new() -> Self {
        Self(sigmask_set(!0))
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        sigmask_set(self.0);
    }
}

/// CLOCK_MONOTONIC, `ns` (at least 0) from now.
pub fn monotonic_in(ns: i64) -> libc::timespec {
    let mut t = monotonic_now();
    t.tv_sec = t.tv_sec.saturating_add(ns / 1_000_000_000);
    t.tv_nsec += ns % 1_000_000_000;
    if t.tv_nsec >= 1_000_000_000 {
        t.tv_nsec -= 1_000_000_000;
        t.tv_sec = t.tv_sec.saturating_add(1);
    }
    t
}

/// Some 50 microseconds of sleep: for rare waits that have nothing to sleep on.
pub fn nap() {
    let t = libc::timespec { tv_sec: 0, tv_nsec: 50_000 };
    // SAFETY: the time outlives the call.
    let _ = unsafe { sys!(nanosleep, &raw const t, 0usize) };
}

/// The signals that are blocked and pending, for the thread or the process.
pub fn pending_signals() -> SigSet {
    let mut set: SigSet = 0;
    // SAFETY: the set lives through the call.
    let _ = unsafe { sys!(rt_sigpending, &raw mut set, 8usize) };
    set
}

pub fn ns_between(start: libc::timespec, end: libc::timespec) -> i64 {
    (end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec
}

/// The time until `deadline` on CLOCK_MONOTONIC; zero when it has passed.
pub fn time_left(deadline: libc::timespec) -> libc::timespec {
    let now = monotonic_now();
    let ns = (deadline.tv_sec - now.tv_sec)
        .saturating_mul(1_000_000_000)
        .saturating_add(deadline.tv_nsec - now.tv_nsec)
        .max(0);
    libc::timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 }
}

//! What io_submit expects before it asks: guesses about descriptors, and whether
//! inline writes are quick at present. Wrong ones cost time, nothing else.

use crate::sys;
use std::ffi::c_int;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

const FDS: usize = 4096;
/// After that many uses a guess is checked against the file.
const GUESS_USES: u32 = 64;

/// Descriptor numbers that named a buffered regular file when last looked at.
/// With the descriptor's flags of then, which are compared at each use: a number
/// that names an O_DIRECT file now would wait for the device. An entry is the
/// flags << 7 | how often it was used, + 1; 0: nothing known.
pub struct FdCache([AtomicU32; FDS]);

impl FdCache {
    fn slot(&self, fd: c_int) -> Option<&AtomicU32> {
        self.0.get(usize::try_from(fd).ok()?)
    }

    #[inline]
    pub fn is_buffered_file(&self, fd: c_int) -> bool {
        let Some(slot) = self.slot(fd) else { return false };
        let e = slot.load(Relaxed);
        if e == 0 || e & 127 >= GUESS_USES || sys::getfl(fd) != Ok((e >> 7) as c_int) {
            return false;
        }
        slot.store(e + 1, Relaxed);
        true
    }

    pub fn learn_buffered_file(&self, fd: c_int, flags: c_int) {
        if let Some(slot) = self.slot(fd) {
            slot.store((flags as u32) << 7 | 1, Relaxed);
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
    if sys::ns_between(start, end) > SLOW_WRITE_NS {
        policy.0.store(DEFER_AFTER_SLOW, Relaxed);
    }
    r
}

//! The files that operations hold: descriptors in the workers' table, counted.

use crate::engine::op::Op;
use crate::errno::Errno;
use crate::sys;
use std::ffi::c_int;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// More are not held at a time, whatever RLIMIT_NOFILE allows.
const CAPACITY: usize = 65536;

/// Descriptors in the workers' table that are no pins: sockets, the epoll set,
/// and a spare one for the time of a call.
const OURS: u32 = 6;

/// One pinned file, by its number in the workers' table. Zeroes are a free one.
pub(super) struct Pin {
    refs: AtomicU32,
    /// Changes with each use of the number.
    pub(super) generation: AtomicU32,
    /// Under the poller's lock: who waits for it, newest first; and what its
    /// epoll entry asks for (0: it has none).
    pub(super) waiting: AtomicPtr<Op>,
    pub(super) interest: AtomicU32,
    /// Under the inbox's lock, and 0 while it is not in the index: which file it
    /// is, and the next one with the same hash.
    pub(super) dev: AtomicU64,
    pub(super) ino: AtomicU64,
    pub(super) indexed: AtomicU32,
    pub(super) next: AtomicU32,
}

pub(super) struct Pins {
    slots: &'static [Pin],
    live: AtomicU32,
}

impl Pins {
    pub(super) fn new() -> Result<Self, Errno> {
        let len = CAPACITY * size_of::<Pin>();
        let memory = sys::mmap_anon(len, libc::MAP_PRIVATE | libc::MAP_NORESERVE)?;
        // SAFETY: zeroed, large enough, page-aligned, never unmapped.
        let slots = unsafe { std::slice::from_raw_parts(memory.cast::<Pin>(), CAPACITY) };
        Ok(Self { slots, live: AtomicU32::new(0) })
    }

    pub(super) fn at(&self, pin: u32) -> &Pin {
        &self.slots[pin as usize]
    }

    pub(super) fn live(&self) -> u32 {
        self.live.load(SeqCst)
    }

    /// How many can be held under this RLIMIT_NOFILE.
    pub(super) fn limit(nofile: u32) -> u32 {
        nofile.min(CAPACITY as u32).saturating_sub(OURS)
    }

    /// Notes a descriptor that was just received, with `refs` references. None:
    /// its number is beyond what we hold.
    pub(super) fn adopt(&self, fd: c_int, refs: u32) -> Option<u32> {
        let pin = self.slots.get(fd as usize)?;
        pin.generation.fetch_add(1, Relaxed);
        // Release: pairs with the acquire in `share`. The operations that use it
        // learn of it through their state.
        pin.refs.store(refs, Release);
        self.live.fetch_add(1, Relaxed);
        Some(fd as u32)
    }

    /// Adds references, unless the last one is gone.
    pub(super) fn share(&self, pin: u32, refs: u32) -> bool {
        let slot = &self.at(pin).refs;
        slot.fetch_update(Acquire, Relaxed, |n| (n > 0).then_some(n + refs)).is_ok()
    }

    /// Drops references; true when none is left: the caller closes it.
    pub(super) fn release(&self, pin: u32, refs: u32) -> bool {
        // AcqRel: what others did with the file is done when it is closed.
        self.at(pin).refs.fetch_sub(refs, AcqRel) == refs
    }

    pub(super) fn close(&self, pin: u32) {
        sys::close(pin as c_int);
        // SeqCst, as `Inbox::held`, which is looked at next: the receiver sets that
        // and then looks here.
        self.live.fetch_sub(1, SeqCst);
    }
}

/// True when both descriptors name the same open file.
pub(super) fn same_file(a: u32, b: c_int) -> bool {
    const F_DUPFD_QUERY: c_int = 1027;
    const KCMP_FILE: c_int = 0;
    // SAFETY: no memory is passed. The thread's id stands for its table.
    unsafe {
        crate::sys!(fcntl, a, F_DUPFD_QUERY, b).map(|same| same == 1).unwrap_or_else(|_| {
            let tid = crate::sys!(gettid).unwrap_or(0);
            crate::sys!(kcmp, tid, tid, KCMP_FILE, a, b) == Ok(0)
        })
    }
}

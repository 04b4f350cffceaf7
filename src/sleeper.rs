//! Who submits to a context, and who sleeps for its events: the evidence that
//! its O_DIRECT requests may go to a ring of the submitter's own
//! (`engine::caller`), and the ring itself.

use crate::engine::caller::{CallerRing, CallerRings};
use crate::errno::Errno;
use crate::sys;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// Sleeps in a row by the thread that submits, before it gets a ring.
const FIRST: u32 = 16;
/// The most that is asked for after the evidence has been wrong.
const MOST: u32 = 16384;
/// How long io_destroy and exit sleep at a time.
const HELP_NS: i64 = 20_000_000;

pub struct Sleeper {
    /// The thread that submitted last, and how often it slept since.
    submitter: AtomicU64,
    sleeps: AtomicU32,
    wanted: AtomicU32,
    /// Whose the ring is; 0: nobody's.
    owner: AtomicU64,
    /// Made when first needed, then kept with the context's memory.
    ring: AtomicPtr<CallerRing>,
}

impl Sleeper {
    pub const fn new() -> Self {
        Self {
            submitter: AtomicU64::new(0),
            sleeps: AtomicU32::new(0),
            wanted: AtomicU32::new(FIRST),
            owner: AtomicU64::new(0),
            ring: AtomicPtr::new(null_mut()),
        }
    }

    /// For a new context. `rings`: where a ring has to come from; None: there are
    /// no rings.
    pub fn renew(&self, rings: Option<&CallerRings>) {
        self.submitter.store(0, Relaxed);
        self.sleeps.store(0, Relaxed);
        self.wanted.store(if rings.is_some() { FIRST } else { u32::MAX }, Relaxed);
        self.owner.store(0, Relaxed);
        // A forked child finds its parent's.
        let keep = self.ring().is_some_and(|r| rings.is_some_and(|all| r.is_of(all)));
        if !keep {
            self.ring.store(null_mut(), Relaxed);
        }
    }

    #[inline]
    fn ring(&self) -> Option<&'static CallerRing> {
        // Acquire: pairs with the release in `open`.
        // SAFETY: rings are never unmapped.
        unsafe { self.ring.load(Acquire).as_ref() }
    }

    /// The calling thread submits what has to wait for a device: the ring for it.
    pub fn submits(&self, rings: Option<&'static CallerRings>) -> Option<&'static CallerRing> {
        let me = sys::thread_pointer();
        if self.submitter.load(Relaxed) != me {
            self.contradicted();
            self.submitter.store(me, Relaxed);
            return None;
        }
        if self.owner.load(Relaxed) != 0 {
            match self.ring().filter(|r| r.is_open()) {
                Some(ring) => return Some(ring),
                None => self.contradicted(),
            }
        }
        if self.sleeps.load(Relaxed) < self.wanted.load(Relaxed) {
            return None;
        }
        self.open(rings?, me)
    }

    #[cold]
    fn open(&self, rings: &'static CallerRings, me: u64) -> Option<&'static CallerRing> {
        let Some(ring) = self.ring().or_else(|| rings.add()) else {
            self.wanted.store(u32::MAX, Relaxed);
            return None;
        };
        self.ring.store(std::ptr::from_ref(ring).cast_mut(), Release);
        match ring.open() {
            Ok(()) => {
                self.owner.store(me, Relaxed);
                Some(ring)
            }
            Err(e) => {
                if e != Errno(libc::EBUSY) {
                    log::debug!("no ring of the caller's own: {e}");
                    self.wanted.store(u32::MAX, Relaxed);
                }
                None
            }
        }
    }

    /// The calling thread is about to sleep until there are events. If its
    /// requests are in a ring of its own, it has to sleep there.
    pub fn sleeps(&self) -> Option<&'static CallerRing> {
        let me = sys::thread_pointer();
        if self.submitter.load(Relaxed) != me {
            self.contradicted();
        } else {
            self.sleeps.store(self.sleeps.load(Relaxed).saturating_add(1), Relaxed);
        }
        let mine = |r: &&CallerRing| r.in_flight() != 0 && r.is_open();
        self.ring().filter(mine).filter(|_| self.owner.load(Relaxed) == me)
    }

    /// Requests are in the ring, done or not.
    pub fn has_requests(&self) -> bool {
        self.ring().is_some_and(|ring| ring.in_flight() != 0)
    }

    /// Somebody wants to know which requests are done.
    #[inline]
    pub fn look(&self) {
        if let Some(ring) = self.ring()
            && ring.in_flight() != 0
        {
            self.look_into(ring);
        }
    }

    fn look_into(&self, ring: &CallerRing) {
        if self.owner.load(Relaxed) == sys::thread_pointer() {
            ring.look();
        } else {
            self.contradicted();
            ring.reap();
        }
    }

    /// Helps what is in flight to its end: nobody else may do it.
    pub fn help(&self) {
        let Some(ring) = self.ring().filter(|r| r.in_flight() != 0) else { return };
        self.look_into(ring);
        if ring.in_flight() != 0
            && ring.is_open()
            && self.owner.load(Relaxed) == sys::thread_pointer()
        {
            let _ = ring.sleep(None, Some(sys::monotonic_in(HELP_NS)), None);
            ring.reap();
        }
    }

    /// The submitter is not, or not alone, the one that sleeps.
    #[cold]
    fn contradicted(&self) {
        self.sleeps.store(0, Relaxed);
        if self.owner.swap(0, Relaxed) != 0 {
            let wanted = self.wanted.load(Relaxed);
            if wanted != u32::MAX {
                self.wanted.store((wanted * 4).min(MOST), Relaxed);
            }
            self.close();
        }
    }

    /// The context is gone.
    pub fn close(&self) {
        if let Some(ring) = self.ring() {
            ring.close();
        }
    }
}

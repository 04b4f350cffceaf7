//! The thread that looks after rings whose owners do not come back.
//!
//! It shares the program's descriptor table, for it has to close the rings'
//! descriptors there. It sleeps while no ring is used.

use super::ring::Pending;
use super::{CallerRing, CallerRings, RINGS};
use crate::errno::Errno;
use crate::{sys, worker};
use std::ffi::c_void;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// How long it sleeps between two looks.
const TICK_NS: i64 = 5_000_000;
/// Completions that have waited for their owner so many looks are fetched.
const LATE: u32 = 4;
/// The same when it is, or seems to be, in the ring: it may have left by longjmp.
const LEFT: u32 = 50;
/// Looks at nothing before it sleeps until it is called.
const IDLE_TICKS: u32 = 40;

pub struct Watch {
    /// 1 while it looks; what it sleeps on.
    active: AtomicU32,
}

impl Watch {
    pub const fn new() -> Self {
        Self { active: AtomicU32::new(0) }
    }

    /// There is something to look after.
    #[inline]
    pub(super) fn look(&self) {
        if self.active.load(SeqCst) == 0 {
            self.wake();
        }
    }

    /// As `look`, and at once.
    pub(super) fn look_soon(&self) {
        self.wake();
    }

    #[cold]
    fn wake(&self) {
        self.active.store(1, SeqCst);
        sys::futex_wake(&self.active, 1);
    }
}

/// # Errors
/// As `worker::spawn`.
pub(super) fn start(rings: &'static CallerRings) -> Result<(), Errno> {
    // SAFETY: the table is never unmapped.
    unsafe { worker::spawn(main, std::ptr::from_ref(rings) as *mut c_void) }
}

/// What was seen of a ring last time.
#[derive(Clone, Copy, Default)]
struct Seen {
    visits: u32,
    /// Looks at the same visit with completions waiting.
    late: u32,
}

extern "C" fn main(arg: *mut c_void) -> *mut c_void {
    let _running = worker::enter(c"aio-rs-watch");
    // SAFETY: the table is never unmapped.
    let rings = unsafe { &*arg.cast_const().cast::<CallerRings>() };
    let active = &rings.watch.active;
    let mut seen = [Seen::default(); RINGS];
    let mut idle = IDLE_TICKS;
    loop {
        let mut look = || {
            let each = rings.iter().zip(&mut seen);
            each.fold(false, |busy, (ring, seen)| look_after(ring, seen) | busy)
        };
        if look() {
            idle = 0;
        } else if idle < IDLE_TICKS {
            idle += 1;
        } else {
            // SeqCst: pairs with the counting in `push` and the look in `look`:
            // either we see the request, or its owner that we sleep.
            active.store(0, SeqCst);
            if !look() {
                let _ = sys::futex_wait(active, 0, None);
            }
            active.store(1, Relaxed);
            idle = 0;
            continue;
        }
        let _ = sys::futex_wait(active, 1, Some(sys::monotonic_in(TICK_NS)));
    }
}

/// True while it has to be looked after.
fn look_after(ring: &CallerRing, seen: &mut Seen) -> bool {
    let Some(_user) = ring.user() else { return false };
    if ring.approve() {
        return true;
    }
    if !ring.is_open() {
        if ring.in_flight() != 0 {
            ring.reap();
        }
        return ring.in_flight() != 0;
    }
    let visits = ring.visits.load(Relaxed);
    if ring.in_flight() == 0 || visits != seen.visits || ring.pages.pending() == Pending::None {
        *seen = Seen { visits, late: 0 };
        return ring.in_flight() != 0;
    }
    seen.late += 1;
    if seen.late >= LEFT {
        ring.abandon();
    } else if seen.late >= LATE && !ring.asleep.load(Relaxed) {
        ring.close();
    }
    true
}

//! What each thread uses right now, told without an atomic read-modify-write:
//! those cost more than all the rest of a short call.
//!
//! A thread writes what it uses into a place of its own; who wants to take that
//! away makes every other thread pass a barrier (membarrier(2)) and then looks.
//! A thread without a place, or in a signal handler above such a use, counts
//! its uses in the old way.

use crate::sys;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU64, compiler_fence};

/// One thread's place, alone on its cache line.
#[repr(align(64))]
pub struct Hazard {
    /// Its thread pointer; 0: nobody's. Threads that end leave their place to
    /// whoever gets their stack.
    thread: AtomicU64,
    held: AtomicPtr<()>,
}

const PLACES_LOG2: u32 = 8;

static PLACES: [Hazard; 1 << PLACES_LOG2] =
    [const { Hazard { thread: AtomicU64::new(0), held: AtomicPtr::new(std::ptr::null_mut()) } };
        1 << PLACES_LOG2];

/// Notes that this thread uses `what`. Look after this whether it may be used
/// still; `release` in either case. None: count it.
#[inline]
pub fn hold<T>(what: &T) -> Option<&'static Hazard> {
    let me = sys::thread_pointer();
    let place = place_of(me);
    if place.thread.load(Relaxed) != me && !claim(place, me) || !place.held.load(Relaxed).is_null()
    {
        return None;
    }
    place.held.store(std::ptr::from_ref(what).cast_mut().cast(), Relaxed);
    // Pairs with `barrier`.
    compiler_fence(SeqCst);
    Some(place)
}

#[inline]
fn place_of(thread: u64) -> &'static Hazard {
    let hash = thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES_LOG2);
    &PLACES[hash as usize]
}

#[cold]
fn claim(place: &Hazard, me: u64) -> bool {
    place.thread.compare_exchange(0, me, Relaxed, Relaxed).is_ok()
}

impl Hazard {
    /// Look after this whether somebody waits for it.
    #[inline]
    pub fn release(&self) {
        // Release: pairs with the acquire in `is_held`.
        self.held.store(std::ptr::null_mut(), Release);
        // Pairs with `barrier`.
        compiler_fence(SeqCst);
    }
}

/// After this each other thread sees what this one did before, or this one sees
/// what that one did.
pub fn barrier() {
    if sys::membarrier().is_err() {
        // Refused by a sandbox. No processor keeps a store back for that long.
        sys::nap();
    }
}

/// Whether a thread holds `what`. After `barrier`.
pub fn is_held<T>(what: &T) -> bool {
    let what = std::ptr::from_ref(what).cast_mut().cast();
    PLACES.iter().any(|p| p.held.load(Acquire) == what)
}

/// Whether the running signal handler has interrupted such a use. False for a
/// thread without a place.
pub fn interrupted() -> bool {
    let place = place_of(sys::thread_pointer());
    place.thread.load(Relaxed) == sys::thread_pointer() && !place.held.load(Relaxed).is_null()
}

/// The same, of other threads than the calling one.
pub fn is_held_by_others<T>(what: &T) -> bool {
    let what = std::ptr::from_ref(what).cast_mut().cast();
    let me = sys::thread_pointer();
    PLACES.iter().any(|p| p.held.load(Acquire) == what && p.thread.load(Relaxed) != me)
}

/// For a process that has no threads yet: a forked child inherits its parent's.
pub fn init() {
    for place in &PLACES {
        place.thread.store(0, Relaxed);
        place.held.store(std::ptr::null_mut(), Relaxed);
    }
    sys::membarrier_register();
}

//! Contexts that were polled lately and found empty: with a timeout in the same
//! place, the next poll is a few loads, and asks nothing of the memory. libaio
//! never asks. Some calls of io_submit later the memory is looked at again.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::fence;
use std::sync::atomic::{AtomicU32, AtomicU64};

const PAGE_SHIFT: u32 = 12;
const PLACES: usize = 64;
const SUBMITS: u32 = 32;

/// One context's, or that of none: then `ctx_id` is one that does not belong here.
#[repr(align(32))]
struct Place {
    ctx_id: AtomicU64,
    timeout: AtomicU64,
    /// Calls of io_submit until the memory is looked at again.
    left: AtomicU32,
}

static PLACE: [Place; PLACES] = {
    let mut all = [const { Place::of_nobody(0) }; PLACES];
    let mut i = 0;
    while i < PLACES {
        all[i] = Place::of_nobody((i as u64) << PAGE_SHIFT);
        i += 1;
    }
    all
};

impl Place {
    /// In the place of `ctx_id`.
    const fn of_nobody(ctx_id: u64) -> Self {
        Self {
            ctx_id: AtomicU64::new(elsewhere(ctx_id)),
            timeout: AtomicU64::new(0),
            left: AtomicU32::new(0),
        }
    }
}

/// An address whose place is another one.
const fn elsewhere(ctx_id: u64) -> u64 {
    ctx_id ^ 1 << PAGE_SHIFT
}

#[inline(always)]
fn place(ctx_id: u64) -> &'static Place {
    &PLACE[(ctx_id >> PAGE_SHIFT) as usize % PLACES]
}

/// Two threads may have written half of it each: both halves were seen to be good.
#[inline(always)]
pub fn is_known(ctx_id: u64, timeout: u64) -> bool {
    let place = place(ctx_id);
    // No branch in between: branches are what a poll takes its time for.
    (place.ctx_id.load(Relaxed) ^ ctx_id) | (place.timeout.load(Relaxed) ^ timeout) == 0
}

/// The ring and the timeout can be read. Look after this whether something is
/// done that the ring does not show.
pub fn remember(ctx_id: u64, timeout: u64) {
    let place = place(ctx_id);
    place.timeout.store(timeout, Relaxed);
    place.left.store(SUBMITS, Relaxed);
    place.ctx_id.store(ctx_id, Relaxed);
    // Pairs with the fence in `Batch::flush_some`.
    fence(SeqCst);
}

/// The context ends, or has something to look for that its ring does not show.
pub fn forget(ctx_id: u64) {
    let place = place(ctx_id);
    if place.ctx_id.load(Relaxed) == ctx_id {
        place.ctx_id.store(elsewhere(ctx_id), Relaxed);
    }
}

/// A call of io_submit.
#[inline]
pub fn submitted(ctx_id: u64) {
    let place = place(ctx_id);
    if place.ctx_id.load(Relaxed) == ctx_id {
        let left = place.left.load(Relaxed);
        place.left.store(left.wrapping_sub(1), Relaxed);
        if left == 0 {
            place.ctx_id.store(elsewhere(ctx_id), Relaxed);
        }
    }
}

//! The caller's own ring: O_DIRECT requests of a thread that both submits and
//! sleeps in io_getevents are issued by that thread, on a ring that wakes it and
//! nobody else. No other thread has to run for them.
//!
//! The ring's completions wait until its owner enters it (DEFER_TASKRUN), so
//! they never interrupt the owner's other system calls. But if the owner does
//! not come back, nobody else can fetch them: it has left, or it does something
//! else while another thread waits for the events, or looks for them in the
//! completion ring itself. Then the ring is closed, the kernel finishes what is
//! in flight, and whoever looks next finds the results (`reap`). `watch` sees to
//! it that somebody does.

mod done;
mod issue;
mod life;
mod nowait;
mod ring;
mod watch;

use super::Complete;
use super::op::OpList;
use crate::errno::Errno;
use crate::{fork, sys};
pub use life::CallerRing;
pub use nowait::{NowaitReads, NowaitRings, READS};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr};
use watch::Watch;

/// Rings that a process has at most: each has a descriptor.
const RINGS: usize = 64;

/// All of a process's.
pub struct CallerRings {
    rings: [AtomicPtr<CallerRing>; RINGS],
    watch: Watch,
    complete: Complete,
    go_on: GoOn,
}

/// Gives operations that the ring could not finish to the engine.
///
/// # Safety
/// They are in the caller's hands, and their descriptors name their files.
pub type GoOn = unsafe fn(OpList);

impl CallerRings {
    /// Makes the table and its thread.
    ///
    /// # Errors
    /// ENOMEM, EAGAIN.
    pub fn start(complete: Complete, go_on: GoOn) -> Result<&'static Self, Errno> {
        let memory = sys::mmap_anon(size_of::<Self>(), libc::MAP_PRIVATE)?.cast::<Self>();
        // SAFETY: fresh memory, large enough, never unmapped.
        let rings = unsafe {
            memory.write(Self {
                rings: [const { AtomicPtr::new(null_mut()) }; RINGS],
                watch: Watch::new(),
                complete,
                go_on,
            });
            &*memory
        };
        watch::start(rings)?;
        IN_PROGRAM.store(std::ptr::from_ref(rings).cast_mut(), Release);
        fork::on_child(close_in_child);
        Ok(rings)
    }

    /// A closed ring that stays the caller's for ever. None: there are enough.
    pub fn add(&'static self) -> Option<&'static CallerRing> {
        // Most of RLIMIT_NOFILE is the program's.
        let most = RINGS.min(sys::rlimit_nofile() as usize / 16);
        let memory = sys::mmap_anon(size_of::<CallerRing>(), libc::MAP_PRIVATE).ok()?;
        let ring = memory.cast::<CallerRing>();
        // SAFETY: fresh memory, large enough, never unmapped.
        unsafe { ring.write(CallerRing::new(self)) };
        let free = |slot: &&AtomicPtr<CallerRing>| {
            slot.compare_exchange(null_mut(), ring, AcqRel, Relaxed).is_ok()
        };
        // SAFETY: as above.
        self.rings[..most].iter().find(free).map(|_| unsafe { &*ring })
    }

    fn iter(&self) -> impl Iterator<Item = &'static CallerRing> {
        // Acquire: pairs with the exchange in `add`.
        // SAFETY: rings are never unmapped.
        self.rings.iter().map_while(|r| unsafe { r.load(Acquire).as_ref() })
    }
}

/// Set when the first ring is opened.
static USED: AtomicBool = AtomicBool::new(false);

/// Whether requests can be in some ring.
#[inline]
pub fn any_used() -> bool {
    USED.load(Relaxed)
}

static IN_PROGRAM: AtomicPtr<CallerRings> = AtomicPtr::new(null_mut());

/// The child's copies of the descriptors would keep the rings alive.
extern "C" fn close_in_child() {
    // SAFETY: the table is never unmapped.
    if let Some(rings) = unsafe { IN_PROGRAM.swap(null_mut(), Acquire).as_ref() } {
        rings.iter().for_each(CallerRing::close_fd);
    }
}

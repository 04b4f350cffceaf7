//! Reads that will not wait, many in one call: a ring that the calling thread
//! enters once for all of them. Nothing of it is in flight when io_submit returns.
//!
//! The ring is known to its thread alone, by a place in the thread's own table
//! (IORING_REGISTER_RING_FDS): the program has no descriptor of it to close, and
//! it goes with its thread.

use super::ring::{ENTRIES, Pages};
use crate::errno::Errno;
use crate::sys;
use io_uring::{opcode, types};
use std::ffi::c_int;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, compiler_fence};

/// Reads that a ring takes at a time.
pub const READS: usize = ENTRIES as usize;
/// Reads that could have used it before a thread gets a ring.
const FIRST: u32 = 2048;
/// There is no ring to be had.
const NEVER: u32 = u32::MAX;
/// Wishes of other threads before it is looked whether the owner still lives.
const PATIENCE: u32 = 256;

const RINGS_LOG2: u32 = 6;

/// Of a process, by thread. Zeroes are a valid one.
pub struct NowaitRings([NowaitRing; 1 << RINGS_LOG2]);

struct NowaitRing {
    /// The owner's thread pointer, 0: nobody's; and its number.
    thread: AtomicU64,
    tid: AtomicI32,
    /// The owner uses it: not its signal handlers above that.
    busy: AtomicBool,
    open: AtomicBool,
    wishes: AtomicU32,
    strangers: AtomicU32,
    pages: Pages,
}

/// The calling thread's ring, until this is dropped.
pub struct NowaitReads<'a> {
    ring: &'a NowaitRing,
    pushed: usize,
}

impl Drop for NowaitReads<'_> {
    fn drop(&mut self) {
        compiler_fence(AcqRel);
        self.ring.busy.store(false, Relaxed);
    }
}

impl NowaitRings {
    /// The calling thread's. None: it has none yet, or is using it, below this
    /// signal handler.
    pub fn get(&self, wanted: u32) -> Option<NowaitReads<'_>> {
        let me = sys::thread_pointer();
        let hash = me.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - RINGS_LOG2);
        let ring = &self.0[hash as usize];
        if ring.thread.load(Relaxed) != me && !ring.claim(me) || ring.busy.swap(true, Relaxed) {
            return None;
        }
        compiler_fence(AcqRel);
        let reads = NowaitReads { ring, pushed: 0 };
        (ring.open.load(Relaxed) || ring.opens(wanted)).then_some(reads)
    }
}

impl NowaitRing {
    /// Makes it the calling thread's, if its owner has ended.
    #[cold]
    fn claim(&self, me: u64) -> bool {
        let owner = self.thread.load(Relaxed);
        let free = owner == 0
            || self.strangers.fetch_add(1, Relaxed) % PATIENCE == PATIENCE - 1
                && !sys::is_thread(self.tid.load(Relaxed));
        let claimed = free && self.thread.compare_exchange(owner, me, AcqRel, Relaxed).is_ok();
        if claimed {
            self.tid.store(sys::gettid(), Relaxed);
            self.open.store(false, Relaxed);
            self.busy.store(false, Relaxed);
            self.wishes.store(0, Relaxed);
        }
        claimed
    }

    #[cold]
    fn opens(&self, wanted: u32) -> bool {
        let wishes = self.wishes.load(Relaxed);
        if wishes == NEVER || wishes.saturating_add(wanted) < FIRST {
            self.wishes.store(wishes.saturating_add(wanted), Relaxed);
            return false;
        }
        // A child by vfork has its parent's memory.
        let tid = sys::gettid();
        if tid != self.tid.load(Relaxed) && sys::is_thread(self.tid.load(Relaxed)) {
            return false;
        }
        self.tid.store(tid, Relaxed);
        let made = self.pages.setup_registered();
        if let Err(e) = made {
            log::debug!("no ring for a batch of reads: {e}");
        }
        self.wishes.store(if made.is_ok() { 0 } else { NEVER }, Relaxed);
        self.open.store(made.is_ok(), Relaxed);
        made.is_ok()
    }

    /// The thread is a new one with the name of another, or a child by vfork, or
    /// is not allowed to use it any more.
    #[cold]
    fn look_at_error(&self, e: Errno) {
        let passing = [libc::EINTR, libc::EAGAIN, libc::EBUSY, libc::ENOMEM];
        if !passing.contains(&e.0) && self.tid.load(Relaxed) == sys::gettid() {
            self.open.store(false, Relaxed);
            self.wishes.store(NEVER, Relaxed);
        } else if !sys::is_thread(self.tid.load(Relaxed)) {
            self.open.store(false, Relaxed);
        }
    }
}

impl NowaitReads<'_> {
    /// Adds a read of `len` bytes; false: it is full.
    ///
    /// # Safety
    /// The buffer was given to us for this transfer.
    #[inline]
    pub unsafe fn push(&mut self, fd: c_int, buf: u64, len: u32, pos: i64) -> bool {
        let entry = opcode::Read::new(types::Fd(fd), buf as *mut u8, len)
            .offset(pos as u64)
            .rw_flags(crate::abi::RWF_NOWAIT as i32)
            .build()
            .user_data(self.pushed as u64);
        let pushed = self.ring.pages.push(entry);
        self.pushed += usize::from(pushed);
        pushed
    }

    /// Makes the reads that were pushed; tells `each` its number and its result,
    /// if it has one.
    pub fn run(&mut self, mut each: impl FnMut(usize, i32)) {
        let pages = &self.ring.pages;
        let pushed = std::mem::take(&mut self.pushed);
        let error = pages.enter_registered(0).err();
        let left = pages.queued() as usize;
        pages.unpush();
        let mut waited = pushed - left.min(pushed);
        while waited > 0 {
            while let Some((number, res)) = pages.pop_alone() {
                each(number as usize, res);
                waited -= 1;
            }
            // A number that named a buffered file names something else by now.
            if waited > 0 && pages.enter_registered(waited as u32).is_err() {
                sys::nap();
            }
        }
        if let Some(e) = error {
            self.ring.look_at_error(e);
        }
    }
}

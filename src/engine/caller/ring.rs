//! The two pages of a ring that its owner alone enters.
//!
//! They are memory of ours (IORING_SETUP_NO_MMAP), so the descriptor is the only
//! thing that holds the ring: when it is closed, the kernel finishes what is in
//! flight and writes the results here all the same.

use crate::errno::Errno;
use crate::sys;
use io_uring::{cqueue, squeue};
use std::ffi::c_int;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicUsize};

const PAGE: usize = 4096;
/// A page of submission entries.
pub const ENTRIES: u32 = 64;
/// What fits into the other page beside the heads and tails.
pub const COMPLETIONS: u32 = 128;

const SETUP_CQSIZE: u32 = 1 << 3;
const SETUP_SUBMIT_ALL: u32 = 1 << 7;
const SETUP_TASKRUN_FLAG: u32 = 1 << 9;
const SETUP_SINGLE_ISSUER: u32 = 1 << 12;
/// Completions wait until the owner comes for them: they never interrupt it.
const SETUP_DEFER_TASKRUN: u32 = 1 << 13;
const SETUP_NO_MMAP: u32 = 1 << 14;
const SETUP_NO_SQARRAY: u32 = 1 << 16;
const SQ_TASKRUN: u32 = 1 << 2;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const REGISTER_RING_FDS: u32 = 20;
/// The last place of a thread's table of rings: others come first.
const REGISTERED: u32 = 15;

/// struct io_uring_rsrc_update
#[repr(C)]
struct RsrcUpdate {
    offset: u32,
    resv: u32,
    data: u64,
}

/// struct io_uring_params
#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    resv: [u32; 3],
    sq_off: SqOffsets,
    cq_off: CqOffsets,
}

#[repr(C)]
#[derive(Default)]
struct SqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    resv1: u32,
    user_addr: u64,
}

#[repr(C)]
#[derive(Default)]
struct CqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    resv1: u32,
    user_addr: u64,
}

/// struct io_uring_getevents_arg
#[repr(C)]
struct GeteventsArg {
    sigmask: u64,
    sigmask_sz: u32,
    min_wait_usec: u32,
    ts: u64,
}

/// Where the parts lie in the pages; the same for every ring of this kernel.
struct Layout {
    sq_head: AtomicU32,
    sq_tail: AtomicU32,
    sq_flags: AtomicU32,
    cq_head: AtomicU32,
    cq_tail: AtomicU32,
    cqes: AtomicU32,
}

pub struct Pages {
    /// Heads, tails and completions; then the submission entries. 0: none yet.
    base: AtomicUsize,
    at: Layout,
}

impl Pages {
    pub fn new() -> Self {
        let zero = || AtomicU32::new(0);
        let at = Layout {
            sq_head: zero(),
            sq_tail: zero(),
            sq_flags: zero(),
            cq_head: zero(),
            cq_tail: zero(),
            cqes: zero(),
        };
        Self { base: AtomicUsize::new(0), at }
    }

    /// Makes a new ring, in new pages: the kernel may be busy with the last one
    /// for a while after its last completion. The calling thread becomes its
    /// owner. Returns the descriptor. Nobody else uses the pages.
    ///
    /// # Errors
    /// Whatever refuses io_uring here, EINVAL on a kernel without these flags,
    /// EMFILE, ENOMEM.
    pub fn setup(&self) -> Result<c_int, Errno> {
        let base = sys::mmap_anon(2 * PAGE, libc::MAP_SHARED | libc::MAP_POPULATE)? as usize;
        // SAFETY: a mapping of ours. The child of a fork has no use for it.
        let _ = unsafe { crate::sys!(madvise, base, 2 * PAGE, libc::MADV_DONTFORK) };
        let made = self.setup_in(base);
        let unused = if made.is_ok() { self.base.swap(base, Relaxed) } else { base };
        if unused != 0 {
            // SAFETY: used by nobody; the kernel holds its pages by itself.
            unsafe { sys::munmap(unused, 2 * PAGE) };
        }
        made
    }

    /// The same for a ring without a descriptor: `enter_registered` enters the
    /// calling thread's own.
    ///
    /// # Errors
    /// As `setup`; ENOMEM, EBUSY.
    pub fn setup_registered(&self) -> Result<(), Errno> {
        let fd = self.setup()?;
        let place = RsrcUpdate { offset: REGISTERED, resv: 0, data: fd as u64 };
        // SAFETY: the structure lives through the call.
        let made = unsafe {
            crate::sys!(io_uring_register, fd, REGISTER_RING_FDS, &raw const place, 1u32)
        };
        sys::close(fd);
        made.map(|_| ())
    }

    fn setup_in(&self, base: usize) -> Result<c_int, Errno> {
        let mut p = Params {
            cq_entries: COMPLETIONS,
            flags: SETUP_CQSIZE
                | SETUP_SUBMIT_ALL
                | SETUP_TASKRUN_FLAG
                | SETUP_SINGLE_ISSUER
                | SETUP_DEFER_TASKRUN
                | SETUP_NO_MMAP
                | SETUP_NO_SQARRAY,
            ..Params::default()
        };
        p.cq_off.user_addr = base as u64;
        p.sq_off.user_addr = (base + PAGE) as u64;
        // SAFETY: the parameters live through the call; the pages are given to
        // the ring until it is gone.
        let fd = unsafe { crate::sys!(io_uring_setup, ENTRIES, &raw mut p) }? as c_int;
        self.at.sq_head.store(p.sq_off.head, Relaxed);
        self.at.sq_tail.store(p.sq_off.tail, Relaxed);
        self.at.sq_flags.store(p.sq_off.flags, Relaxed);
        self.at.cq_head.store(p.cq_off.head, Relaxed);
        self.at.cq_tail.store(p.cq_off.tail, Relaxed);
        self.at.cqes.store(p.cq_off.cqes, Relaxed);
        Ok(fd)
    }

    fn word(&self, offset: &AtomicU32) -> &AtomicU32 {
        let at = self.base.load(Relaxed) + offset.load(Relaxed) as usize;
        // SAFETY: inside the first page, by the kernel's word; a ring that was
        // never made is not used. Shared with the kernel, hence an atomic.
        unsafe { AtomicU32::from_ptr(at as *mut u32) }
    }

    /// Entries that were pushed and not yet taken by the kernel.
    pub fn queued(&self) -> u32 {
        let head = self.word(&self.at.sq_head).load(Acquire);
        self.word(&self.at.sq_tail).load(Relaxed).wrapping_sub(head)
    }

    /// Adds an entry. False: there is no room. One caller at a time.
    pub fn push(&self, entry: squeue::Entry) -> bool {
        if self.queued() >= ENTRIES {
            return false;
        }
        let tail = self.word(&self.at.sq_tail);
        let t = tail.load(Relaxed);
        let sqes = (self.base.load(Relaxed) + PAGE) as *mut squeue::Entry;
        // SAFETY: the second page holds ENTRIES entries; this one is free.
        unsafe { sqes.add((t % ENTRIES) as usize).write(entry) };
        // Release: the kernel reads the entry after the tail.
        tail.store(t.wrapping_add(1), Release);
        true
    }

    /// Takes entries back that the kernel has not taken. One caller at a time,
    /// and not while the ring is being entered.
    pub fn unpush(&self) {
        let head = self.word(&self.at.sq_head).load(Acquire);
        self.word(&self.at.sq_tail).store(head, Release);
    }

    /// The owner's completions that wait for it in the kernel or here.
    #[inline]
    pub fn pending(&self) -> Pending {
        let head = self.word(&self.at.cq_head).load(Relaxed);
        if head != self.word(&self.at.cq_tail).load(Acquire) {
            Pending::Here
        } else if self.has_work() {
            Pending::InKernel
        } else {
            Pending::None
        }
    }

    /// Completions wait for the owner in the kernel.
    pub fn has_work(&self) -> bool {
        self.word(&self.at.sq_flags).load(Relaxed) & SQ_TASKRUN != 0
    }

    /// A completion that nobody else has: a signal handler may come in between,
    /// and another thread once the ring is closed.
    pub fn pop(&self) -> Option<(u64, i32)> {
        let head = self.word(&self.at.cq_head);
        loop {
            let h = head.load(Acquire);
            // Acquire: the completion is read after the kernel's tail.
            if h == self.word(&self.at.cq_tail).load(Acquire) {
                return None;
            }
            let cqes = (self.base.load(Relaxed) + self.at.cqes.load(Relaxed) as usize)
                as *const cqueue::Entry;
            // SAFETY: inside the first page. It may be overwritten if somebody
            // else took it, and then the exchange fails.
            let cqe = unsafe { cqes.add((h % COMPLETIONS) as usize).read_volatile() };
            if head.compare_exchange(h, h.wrapping_add(1), AcqRel, Acquire).is_ok() {
                return Some((cqe.user_data(), cqe.result()));
            }
        }
    }

    /// As `pop`, where nobody else can come.
    #[inline]
    pub fn pop_alone(&self) -> Option<(u64, i32)> {
        let head = self.word(&self.at.cq_head);
        let h = head.load(Relaxed);
        // Acquire: the completion is read after the kernel's tail.
        if h == self.word(&self.at.cq_tail).load(Acquire) {
            return None;
        }
        let cqes =
            (self.base.load(Relaxed) + self.at.cqes.load(Relaxed) as usize) as *const cqueue::Entry;
        // SAFETY: inside the first page; not overwritten before the head moves.
        let cqe = unsafe { cqes.add((h % COMPLETIONS) as usize).read_volatile() };
        // Release: the kernel may use the place once it was read.
        head.store(h.wrapping_add(1), Release);
        Some((cqe.user_data(), cqe.result()))
    }

    /// Submits what is queued, and waits until `want` are done.
    ///
    /// # Errors
    /// EINVAL, EBADF: the ring is another thread's; EINTR and others.
    pub fn enter_registered(&self, want: u32) -> Result<usize, Errno> {
        let get = if want > 0 { ENTER_GETEVENTS } else { 0 };
        let (queued, flags) = (self.queued(), get | ENTER_REGISTERED_RING);
        // SAFETY: what the entries point to lives until their completions.
        unsafe { crate::sys!(io_uring_enter, REGISTERED, queued, want, flags, 0usize, 0usize) }
    }

    /// Submits what is queued, and fetches what is done.
    ///
    /// # Errors
    /// EEXIST: not the owner; EAGAIN, EBUSY, ENOMEM: not now; EBADF and others:
    /// the ring is lost.
    pub fn enter(&self, fd: c_int) -> Result<usize, Errno> {
        let (queued, flags) = (self.queued(), ENTER_GETEVENTS);
        // SAFETY: what the entries point to lives until their completions.
        unsafe { crate::sys!(io_uring_enter, fd, queued, 0, flags, 0usize, 0usize) }
    }

    /// Submits what is queued, and sleeps until something is done.
    ///
    /// # Errors
    /// As `enter`; EINTR, ETIME.
    pub fn enter_and_wait(&self, fd: c_int, wait: &Wait) -> Result<usize, Errno> {
        let address = |o: Option<u64>| o.unwrap_or(0);
        let arg = GeteventsArg {
            sigmask: address(wait.mask.as_ref().map(|m| std::ptr::from_ref(m) as u64)),
            sigmask_sz: size_of::<sys::SigSet>() as u32,
            min_wait_usec: 0,
            ts: address(wait.left.as_ref().map(|t| std::ptr::from_ref(t) as u64)),
        };
        let flags = ENTER_GETEVENTS | ENTER_EXT_ARG;
        let len = size_of::<GeteventsArg>();
        // SAFETY: as above; the argument lives through the call.
        unsafe { crate::sys!(io_uring_enter, fd, self.queued(), 1, flags, &raw const arg, len) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    None,
    Here,
    InKernel,
}

/// How to sleep.
pub struct Wait {
    /// The time that is left.
    pub left: Option<libc::timespec>,
    /// The signal mask to have meanwhile.
    pub mask: Option<sys::SigSet>,
}

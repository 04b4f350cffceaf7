//! A ring's life: opened by the thread that is to own it, visited by that thread,
//! closed by anybody.

use super::ring::Pages;
use super::{CallerRings, USED};
use crate::errno::Errno;
use crate::sys::{self, FileId};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64};

/// `CallerRing::state`
const CLOSED: u32 = 0;
const IDLE: u32 = 1;
/// The owner uses the descriptor.
const VISITED: u32 = 2;
/// It is being closed, by the owner if that is using it.
const CLOSING: u32 = 3;
/// `watch` has to see the descriptor before it is used.
const NEW: u32 = 4;

pub struct CallerRing {
    of: *const CallerRings,
    pub(super) pages: Pages,
    state: AtomicU32,
    pub(super) fd: AtomicI32,
    pid: AtomicI32,
    dev: AtomicU64,
    ino: AtomicU64,
    /// Operations in flight, and the futex.
    pub(super) in_flight: AtomicU32,
    pub(super) futex_armed: AtomicBool,
    /// Who uses the pages; -1: they are being replaced.
    users: AtomicI32,
    /// Entries are being pushed: not by a signal handler on top of that.
    pub(super) pushing: AtomicBool,
    /// Which call of `submit` an operation was pushed by (`Op::state`).
    pub(super) round: AtomicU32,
    /// Changes whenever the owner comes by.
    pub(super) visits: AtomicU32,
    /// The owner sleeps in the ring.
    pub(super) asleep: AtomicBool,
    /// Operations that are left to the engine, after some that NOWAIT had no way for.
    pub(super) skip: AtomicU32,
    pub(super) penalty: AtomicU32,
}

// SAFETY: `of` points to memory that is never unmapped; all else is atomic or
// shared with the kernel as such.
unsafe impl Sync for CallerRing {}

/// The pages stay until this is dropped.
pub(super) struct User<'a>(&'a CallerRing);

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Release);
    }
}

/// The owner uses the descriptor until this is dropped.
pub(super) struct Visit<'a> {
    user: User<'a>,
    /// Not in a signal handler on top of another.
    outer: bool,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let ring = self.user.0;
        if self.outer && ring.state.compare_exchange(VISITED, IDLE, AcqRel, Acquire).is_err() {
            ring.abandon();
        }
    }
}

impl CallerRing {
    /// Closed.
    pub(super) fn new(of: &CallerRings) -> Self {
        Self {
            of,
            pages: Pages::new(),
            state: AtomicU32::new(CLOSED),
            fd: AtomicI32::new(-1),
            pid: AtomicI32::new(0),
            dev: AtomicU64::new(0),
            ino: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            futex_armed: AtomicBool::new(false),
            users: AtomicI32::new(0),
            pushing: AtomicBool::new(false),
            round: AtomicU32::new(0),
            visits: AtomicU32::new(0),
            asleep: AtomicBool::new(false),
            skip: AtomicU32::new(0),
            penalty: AtomicU32::new(0),
        }
    }

    /// True when it belongs to this table, not to that of a parent process.
    pub fn is_of(&self, rings: &CallerRings) -> bool {
        std::ptr::eq(self.of, rings)
    }

    pub(super) fn all(&self) -> &'static CallerRings {
        // SAFETY: the table is never unmapped.
        unsafe { &*self.of }
    }

    pub fn is_open(&self) -> bool {
        self.state.load(Relaxed) != CLOSED
    }

    /// Requests that only a look at the ring completes.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Acquire)
    }

    /// In `watch`: whether the ring is new, and then whether it may be used. A
    /// thread with descriptors of its own could not be helped.
    pub(super) fn approve(&self) -> bool {
        if self.state.load(Acquire) != NEW {
            return false;
        }
        let seen = sys::file_id(self.fd.load(Relaxed)) == Ok(self.id());
        let _ = self.state.compare_exchange(NEW, if seen { IDLE } else { CLOSED }, AcqRel, Acquire);
        true
    }

    /// New requests are no use: it is being closed.
    pub(super) fn is_closing(&self) -> bool {
        self.state.load(Relaxed) == CLOSING
    }

    fn id(&self) -> FileId {
        FileId { dev: self.dev.load(Relaxed), ino: self.ino.load(Relaxed) }
    }

    /// Opens the ring for the calling thread, if nothing is left in it. It can be
    /// used as soon as `watch` has seen it.
    ///
    /// # Errors
    /// As `Pages::setup`; EBUSY.
    pub fn open(&self) -> Result<(), Errno> {
        const EBUSY: Errno = Errno(libc::EBUSY);
        if self.is_open() || self.users.compare_exchange(0, -1, AcqRel, Relaxed).is_err() {
            return Err(EBUSY);
        }
        // Not closed yet when `watch` could not see it.
        self.close_fd();
        // Nobody uses the pages, so nothing comes into them.
        let low = if self.in_flight() == 0 { self.pages.setup() } else { Err(EBUSY) };
        self.users.store(0, Release);
        let low = low?;
        let fd = sys::dup_high(low);
        sys::close(low);
        let fd = fd?;
        let id = sys::file_id(fd).inspect_err(|_| sys::close(fd))?;
        self.dev.store(id.dev, Relaxed);
        self.ino.store(id.ino, Relaxed);
        self.fd.store(fd, Relaxed);
        self.pid.store(sys::getpid(), Relaxed);
        self.futex_armed.store(false, Relaxed);
        self.skip.store(0, Relaxed);
        self.penalty.store(0, Relaxed);
        USED.store(true, Relaxed);
        self.state.store(NEW, SeqCst);
        self.all().watch.look_soon();
        Ok(())
    }

    /// No new requests; those in flight complete to whoever calls `reap`. Any
    /// thread that shares the program's descriptors.
    pub fn close(&self) {
        let to = |from| self.state.compare_exchange(from, CLOSING, AcqRel, Acquire).is_ok();
        if to(IDLE) || to(NEW) {
            self.abandon();
        } else {
            to(VISITED);
        }
        if self.in_flight() != 0 {
            self.all().watch.look_soon();
        }
    }

    /// Closes it whatever the owner does.
    pub(super) fn abandon(&self) {
        self.close_fd();
        self.state.store(CLOSED, SeqCst);
    }

    pub(super) fn close_fd(&self) {
        sys::close_if_ours(self.fd.swap(-1, AcqRel), self.id());
    }

    /// None: the ring is closed. A signal handler visits on top of the thread.
    pub(super) fn visit(&self) -> Option<Visit<'_>> {
        self.seen();
        let user = self.user()?;
        match self.state.compare_exchange(IDLE, VISITED, AcqRel, Acquire) {
            Ok(_) => Some(Visit { user, outer: true }),
            Err(VISITED | CLOSING) => Some(Visit { user, outer: false }),
            Err(_) => None,
        }
    }

    /// None: the pages are being replaced, hence empty.
    pub(super) fn user(&self) -> Option<User<'_>> {
        let one_more = |n: i32| (n >= 0).then_some(n + 1);
        self.users.fetch_update(AcqRel, Relaxed, one_more).is_ok().then(|| User(self))
    }

    /// Closes a ring that is of no use any more: the program has closed the
    /// descriptor or made something else of it, another thread runs under the
    /// owner's name, or a seccomp filter came later than the ring.
    pub(super) fn look_at_error(&self, e: Option<Errno>) {
        let passing = [libc::EINTR, libc::ETIME, libc::EAGAIN, libc::EBUSY, libc::ENOMEM];
        match e {
            None => {}
            Some(e) if passing.contains(&e.0) => {}
            // A child by vfork: it has our memory, but descriptors of its own.
            // Without its copy the ring can be closed by `watch`.
            Some(_) if self.pid.load(Relaxed) != sys::getpid() => {
                sys::close_if_ours(self.fd.load(Relaxed), self.id());
                sys::nap();
            }
            Some(_) => self.close(),
        }
    }

    /// The owner has come by.
    pub(super) fn seen(&self) {
        self.visits.store(self.visits.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

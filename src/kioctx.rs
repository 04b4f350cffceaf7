//! `struct kioctx` and `struct aio_kiocb`, and the references to a context.
//!
//! A `Kioctx` lies in memory that is never unmapped and is used again for later
//! contexts; whoever looks one up takes a reference first and then checks that
//! it still is the context that was meant.

use crate::aio_ring::{PAGE_SIZE, Ring};
use crate::engine::op::Op;
use crate::errno::Errno;
use crate::hazard::{self, Hazard};
use crate::late::Late;
use crate::reqs_available::{KioctxCpu, ReqsAvailable};
use crate::slab::Slab;
use crate::sleeper::Sleeper;
use crate::sys;
use crate::task_lock::TaskLock;
use crate::wait::WaitQueue;
use std::ptr::{NonNull, null_mut};
use std::sync::Mutex;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

/// Requests whose events may have left the ring while an engine's threads still
/// hold them.
const NOT_FREE_YET: u32 = 256;

/// A request that was deferred (`struct aio_kiocb`). One that finishes inside
/// io_submit never needs this.
#[repr(C)]
pub struct AioKiocb {
    /// First, so that an engine's pointer to it is a pointer to the request.
    pub op: Op,
    pub ctx: AtomicPtr<Kioctx>,
    /// The program's address of the iocb, and its `data` at submit time.
    pub obj: AtomicU64,
    pub data: AtomicU64,
    /// Odd while a request lives here; grows with each.
    pub life: AtomicU32,
    pub index: u32,
    /// When it was made, for the statistics.
    pub since: AtomicU64,
}

#[repr(C, align(64))]
pub struct Kioctx {
    /// The context's id: the address of the ring in the program; 0: no context.
    pub user_id: AtomicU64,
    /// Whoever uses the context: the table, requests, and the calls that have no
    /// `Hazard`. 0: memory is free.
    users: AtomicUsize,
    /// Also while the memory is free.
    dead: AtomicBool,
    /// Calls that use it without being counted keep one reference together, and
    /// the last of them drops it.
    abandoned: AtomicBool,
    /// Which context this memory is: a sleeper that comes back looks at it.
    life: AtomicU32,
    /// How often the program's address was used, see `seen_at`.
    uses: AtomicU32,
    /// The index in the table.
    pub id: u32,
    /// As the program asked, for aio_nr.
    pub max_reqs: u32,
    pub ring: Ring,
    pub reqs: ReqsAvailable,

    pub completion_lock: TaskLock,
    /// Our own tail, written under `completion_lock`: the page's is the program's
    /// to scribble on.
    pub tail: AtomicU32,
    /// Events published, written under `completion_lock`; and how many of them
    /// have given their slots back, written under `refill_lock`.
    pub completed_events: AtomicU32,
    pub refilled: AtomicU32,
    /// Taken with signals blocked.
    pub refill_lock: Mutex<()>,
    /// Events that a signal handler could not publish, because the thread it
    /// interrupted holds `completion_lock`.
    pub left_over: AtomicPtr<Op>,

    pub ring_lock: TaskLock,
    pub wait: WaitQueue,
    pub sleeper: Sleeper,

    /// Requests that an engine has, or will have.
    pub in_flight: AtomicUsize,
    pub late: Late,
    /// Changes when `users` falls while the context is dead.
    drained: AtomicU32,
    pub slab: Slab<AioKiocb>,

    next_free: *mut Kioctx,
}

// SAFETY: plain fields are written while no other thread can reach the context.
unsafe impl Sync for Kioctx {}

/// A reference to a context that cannot go away; it stays in its thread.
pub struct KioctxRef {
    ctx: NonNull<Kioctx>,
    /// None: counted in `users`.
    hazard: Option<&'static Hazard>,
}

impl std::ops::Deref for KioctxRef {
    type Target = Kioctx;
    #[inline]
    fn deref(&self) -> &Kioctx {
        // SAFETY: counted in `users`, or seen by who would free it.
        unsafe { self.ctx.as_ref() }
    }
}

impl KioctxRef {
    /// The same, counted.
    pub fn counted(mut self) -> Self {
        if let Some(hazard) = self.hazard.take() {
            self.get();
            hazard.release();
        }
        self
    }
}

impl Drop for KioctxRef {
    #[inline]
    fn drop(&mut self) {
        match self.hazard {
            None => self.put(),
            Some(hazard) => {
                let ctx = self.ctx;
                hazard.release();
                // SAFETY: memory of contexts is never unmapped.
                let ctx = unsafe { ctx.as_ref() };
                if ctx.dead.load(Relaxed) {
                    ctx.released_dead();
                }
            }
        }
    }
}

impl Kioctx {
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Acquire)
    }

    pub fn life(&self) -> u32 {
        self.life.load(Relaxed)
    }

    /// True when the program still has the ring at `ctx_id`. Asked of the kernel
    /// at first and then now and again: rings hardly ever move.
    #[inline]
    pub fn seen_at(&self, ctx_id: u64) -> bool {
        const TRUST_AFTER: u32 = 32;
        const RECHECK: u32 = 256;
        let uses = self.uses.load(Relaxed);
        self.uses.store(uses.wrapping_add(1), Relaxed);
        if uses >= TRUST_AFTER && !uses.is_multiple_of(RECHECK) {
            return true;
        }
        let there = sys::same_page(ctx_id, self.ring.kernel_address()) == sys::SamePage::Yes;
        if !there {
            self.distrust();
        }
        there
    }

    /// The program's view of the ring is to be looked at again.
    pub fn distrust(&self) {
        self.uses.store(0, Relaxed);
    }

    /// True for the one caller that is to kill the context.
    pub fn set_dead(&self) -> bool {
        !self.dead.swap(true, SeqCst)
    }

    /// Takes a reference, unless the context is dead.
    #[inline]
    pub fn try_get(&self) -> Option<KioctxRef> {
        let hazard = hazard::hold(self);
        if hazard.is_none() && !self.try_count() {
            return None;
        }
        let ctx = KioctxRef { ctx: self.into(), hazard };
        // Only now: who kills it looks at references after that.
        (!self.is_dead()).then_some(ctx)
    }

    #[cold]
    fn try_count(&self) -> bool {
        self.users.fetch_update(AcqRel, Relaxed, |n| (n != 0).then_some(n + 1)).is_ok()
    }

    /// One more reference; the caller has one.
    #[inline]
    pub fn get(&self) {
        self.users.fetch_add(1, Relaxed);
    }

    /// Drops a reference that `get` took.
    #[inline]
    pub fn put(&self) {
        // AcqRel: what users did comes before what follows the last one.
        let before = self.users.fetch_sub(1, AcqRel);
        if before <= 2 && self.dead.load(SeqCst) {
            self.put_dead(before);
        }
    }

    /// Waits until nobody but the caller uses the dead context; `cancel` stops
    /// the requests that may never end, again and again: a call that was under
    /// way may still submit one. The call that the running signal handler has
    /// interrupted is not waited for; nor, without requests in flight, for ever one
    /// of another thread: a handler above it may be waiting for us.
    pub fn drain(&self, cancel: impl Fn()) {
        const FIRST_LOOK_NS: i64 = 1_000_000;
        const PAUSE_NS: i64 = 50_000_000;
        /// A busy machine keeps a thread from running for some tenths of a second.
        const PATIENCE_NS: i64 = 3_000_000_000;
        let mut idle_since = None;
        let mut pause = FIRST_LOOK_NS;
        // Who uses it uncounted is seen from here on, or has seen that it is dead.
        hazard::barrier();
        loop {
            let seen = self.drained.load(Acquire);
            // In this order: a call that makes a request counts that first.
            let by_others = hazard::is_held_by_others(self);
            if !by_others && self.users.load(SeqCst) <= 1 {
                if hazard::is_held(self) {
                    self.abandon();
                }
                return;
            }
            if self.in_flight.load(SeqCst) != 0 {
                cancel();
                idle_since = None;
            } else {
                let now = sys::monotonic_now();
                let since = *idle_since.get_or_insert(now);
                if sys::ns_between(since, now) > PATIENCE_NS {
                    return self.abandon();
                }
            }
            let _ = sys::futex_wait(&self.drained, seen, Some(sys::monotonic_in(pause)));
            pause = (pause * 2).min(PAUSE_NS);
        }
    }

    /// The dead context is left to the calls that use it.
    fn abandon(&self) {
        self.get();
        self.abandoned.store(true, SeqCst);
        hazard::barrier();
        self.put_abandoned();
    }

    fn put_abandoned(&self) {
        if !hazard::is_held(self) && self.abandoned.swap(false, AcqRel) {
            self.put();
        }
    }

    /// A call has let go of the context without having been counted.
    #[cold]
    fn released_dead(&self) {
        if self.abandoned.load(SeqCst) {
            self.put_abandoned();
        }
        self.drained.fetch_add(1, Release);
        sys::futex_wake(&self.drained, i32::MAX as u32);
    }

    #[cold]
    fn put_dead(&self, before: usize) {
        if before == 1 {
            free_ioctx(self);
        } else {
            self.drained.fetch_add(1, Release);
            sys::futex_wake(&self.drained, i32::MAX as u32);
        }
    }
}

/// Contexts' memory to use again: pushed without a lock, popped under the
/// table's. It stays usable in a forked child.
static UNUSED: AtomicPtr<Kioctx> = AtomicPtr::new(null_mut());

/// Mirrors `fs/aio.c:free_ioctx()`: the last user has gone.
fn free_ioctx(ctx: &Kioctx) {
    let ctx = std::ptr::from_ref(ctx).cast_mut();
    // SAFETY: `users` is 0: nobody goes further than to look at that.
    unsafe {
        (*ctx).ring.free();
        (*ctx).slab.destroy();
        give_back(ctx);
    }
}

/// Memory without a user, to use for a later context.
///
/// # Safety
/// Nobody uses it; it came from `unused`.
unsafe fn give_back(ctx: *mut Kioctx) {
    let mut top = UNUSED.load(Relaxed);
    loop {
        // SAFETY: ours until it is in the list.
        unsafe { (*ctx).next_free = top };
        // Release: pairs with the acquire in `unused`.
        match UNUSED.compare_exchange_weak(top, ctx, Release, Relaxed) {
            Ok(_) => return,
            Err(now) => top = now,
        }
    }
}

/// # Errors
/// ENOMEM.
fn unused(ncpus: u32) -> Result<*mut Kioctx, Errno> {
    let mut top = UNUSED.load(Acquire);
    while !top.is_null() {
        // SAFETY: only the table's lock holder pops, so `top` stays in the list
        // until it does, and what lies behind it does not change.
        let next = unsafe { (*top).next_free };
        match UNUSED.compare_exchange_weak(top, next, Acquire, Acquire) {
            Ok(_) => return Ok(top),
            Err(now) => top = now,
        }
    }
    let len = size_of::<Kioctx>() + size_of::<KioctxCpu>() * ncpus as usize;
    let ctx = sys::mmap_anon(len, libc::MAP_PRIVATE).map_err(|_| Errno::ENOMEM)?.cast::<Kioctx>();
    // SAFETY: fresh memory, large and aligned enough.
    unsafe { ctx.write(Kioctx::NONE) };
    Ok(ctx)
}

impl Kioctx {
    #[allow(clippy::declare_interior_mutable_const)] // written to memory, never used in place
    const NONE: Self = Self {
        user_id: AtomicU64::new(0),
        users: AtomicUsize::new(0),
        dead: AtomicBool::new(true),
        abandoned: AtomicBool::new(false),
        life: AtomicU32::new(0),
        uses: AtomicU32::new(0),
        id: 0,
        max_reqs: 0,
        ring: Ring::empty(),
        reqs: ReqsAvailable::empty(),
        completion_lock: TaskLock::new(),
        tail: AtomicU32::new(0),
        completed_events: AtomicU32::new(0),
        refilled: AtomicU32::new(0),
        refill_lock: Mutex::new(()),
        left_over: AtomicPtr::new(null_mut()),
        ring_lock: TaskLock::new(),
        wait: WaitQueue::new(),
        sleeper: Sleeper::new(),
        in_flight: AtomicUsize::new(0),
        late: Late::new(),
        drained: AtomicU32::new(0),
        slab: Slab::empty(),
        next_free: null_mut(),
    };

    /// A context that nobody knows yet, with one reference: the table's. Called
    /// under the table's lock.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new(id: u32, max_reqs: u32, wanted: u32, ncpus: u32) -> Result<NonNull<Kioctx>, Errno> {
        let ctx = unused(ncpus)?;
        let made = Ring::setup(u64::from(wanted), id).and_then(|(mut ring, user)| {
            Slab::new(ring.nr_events - 1 + NOT_FREE_YET)
                .map(|slab| (ring.take(), user, slab))
                .inspect_err(|_| {
                    // SAFETY: both mappings are known to nobody yet.
                    unsafe {
                        sys::munmap(user, ring.len());
                        ring.free();
                    }
                })
        });
        // SAFETY: unused memory; who follows a stale pointer goes no further
        // than to `dead`, which is true until the last line.
        unsafe {
            let (ring, user, slab) = match made {
                Ok(made) => made,
                Err(e) => {
                    give_back(ctx);
                    return Err(e);
                }
            };
            let cpus = ctx.add(1).cast::<KioctxCpu>();
            cpus.write_bytes(0, ncpus as usize);
            let c = &mut *ctx;
            c.reqs = ReqsAvailable::new(ring.nr_events, cpus, ncpus);
            c.id = id;
            c.max_reqs = max_reqs;
            c.ring = ring;
            c.slab = slab;
            c.tail.store(0, Relaxed);
            c.completed_events.store(0, Relaxed);
            c.refilled.store(0, Relaxed);
            c.refill_lock = Mutex::new(());
            c.completion_lock = TaskLock::new();
            c.ring_lock = TaskLock::new();
            c.life.fetch_add(1, Relaxed);
            c.uses.store(0, Relaxed);
            c.user_id.store(user as u64, Relaxed);
            c.users.store(1, Relaxed);
            // Release: pairs with the acquire in `is_dead`.
            c.dead.store(false, Release);
            Ok(NonNull::new_unchecked(ctx))
        }
    }
}

const _: () = assert!(size_of::<Kioctx>() < PAGE_SIZE);

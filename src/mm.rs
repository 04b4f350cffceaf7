//! What the kernel keeps for AIO in `mm_struct`, and the life of contexts:
//! `lookup_ioctx`, `ioctx_alloc`, `kill_ioctx`, `exit_aio`.

use crate::advice;
use crate::aio_ring::PAGE_SIZE;
use crate::config::{Config, MaxNr, watched};
use crate::engine::caller::{CallerRings, GoOn, NowaitReads, NowaitRings};
use crate::engine::{self, Complete, Engine};
use crate::errno::Errno;
use crate::fork::ForkCell;
use crate::guess::FdCache;
use crate::ioctx_table::IoctxTable;
use crate::kioctx::{Kioctx, KioctxRef};
use crate::order::OrderTable;
use crate::stats::{self, Counters};
use crate::sys::{self, SamePage, SignalsBlocked};
use crate::{hazard, kernel_ctx, last_thread, logging, maps, polled, uaccess, worker};
use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr};

/// All of a process's state. A forked child starts without.
pub struct Mm {
    ioctx_table: IoctxTable<Kioctx>,
    /// Contexts by address: what the last look-ups found. `watched`: by calls that
    /// are looked at, which leaves `recent` empty.
    recent: Recent,
    watched: Recent,
    /// Held while the table changes; guards aio_nr, which is per process.
    aio_nr: Mutex<u64>,
    possible_cpus: u32,
    /// Whose it is: vfork's child shares its parent's.
    pub pid: c_int,
    pub config: Config,
    pub order: OrderTable,
    pub fds: FdCache,
    nowait_rings: NowaitRings,
    pub engine: Option<&'static dyn Engine>,
    pub stats: Option<&'static Counters>,
    /// Of io_setup.
    refusal_said: AtomicBool,
}

const RECENT: usize = 256;
type Recent = [AtomicPtr<Kioctx>; RECENT];

static MM: ForkCell<Mm> = ForkCell::new();

/// The process's state, if it has called io_setup.
#[inline]
pub fn mm() -> Option<&'static Mm> {
    MM.get()
}

/// The same for io_setup, which creates it. `complete` and `go_on` are what the engine
/// calls.
///
/// # Errors
/// ENOMEM.
pub fn mm_or_init(complete: Complete, go_on: GoOn) -> Result<&'static Mm, Errno> {
    if let Some(mm) = MM.get() {
        return Ok(mm);
    }
    let _signals = SignalsBlocked::new();
    MM.get_or_init(|at| {
        worker::forget_all();
        hazard::init();
        last_thread::init();
        let config = logging::load_config();
        // SAFETY: zeroed memory for an Mm; the tables are valid as they are, and
        // too large to be built on the stack; every other field is written.
        unsafe {
            (&raw mut (*at).aio_nr).write(Mutex::new(0));
            (&raw mut (*at).possible_cpus).write(sys::possible_cpus());
            (&raw mut (*at).pid).write(sys::getpid());
            (&raw mut (*at).config).write(config);
            (&raw mut (*at).order).write(OrderTable::new());
            let engine = engine::choose(&config, complete, go_on);
            (&raw mut (*at).engine).write(engine);
            (&raw mut (*at).stats).write(stats::open(&config, engine.map(Engine::name)));
        }
    })
}

impl Mm {
    fn recent(&self) -> &Recent {
        if watched() { &self.watched } else { &self.recent }
    }

    pub fn caller_rings(&self) -> Option<&'static CallerRings> {
        self.engine.and_then(|e| e.caller_rings())
    }

    /// The calling thread's ring for a batch of reads, some of `wanted`.
    pub fn nowait_reads(&self, wanted: u32) -> Option<NowaitReads<'_>> {
        self.engine.filter(|e| e.has_uring())?;
        self.nowait_rings.get(wanted)
    }

    fn aio_max_nr(&self) -> u64 {
        match self.config.max_nr {
            MaxNr::Number(n) => n,
            MaxNr::Kernel => sys::read_number(c"/proc/sys/fs/aio-max-nr").unwrap_or(65536),
        }
    }

    /// Says once what io_setup is refused for.
    #[cold]
    fn say_over_limit(&self, wanted: u32, aio_nr: u64, max: u64) {
        let setting = match self.config.max_nr {
            MaxNr::Number(_) => "AIO_RS_MAX_NR",
            MaxNr::Kernel => "fs.aio-max-nr (AIO_RS_MAX_NR=kernel)",
        };
        if !self.refusal_said.swap(true, Relaxed) {
            log::warn!(
                "io_setup is refused (EAGAIN): {wanted} events are asked for, and of {max} there \
                 are {} left: raise {setting}",
                max.saturating_sub(aio_nr)
            );
        }
    }

    #[cold]
    fn say_no_memory(&self, wanted: u32, why: Errno) {
        if !self.refusal_said.swap(true, Relaxed) {
            let advice = advice::Threads(why);
            log::warn!("io_setup is refused ({why}): no context for {wanted} events: {advice}");
        }
    }

    /// `mm->ioctx_lock`; signals are blocked.
    fn ioctx_lock(&self) -> MutexGuard<'_, u64> {
        self.aio_nr.lock().unwrap_or_else(|_| std::process::abort())
    }
}

/// Mirrors `fs/aio.c:lookup_ioctx()`. The kernel reads the id out of the ring at
/// the context's address; the program may have changed, moved or unmapped that
/// page, and another thread may be destroying the context. So it is read through
/// our own mapping, and the program's address is only ever shown to the kernel.
pub fn lookup_ioctx(ctx_id: u64) -> Option<KioctxRef> {
    let mm = mm()?;
    lookup_recent(mm.recent(), ctx_id).or_else(|| lookup_slowly(mm, ctx_id))
}

/// The same for a context that was looked up before, in calls that nobody
/// watches. None: `lookup_ioctx` may know it.
#[inline(always)]
pub fn lookup_at_once(ctx_id: u64) -> Option<(&'static Mm, KioctxRef)> {
    let mm = mm()?;
    Some((mm, lookup_recent(&mm.recent, ctx_id)?))
}

#[inline]
fn slot(recent: &Recent, ctx_id: u64) -> &AtomicPtr<Kioctx> {
    &recent[(ctx_id as usize / PAGE_SIZE) % RECENT]
}

#[inline(always)]
fn lookup_recent(recent: &Recent, ctx_id: u64) -> Option<KioctxRef> {
    // SAFETY: memory of contexts is never unmapped.
    let ctx = unsafe { slot(recent, ctx_id).load(Acquire).as_ref() }?.try_get()?;
    let is_it = ctx.user_id.load(Acquire) == ctx_id
        && ctx.ring.id().load(Relaxed) == ctx.id
        && ctx.seen_at(ctx_id);
    is_it.then_some(ctx)
}

#[cold]
fn lookup_slowly(mm: &'static Mm, ctx_id: u64) -> Option<KioctxRef> {
    if ctx_id == 0 || ctx_id & (PAGE_SIZE as u64 - 1) != 0 {
        return None;
    }
    let id = sys::peek_u32(ctx_id)?;
    // SAFETY: memory of contexts is never unmapped.
    let ctx = unsafe { mm.ioctx_table.get(id).as_ref() }?.try_get()?;
    let user_id = ctx.user_id.load(Acquire);
    match sys::same_page(ctx_id, ctx.ring.kernel_address()) {
        SamePage::Fault => return None,
        // Mirrors `fs/aio.c:aio_ring_mremap()`, late: the program moved the ring,
        // and its new address is the context now.
        SamePage::Yes if user_id != 0 => ctx.user_id.store(ctx_id, Release),
        SamePage::Yes => return None,
        // Something else with a fitting id at the context's address: that is
        // enough for the kernel, unless the ring was moved away from there, or the
        // kernel has put a ring of its own there.
        SamePage::No if user_id != ctx_id || kernel_ctx::is_kernels(ctx_id) => return None,
        SamePage::No => {
            if let Some(now_at) = maps::other_view(ctx.ring.kernel_address()) {
                ctx.user_id.store(now_at, Release);
                return None;
            }
        }
    }
    slot(mm.recent(), ctx_id).store(std::ptr::from_ref(&*ctx).cast_mut(), Release);
    Some(ctx)
}

/// The ring at `ctx_id` could not be read: it may have gone.
#[cold]
pub fn distrust_ioctx(ctx_id: u64) {
    let Some(mm) = mm() else { return };
    // SAFETY: memory of contexts is never unmapped.
    if let Some(ctx) = unsafe { slot(mm.recent(), ctx_id).load(Acquire).as_ref() } {
        ctx.distrust();
    }
}

/// A context that was looked up before, if it still lives: its sleeping waiters
/// hold no reference.
pub fn reget(ctx: NonNull<Kioctx>, life: u32) -> Option<KioctxRef> {
    // SAFETY: memory of contexts is never unmapped.
    let ctx = unsafe { ctx.as_ref() }.try_get()?;
    (ctx.life() == life).then_some(ctx)
}

/// Mirrors `fs/aio.c:ioctx_alloc()`. Returns the context's id for the program.
///
/// # Errors
/// EINVAL: `max_reqs` too large. EAGAIN: over the limit. ENOMEM.
pub fn ioctx_alloc(mm: &'static Mm, max_reqs: u32) -> Result<u64, Errno> {
    // Both steps in 32 bits, as in the kernel, where they can wrap.
    let wanted = max_reqs.max(mm.possible_cpus * 4).wrapping_mul(2);
    if wanted > 0x1000_0000 / size_of::<crate::abi::IoEvent>() as u32 {
        return Err(Errno::EINVAL);
    }
    let max = mm.aio_max_nr();
    let _signals = SignalsBlocked::new();
    let mut aio_nr = mm.ioctx_lock();
    if wanted == 0 || *aio_nr + u64::from(max_reqs) > max {
        mm.say_over_limit(max_reqs, *aio_nr, max);
        return Err(Errno::EAGAIN);
    }
    let ctx = mm
        .ioctx_table
        .add(|id| Kioctx::new(id, max_reqs, wanted, mm.possible_cpus).map(NonNull::as_ptr))
        .inspect_err(|why| mm.say_no_memory(max_reqs, *why))?;
    *aio_nr += u64::from(max_reqs);
    if let Some(stats) = mm.stats {
        stats.contexts(1, *aio_nr);
    }
    // SAFETY: memory of contexts is never unmapped.
    let c = unsafe { &*ctx };
    c.sleeper.renew(mm.caller_rings());
    let id = c.user_id.load(Relaxed);
    slot(mm.recent(), id).store(ctx, Release);
    Ok(id)
}

/// Mirrors `fs/aio.c:kill_ioctx()` and the waiting in `io_destroy`: returns when
/// no request is in flight. `cancel` stops those that may never end.
///
/// # Errors
/// EINVAL: somebody else destroyed it first.
pub fn kill_ioctx(
    mm: &'static Mm,
    ctx: KioctxRef,
    cancel: fn(&'static Mm, &Kioctx),
) -> Result<(), Errno> {
    // Its end is not to wait for this call.
    let ctx = ctx.counted();
    if !ctx.set_dead() {
        return Err(Errno::EINVAL);
    }
    {
        let _signals = SignalsBlocked::new();
        let mut aio_nr = mm.ioctx_lock();
        mm.ioctx_table.remove(ctx.id);
        *aio_nr -= u64::from(ctx.max_reqs);
        if let Some(stats) = mm.stats {
            stats.contexts(-1, *aio_nr);
        }
        let user = ctx.user_id.swap(0, SeqCst);
        uaccess::forget(user, PAGE_SIZE as u64);
        polled::forget(user);
        // The program's mapping goes at once; ours stays while it is needed.
        // SAFETY: at this address the program has the ring, or what it put there
        // itself, which the kernel unmaps just so.
        unsafe { sys::munmap(user as usize, ctx.ring.len()) };
    }
    // The table's reference.
    ctx.put();
    ctx.wait.wake_all();
    ctx.drain(|| {
        cancel(mm, &ctx);
        ctx.sleeper.help();
    });
    ctx.sleeper.close();
    Ok(())
}

/// Mirrors `fs/aio.c:exit_aio()` for a process that calls exit: `finish`es every
/// context. They stay usable: other destructors may yet want theirs.
pub fn exit_aio(mm: &'static Mm, finish: impl Fn(&Kioctx)) {
    for ctx in mm.ioctx_table.iter() {
        // SAFETY: memory of contexts is never unmapped.
        if let Some(ctx) = unsafe { &*ctx }.try_get() {
            finish(&ctx);
        }
    }
}

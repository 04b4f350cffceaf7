//! io_getevents and io_pgetevents: taking events, and waiting for them.

use crate::errno::Errno;
use crate::kioctx::{Kioctx, KioctxRef};
use crate::late;
use crate::sigwait::{self, Mask};
use crate::sys;
use crate::wait::By;
use crate::{last_thread, mm, uaccess};
use std::ptr::NonNull;

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Not at all: a timeout of zero.
    Now,
    /// So many nanoseconds.
    After(i64),
    Forever,
}

impl Until {
    /// `timespec64_to_ktime`, whose overflows programs can see: the fields are
    /// multiplied and added unchecked, and a negative sum never expires.
    pub fn from_timespec(ts: libc::timespec) -> Self {
        const KTIME_SEC_MAX: i64 = i64::MAX / 1_000_000_000;
        if ts.tv_sec >= KTIME_SEC_MAX {
            return Self::Forever;
        }
        match ts.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(ts.tv_nsec) {
            0 => Self::Now,
            ns if ns < 0 || ns == i64::MAX => Self::Forever,
            ns => Self::After(ns),
        }
    }
}

/// Where the events go: room for `nr` at `events`, `taken` so far.
struct Sink {
    events: u64,
    nr: i64,
    taken: i64,
}

impl Sink {
    /// Mirrors `fs/aio.c:aio_read_events_ring()` as `aio_read_events` calls it.
    #[inline]
    fn take(&mut self, ctx: &Kioctx) -> Result<(), Errno> {
        let Some(_guard) = ctx.ring_lock.lock() else {
            // A signal handler above a thread that is taking events itself: they
            // are that thread's.
            return Err(Errno::EINTR);
        };
        let at =
            self.events.wrapping_add(self.taken as u64 * size_of::<crate::abi::IoEvent>() as u64);
        let n = ctx.ring.copy_out(at, (self.nr - self.taken) as u64)?;
        self.taken += n as i64;
        Ok(())
    }

    /// What the call returns: events that were taken count more than an error.
    fn result(&self, error: Result<(), Errno>) -> Result<i64, Errno> {
        match error {
            Err(e) if self.taken == 0 => Err(e),
            _ => Ok(self.taken),
        }
    }
}

/// Mirrors `fs/aio.c:do_io_getevents()` behind the look-up, and `read_events()`.
/// With a mask, signals are blocked on entry and it is in force while waiting.
///
/// # Errors
/// EINVAL: `min_nr` negative or above `nr`, or the context was destroyed. EFAULT:
/// the events do not fit. EINTR: a signal handler ran.
pub fn read_events(
    ctx: KioctxRef,
    min_nr: i64,
    nr: i64,
    events: u64,
    until: Until,
    mask: Option<Mask>,
) -> Result<i64, Errno> {
    if min_nr > nr || min_nr < 0 {
        return Err(Errno::EINVAL);
    }
    ctx.sleeper.look();
    let mut sink = Sink { events, nr, taken: 0 };
    match sink.take(&ctx) {
        // Nothing to wait for: somebody below us has what there is.
        Err(Errno::EINTR) if until == Until::Now || min_nr == 0 => return Ok(0),
        Err(e) => return Err(e),
        Ok(()) => {}
    }
    let goal = if min_nr > 0 { Goal::Events(min_nr) } else { Goal::Late(ctx.late.mark()) };
    if until == Until::Now || goal.reached(&sink) || goal.over(&ctx) {
        return Ok(sink.taken);
    }
    let deadline = match until {
        Until::After(ns) => Some(sys::monotonic_in(ns)),
        _ => None,
    };
    wait_for_events(ctx, goal, sink, deadline, mask)
}

/// What a call waits for.
#[derive(Clone, Copy)]
enum Goal {
    /// So many events.
    Events(i64),
    /// min_nr 0: what the kernel would have finished in earlier io_submits.
    Late(late::Mark),
}

impl Goal {
    fn reached(self, sink: &Sink) -> bool {
        match self {
            Self::Events(min_nr) => sink.taken >= min_nr,
            Self::Late(_) => sink.taken >= sink.nr,
        }
    }

    /// How many more have to be in the ring; 0: wake up at each.
    fn needed(self, sink: &Sink) -> u32 {
        match self {
            Self::Events(min_nr) => u32::try_from(min_nr - sink.taken).unwrap_or(u32::MAX - 1),
            Self::Late(_) => 0,
        }
    }

    /// True when there is nothing to wait for, whatever was taken.
    fn over(self, ctx: &Kioctx) -> bool {
        match self {
            Self::Events(_) => false,
            Self::Late(mark) => ctx.late.passed(mark),
        }
    }

    /// Takes what there is, if that is enough to do so. None: sleep.
    fn look(self, ctx: &Kioctx, sink: &mut Sink) -> Option<Result<i64, Errno>> {
        loop {
            // Before the look at the ring: what is over has its event there.
            let over = self.over(ctx);
            if !over && ctx.ring.available() < self.needed(sink).max(1) {
                return None;
            }
            let r = sink.take(ctx);
            if r.is_err() || over || self.reached(sink) {
                return Some(sink.result(r));
            }
        }
    }
}

#[cold]
fn wait_for_events(
    mut ctx: KioctxRef,
    goal: Goal,
    mut sink: Sink,
    deadline: Option<libc::timespec>,
    mask: Option<Mask>,
) -> Result<i64, Errno> {
    last_thread::note_user();
    let mut woken = false;
    loop {
        // Not announced yet: whoever finds enough has nobody to be woken by.
        let found = goal.look(&ctx, &mut sink);
        if woken {
            pass_on(&ctx);
        }
        if let Some(r) = found {
            return r;
        }
        let needed = goal.needed(&sink);
        let own = ctx.sleeper.sleeps();
        let by = if own.is_some() || mask.is_some() { By::Another } else { By::Itself };
        let at = ctx.wait.prepare_to_wait(needed, by);
        if let Some(r) = goal.look(&ctx, &mut sink) {
            ctx.wait.forget(at);
            return r;
        }
        if goal.needed(&sink) != needed {
            ctx.wait.forget(at);
            continue;
        }
        // Asleep we hold no reference: a signal handler on this thread may
        // destroy the context. Its memory stays, the word to sleep on with it.
        let (sleeping, life) = (NonNull::from(&*ctx), ctx.life());
        drop(ctx);
        // SAFETY: memory of contexts is never unmapped.
        let wait = unsafe { &(*sleeping.as_ptr()).wait };
        let slept = match (own, mask) {
            (Some(ring), _) => ring.sleep(Some(wait.futex(at)), deadline, mask),
            (None, None) => wait.wait(at, deadline),
            (None, Some(mask)) => sigwait::wait(wait, at, deadline, mask),
        };
        wait.forget(at);
        if let Some(ring) = own {
            // Its events need not wake us.
            ring.reap();
        }
        uaccess::look_at_clock();
        ctx = match mm::reget(sleeping, life) {
            Some(ctx) => ctx,
            None => return sink.result(Err(Errno::EINVAL)),
        };
        if let Err(why) = slept {
            // A call with min_nr 0 is not interrupted, it ends.
            let ends = why == Errno::ETIMEDOUT || matches!(goal, Goal::Late(_));
            let r = sink.take(&ctx).and(if ends { Ok(()) } else { Err(why) });
            pass_on(&ctx);
            return sink.result(r);
        }
        woken = true;
    }
}

/// What this thread was woken for and has not taken, others may want.
fn pass_on(ctx: &Kioctx) {
    ctx.wait.complete(1, || ctx.ring.available());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_overflow_as_in_the_kernel() {
        let t = |tv_sec, tv_nsec| Until::from_timespec(libc::timespec { tv_sec, tv_nsec });
        assert_eq!(t(0, 0), Until::Now);
        assert_eq!(t(0, 1), Until::After(1));
        assert_eq!(t(1, -900_000_000), Until::After(100_000_000));
        assert_eq!(t(0, 1_200_000_000), Until::After(1_200_000_000));
        assert_eq!(t(i64::MIN, 0), Until::Now);
        for (s, ns) in [
            (-1, 0),
            (0, -1),
            (-5, 1_000_000_000),
            (i64::MAX, 999_999_999),
            (0, i64::MAX),
            (9_223_372_036, 0),
        ] {
            assert_eq!(t(s, ns), Until::Forever, "{s} {ns}");
        }
    }
}

//! The steps that take events.

use crate::callbacks;
use crate::calls::{Calls, Outcome, context, slot_of};
use crate::layout::*;
use crate::mem;
use crate::program::*;
use crate::rings::Rings;
use crate::submit::resolve;
use crate::trace::{Answer, Event};
use crate::world::signal_set;

/// What fills the memory for events.
const CANARY: u8 = 0xc7;
/// The records that are looked at behind those that were handed out.
const LOOKED_AT: u32 = 4;

const MAGIC: u32 = 0xa10a_10a1;

impl Calls {
    pub fn get_events(&self, rings: &mut Rings, g: &GetEvents) -> Outcome {
        let mut g = g.clone();
        let room = (EVENTS_LEN / EVENT) as i64;
        // More than there is room for would be written over other memory.
        if g.events == Dest::Good && (g.old || g.min <= g.nr) {
            (g.min, g.nr) = (g.min.min(room), g.nr.min(room));
        }
        let g = &g;
        let ctx = context(rings, &g.ctx);
        let live = slot_of(rings, ctx).and_then(|slot| rings.get(slot));
        let min = if g.old { 1 } else { g.min };
        let enough = live.is_none_or(|l| i64::from(l.available()) >= min) || min > g.nr;
        let timeout = match g.timeout {
            Timeout::Null | Timeout::Bad(Addr::Null) | Timeout::Negative(..) if !enough => {
                Timeout::Short(500_000)
            }
            t => t,
        };
        self.get_events_now(rings, g, timeout)
    }

    /// For all that is there or in flight.
    pub fn drain(&self, rings: &mut Rings, slot: Slot) -> Outcome {
        let Some(live) = rings.get(slot) else { return Outcome::left_out() };
        live.scan();
        // (Of the ring's size where the program has moved head past the tail.)
        let all = (i64::from(live.available()) + live.transfers() as i64) % i64::from(live.nr());
        let room = (EVENTS_LEN / EVENT) as i64 - i64::from(LOOKED_AT);
        if all > room || live.header_changed() {
            return Outcome::left_out();
        }
        let ctx = Ctx::Var(slot);
        let (events, timeout) = (Dest::Good, Timeout::Null);
        let g = GetEvents { ctx, min: all, nr: all, events, timeout, mask: None, old: false };
        self.get_events_now(rings, &g, timeout)
    }

    fn get_events_now(&self, rings: &mut Rings, g: &GetEvents, timeout: Timeout) -> Outcome {
        let ctx = context(rings, &g.ctx);
        let (at, room) = match g.events {
            Dest::Good => (EVENTS, EVENTS_LEN / EVENT),
            Dest::Edge(room) => (EDGE_EVENTS + PAGE - EVENT * u64::from(room), u64::from(room)),
            Dest::Bad(addr) => (resolve(addr, EVENTS, EDGE_EVENTS), 0),
        };
        mem::fill(EVENTS, EVENTS_LEN, CANARY);
        mem::fill(EDGE_EVENTS, PAGE, CANARY);
        let timeout = write_timeout(timeout);
        let mask = write_mask(g.mask);
        let slot = slot_of(rings, ctx);
        let head = slot.and_then(|slot| rings.get(slot)).map_or(0, |l| l.header()[2] % l.nr());
        let dies = self.dies(ctx, timeout, g.old);
        if dies && self.kernel {
            return Outcome::would_die();
        }
        // SAFETY: `nr` events fit or end in a fault; ours checks everything.
        let mut outcome = self.call(|lib| unsafe {
            match g.mask {
                _ if g.old => (lib.old_getevents)(ctx, g.nr, at, timeout),
                // (A signal let through would come later to the kernel's side.)
                Some(_) if !dies => (lib.io_pgetevents)(ctx, g.min, g.nr, at, timeout, mask),
                _ => (lib.io_getevents)(ctx, g.min, g.nr, at, timeout),
            }
        });
        let handed = match outcome.answer {
            Answer::Returned(n @ 1..) => (n as u64).min(room),
            _ => 0,
        };
        outcome.events = (0..handed).map(|i| mem::read(at + EVENT * i)).collect();
        if let Some(live) = slot.and_then(|slot| rings.get(slot)) {
            let stood = |(i, e): (usize, &Event)| live.event(head + i as u32) == *e;
            outcome.as_in_ring = outcome.events.iter().enumerate().all(stood);
            live.reaped(handed);
        }
        let behind = handed..room.min(handed + u64::from(LOOKED_AT));
        let spoilt = |i: &u64| mem::bytes(at + EVENT * i, EVENT).iter().any(|b| *b != CANARY);
        outcome.spoilt = behind.filter(spoilt).count() as u32;
        outcome
    }

    /// As fio and QEMU do, without a call.
    pub fn reap(&self, rings: &mut Rings, slot: Slot, most: u16) -> Outcome {
        let Some(live) = rings.get(slot) else { return Outcome::left_out() };
        let head = live.header()[2];
        if live.header_changed() {
            return Outcome::left_out();
        }
        let n = live.available().min(u32::from(most));
        let mut outcome = Outcome::of(i64::from(n));
        outcome.events = (0..n).map(|i| live.event(head + i)).collect();
        live.set_header(2, (head + n) % live.nr());
        live.reaped(u64::from(n));
        outcome
    }

    pub fn queue_run(&self, rings: &mut Rings, ctx: &Ctx) -> Outcome {
        let ctx = context(rings, ctx);
        // Every event must have a callback.
        if let Some(live) = slot_of(rings, ctx).and_then(|slot| rings.get(slot)) {
            let head = live.header()[2] % live.nr();
            let event = |i| live.event(head + i);
            let all = (0..live.available()).all(|i| callbacks::is_callback(event(i).data));
            if !all || live.header_changed() || !cfg!(target_arch = "x86_64") {
                return Outcome::left_out();
            }
        }
        if self.kernel && self.dies(ctx, MISC, false) {
            return Outcome::would_die();
        }
        // SAFETY: the callbacks are ours.
        let mut outcome = self.call(|lib| unsafe { (lib.io_queue_run)(ctx) });
        let called = callbacks::take();
        outcome.as_in_ring = called.iter().all(|(c, _)| *c == ctx);
        outcome.events = called.into_iter().map(|(_, e)| e).collect();
        if let Some(live) = slot_of(rings, ctx).and_then(|slot| rings.get(slot)) {
            live.reaped(outcome.events.len() as u64);
            live.called(2 * outcome.events.len());
        }
        outcome
    }

    pub fn queue_wait(&self, rings: &Rings, ctx: &Ctx, timeout: Timeout, old: bool) -> Outcome {
        let ctx = context(rings, ctx);
        let timeout = write_timeout(timeout);
        if self.kernel && self.dies(ctx, timeout, old) {
            return Outcome::would_die();
        }
        // SAFETY: looked at by `dies`; ours checks everything.
        self.call(|lib| unsafe {
            if old { (lib.old_queue_wait)(ctx, timeout) } else { (lib.io_queue_wait)(ctx, timeout) }
        })
    }

    /// libaio reads the ring's head, and then the timeout, without asking; its old
    /// versions copy the timeout first.
    fn dies(&self, ctx: u64, timeout: u64, old: bool) -> bool {
        let bad_timeout = timeout != 0 && !mem::readable(timeout, 16);
        if old && bad_timeout {
            return true;
        }
        if ctx == 0 {
            return false;
        }
        self.way.while_so(|| {
            if !mem::readable(ctx, 32) {
                return true;
            }
            // SAFETY: just found readable.
            let magic = unsafe { std::ptr::read_unaligned((ctx + 16) as *const u32) };
            magic == MAGIC && bad_timeout
        })
    }
}

fn write_timeout(timeout: Timeout) -> u64 {
    let (sec, nsec) = match timeout {
        Timeout::Zero => (0, 0),
        Timeout::Short(ns) => (0, i64::from(ns)),
        Timeout::Negative(sec, nsec) => (sec, nsec),
        Timeout::Null => return 0,
        Timeout::Edge => return EDGE_MISC + PAGE - 8,
        Timeout::Bad(Addr::ReadOnly(_)) => return READ_ONLY + READ_ONLY_TIMEOUT,
        Timeout::Bad(addr) => return resolve(addr, MISC, EDGE_MISC),
    };
    mem::write(MISC, [sec, nsec]);
    MISC
}

fn write_mask(mask: Option<Mask>) -> u64 {
    let at = MISC + 256;
    let set = match mask {
        None => return 0,
        Some(Mask::Blocked) => signal_set(&[libc::SIGUSR1]),
        Some(Mask::Open) => signal_set(&[]),
        Some(Mask::Bad(addr)) => return resolve(addr, MISC, EDGE_MISC),
    };
    mem::write(at, set);
    at
}

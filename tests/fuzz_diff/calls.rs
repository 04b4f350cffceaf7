//! The steps that call the library.

use crate::fds;
use crate::layout::*;
use crate::libaio::Libaio;
use crate::mem;
use crate::program::*;
use crate::rings::{self, Rings};
use crate::submit::{self, resolve};
use crate::trace::{Answer, Event};
use crate::world::signal_set;
use std::ffi::c_long;
use std::sync::Mutex;

/// What a step came to.
pub struct Outcome {
    pub answer: Answer,
    pub errno: i32,
    pub events: Vec<Event>,
    pub as_in_ring: bool,
    pub spoilt: u32,
    pub left_out: u32,
    pub keys: Vec<u32>,
}

/// errno before each call.
const ERRNO: i32 = 12345;
/// What fills the memory for events.
const CANARY: u8 = 0xc7;
/// The records that are looked at behind those that were handed out.
const LOOKED_AT: u32 = 4;

/// Stands for all iocbs of a Fill.
const FILL_K: usize = 15;

const EINPROGRESS: i64 = -libc::EINPROGRESS as i64;

const MAGIC: u32 = 0xa10a_10a1;

impl Outcome {
    pub fn of(ret: i64) -> Self {
        Self::with(Answer::Returned(ret))
    }

    fn with(answer: Answer) -> Self {
        Self {
            answer,
            errno: ERRNO,
            events: vec![],
            as_in_ring: true,
            spoilt: 0,
            left_out: 0,
            keys: vec![],
        }
    }
}

pub struct Calls {
    pub lib: Libaio,
    pub kernel: bool,
}

/// What io_queue_run called back with.
static CALLED: Mutex<Vec<(u64, Event)>> = Mutex::new(vec![]);

extern "C" fn called(ctx: u64, obj: u64, res: c_long, res2: c_long, data: u64) {
    let event = Event { data, obj, res, res2 };
    CALLED.lock().expect("one thread").push((ctx, event));
}

/// Code at CALLBACKS: first a jump to `called`, then, 16 bytes each, callbacks
/// that tell it which one they are (by the fifth argument).
pub fn install_callbacks() {
    let mut code = vec![0u8; CALLBACKS_LEN as usize];
    if cfg!(target_arch = "x86_64") {
        // mov rax, called; jmp rax
        code[..2].copy_from_slice(&[0x48, 0xb8]);
        code[2..10].copy_from_slice(&(called as *const () as u64).to_le_bytes());
        code[10..12].copy_from_slice(&[0xff, 0xe0]);
        for at in (16..code.len()).step_by(16) {
            // movabs r8, address; jmp short or near to the start
            code[at..at + 2].copy_from_slice(&[0x49, 0xb8]);
            code[at + 2..at + 10].copy_from_slice(&(CALLBACKS + at as u64).to_le_bytes());
            code[at + 10] = 0xe9;
            let back = -((at + 15) as i32);
            code[at + 11..at + 15].copy_from_slice(&back.to_le_bytes());
        }
    }
    mem::map_code(&code);
}

fn context(rings: &Rings, ctx: &Ctx) -> u64 {
    match ctx {
        Ctx::Var(slot) => rings::value(*slot),
        Ctx::Stale(slot) => rings.stale[*slot as usize],
        Ctx::Off(slot, by) => match rings::value(*slot) {
            0 => 0,
            at => at + u64::from(*by),
        },
        Ctx::Bad(addr) => resolve(*addr, DATA, EDGE_MISC),
    }
}

/// The variable of the live context with this address.
fn slot_of(rings: &Rings, ctx: u64) -> Option<u8> {
    let of = |live: &Option<rings::Live>| live.as_ref().is_some_and(|l| l.address == ctx);
    rings.live.iter().position(of).map(|i| i as u8)
}

impl Calls {
    /// Runs a call with errno set to something that must stay.
    fn call(&self, f: impl FnOnce(&Libaio) -> i32) -> Outcome {
        // SAFETY: this thread's errno.
        unsafe { *libc::__errno_location() = ERRNO };
        let ret = f(&self.lib);
        // SAFETY: as above.
        let errno = unsafe { *libc::__errno_location() };
        Outcome { errno, ..Outcome::of(i64::from(ret)) }
    }

    pub fn setup(&self, nr: u32, ctxp: u64) -> i32 {
        // SAFETY: the library checks the pointer.
        unsafe { (self.lib.io_setup)(nr as i32, ctxp) }
    }

    pub fn destroy(&self, ctx: u64) -> i32 {
        // SAFETY: the library checks the context.
        unsafe { (self.lib.io_destroy)(ctx) }
    }

    pub fn step(&self, rings: &mut Rings, program: &Program, i: usize) -> Outcome {
        match &program.steps[i] {
            Step::Setup { nr, ctxp } => {
                let (at, slot) = match ctxp {
                    // Nobody would destroy it.
                    CtxPtr::Bad(Addr::Edge(n)) => (EDGE_MISC + PAGE - u64::from(n % 8), None),
                    CtxPtr::Var(slot) => (rings::variable(*slot), Some(*slot)),
                    CtxPtr::Bad(addr) => (resolve(*addr, EVENTS, EDGE_MISC), None),
                };
                let outcome = self.call(|_| self.setup(*nr, at));
                made(rings, &outcome, slot);
                outcome
            }
            Step::QueueInit { nr, slot } => {
                let at = rings::variable(*slot);
                // SAFETY: the variable can be written.
                let outcome = self.call(|lib| unsafe { (lib.io_queue_init)(*nr, at) });
                if *nr > 0 && outcome.answer != Answer::Returned(0) {
                    rings.forgotten(*slot);
                }
                made(rings, &outcome, Some(*slot));
                outcome
            }
            Step::Destroy { ctx, release } => {
                let ctx = context(rings, ctx);
                // SAFETY: the library checks the context.
                let outcome = self.call(|lib| unsafe {
                    if *release { (lib.io_queue_release)(ctx) } else { (lib.io_destroy)(ctx) }
                });
                if outcome.answer == Answer::Returned(0)
                    && let Some(slot) = slot_of(rings, ctx)
                {
                    rings.destroyed(slot);
                    mem::write(rings::variable(slot), 0u64);
                }
                outcome
            }
            Step::Fill { slot, count } => {
                self.fill(rings, *slot, *count, submit::data(program, i, FILL_K, 0))
            }
            Step::GetEvents(g) => self.get_events(rings, g),
            Step::Drain { slot } => {
                let Some(live) = rings.get(*slot) else { return Outcome::with(Answer::LeftOut) };
                live.scan();
                let all = i64::from(live.available()) + live.transfers() as i64;
                let room = (EVENTS_LEN / EVENT) as i64 - i64::from(LOOKED_AT);
                if all > room || live.header_changed() {
                    return Outcome::with(Answer::LeftOut);
                }
                let ctx = Ctx::Var(*slot);
                let (events, timeout) = (Dest::Good, Timeout::Null);
                let g = GetEvents { ctx, min: all, nr: all, events, timeout, mask: None };
                self.get_events_now(rings, &g, timeout)
            }
            Step::Cancel { ctx, iocb, result } => {
                let ctx = context(rings, ctx);
                let iocb = submit::iocb_address(*iocb);
                let result = resolve(*result, EVENTS, EDGE_EVENTS);
                // SAFETY: the library checks what it uses.
                let outcome = self.call(|lib| unsafe { (lib.io_cancel)(ctx, iocb, result) });
                if let Answer::Returned(EINPROGRESS) = outcome.answer
                    && let Some(slot) = slot_of(rings, ctx)
                {
                    rings.await_one_of(slot, iocb);
                }
                outcome
            }
            Step::QueueRun { ctx } => self.queue_run(rings, ctx),
            Step::QueueWait { ctx, timeout } => {
                let ctx = context(rings, ctx);
                let timeout = write_timeout(*timeout);
                if self.kernel && self.dies(ctx, timeout) {
                    return Outcome::with(Answer::WouldDie);
                }
                // SAFETY: looked at by `dies`; ours checks everything.
                self.call(|lib| unsafe { (lib.io_queue_wait)(ctx, timeout) })
            }
            Step::Header { slot, field, value } => set_header(rings, *slot, *field, *value),
            Step::Scribble { slot, index, byte } => {
                if let Some(live) = rings.get(*slot) {
                    live.scribble(u32::from(*index), *byte);
                }
                Outcome::of(0)
            }
            _ => unreachable!("not a call"),
        }
    }

    /// libaio reads the ring's head, and then the timeout, without asking.
    fn dies(&self, ctx: u64, timeout: u64) -> bool {
        if ctx == 0 {
            return false;
        }
        if !mem::readable(ctx, 32) {
            return true;
        }
        // SAFETY: just found readable.
        let magic = unsafe { std::ptr::read_unaligned((ctx + 16) as *const u32) };
        magic == MAGIC && timeout != 0 && !mem::readable(timeout, 16)
    }

    pub fn submit(
        &self,
        rings: &mut Rings,
        program: &Program,
        step: usize,
        s: &Submit,
        window: usize,
    ) -> Outcome {
        let mut used = Vec::new();
        let mut left_out = 0;
        let mut list: Vec<(&Iocb, u64)> = Vec::new();
        for (k, iocb) in s.iocbs.iter().enumerate() {
            let again = s.iocbs.iter().filter(|i| i.at == iocb.at).count() > 1;
            if submit::would_block(iocb, again, &mut used) {
                left_out |= 1 << k;
            } else {
                let data = submit::data(program, step, k, iocb.data);
                list.push((iocb, submit::write_iocb(iocb, data, k, window + k)));
            }
        }
        let addresses: Vec<u64> = list.iter().map(|(_, at)| *at).collect();
        let array = submit::write_array(s.array, &addresses);
        let nr = match s.nr {
            Nr::All => list.len() as i64,
            Nr::Exactly(n) => n,
        };
        let ctx = context(rings, &s.ctx);
        let live = slot_of(rings, ctx).and_then(|slot| rings.get(slot));
        if live.and_then(|l| l.slots()).is_some_and(|sure| sure < list.len() as u64) {
            return Outcome { left_out, ..Outcome::with(Answer::LeftOut) };
        }
        // SAFETY: what the operations write to is ours to lose.
        let mut outcome = self.call(|lib| unsafe { (lib.io_submit)(ctx, nr, array) });
        outcome.left_out = left_out;
        let good = |iocb: &Iocb| submit::iocb_is_good(iocb.at);
        outcome.keys =
            list.iter().filter(|(i, _)| good(i)).map(|(_, at)| mem::read(at + 8)).collect();
        let Answer::Returned(accepted @ 1..) = outcome.answer else { return outcome };
        let Some(live) = slot_of(rings, ctx).and_then(|slot| rings.get(slot)) else {
            return outcome;
        };
        for (_, at) in list.iter().take(accepted as usize) {
            // Of iocbs at one address the last counts.
            let Some((iocb, _)) = list.iter().rev().find(|(_, a)| a == at) else { continue };
            let poll = (iocb.opcode == POLL)
                .then(|| (submit::fd_number(iocb.fd), submit::poll_events(iocb)));
            live.accepted((mem::read(*at), *at), poll, submit::may_end_later(iocb));
        }
        outcome
    }

    /// Many operations that are over at once.
    fn fill(&self, rings: &mut Rings, slot: u8, count: u16, data: u64) -> Outcome {
        let sure = rings.get(slot).and_then(|live| live.slots()).unwrap_or(u64::MAX);
        let count = u64::from(count).min(ARRAYS_LEN / 8).min(sure);
        let fd = Fd::Slot(fds::slot("null"));
        let iocb = Iocb::read(IocbAt::Pool(0), fd);
        let at = submit::write_iocb(&iocb, data, 0, 0);
        for i in 0..count {
            mem::write(ARRAYS + 8 * i, at);
        }
        let ctx = rings::value(slot);
        let mut all = Outcome::of(0);
        let mut left = count as i64;
        // A part at a time: more than the ring holds could not be counted.
        while left > 0 {
            let part = left.min(32);
            // SAFETY: reads nothing of /dev/null.
            let outcome = self.call(|lib| unsafe { (lib.io_submit)(ctx, part, ARRAYS) });
            let (Answer::Returned(n @ 1..), Some(live)) = (outcome.answer, rings.get(slot)) else {
                return if left == count as i64 { outcome } else { all };
            };
            (0..n).for_each(|_| live.accepted((mem::read(at), at), None, false));
            live.scan();
            left -= n;
            all.answer = Answer::Returned(count as i64 - left);
        }
        all
    }

    fn get_events(&self, rings: &mut Rings, g: &GetEvents) -> Outcome {
        let ctx = context(rings, &g.ctx);
        let live = slot_of(rings, ctx).and_then(|slot| rings.get(slot));
        let enough = live.is_none_or(|l| i64::from(l.available()) >= g.min) || g.min > g.nr;
        let timeout = match g.timeout {
            Timeout::Null | Timeout::Bad(Addr::Null) | Timeout::Negative(..) if !enough => {
                Timeout::Short(500_000)
            }
            t => t,
        };
        self.get_events_now(rings, g, timeout)
    }

    fn get_events_now(&self, rings: &mut Rings, g: &GetEvents, timeout: Timeout) -> Outcome {
        let ctx = context(rings, &g.ctx);
        let at = match g.events {
            Dest::Good => EVENTS,
            Dest::Edge(room) => EDGE_EVENTS + PAGE - EVENT * u64::from(room),
            Dest::Bad(addr) => resolve(addr, EVENTS, EDGE_EVENTS),
        };
        let room = match g.events {
            Dest::Good => EVENTS_LEN / EVENT,
            Dest::Edge(room) => u64::from(room),
            Dest::Bad(_) => 0,
        };
        mem::fill(EVENTS, EVENTS_LEN, CANARY);
        mem::fill(EDGE_EVENTS, PAGE, CANARY);
        let timeout = write_timeout(timeout);
        let mask = write_mask(g.mask);
        let dies = self.dies(ctx, timeout);
        if dies && self.kernel {
            return Outcome::with(Answer::WouldDie);
        }
        let slot = slot_of(rings, ctx);
        let head = slot.and_then(|slot| rings.get(slot)).map_or(0, |l| l.header()[2] % l.nr());
        // More than there is room for would be written over other memory.
        let nr = if at == EVENTS { g.nr.min(room as i64) } else { g.nr };
        let min = if g.nr == nr { g.min } else { g.min.min(nr) };
        // SAFETY: `nr` events fit or end in a fault; ours checks everything.
        let mut outcome = self.call(|lib| unsafe {
            match g.mask {
                // (A signal let through would come later to the kernel's side.)
                Some(_) if !dies => (lib.io_pgetevents)(ctx, min, nr, at, timeout, mask),
                _ => (lib.io_getevents)(ctx, min, nr, at, timeout),
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

    fn queue_run(&self, rings: &mut Rings, ctx: &Ctx) -> Outcome {
        let ctx = context(rings, ctx);
        let live = slot_of(rings, ctx).and_then(|slot| rings.get(slot));
        let callable = |data: u64| {
            data > CALLBACKS && data < CALLBACKS + CALLBACKS_LEN && data.is_multiple_of(16)
        };
        // Every event must have a callback.
        if let Some(live) = live {
            let head = live.header()[2] % live.nr();
            let all = (0..live.available()).all(|i| callable(live.event(head + i).data));
            if !all || live.header_changed() || !cfg!(target_arch = "x86_64") {
                return Outcome::with(Answer::LeftOut);
            }
        }
        if self.kernel && self.dies(ctx, MISC) {
            return Outcome::with(Answer::WouldDie);
        }
        // SAFETY: the callbacks are `called`.
        let mut outcome = self.call(|lib| unsafe { (lib.io_queue_run)(ctx) });
        let called = std::mem::take(&mut *CALLED.lock().expect("one thread"));
        outcome.as_in_ring = called.iter().all(|(c, _)| *c == ctx);
        outcome.events = called.into_iter().map(|(_, e)| e).collect();
        if let Some(live) = slot_of(rings, ctx).and_then(|slot| rings.get(slot)) {
            live.reaped(outcome.events.len() as u64);
        }
        outcome
    }
}

fn made(rings: &mut Rings, outcome: &Outcome, slot: Option<u8>) {
    if let (Answer::Returned(0), Some(slot)) = (outcome.answer, slot) {
        rings.made(slot, rings::value(slot));
    }
}

fn set_header(rings: &mut Rings, slot: u8, field: Field, value: Value) -> Outcome {
    let Some(live) = rings.get(slot) else { return Outcome::with(Answer::LeftOut) };
    let (i, now) = (field as usize, live.header());
    let right = match field {
        Field::Id => live.id(),
        Field::Nr => live.nr(),
        Field::Head => now[3],
        Field::Tail => live.true_tail(),
        Field::Magic => MAGIC,
        Field::Compat => 1,
        Field::Incompat => 0,
        Field::Length => 32,
    };
    let value = match value {
        Value::Right => right,
        Value::Plus(n) => now[i].wrapping_add(n),
        Value::Is(n) => n,
    };
    live.set_header(i, value);
    if field == Field::Tail {
        live.tail_was_set();
    }
    Outcome::of(0)
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

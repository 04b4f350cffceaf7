//! The steps that call the library.

use crate::fds;
use crate::layout::*;
use crate::libaio::Libaio;
use crate::mem;
use crate::program::*;
use crate::rings::{self, Live, Rings};
use crate::submit::{self, resolve};
use crate::trace::{Answer, Event};
use crate::via::{ERRNO, Way};

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

/// Stands for all iocbs of a Fill.
const FILL_K: usize = 15;

const EINPROGRESS: i64 = -libc::EINPROGRESS as i64;

impl Outcome {
    pub fn of(ret: i64) -> Self {
        Self::with(Answer::Returned(ret))
    }

    pub fn left_out() -> Self {
        Self::with(Answer::LeftOut)
    }

    pub fn would_die() -> Self {
        Self::with(Answer::WouldDie)
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
    pub way: Way,
}

/// The address that a call is made on.
pub fn context(rings: &Rings, ctx: &Ctx) -> u64 {
    let address = match ctx {
        Ctx::Var(slot) => rings::value(*slot),
        Ctx::Stale(slot) => rings.stale[*slot as usize],
        Ctx::Off(slot, by) => match rings::value(*slot) {
            0 => 0,
            at => at + u64::from(*by),
        },
        Ctx::Bad(addr) => resolve(*addr, DATA, EDGE_MISC),
    };
    if let Some(live) = slot_of(rings, address).and_then(|slot| rings.live[slot as usize].as_ref())
    {
        live.called(1);
    }
    address
}

/// The variable of the live context with this address.
pub fn slot_of(rings: &Rings, ctx: u64) -> Option<u8> {
    let of = |live: &Option<Live>| live.as_ref().is_some_and(|l| l.address == ctx);
    rings.live.iter().position(of).map(|i| i as u8)
}

impl Calls {
    /// Runs a call with errno set to something that must stay.
    pub fn call(&self, f: impl Fn(&Libaio) -> i32 + Sync) -> Outcome {
        let (ret, errno) = self.way.run(&|| f(&self.lib));
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

    /// Step `i` of a program; `window`: the first window of data that is free.
    pub fn step(
        &mut self,
        rings: &mut Rings,
        program: &Program,
        i: usize,
        window: usize,
    ) -> Outcome {
        let mut step = &program.steps[i];
        if let Step::Via(via, inner) = step {
            step = inner;
            self.way = match *via {
                Via::Thread => Way::Thread,
                Via::Child => Way::Child,
                Via::Handler => Way::Handler,
                Via::Protected(slot, protection) => {
                    let prot = match protection {
                        Protection::ReadOnly => libc::PROT_READ,
                        Protection::None => libc::PROT_NONE,
                    };
                    match rings.get(slot) {
                        Some(live) if protection == Protection::ReadOnly || !live.trusted() => {
                            Way::protected(live, prot)
                        }
                        _ => Way::Plain,
                    }
                }
            };
        }
        let outcome = self.step_this_way(rings, program, i, step, window);
        self.way = Way::Plain;
        outcome
    }

    fn step_this_way(
        &self,
        rings: &mut Rings,
        program: &Program,
        i: usize,
        step: &Step,
        window: usize,
    ) -> Outcome {
        match step {
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
                // What becomes of them nobody could follow.
                if *nr > 0 && rings.get(*slot).is_some_and(|live| live.in_flight() > 0) {
                    return Outcome::left_out();
                }
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
            Step::Submit(s) => self.submit(rings, program, i, s, window),
            Step::Fill { slot, count } => {
                self.fill(rings, *slot, *count, submit::data(program, i, FILL_K, 0))
            }
            Step::GetEvents(g) => self.get_events(rings, g),
            Step::Drain { slot } => self.drain(rings, *slot),
            Step::Reap { slot, most } => self.reap(rings, *slot, *most),
            Step::Cancel { ctx, iocb, result, old } => {
                let ctx = context(rings, ctx);
                let iocb = submit::iocb_address(*iocb);
                let result = resolve(*result, EVENTS, EDGE_EVENTS);
                // SAFETY: the library checks what it uses.
                let outcome = self.call(|lib| unsafe {
                    if *old {
                        (lib.old_cancel)(ctx, iocb)
                    } else {
                        (lib.io_cancel)(ctx, iocb, result)
                    }
                });
                if let Answer::Returned(EINPROGRESS) = outcome.answer
                    && let Some(slot) = slot_of(rings, ctx)
                {
                    rings.await_one_of(slot, iocb);
                }
                outcome
            }
            Step::QueueRun { ctx } => self.queue_run(rings, ctx),
            Step::QueueWait { ctx, timeout, old } => self.queue_wait(rings, ctx, *timeout, *old),
            // (The place may be that of a context without a variable.)
            Step::MoveRing { .. } if !rings.orphans.is_empty() => Outcome::left_out(),
            Step::MoveRing { slot } => match rings.get(*slot) {
                Some(live) => {
                    let trusted = live.trusted();
                    let (old, new) = live.move_ring(*slot);
                    if !trusted {
                        rings.stale[*slot as usize] = old;
                    }
                    mem::write(rings::variable(*slot), new);
                    Outcome::of(0)
                }
                None => Outcome::left_out(),
            },
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

    fn submit(
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
            return Outcome { left_out, ..Outcome::left_out() };
        }
        // SAFETY: what the operations write to is ours to lose.
        let mut outcome = self.call(|lib| unsafe { (lib.io_submit)(ctx, nr, array) });
        outcome.left_out = left_out;
        let good = list.iter().filter(|(iocb, _)| submit::iocb_is_good(iocb.at));
        outcome.keys = good.map(|(_, at)| mem::read(at + 8)).collect();
        let Answer::Returned(accepted @ 1..) = outcome.answer else { return outcome };
        let Some(live) = slot_of(rings, ctx).and_then(|slot| rings.get(slot)) else {
            return outcome;
        };
        for (_, at) in list.iter().take(accepted as usize) {
            // Of iocbs at one address the last counts.
            let Some((iocb, _)) = list.iter().rev().find(|(_, a)| a == at) else { continue };
            live.accepted((mem::read(*at), *at), iocb);
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
            (0..n).for_each(|_| live.accepted((mem::read(at), at), &iocb));
            live.scan();
            live.called(1);
            left -= n;
            all.answer = Answer::Returned(count as i64 - left);
        }
        all
    }
}

fn made(rings: &mut Rings, outcome: &Outcome, slot: Option<u8>) {
    if let (Answer::Returned(0), Some(slot)) = (outcome.answer, slot) {
        rings.made(slot, rings::value(slot));
    }
}

fn set_header(rings: &mut Rings, slot: u8, field: Field, value: Value) -> Outcome {
    let Some(live) = rings.get(slot) else { return Outcome::left_out() };
    let (i, now) = (field as usize, live.header());
    let right = match field {
        Field::Id => live.id(),
        Field::Nr => live.nr(),
        Field::Head => now[3],
        Field::Tail => live.true_tail(),
        Field::Magic => 0xa10a_10a1,
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

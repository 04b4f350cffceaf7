//! What is measured, row by row.

use super::report::{Figure, Figures};
use super::sides::{LIBAIO, PLAIN, Side, Sides};
use super::target::Target;
use crate::measure::job::{Job, Op};
use crate::measure::library::Aio;
use crate::measure::queue::{self, Libaio, Plain, Queue};
use crate::measure::timed::{self, Times};
use crate::measure::wait::Wait;
use crate::measure::{self, Cost, Plan, Slice, Spread, file_system};
use indicatif::ProgressBar;
use rustix::fs::OFlags;
use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

const MIB: u64 = 1 << 20;
const SIZE: usize = 4 << 10;
/// What the cached rows go over: little enough for the processor's caches, so that
/// they compare the code and not the memory.
const HOT: u64 = 4 * MIB;
/// What the O_DIRECT writes go over: its content is held in memory.
const HELD: u64 = 64 * MIB;
const COLD: u64 = 256 * MIB;
const COLD_SIZE: usize = 64 << 10;
const COLD_DEPTH: usize = 8;

#[derive(Clone, Copy)]
pub enum Row {
    /// The time of a request.
    Rate { op: Op, direct: bool, depth: usize },
    /// The time in io_submit of reads that are not in the page cache.
    InSubmit,
}

/// All that this target can have.
pub fn all(target: &Target, sides: &Sides) -> Vec<Row> {
    let mut rows = Vec::new();
    let direct = target.open_again(false, OFlags::DIRECT).is_ok();
    let mut add = |op, direct, depth| rows.push(Row::Rate { op, direct, depth });
    for op in [Op::Read, Op::Write] {
        if op == Op::Write && !target.may_write {
            continue;
        }
        for depth in [1, 32] {
            add(op, false, depth);
        }
        for depth in [1, 32].into_iter().filter(|_| direct) {
            add(op, true, depth);
        }
    }
    if !target.is_memory() && sides.all.iter().any(|side| side.name == LIBAIO) {
        rows.push(Row::InSubmit);
    }
    rows
}

impl Row {
    pub fn name(&self) -> String {
        match self {
            Self::Rate { op, direct, depth } => {
                let place = if *direct { "O_DIRECT" } else { "cached" };
                let op = if *op == Op::Read { "read" } else { "write" };
                format!("{place} {op} 4 KiB, depth {depth}")
            }
            Self::InSubmit => "io_submit of cold reads, p99".into(),
        }
    }

    fn of<'a>(&self, sides: &'a Sides) -> impl Iterator<Item = &'a Side> {
        let timed = matches!(self, Self::InSubmit);
        sides.all.iter().filter(move |side| !timed || side.name != PLAIN)
    }

    /// How many are measured.
    pub fn sides(&self, sides: &Sides) -> usize {
        self.of(sides).count()
    }

    /// # Errors
    /// What a call or a request fails with.
    pub fn run(
        &self,
        target: &Target,
        sides: &Sides,
        plan: Plan,
        bar: &ProgressBar,
    ) -> io::Result<Figures> {
        let names: Vec<&'static str> = self.of(sides).map(|side| side.name).collect();
        let job = self.job(target)?;
        let mut queues = Vec::new();
        for side in self.of(sides) {
            queues.push(queue(side.aio, &job)?);
        }
        let times: Vec<RefCell<Times>> = queues.iter().map(|_| RefCell::default()).collect();
        let turn = Cell::new(0);
        let mut work: Vec<measure::Side<'_>> = Vec::new();
        for (queue, times) in queues.iter_mut().zip(&times) {
            let (job, turn) = (&job, &turn);
            work.push(Box::new(move |time| {
                let slice = match self {
                    Self::Rate { .. } => Slice::of(|| queue::drive(&mut **queue, job, time)),
                    Self::InSubmit => {
                        turn.set(turn.get() + 1);
                        let (first, times) = (turn.get() * 7919, &mut times.borrow_mut());
                        cold(&mut **queue, job, target, time, first, times)
                    }
                };
                bar.inc(1);
                slice
            }));
        }
        let slices = measure::in_turn(&mut work, plan)?;
        drop(work);
        let figures = match self {
            Self::Rate { .. } => rates(&slices),
            Self::InSubmit => p99(&times.iter().map(RefCell::take).collect::<Vec<_>>()),
        };
        Ok(Figures { name: self.name(), sides: names.into_iter().zip(figures).collect() })
    }

    fn job(&self, target: &Target) -> io::Result<Job> {
        match *self {
            Self::Rate { op, direct, depth } => {
                let flags = if direct { OFlags::DIRECT } else { OFlags::empty() };
                let file = target.open_again(op == Op::Write, flags)?;
                target.settle(HOT)?;
                let span = match (op, direct) {
                    (_, false) => HOT,
                    (Op::Write, true) => HELD,
                    _ => u64::MAX,
                };
                let job = Job::new(file, op, SIZE, 0, depth, whole(target.len.min(span), SIZE));
                if op == Op::Write { job.keeping() } else { Ok(job) }
            }
            Self::InSubmit => {
                let file = target.open_again(false, OFlags::empty())?;
                target.settle(0)?;
                file_system::no_read_ahead(&file);
                let span = whole(target.len.min(COLD), COLD_SIZE);
                Ok(Job::new(file, Op::Read, COLD_SIZE, 0, COLD_DEPTH, span))
            }
        }
    }
}

fn whole(len: u64, size: usize) -> u64 {
    len - len % size as u64
}

fn queue<'a>(aio: Option<&'static Aio>, job: &'a Job) -> io::Result<Box<dyn Queue + 'a>> {
    Ok(match aio {
        Some(aio) => Box::new(Libaio::new(aio, job, Wait::GetEvents)?),
        None => Box::new(Plain::new(job)),
    })
}

/// Each block once, none of them in the page cache.
fn cold(
    queue: &mut dyn Queue,
    job: &Job,
    target: &Target,
    time: Duration,
    first: u64,
    times: &mut Times,
) -> io::Result<Slice> {
    target.evict(job.span);
    times.begin();
    let blocks = job.span / job.size as u64;
    let offset = |n| timed::scattered(first, n, blocks) * job.size as u64;
    Slice::of(|| timed::drive(queue, job, time, blocks, offset, times))
}

/// The first side is what the ratios are to.
fn rates(slices: &[Vec<Slice>]) -> Vec<Figure> {
    let figure = |side: &Vec<Slice>| Figure {
        cost: Cost::of(side),
        ratio: Some(Spread::of_ratios(side, &slices[0], Slice::rate)),
    };
    slices.iter().map(figure).collect()
}

fn p99(times: &[Times]) -> Vec<Figure> {
    let of = |side: &Times| -> Vec<f64> {
        side.slices().iter().map(|ns| ns.value_at_quantile(0.99) as f64 / 1000.0).collect()
    };
    let base = of(&times[0]);
    let figure = |side: &Times| {
        let us = of(side);
        let ratios = base.iter().zip(&us).map(|(base, us)| base / us);
        let ratio = Some(Spread::of(ratios));
        Figure { cost: Cost { us: Spread::of(us.into_iter()), cpu_us: None }, ratio }
    };
    times.iter().map(figure).collect()
}

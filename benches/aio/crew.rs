//! Many threads: with a context each, and all on one.

use crate::bench::Bench;
use crate::floors;
use crate::job::{Job, Op};
use crate::library::{Context, Event, Iocb};
use crate::measure::{self, Side, Slice, number};
use crate::place::{HOT, WIDE};
use crate::queue::{self, Libaio, Queue};
use crate::row::Row;
use crate::uring::Uring;
use crate::wait::Wait;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

const SIZE: usize = 4096;
const CREW: usize = 4;
/// Slots of a thread.
const EACH: usize = 8;

fn kind(direct: bool) -> &'static str {
    if direct { "direct read" } else { "cached read" }
}

pub fn own_name(direct: bool) -> String {
    format!("{CREW} threads, {CREW} contexts: {}", kind(direct))
}

/// Four threads with a context each.
pub fn own(bench: &Bench, direct: bool) -> io::Result<Vec<Row>> {
    let jobs: Vec<Job> = (0..CREW).map(|_| job(bench, direct, EACH)).collect::<io::Result<_>>()?;
    let mut names = vec!["kernel", "ours"];
    let mut crews: Vec<Vec<Box<dyn Queue + '_>>> = vec![Vec::new(), Vec::new()];
    for job in &jobs {
        crews[0].push(Box::new(Libaio::new(bench.kernel, job, Wait::GetEvents)?));
        crews[1].push(Box::new(Libaio::new(bench.ours, job, Wait::GetEvents)?));
    }
    if bench.has_uring {
        names.push("uring");
        crews.push(jobs.iter().map(|job| Box::new(Uring::new(job)) as Box<dyn Queue>).collect());
    }
    let mut sides: Vec<Side<'_>> = Vec::new();
    for crew in &mut crews {
        let jobs = &jobs;
        sides.push(Box::new(move |time| {
            Slice::of(|| {
                thread::scope(|scope| {
                    let members: Vec<_> = crew
                        .iter_mut()
                        .zip(jobs)
                        .map(|(queue, job)| scope.spawn(|| queue::drive(&mut **queue, job, time)))
                        .collect();
                    members.into_iter().map(|m| m.join().expect("a thread")).sum()
                })
            })
        }));
    }
    let slices = measure::in_turn(&mut sides, bench.plan)?;
    Ok(vec![Row::new(own_name(direct), &names, &slices)])
}

const SCALE: [usize; 5] = [1, 2, 4, 16, 64];

pub fn one_name(direct: bool) -> String {
    format!("1 to 64 threads, 1 context: {}", kind(direct))
}

/// One context for 1 to 64 threads: throughput should not collapse.
pub fn one(bench: &Bench, direct: bool) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut rates = Vec::new();
    for threads in SCALE {
        let job = job(bench, direct, EACH * threads)?;
        let side = |aio| -> io::Result<Side<'_>> {
            let (context, job) = (Context::patient(aio, 1024)?, &job);
            Ok(Box::new(move |time| Slice::of(|| Ok(together(&context, job, threads, time)))))
        };
        let mut sides = vec![side(bench.kernel)?, side(bench.ours)?];
        let slices = measure::in_turn(&mut sides, bench.plan)?;
        let name = format!("{threads} threads, 1 context: {}", kind(direct));
        let row = Row::new(name, &["kernel", "ours"], &slices);
        rates.push(row.ours.map_or(0.0, |cost| 1.0 / cost.us.median));
        rows.push(row);
    }
    let best = rates.iter().copied().fold(0.0, f64::max);
    for (row, rate) in rows.iter_mut().zip(rates) {
        row.note = format!("{} of our best", number(rate / best));
        row.demands.push(floors::of_best(rate / best));
    }
    Ok(rows)
}

/// A slot's request; whoever has the slot uses it.
struct Shared(Vec<Iocb>);

// SAFETY: a slot is held by one thread at a time: it comes with its event.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, slot: usize) -> *mut Iocb {
        (&raw const self.0[slot]).cast_mut()
    }
}

fn together(context: &Context, job: &Job, threads: usize, time: Duration) -> u64 {
    let shared = Shared((0..job.depth).map(|slot| job.iocb(slot)).collect());
    let flying = AtomicUsize::new(0);
    let end = Instant::now() + time;
    thread::scope(|scope| {
        let (shared, flying) = (&shared, &flying);
        let members: Vec<_> = (0..threads)
            .map(|i| scope.spawn(move || member(context, job, shared, i, flying, end)))
            .collect();
        members.into_iter().map(|m| m.join().expect("a thread")).sum()
    })
}

/// Submits again what it reaps, whoever submitted it before.
fn member(
    context: &Context,
    job: &Job,
    shared: &Shared,
    index: usize,
    flying: &AtomicUsize,
    end: Instant,
) -> u64 {
    let mut slots: Vec<usize> = (index * EACH..(index + 1) * EACH).collect();
    let mut offsets = job.offsets();
    let mut batch = Vec::with_capacity(job.depth);
    let mut events = [Event::default(); EACH];
    let mut ops = 0;
    loop {
        if Instant::now() >= end {
            if flying.load(SeqCst) == 0 {
                return ops;
            }
        } else {
            for &slot in &slots {
                let iocb = shared.at(slot);
                // SAFETY: the slot is ours until it is submitted.
                unsafe { (*iocb).offset = offsets.next() as i64 };
                batch.push(iocb);
            }
            flying.fetch_add(slots.len(), SeqCst);
            // SAFETY: nobody returns while one is in flight.
            unsafe { context.submit_all(&mut batch).expect("io_submit") };
            batch.clear();
        }
        slots.clear();
        // Others may take what this thread waits for.
        let mut limit = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        let n = context.getevents(1, &mut events, Some(&mut limit));
        assert!(n >= 0, "io_getevents: {n}");
        for event in &events[..n as usize] {
            assert_eq!(event.res, job.result(), "result of a request");
            slots.push(event.data as usize);
        }
        flying.fetch_sub(slots.len(), SeqCst);
        ops += slots.len() as u64;
    }
}

fn job(bench: &Bench, direct: bool, depth: usize) -> io::Result<Job> {
    let (flags, span) = if direct { (libc::O_DIRECT, WIDE) } else { (0, HOT) };
    let fd = bench.place.file("read.dat", WIDE, flags)?;
    bench.place.settle("read.dat")?;
    Ok(Job::new(fd, Op::Read, SIZE, 0, depth, span))
}

const MANY: usize = 65_536;
/// Gives twice as many slots, some of which may be stranded on other processors.
const ASKED: usize = 50_000;

pub fn many_name() -> String {
    format!("{MANY} in flight: direct read")
}

/// 65,536 requests at a time.
pub fn many(bench: &Bench) -> io::Result<Vec<Row>> {
    let job = job(bench, true, 1024)?;
    let mut rows = Row::empty(many_name());
    let (mut names, mut sides): (Vec<&str>, Vec<Side<'_>>) = (Vec::new(), Vec::new());
    for (name, aio) in [("kernel", bench.kernel), ("ours", bench.ours)] {
        match Context::new(aio, ASKED) {
            Ok(context) => {
                let job = &job;
                names.push(name);
                sides.push(Box::new(move |_| Slice::of(|| Ok(all_at_once(&context, job)))));
            }
            Err(e) => rows.note = format!("{name}: io_setup({ASKED}) gives {e}"),
        }
    }
    let plan = measure::Plan { slices: bench.plan.slices.min(3), ..bench.plan };
    let slices = measure::in_turn(&mut sides, plan)?;
    Ok(vec![Row { note: rows.note, ..Row::new(rows.name, &names, &slices) }])
}

fn all_at_once(context: &Context, job: &Job) -> u64 {
    let mut offsets = job.offsets();
    let mut iocbs: Vec<Iocb> = (0..MANY)
        .map(|i| Iocb { offset: offsets.next() as i64, ..job.iocb(i % job.depth) })
        .collect();
    let mut batch: Vec<*mut Iocb> = iocbs.iter_mut().map(std::ptr::from_mut).collect();
    // SAFETY: all are waited for below.
    unsafe { context.submit_all(&mut batch).expect("io_submit") };
    let mut events = vec![Event::default(); 1024];
    let mut done = 0;
    while done < MANY {
        let n = context.getevents(1, &mut events, None);
        assert!(n > 0, "io_getevents: {n}");
        assert!(events[..n as usize].iter().all(|e| e.res == job.result()), "results");
        done += n as usize;
    }
    done as u64
}

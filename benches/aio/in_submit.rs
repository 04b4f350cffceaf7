//! Time inside io_submit, and throughput, where the kernel's AIO blocks in it:
//! cold reads, large and synchronous writes, fsync.

use crate::bench::Bench;
use crate::file_system;
use crate::floors;
use crate::job::{Job, Op};
use crate::measure::{self, Side, Slice, Spread, number};
use crate::memory;
use crate::place::WIDE;
use crate::queue::{Libaio, Queue};
use crate::row::{Percentiles, Row, name_of_size};
use crate::timed::{self, Times};
use crate::uring::Uring;
use crate::wait::Wait;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const COLD: u64 = 256 << 20;
/// Bytes that a slice writes at most: below what makes the kernel throttle.
const WRITTEN: usize = 128 * MIB;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    ColdRead,
    Write,
    Append,
    Sync,
    Extend,
    Fsync,
}

#[derive(Clone, Copy)]
pub struct Case {
    kind: Kind,
    size: usize,
}

pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |kind, sizes: &[usize]| all.extend(sizes.iter().map(|&size| Case { kind, size }));
    add(Kind::ColdRead, &[4 * KIB, 64 * KIB, MIB]);
    add(Kind::Write, &[4 * KIB, 64 * KIB, MIB, 4 * MIB]);
    add(Kind::Append, &[16 * KIB]);
    add(Kind::Sync, &[4 * KIB]);
    add(Kind::Extend, &[64 * KIB]);
    add(Kind::Fsync, &[16 * MIB]);
    all
}

impl Case {
    pub fn name(&self) -> String {
        let kind = match self.kind {
            Kind::ColdRead => "cold read",
            Kind::Write => "write",
            Kind::Append => "append",
            Kind::Sync => "O_SYNC write",
            Kind::Extend => "direct extend",
            Kind::Fsync => "fsync",
        };
        format!("{kind} {}", name_of_size(self.size))
    }

    pub fn run(&self, bench: &Bench) -> io::Result<Vec<Row>> {
        let job = self.job(bench)?;
        let mut queues: Vec<(&str, Box<dyn Queue + '_>)> = vec![
            ("kernel", Box::new(Libaio::new(bench.kernel, &job, Wait::GetEvents)?)),
            ("ours", Box::new(Libaio::new(bench.ours, &job, Wait::GetEvents)?)),
        ];
        if bench.has_uring {
            queues.push(("uring", Box::new(Uring::apart(&job))));
        }
        let times: Vec<RefCell<Times>> = queues.iter().map(|_| RefCell::default()).collect();
        let names: Vec<&str> = queues.iter().map(|(name, _)| *name).collect();
        let turn = Cell::new(0);
        let mut sides: Vec<Side<'_>> = Vec::new();
        for ((_, queue), times) in queues.iter_mut().zip(&times) {
            let (job, turn) = (&job, &turn);
            sides.push(Box::new(move |time| {
                turn.set(turn.get() + 1);
                let times = &mut times.borrow_mut();
                times.begin();
                self.slice(&mut **queue, job, time, turn.get() * 7919, times)
            }));
        }
        let slices = measure::in_turn(&mut sides, bench.plan)?;
        drop(sides);
        let times: Vec<Times> = times.into_iter().map(RefCell::into_inner).collect();
        Ok(vec![self.times_row(&times), Row::new(self.name(), &names, &slices)])
    }

    fn job(&self, bench: &Bench) -> io::Result<Job> {
        let place = &bench.place;
        let (name, flags, len) = match self.kind {
            Kind::ColdRead => ("cold.dat", 0, COLD),
            Kind::Write | Kind::Fsync => ("write.dat", 0, WIDE),
            Kind::Sync => ("write.dat", libc::O_SYNC, WIDE),
            Kind::Append => ("grow.dat", libc::O_APPEND, 0),
            Kind::Extend => ("grow.dat", libc::O_DIRECT, 0),
        };
        let fd: OwnedFd = place.file(name, len, flags)?;
        let op = match self.kind {
            Kind::ColdRead => Op::Read,
            Kind::Fsync => Op::Fsync,
            _ => Op::Write,
        };
        if self.kind == Kind::ColdRead {
            file_system::no_read_ahead(&fd);
        } else if len > 0 {
            place.settle(name)?;
        }
        let depth = match self.kind {
            Kind::ColdRead => 8,
            Kind::Fsync => 1,
            _ => 4,
        };
        Ok(Job::new(fd, op, self.size, 0, depth, len.max(self.size as u64)))
    }

    /// One request an io_submit, as many in flight as the job has slots.
    fn slice(
        &self,
        queue: &mut dyn Queue,
        job: &Job,
        time: Duration,
        first: u64,
        times: &mut Times,
    ) -> io::Result<Slice> {
        let file = job_file(job);
        if self.kind == Kind::ColdRead {
            file_system::evict(&file, 0);
        }
        if self.kind == Kind::Fsync {
            return fsyncs(queue, job, &file, time, times);
        }
        let blocks = job.span / self.size as u64;
        let most = match self.kind {
            Kind::ColdRead => blocks,
            _ => (WRITTEN / self.size) as u64,
        };
        let offset = |i: u64| match self.kind {
            Kind::Append | Kind::Extend => i * self.size as u64,
            _ => timed::scattered(first, i, blocks) * self.size as u64,
        };
        let slice = Slice::of(|| timed::drive(queue, job, time, most, offset, times))?;
        match self.kind {
            Kind::ColdRead => {}
            Kind::Append | Kind::Extend => {
                let n = file.metadata().map_or(0, |m| m.len()) / self.size as u64;
                assert!(n >= slice.ops, "what was appended is there");
                file.set_len(0)?;
            }
            // The next side shall not pay for our dirty pages.
            _ => file.sync_data()?,
        }
        Ok(slice)
    }

    fn times_row(&self, times: &[Times]) -> Row {
        let [kernel, ours] = [0, 1].map(|side| Percentiles::of(&times[side].all()));
        let name = format!("io_submit p99: {}", self.name());
        let mut row = Row::of_figures(name, Some(kernel.p99), ours.p99);
        let p99 = |slice: &Histogram<u64>| Percentiles::of(slice).p99;
        let pairs = times[0].slices().iter().zip(times[1].slices());
        let pairs = Spread::of(pairs.map(|(k, o)| p99(k) / p99(o)));
        row.ratio = Some(Spread { median: kernel.p99 / ours.p99, ..pairs });
        let both = |k, o| format!("{} {}", number(k), number(o));
        row.note = format!(
            "p50 {}, p99.9 {}, max {}",
            both(kernel.p50, ours.p50),
            both(kernel.p999, ours.p999),
            both(kernel.max, ours.max)
        );
        row.times = Some([kernel, ours]);
        if floors::has(&row) {
            row.demands.push(floors::in_submit(ours.p99));
        }
        row
    }
}

/// fsync of 16 MiB just written; the time of the writing is left out.
fn fsyncs(
    queue: &mut dyn Queue,
    job: &Job,
    file: &File,
    time: Duration,
    times: &mut Times,
) -> io::Result<Slice> {
    let mut chunk = vec![0; MIB];
    let mut slice = Slice::default();
    while slice.seconds < time.as_secs_f64() {
        for offset in (0..job.size as u64).step_by(chunk.len()) {
            memory::fill(&mut chunk, offset, slice.ops);
            file.write_all_at(&chunk, offset)?;
        }
        let one = Slice::of(|| timed::drive(queue, job, time, 1, |_| 0, times))?;
        slice.ops += 1;
        slice.seconds += one.seconds;
        slice.cpu_seconds += one.cpu_seconds;
    }
    Ok(slice)
}

impl Percentiles {
    fn of(ns: &Histogram<u64>) -> Self {
        let us = |q| ns.value_at_quantile(q) as f64 / 1000.0;
        Self { p50: us(0.5), p99: us(0.99), p999: us(0.999), max: us(1.0) }
    }
}

/// Another descriptor of the job's file.
fn job_file(job: &Job) -> File {
    // SAFETY: a new descriptor, owned by the file.
    unsafe { File::from_raw_fd(libc::dup(job.fd())) }
}

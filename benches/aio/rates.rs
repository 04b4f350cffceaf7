//! Rows that keep a number of requests in flight: time and CPU time of each.

use crate::bench::Bench;
use crate::job::{Job, Op, Op::Read, Op::Write};
use crate::library::Aio;
use crate::measure::{self, Side, Slice};
use crate::place::{HOT, WIDE};
use crate::queue::{self, Libaio, Plain, Queue};
use crate::reaper::Reaped;
use crate::row::{Row, name_of_size};
use crate::uring::Uring;
use crate::wait::{Epoll, Wait};
use std::io;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One thread, io_submit and io_getevents.
    Loop,
    /// nginx.
    Epoll,
    /// QEMU.
    Ring,
    /// InnoDB.
    Reaper,
}

#[derive(Clone, Copy)]
pub struct Rate {
    style: Style,
    direct: bool,
    op: Op,
    size: usize,
    vecs: usize,
    depth: usize,
    wide: bool,
}

const KIB: usize = 1024;

pub fn all() -> Vec<Rate> {
    let mut all = Vec::new();
    let mut add = |style, direct, op, size, vecs, depths: &[usize]| {
        for &depth in depths {
            all.push(Rate { style, direct, op, size, vecs, depth, wide: direct });
        }
    };
    for op in [Read, Write] {
        for size in [512, 4 * KIB, 64 * KIB] {
            add(Style::Loop, false, op, size, 0, &[1, 8, 32, 128]);
        }
    }
    for op in [Read, Write] {
        add(Style::Loop, true, op, 4 * KIB, 0, &[1, 8, 32]);
        add(Style::Loop, true, op, 128 * KIB, 0, &[1, 8]);
    }
    for op in [Read, Write] {
        add(Style::Loop, false, op, 4 * KIB, 8, &[1, 32]);
        add(Style::Loop, true, op, 16 * KIB, 4, &[32]);
    }
    for style in [Style::Epoll, Style::Ring, Style::Reaper] {
        add(style, false, Read, 4 * KIB, 0, &[1, 32]);
        for op in [Read, Write] {
            add(style, true, op, 4 * KIB, 0, &[1, 32]);
        }
    }
    for depth in [1, 32] {
        let (style, direct, op, wide) = (Style::Loop, false, Read, true);
        all.push(Rate { style, direct, op, size: 4 * KIB, vecs: 0, depth, wide });
    }
    all
}

impl Rate {
    pub fn name(&self) -> String {
        let style = match self.style {
            Style::Loop => "",
            Style::Epoll => "epoll ",
            Style::Ring => "ring-reader ",
            Style::Reaper => "reaper ",
        };
        let place = if self.direct { "direct" } else { "cached" };
        let op = match (self.op, self.vecs) {
            (Read, 0) => "read",
            (Write, 0) => "overwrite",
            (Read, _) => "readv",
            (_, _) => "overwritev",
        };
        let wide = if self.wide && !self.direct { " wide" } else { "" };
        format!("{style}{place} {op} {} qd{}{wide}", name_of_size(self.size), self.depth)
    }

    pub fn run(&self, bench: &Bench) -> io::Result<Vec<Row>> {
        let file = if self.op == Read { "read.dat" } else { "write.dat" };
        let flags = if self.direct { libc::O_DIRECT } else { 0 };
        let fd = bench.place.file(file, WIDE, flags)?;
        bench.place.settle(file)?;
        let span = if self.wide { WIDE } else { HOT };
        let job = Job::new(fd, self.op, self.size, self.vecs, self.depth, span);
        let mut queues: Vec<(&str, Box<dyn Queue + '_>)> = vec![
            ("kernel", self.libaio(bench.kernel, &job)?),
            ("ours", self.libaio(bench.ours, &job)?),
        ];
        if bench.has_uring {
            queues.push(("uring", self.uring(&job)));
        }
        if self.style == Style::Loop && (!self.direct || self.depth == 1) {
            queues.push(("plain", Box::new(Plain::new(&job))));
        }
        for (seed, (_, queue)) in queues.iter_mut().enumerate() {
            queue::verify(&mut **queue, &job, seed as u64)?;
        }
        let names: Vec<&str> = queues.iter().map(|(name, _)| *name).collect();
        let mut sides: Vec<Side<'_>> = Vec::new();
        for (_, queue) in &mut queues {
            let job = &job;
            sides.push(Box::new(move |time| Slice::of(|| queue::drive(&mut **queue, job, time))));
        }
        let slices = measure::in_turn(&mut sides, bench.plan)?;
        Ok(vec![Row::new(self.name(), &names, &slices)])
    }

    fn libaio<'a>(&self, aio: &'static Aio, job: &'a Job) -> io::Result<Box<dyn Queue + 'a>> {
        let wait = match self.style {
            Style::Loop => Wait::GetEvents,
            Style::Epoll => Wait::Epoll(Epoll::new()),
            Style::Ring => Wait::Ring(Epoll::new()),
            Style::Reaper => return Ok(Box::new(Reaped::libaio(aio, job)?)),
        };
        Ok(Box::new(Libaio::new(aio, job, wait)?))
    }

    fn uring<'a>(&self, job: &'a Job) -> Box<dyn Queue + 'a> {
        match self.style {
            Style::Loop => Box::new(Uring::new(job)),
            Style::Epoll | Style::Ring => Box::new(Uring::with_epoll(job, Epoll::new())),
            Style::Reaper => Box::new(Reaped::uring(job)),
        }
    }
}

//! Statistics, for a process that is asked for them (AIO_RS_STATS): counted in a
//! page that `aio-rs top` reads while the process runs, and told when it exits.
//!
//! The files below say what is counted; the command shares all but `publish`.

pub mod histogram;
pub mod page;
mod publish;
mod summary;

use crate::config::{Config, MaxNr, Stats};
use crate::engine::op::{Kind as OpKind, Op, OpArgs};
use crate::errno::Errno;
use crate::trace::Requests;
use crate::{logging, sys};
use page::{Kind, Page, Way};
use std::fmt::Write;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

pub type Counters = Page<AtomicU64>;

/// The page of a process that wants one.
pub fn open(config: &Config, engine: Option<&str>) -> Option<&'static Counters> {
    if config.stats == Stats::Off {
        return None;
    }
    let page = publish::page().ok()?;
    let engine = page::ENGINES.iter().position(|name| engine == Some(name)).unwrap_or(0);
    page.engine.store(engine as u64, Relaxed);
    if let MaxNr::Number(n) = config.max_nr {
        page.max_nr.store(n, Relaxed);
    }
    Some(page)
}

/// At exit: the page goes, the summary is written if it was asked for.
pub fn finish(page: &Counters, config: &Config) {
    let Some(page) = publish::remove(page) else { return };
    if config.stats != Stats::Exit {
        return;
    }
    let seconds = (sys::boot_time_ns() - page.since) as f64 / 1e9;
    let mut text = logging::Line::<4096>::new();
    let _ = writeln!(text, "\naio-rs: process {} ran {seconds:.1} s on it", page.pid)
        .and_then(|()| summary::write(&page, seconds, &mut text));
    logging::write_out(crate::config::stats_file(), text.bytes());
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}

impl Counters {
    fn read(&self) -> Page<u64> {
        let mut copy = std::mem::MaybeUninit::<Page<u64>>::uninit();
        let words = page::SIZE / size_of::<u64>();
        let from = std::ptr::from_ref(self).cast::<AtomicU64>();
        let to = copy.as_mut_ptr().cast::<u64>();
        // SAFETY: a page is so many words, atomic there and plain here.
        unsafe {
            for i in 0..words {
                to.add(i).write((*from.add(i)).load(Relaxed));
            }
            copy.assume_init()
        }
    }

    /// There is a context more, or (-1) less; `nr`: what all have asked for.
    pub fn contexts(&self, change: i64, nr: u64) {
        self.contexts.fetch_add(change as u64, Relaxed);
        self.nr.store(nr, Relaxed);
    }

    pub fn setup(&self, made: bool) {
        add(if made { &self.setups } else { &self.setups_refused }, 1);
    }

    pub fn submit(&self, requests: &Requests, answer: Result<i64, Errno>, ns: i64) {
        add(&self.submits, 1);
        match answer {
            Err(Errno::EAGAIN) => add(&self.submits_eagain, 1),
            Err(_) => add(&self.submits_refused, 1),
            Ok(taken) => {
                let kinds = requests.kinds(taken);
                self.accepted.iter().zip(kinds).for_each(|(counter, n)| add(counter, n));
            }
        }
        self.submit_time.record(ns.max(0) as u64);
    }

    pub fn getevents(&self, events: i64) {
        add(&self.getevents, 1);
        add(&self.events, events.max(0) as u64);
    }

    /// A request is not done inside io_submit. Returns when.
    pub fn deferred(&self, args: &OpArgs) -> u64 {
        add(&self.deferred[kind(args) as usize], 1);
        if args.done > 0 {
            add(&self.continued, 1);
        }
        now()
    }

    /// Such a request is done; `since`: what `deferred` said.
    pub fn done(&self, op: &Op, args: &OpArgs, pinned: bool, since: u64) {
        let kind = kind(args) as usize;
        let way = match self.engine.load(Relaxed) {
            _ if !pinned => Way::Refused,
            _ if op.by_caller.load(Relaxed) => Way::Ring,
            1 if !op.by_threads.load(Relaxed) => Way::Uring,
            _ => Way::Threads,
        };
        add(&self.done[kind][way as usize], 1);
        add(&self.continued, u64::from(args.continued));
        self.latency[kind].record(now().saturating_sub(since));
    }
}

fn now() -> u64 {
    let now = sys::monotonic_now();
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn kind(args: &OpArgs) -> Kind {
    match args.kind {
        OpKind::Read => Kind::Read,
        OpKind::Write => Kind::Write,
        OpKind::Fsync { .. } => Kind::Fsync,
        OpKind::Poll => Kind::Poll,
    }
}

//! The page of counters, as it lies in shared memory: words of 64 bits and
//! nothing else. Words are added at the end, with a new `VERSION`.

use super::histogram::Histogram;

/// "aio-rs" and two zeroes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"aio-rs\0\0");
pub const VERSION: u64 = 1;

/// Where pages are; a page is called `aio-rs.UID.PID.STARTTIME`, with the numbers
/// as the process sees them, and its start time so that no other can be meant.
pub const DIRECTORY: &str = "/dev/shm";
pub const PREFIX: &str = "aio-rs.";

pub const KINDS: usize = 4;
/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    Fsync,
    Poll,
}

impl Kind {
    pub const ALL: [Self; KINDS] = [Self::Read, Self::Write, Self::Fsync, Self::Poll];

    pub fn name(self) -> &'static str {
        ["read", "write", "fsync", "poll"][self as usize]
    }
}

pub const WAYS: usize = 4;
/// How a request was done that io_submit did not do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A ring that the program's own thread enters.
    Ring,
    /// The ring of the engine.
    Uring,
    Threads,
    /// Inside io_submit after all: no engine would have it.
    Refused,
}

impl Way {
    pub const ALL: [Self; WAYS] = [Self::Ring, Self::Uring, Self::Threads, Self::Refused];

    pub fn name(self) -> &'static str {
        ["ring", "uring", "threads", "refused"][self as usize]
    }
}

/// The engine that was chosen, for `Page::engine`.
pub const ENGINES: [&str; 3] = ["none", "uring", "threads"];

/// `C`: an atomic where it is counted, a plain number where it is read.
#[repr(C)]
pub struct Page<C> {
    pub magic: C,
    pub version: C,
    pub pid: C,
    /// Since boot, in clock ticks: /proc/PID/stat.
    pub start_time: C,
    /// The inode of /proc/PID/ns/pid: what `pid` is a number of.
    pub pid_namespace: C,
    /// CLOCK_BOOTTIME when counting began, in nanoseconds.
    pub since: C,
    /// An index of `ENGINES`.
    pub engine: C,

    /// AIO_RS_MAX_NR, and how much of it is taken.
    pub max_nr: C,
    pub nr: C,
    pub contexts: C,
    pub setups: C,
    pub setups_refused: C,

    pub submits: C,
    /// Calls that took no request, but for want of a slot: EAGAIN.
    pub submits_refused: C,
    pub submits_eagain: C,
    pub getevents: C,
    /// Events that io_getevents returned; the program may take others itself.
    pub events: C,

    /// Requests that io_submit took, by kind; those it did not do at once; and
    /// those of them that are done.
    pub accepted: [C; KINDS],
    pub deferred: [C; KINDS],
    pub done: [[C; WAYS]; KINDS],
    /// Short transfers that were gone on with.
    pub continued: C,

    /// Inside io_submit.
    pub submit_time: Histogram<C>,
    /// From io_submit to the event, of requests that were not done at once.
    pub latency: [Histogram<C>; KINDS],
}

pub const SIZE: usize = size_of::<Page<u64>>();

impl Page<u64> {
    /// Requests of this kind that were done inside io_submit, as they were met.
    pub fn inline(&self, kind: Kind) -> u64 {
        self.accepted[kind as usize].saturating_sub(self.deferred[kind as usize])
    }

    pub fn in_flight(&self) -> u64 {
        let done: u64 = self.done.iter().flatten().sum();
        self.deferred.iter().sum::<u64>().saturating_sub(done)
    }

    pub fn done_by(&self, way: Way) -> u64 {
        self.done.iter().map(|kind| kind[way as usize]).sum()
    }

    /// Requests that the chosen engine refused.
    pub fn fallbacks(&self) -> u64 {
        let by_threads = if self.engine() == "uring" { self.done_by(Way::Threads) } else { 0 };
        by_threads + self.done_by(Way::Refused)
    }

    pub fn engine(&self) -> &'static str {
        ENGINES.get(self.engine as usize).unwrap_or(&"?")
    }
}

//! What is asked of each row: the floors and goals of the project's third issue.

use crate::row::{Demand, Row};
use std::fmt;

/// Kernel AIO's time over ours, at least.
struct Floor {
    rows: &'static [&'static str],
    floor: f64,
    goal: f64,
    /// Our CPU time over kernel AIO's, at most.
    cpu: Option<f64>,
}

const CPU_GOAL: f64 = 0.8;
/// Native io_uring's time over ours, at least, unless it loses to the kernel's AIO.
const TO_URING: f64 = 0.95;

const fn floor(rows: &'static [&'static str], floor: f64, goal: f64, cpu: Option<f64>) -> Floor {
    Floor { rows, floor, goal, cpu }
}

const EQUAL: Option<f64> = Some(1.0);
const EVENTS: Option<f64> = Some(1.3);

/// The row's name is one of these, or begins with one that ends with a space.
const FLOORS: &[Floor] = &[
    floor(&["cached read 4k qd1"], 1.8, 2.0, EQUAL),
    floor(&["cached read 512 qd1"], 1.7, 1.9, EQUAL),
    floor(&["cached read 512 qd32", "cached read 512 qd128"], 1.05, 1.15, EQUAL),
    floor(&["cached read 4k qd32", "cached read 4k qd128"], 1.0, 1.1, EQUAL),
    floor(&["cached overwrite 4k qd1"], 1.3, 1.7, EQUAL),
    floor(&["cached overwrite 4k qd32"], 0.95, 1.05, EQUAL),
    floor(&["direct read 4k qd1", "direct overwrite 4k qd1"], 0.98, 1.05, EQUAL),
    floor(&["direct read 4k qd32", "direct overwrite 4k qd32"], 1.05, 1.15, EQUAL),
    floor(
        &[
            "epoll direct read 4k qd1",
            "epoll direct overwrite 4k qd1",
            "ring-reader direct read 4k qd1",
            "ring-reader direct overwrite 4k qd1",
            "reaper direct read 4k qd1",
            "reaper direct overwrite 4k qd1",
        ],
        0.85,
        1.0,
        EVENTS,
    ),
    floor(
        &[
            "epoll direct read 4k qd32",
            "epoll direct overwrite 4k qd32",
            "ring-reader direct read 4k qd32",
            "ring-reader direct overwrite 4k qd32",
            "reaper direct read 4k qd32",
            "reaper direct overwrite 4k qd32",
        ],
        0.97,
        1.05,
        EVENTS,
    ),
    floor(
        &[
            "io_submit p99: cold read 64k",
            "io_submit p99: write 1m",
            "io_submit p99: fsync 16m",
            "io_submit p99: O_SYNC write 4k",
            "io_submit p99: direct extend 64k",
        ],
        5.0,
        5.0,
        None,
    ),
    floor(
        &[
            "cold read 4k",
            "cold read 64k",
            "cold read 1m",
            "write 1m",
            "write 4m",
            "fsync 16m",
            "O_SYNC write 4k",
            "direct extend 64k",
        ],
        1.0,
        1.2,
        None,
    ),
    floor(&["io_destroy"], 300.0, 1000.0, None),
    floor(&["io_setup"], 1.0, 2.0, None),
    floor(&["empty poll", "reap 32 ready"], 1.0, 1.2, None),
];

/// The engine of threads, where the rule above is not its own.
const THREADS: &[Floor] = &[floor(
    &[
        "direct read 4k qd32",
        "direct overwrite 4k qd32",
        "cold read 4k",
        "cold read 64k",
        "cold read 1m",
    ],
    0.7,
    0.9,
    None,
)];

/// Microseconds in io_submit, p99.
const IN_SUBMIT: (f64, f64) = (50.0, 20.0);
/// Throughput of many threads, to the best number of threads.
const OF_BEST: (f64, f64) = (0.8, 0.9);
/// KiB of a context beside its ring.
const MEMORY: (f64, f64) = (16.0, 4.0);
/// Milliseconds of CPU time in a second with nothing to do.
const IDLE: (f64, f64) = (0.05, 0.05);

pub fn in_submit(p99: f64) -> Demand {
    small("p99 us", p99, IN_SUBMIT)
}

pub fn of_best(part: f64) -> Demand {
    let (floor, goal) = OF_BEST;
    Demand { what: "of best".into(), value: part, floor, goal, small: false }
}

pub fn memory(kib: f64) -> Demand {
    small("KiB beside the ring", kib, MEMORY)
}

pub fn idle(ms: f64) -> Demand {
    small("idle CPU", ms, IDLE)
}

fn small(what: &str, value: f64, (floor, goal): (f64, f64)) -> Demand {
    Demand { what: what.into(), value, floor, goal, small: true }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    BelowFloor,
    FloorMet,
    GoalMet,
}

struct Verdict {
    /// None: nothing is asked of this row.
    level: Option<Level>,
    /// What is below its floor.
    failing: Vec<String>,
}

/// Whether something is asked of the row.
pub fn has(row: &Row) -> bool {
    FLOORS.iter().any(|f| f.rows.contains(&row.name.as_str()))
}

/// Fills in the row's floor and verdict.
pub fn judge(row: &mut Row, engine: &str) {
    let mut verdict = Verdict { level: None, failing: Vec::new() };
    let of = |list: &'static [Floor]| list.iter().find(|f| f.rows.contains(&row.name.as_str()));
    // Of the engine of threads only its own rows and the cached ones are asked.
    let threads = engine == "threads";
    let floor = match threads {
        true => of(THREADS).or_else(|| of(FLOORS).filter(|_| row.name.starts_with("cached"))),
        false => of(FLOORS),
    };
    if let (Some(floor), Some(ratio)) = (floor, row.ratio) {
        row.floor = Some((floor.floor, floor.goal));
        verdict.add("time", ratio.median, floor.floor, floor.goal);
        if let (Some(most), Some(cpu)) = (floor.cpu, row.cpu_ratio) {
            verdict.add("cpu", -cpu.median, -most, -CPU_GOAL);
        }
        if let (Some(ours), Some(kernels)) = (row.to_uring, row.kernel_to_uring)
            && kernels.median <= 1.0
            && !threads
        {
            verdict.add("uring", ours.median, TO_URING, TO_URING);
        }
    }
    for d in row.demands.iter().filter(|_| !threads) {
        let sign = if d.small { -1.0 } else { 1.0 };
        verdict.add(&d.what, sign * d.value, sign * d.floor, sign * d.goal);
    }
    row.verdict = verdict.to_string();
}

impl Verdict {
    /// More is better.
    fn add(&mut self, what: &str, value: f64, floor: f64, goal: f64) {
        let level = match value {
            v if v >= goal => Level::GoalMet,
            v if v >= floor => Level::FloorMet,
            _ => {
                self.failing.push(what.to_owned());
                Level::BelowFloor
            }
        };
        self.level = Some(self.level.map_or(level, |l| l.min(level)));
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            None => Ok(()),
            Some(Level::BelowFloor) => write!(f, "BELOW FLOOR: {}", self.failing.join(", ")),
            Some(Level::FloorMet) => f.write_str("floor met"),
            Some(Level::GoalMet) => f.write_str("goal met"),
        }
    }
}

//! What is asked of each row: the floors and goals of the project's third issue.

use crate::row::Row;
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
    floor(&["io_destroy"], 300.0, 1000.0, None),
    floor(&["io_setup"], 1.0, 2.0, None),
    floor(&["empty poll", "reap 32 ready"], 1.0, 1.2, None),
];

/// The engine of threads, where the rule above is not its own.
const THREADS: &[Floor] =
    &[floor(&["direct read 4k qd32", "direct overwrite 4k qd32"], 0.7, 0.9, None)];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    BelowFloor,
    FloorMet,
    GoalMet,
}

pub struct Verdict {
    /// None: nothing is asked of this row.
    pub level: Option<Level>,
    /// What is below its floor.
    pub failing: Vec<&'static str>,
    pub floor: Option<(f64, f64)>,
}

pub fn judge(row: &Row, engine: &str) -> Verdict {
    let mut verdict = Verdict { level: None, failing: Vec::new(), floor: None };
    let of = |list: &'static [Floor]| list.iter().find(|f| f.rows.contains(&row.name.as_str()));
    let floor = match engine {
        // Of the rest of its rows only the cached ones are asked.
        "threads" => of(THREADS).or_else(|| of(FLOORS).filter(|_| !row.name.contains("direct"))),
        _ => of(FLOORS),
    };
    let (Some(floor), Some(ratio)) = (floor, row.ratio) else { return verdict };
    verdict.floor = Some((floor.floor, floor.goal));
    verdict.add("time", ratio.median, floor.floor, floor.goal);
    if let (Some(most), Some(cpu)) = (floor.cpu, row.cpu_ratio) {
        verdict.add("cpu", -cpu.median, -most, -CPU_GOAL);
    }
    if let (Some(ours), Some(kernels)) = (row.to_uring, row.kernel_to_uring)
        && kernels.median <= 1.0
        && engine != "threads"
    {
        verdict.add("uring", ours.median, TO_URING, TO_URING);
    }
    verdict
}

impl Verdict {
    /// More is better.
    fn add(&mut self, what: &'static str, value: f64, floor: f64, goal: f64) {
        let level = match value {
            v if v >= goal => Level::GoalMet,
            v if v >= floor => Level::FloorMet,
            _ => {
                self.failing.push(what);
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

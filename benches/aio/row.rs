//! A line of the table.

use crate::measure::{Cost, Slice, Spread, number};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kernel: Option<Cost>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ours: Option<Cost>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uring: Option<Cost>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plain: Option<Cost>,
    /// Kernel AIO's time over ours: above 1 is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ratio: Option<Spread>,
    /// Our CPU time over kernel AIO's: below 1 is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_ratio: Option<Spread>,
    /// Native io_uring's time over ours, and kernel AIO's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to_uring: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kernel_to_uring: Option<Spread>,
    /// What is asked of us alone.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub demands: Vec<Demand>,
    /// Kernel AIO's figure over ours: at least, and wished for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub floor: Option<(f64, f64)>,
    pub verdict: String,
    /// Inside io_submit: the kernel's and ours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub times: Option<[Percentiles; 2]>,
    pub note: String,
}

/// Of a call's time, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// A figure that has to be small, or large.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Demand {
    pub what: String,
    pub value: f64,
    pub floor: f64,
    pub goal: f64,
    pub small: bool,
}

impl Row {
    /// `names`: whose slices they are: kernel, ours, uring, plain.
    pub fn new(name: String, names: &[&str], slices: &[Vec<Slice>]) -> Self {
        let of = |side: &str| names.iter().position(|n| *n == side).map(|i| slices[i].as_slice());
        let cost = |side| of(side).map(Cost::of);
        let ratio = |over, under, value| Some(Spread::of_ratios(of(over)?, of(under)?, value));
        Self {
            name,
            kernel: cost("kernel"),
            ours: cost("ours"),
            uring: cost("uring"),
            plain: cost("plain"),
            ratio: ratio("ours", "kernel", Slice::rate),
            cpu_ratio: ratio("ours", "kernel", Slice::cpu_us),
            to_uring: ratio("ours", "uring", Slice::rate),
            kernel_to_uring: ratio("kernel", "uring", Slice::rate),
            ..Self::empty(String::new())
        }
    }

    pub fn empty(name: String) -> Self {
        Self {
            name,
            kernel: None,
            ours: None,
            uring: None,
            plain: None,
            ratio: None,
            cpu_ratio: None,
            to_uring: None,
            kernel_to_uring: None,
            demands: Vec::new(),
            floor: None,
            verdict: String::new(),
            times: None,
            note: String::new(),
        }
    }

    /// Of two plain figures; less is better.
    pub fn of_figures(name: String, kernel: Option<f64>, ours: f64) -> Self {
        let one = |v| Spread::of([v].into_iter());
        let cost = |v| Cost { us: one(v), cpu_us: None };
        Self {
            kernel: kernel.map(cost),
            ours: Some(cost(ours)),
            ratio: kernel.filter(|k| *k > 0.0 && ours > 0.0).map(|k| one(k / ours)),
            ..Self::empty(name)
        }
    }

    /// Where CPU time was not told apart.
    pub fn without_cpu(mut self) -> Self {
        for cost in [&mut self.kernel, &mut self.ours].into_iter().flatten() {
            cost.cpu_us = None;
        }
        self.cpu_ratio = None;
        self
    }

    pub fn heading() -> String {
        format!(
            "{:<38} {:>9} {:>9} {:>6} {:>13} {:>8} {:>8} {:>5} {:>9} {:>5} {:>9}  {:>11}  verdict",
            "microseconds an operation",
            "kernel",
            "ours",
            "ratio",
            "quartiles",
            "cpu krn",
            "cpu ours",
            "cpu x",
            "uring",
            "x",
            "plain",
            "floor, goal"
        )
    }

    pub fn line(&self) -> String {
        let us = |cost: Option<Cost>| cost.map_or("-".into(), |c| number(c.us.median));
        let cpu = |cost: Option<Cost>| {
            cost.and_then(|c| c.cpu_us).map_or("-".into(), |c| number(c.median))
        };
        let times = |r: Option<Spread>| r.map_or("-".into(), |r| number(r.median));
        let spread =
            self.ratio.map_or("-".into(), |r| format!("{}..{}", number(r.low), number(r.high)));
        format!(
            "{:<38} {:>9} {:>9} {:>6} {:>13} {:>8} {:>8} {:>5} {:>9} {:>5} {:>9}  {:>11}  {}{}",
            self.name,
            us(self.kernel),
            us(self.ours),
            times(self.ratio),
            spread,
            cpu(self.kernel),
            cpu(self.ours),
            times(self.cpu_ratio),
            us(self.uring),
            times(self.to_uring),
            us(self.plain),
            self.floor.map_or(String::new(), |(f, g)| format!("{f}, {g}")),
            self.verdict,
            if self.note.is_empty() { String::new() } else { format!("  [{}]", self.note) },
        )
    }
}

pub fn name_of_size(bytes: usize) -> String {
    match bytes {
        b if b >= 1 << 20 => format!("{}m", b >> 20),
        b if b >= 1 << 10 => format!("{}k", b >> 10),
        b => format!("{b}"),
    }
}

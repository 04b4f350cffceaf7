//! Measuring side by side: slices of all sides in turn, and what their numbers say;
//! below it, the libraries and the loops. Shared by `aio-rs bench` and `make bench`.

pub mod chart;
pub mod file_system;
pub mod job;
pub mod library;
pub mod memory;
pub mod queue;
pub mod timed;
pub mod wait;

use serde::{Deserialize, Serialize};
use std::io;
use std::time::{Duration, Instant};

/// What one side did in one slice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slice {
    pub ops: u64,
    pub seconds: f64,
    /// Of the whole process, engine threads too.
    pub cpu_seconds: f64,
}

impl Slice {
    /// Runs `work`, which tells how many operations it did.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn of(work: impl FnOnce() -> io::Result<u64>) -> io::Result<Self> {
        let (cpu, start) = (cpu_time(), Instant::now());
        let ops = work()?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Self { ops, seconds, cpu_seconds: cpu_time() - cpu })
    }

    pub fn rate(&self) -> f64 {
        self.ops as f64 / self.seconds
    }

    pub fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.ops as f64
    }
}

/// Seconds of user and system time, of all threads.
pub fn cpu_time() -> f64 {
    // SAFETY: a plain structure, filled by the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// How many slices, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub slices: usize,
    pub length: Duration,
}

pub type Side<'a> = Box<dyn FnMut(Duration) -> io::Result<Slice> + 'a>;

/// All sides in turn, in one order and then in the other.
///
/// # Errors
/// The first that a side has.
pub fn in_turn(sides: &mut [Side<'_>], plan: Plan) -> io::Result<Vec<Vec<Slice>>> {
    for side in sides.iter_mut() {
        side(plan.length / 4)?;
    }
    let mut slices = vec![Vec::with_capacity(plan.slices); sides.len()];
    for i in 0..plan.slices {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if i % 2 == 1 {
            order.reverse();
        }
        for side in order {
            slices[side].push(sides[side](plan.length)?);
        }
    }
    Ok(slices)
}

/// A median with its quartiles.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut v: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        v.sort_by(f64::total_cmp);
        if v.is_empty() {
            v.push(f64::NAN);
        }
        let at = |part: f64| {
            let exact = part * (v.len() - 1) as f64;
            let (below, above) = (v[exact.floor() as usize], v[exact.ceil() as usize]);
            below + (above - below) * exact.fract()
        };
        Self { median: round(at(0.5)), low: round(at(0.25)), high: round(at(0.75)) }
    }

    /// Pair by pair: slices that were neighbours in time.
    pub fn of_ratios(over: &[Slice], under: &[Slice], value: fn(&Slice) -> f64) -> Self {
        Self::of(over.iter().zip(under).map(|(a, b)| value(a) / value(b)))
    }
}

/// What one side needs for an operation, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    pub us: Spread,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_us: Option<Spread>,
}

impl Cost {
    pub fn of(slices: &[Slice]) -> Self {
        Self {
            us: Spread::of(slices.iter().map(|s| 1e6 / s.rate())),
            cpu_us: Some(Spread::of(slices.iter().map(Slice::cpu_us))),
        }
    }
}

/// Four digits: no more of them mean anything.
pub fn round(v: f64) -> f64 {
    format!("{v:.3e}").parse().unwrap_or(v)
}

/// Three digits that count.
pub fn number(v: f64) -> String {
    match v.abs() {
        0.0 => "0".into(),
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        a if a < 0.1 => format!("{v:.4}"),
        _ => format!("{v:.2}"),
    }
}

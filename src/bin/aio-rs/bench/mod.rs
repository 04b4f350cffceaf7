//! aio-rs bench: the system's libaio and ours side by side, on the user's own disk.

mod report;
mod rows;
mod sides;
mod target;

use crate::args::Bench;
use crate::fail;
use crate::measure::Plan;
use indicatif::{ProgressBar, ProgressStyle};
use report::Report;
use sides::Sides;
use std::process::ExitCode;
use std::time::Duration;
use target::Target;

/// It could not be measured.
const FAILED: u8 = 1;
/// Not on this file.
const REFUSED: u8 = 2;
/// Slices of a side: enough for quartiles.
const SLICES: usize = 15;

pub fn run(args: &Bench) -> ExitCode {
    let target = match Target::open(&args.file, args.write, args.svg.as_deref()) {
        Ok(target) => target,
        Err(e) => return fail(REFUSED, e),
    };
    let sides = match Sides::load(args) {
        Ok(sides) => sides,
        Err(e) => return fail(FAILED, e),
    };
    let rows = rows::all(&target, &sides);
    let turns: usize = rows.iter().map(|row| row.sides(&sides)).sum();
    // The warm-up is a quarter of a slice.
    let slices = turns as f64 * (SLICES as f64 + 0.25);
    let length = Duration::from_secs(args.seconds.into()).div_f64(slices);
    let plan = Plan { slices: SLICES, length };

    let mut report = Report::new(&target, &sides, plan);
    let bar = progress((turns * (SLICES + 1)) as u64);
    let mut failed = None;
    for row in rows {
        bar.set_message(row.name());
        match row.run(&target, &sides, plan, &bar) {
            Ok(figures) => report.add(figures),
            Err(e) => {
                failed = Some(format!("{}: {e}", row.name()));
                break;
            }
        }
    }
    bar.finish_and_clear();
    report.print(args.json);
    if let Some(path) = &args.svg
        && let Err(e) = report.draw(path)
    {
        failed.get_or_insert(format!("{}: {e}", path.display()));
    }
    failed.map_or(ExitCode::SUCCESS, |e| fail(FAILED, e))
}

/// On standard error, if that is a terminal.
fn progress(slices: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:36} [{bar:30}] {eta} left");
    ProgressBar::new(slices).with_style(style.expect("a template").progress_chars("=> "))
}

//! sysbench fileio: a context for each thread.

use crate::app::{App, BOTH, Figure};
use crate::job::Job;
use std::process::Command;
use std::time::Duration;

pub const APPS: &[App] = &[
    App {
        name: "sysbench fileio",
        needs: &[("sysbench", "sysbench")],
        uses: "io_queue_init, io_submit, io_getevents, io_queue_release; a context for each thread",
        set: "`--file-io-mode=async`; `--validate` only with `--file-async-backlog=1`",
        verified: "4 threads write and read at random, O_DIRECT, then buffered; sysbench \
                   checks the sums of all that it reads",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(60),
        run: validate,
    },
    App {
        name: "sysbench fileio, speed",
        needs: &[("sysbench", "sysbench")],
        uses: "as above",
        set: "as above",
        verified: "16 requests in flight of each thread, beside the kernel's AIO in turns; the \
                   median of the ratios, which must not be clearly below 1",
        ways: BOTH,
        root: false,
        in_check: false,
        limit: Duration::from_secs(120),
        run: speed,
    },
];

fn sysbench(mut command: Command, more: &[&str], verb: &str) -> Command {
    command
        .args(["fileio", "--file-total-size=32M", "--file-num=4", "--file-block-size=4096"])
        .args(["--file-io-mode=async", "--file-fsync-freq=200"])
        .args(more)
        .arg(verb);
    command
}

/// The number behind a label of its report.
fn number(report: &str, label: &str) -> Result<f64, String> {
    let value = report.lines().find_map(|line| line.trim().strip_prefix(label));
    value.and_then(|v| v.trim().parse().ok()).ok_or_else(|| format!("no {label}\n{report}"))
}

fn rate(report: &str) -> Result<f64, String> {
    Ok(number(report, "reads/s:")? + number(report, "writes/s:")?)
}

fn validate(job: &Job) -> Result<Figure, String> {
    let time = format!("--time={}", job.pick(1, 5));
    let mut checked = 0.0;
    for direct in ["--file-extra-flags=direct", "--file-extra-flags="] {
        let all = ["--validate=on", "--file-async-backlog=1", "--threads=4", direct, &time];
        job.must(&mut sysbench(job.plain("sysbench"), &all, "prepare"))?;
        let rndrw = [&all[..], &["--file-test-mode=rndrw"]].concat();
        let report = job.must(&mut sysbench(job.command("sysbench"), &rndrw, "run"))?;
        // It says so, and still ends well.
        if report.contains("Validation failed") || report.contains("FATAL") {
            return Err(report);
        }
        checked += number(&report, "reads/s:")? * number(&report, "total time:").unwrap_or(1.0);
        job.must(&mut sysbench(job.plain("sysbench"), &all, "cleanup"))?;
    }
    if checked < 100.0 {
        return Err(format!("only {checked} reads"));
    }
    Ok(format!("{:.0} k reads validated", checked / 1000.0))
}

/// Ours and the kernel's in turns, so that what else the machine does meets both.
fn speed(job: &Job) -> Result<Figure, String> {
    let args = ["--file-async-backlog=16", "--threads=2", "--file-extra-flags=direct"];
    let args = [&args[..], &["--file-test-mode=rndrw", "--time=1"]].concat();
    job.must(&mut sysbench(job.plain("sysbench"), &args, "prepare"))?;
    let measure = |command| rate(&job.must(&mut sysbench(command, &args, "run"))?);
    let mut ratios = Vec::new();
    let mut best: f64 = 0.0;
    let pairs = if job.on_kernel() { 1 } else { 9 };
    for n in 0..pairs {
        let (first, second) = if n % 2 == 0 {
            (measure(job.plain("sysbench"))?, measure(job.command("sysbench"))?)
        } else {
            let ours = measure(job.command("sysbench"))?;
            (measure(job.plain("sysbench"))?, ours)
        };
        ratios.push(second / first);
        best = best.max(second);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    // Clearly: nearly all pairs say so, and not by what noise makes.
    let second_best = ratios[ratios.len().saturating_sub(2)];
    if pairs > 1 && second_best < 0.9 {
        return Err(format!("slower than the kernel's AIO in all pairs but one: {ratios:.2?}"));
    }
    if job.on_kernel() {
        return Ok(format!("{:.1} k/s", best / 1000.0));
    }
    Ok(format!("{:.1} k/s; {median:.2} of the kernel's", best / 1000.0))
}

//! The report: a page with the tables and the charts of all runs.

use crate::draw;
use crate::measure::{Cost, Spread, number};
use crate::results::{Results, Run};
use crate::row::Row;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Writes README.md, results.json and the charts into `dir`; the project's README shows
/// overview.svg.
pub fn write(results: &Results, dir: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    results.write(&dir.join("results.json"))?;
    let m = &results.machine;
    let mut page = format!(
        "# Measurements\n\n\
         aio-rs {}, {}. {}, {} x {}, {} GiB of memory. Each row: {} slices of {} ms a side, in turn.\n\n\
         Made by `make bench bench-report`; the figures are in [results.json](results.json). Times are\n\
         microseconds an operation, medians over the slices. *ratio*: kernel AIO's time over ours, pair by\n\
         pair of neighbouring slices, with quartiles; above 1 we are faster. *cpu*: CPU time of the whole\n\
         process, engine threads too; its ratio is ours over kernel AIO's, below 1 we need less. *uring*:\n\
         native io_uring in the same loop, and its time over ours. *plain*: one pread or pwrite after another.\n\
         *floor, goal*: what the project asks of the ratio; the verdict counts CPU time and io_uring too.\n",
        m.version, m.date, m.kernel, m.processors, m.processor, m.memory_gib, m.slices, m.slice_ms
    );
    let overview = dir.join("overview.svg");
    let _ = fs::remove_file(&overview);
    draw::overview(&results.runs, &overview)?;
    if overview.exists() {
        page.push_str("\n![overview](overview.svg)\n");
    }
    for (i, run) in results.runs.iter().enumerate() {
        one(&mut page, run, i, dir)?;
    }
    fs::write(dir.join("README.md"), page)?;
    Ok(())
}

fn one(page: &mut String, run: &Run, index: usize, dir: &Path) -> Result<(), Box<dyn Error>> {
    writeln!(page, "\n## {}, engine {}\n", run.file_system, run.engine)?;
    let charts: [(&str, draw::Chart); 3] =
        [("speed", draw::speed), ("cpu", draw::cpu), ("io_submit", draw::in_submit)];
    for (what, chart) in charts {
        let name = format!("{what}-{}.svg", index + 1);
        let path = dir.join(&name);
        let _ = fs::remove_file(&path);
        chart(run, &path)?;
        if path.exists() {
            writeln!(page, "![{what}]({name})\n")?;
        }
    }
    page.push_str("| | kernel | ours | ratio | cpu kernel | ours | ratio | uring | x | plain | floor, goal | |\n");
    page.push_str("|---|--:|--:|:--|--:|--:|--:|--:|--:|--:|:--|---|\n");
    run.rows.iter().try_for_each(|row| line(page, row))?;
    Ok(())
}

fn line(page: &mut String, row: &Row) -> std::fmt::Result {
    let or_not = |v: Option<f64>| v.map_or(String::new(), number);
    let us = |cost: Option<Cost>| or_not(cost.map(|c| c.us.median));
    let cpu = |cost: Option<Cost>| or_not(cost.and_then(|c| c.cpu_us).map(|c| c.median));
    let median = |ratio: Option<Spread>| or_not(ratio.map(|r| r.median));
    let ratio = row.ratio.map_or(String::new(), |r| {
        format!("**{}** {}..{}", number(r.median), number(r.low), number(r.high))
    });
    let floor = row.floor.map_or(String::new(), |(f, g)| format!("{f}, {g}"));
    let remarks = [row.verdict.as_str(), row.note.as_str()];
    let remarks: Vec<&str> = remarks.into_iter().filter(|r| !r.is_empty()).collect();
    writeln!(
        page,
        "| {} | {} | {} | {ratio} | {} | {} | {} | {} | {} | {} | {floor} | {} |",
        row.name,
        us(row.kernel),
        us(row.ours),
        cpu(row.kernel),
        cpu(row.ours),
        median(row.cpu_ratio),
        us(row.uring),
        median(row.to_uring),
        us(row.plain),
        remarks.join("; ")
    )
}

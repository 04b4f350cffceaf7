//! The charts of the report, as SVG.

use crate::chart::{self, Bar, LESS, MORE, NAMES, Outcome, THREADS, URING};
use crate::results::Run;
use crate::row::Row;
use plotters::prelude::*;
use std::path::Path;

/// Draws a run, if it has rows for it.
pub type Chart = fn(&Run, &Path) -> Outcome;

const MET: RGBColor = RGBColor(0xd9, 0xa4, 0x41);
const UNASKED: RGBColor = RGBColor(0x8a, 0x94, 0xa6);
const KERNEL: RGBColor = RGBColor(0x6b, 0x74, 0x86);
const OURS: RGBColor = RGBColor(0x2d, 0x6c, 0xc0);

fn colour(row: &Row) -> RGBColor {
    match row.verdict.as_str() {
        "" => UNASKED,
        "goal met" => MORE,
        "floor met" => MET,
        _ => LESS,
    }
}

/// Speed to kernel AIO: a bar from 1, its quartiles, the floor and the goal.
pub fn speed(run: &Run, path: &Path) -> Outcome {
    let asked = |row: &&Row| row.times.is_none() && row.ratio.is_some();
    let rows: Vec<&Row> = run.rows.iter().filter(asked).collect();
    let title = format!("Speed, to kernel AIO: engine {}, {}", run.engine, run.file_system);
    let bars = rows.iter().map(|row| Bar {
        name: &row.name,
        value: row.ratio.expect("filtered"),
        marks: row.floor.map_or(Vec::new(), |(f, g)| vec![(f, LESS), (g, MORE)]),
        colour: colour(row),
    });
    let key =
        [("below floor", LESS), ("floor met", MET), ("goal met", MORE), ("not asked", UNASKED)];
    chart::bars(
        &title,
        "times as fast (quartiles; strokes: floor and goal)",
        &bars.collect::<Vec<_>>(),
        (0.125, 8.0),
        &key,
        path,
    )
}

/// CPU time of an operation to kernel AIO's.
pub fn cpu(run: &Run, path: &Path) -> Outcome {
    let rows: Vec<&Row> = run.rows.iter().filter(|row| row.cpu_ratio.is_some()).collect();
    let title = format!("CPU time, to kernel AIO: engine {}, {}", run.engine, run.file_system);
    let bars = rows.iter().map(|row| Bar {
        name: &row.name,
        value: row.cpu_ratio.expect("filtered"),
        marks: Vec::new(),
        colour: if row.cpu_ratio.is_some_and(|r| r.median <= 1.0) { MORE } else { LESS },
    });
    let key = [("less", MORE), ("more", LESS)];
    chart::bars(
        &title,
        "CPU time of an operation (less is better)",
        &bars.collect::<Vec<_>>(),
        (0.125, 8.0),
        &key,
        path,
    )
}

/// What the overview has.
const OVERVIEW: &[&str] = &[
    "cached read 4k qd1",
    "cached read 4k qd32",
    "cached overwrite 4k qd1",
    "cached overwrite 4k qd32",
    "direct read 4k qd1",
    "direct read 4k qd32",
    "direct overwrite 4k qd1",
    "direct overwrite 4k qd32",
    "io_submit p99: cold read 64k",
    "io_submit p99: write 1m",
    "io_submit p99: O_SYNC write 4k",
    "io_submit p99: direct extend 64k",
    "io_setup",
    "io_destroy",
];

/// Speed to kernel AIO on the first file system, both engines: few rows for many.
pub fn overview(runs: &[Run], path: &Path) -> Outcome {
    let Some(first) = runs.first() else { return Ok(()) };
    let on = |engine: &str| {
        runs.iter().find(|r| r.engine == engine && r.file_system == first.file_system)
    };
    let engines = [(on("uring"), URING), (on("threads"), THREADS)];
    let bars = OVERVIEW.iter().flat_map(|name| {
        let of = |run: Option<&Run>| run?.rows.iter().find(|r| r.name == *name)?.ratio;
        chart::group(name, engines.map(|(run, colour)| (of(run), colour)))
    });
    let title = format!("aio-rs, to the kernel's AIO ({})", first.file_system);
    let key = [("on io_uring", URING), ("on threads", THREADS)];
    let bars = bars.collect::<Vec<_>>();
    chart::bars(&title, "times as fast (quartiles)", &bars, (0.125, 8.0), &key, path)
}

/// Time inside io_submit: a line from p50 to p99.9, a dot at p99.
pub fn in_submit(run: &Run, path: &Path) -> Outcome {
    let rows: Vec<(&str, _)> = run
        .rows
        .iter()
        .filter_map(|row| Some((row.name.trim_start_matches("io_submit p99: "), row.times?)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let title = format!("Time inside io_submit: engine {}, {}", run.engine, run.file_system);
    let canvas =
        chart::canvas(&title, rows.len() * 2, &[("kernel AIO", KERNEL), ("aio-rs", OURS)], path)?;
    let lines = rows.len() as f64;
    let mut chart = ChartBuilder::on(&canvas)
        .margin(8)
        .margin_right(36)
        .margin_top(54)
        .x_label_area_size(34)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((1.0..10_000.0f64).log_scale(), lines..0.0)?;
    let axis = "microseconds: p50 to p99.9, dot at p99";
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(axis)
        .x_label_formatter(&|v| v.to_string())
        .draw()?;
    chart::names(&canvas, rows.iter().map(|(name, _)| *name), rows.len())?;
    for (i, (_, times)) in rows.iter().enumerate() {
        for (times, at, colour) in [(times[0], 0.32, KERNEL), (times[1], 0.68, OURS)] {
            let y = i as f64 + at;
            let line = [(times.p50.max(1.0), y), (times.p999, y)];
            chart.draw_series([PathElement::new(line, colour.stroke_width(3))])?;
            chart.draw_series([Circle::new((times.p99.max(1.0), y), 5, colour.filled())])?;
        }
    }
    canvas.present()?;
    Ok(())
}

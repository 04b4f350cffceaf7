//! The charts of the report, as SVG.

use crate::measure::Spread;
use crate::results::Run;
use crate::row::{Row, number};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome = Result<(), Box<dyn Error>>;
/// Draws a run, if it has rows for it.
pub type Chart = fn(&Run, &Path) -> Outcome;

const WIDTH: u32 = 960;
const LINE: u32 = 19;
const MARGIN: u32 = 78;
const NAMES: i32 = 250;

const BELOW: RGBColor = RGBColor(0xc8, 0x4c, 0x3e);
const MET: RGBColor = RGBColor(0xd9, 0xa4, 0x41);
const GOAL: RGBColor = RGBColor(0x4a, 0x93, 0x5b);
const UNASKED: RGBColor = RGBColor(0x8a, 0x94, 0xa6);
const KERNEL: RGBColor = RGBColor(0x6b, 0x74, 0x86);
const OURS: RGBColor = RGBColor(0x2d, 0x6c, 0xc0);

fn colour(row: &Row) -> RGBColor {
    match row.verdict.as_str() {
        "" => UNASKED,
        "goal met" => GOAL,
        "floor met" => MET,
        _ => BELOW,
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
        marks: row.floor.map_or(Vec::new(), |(f, g)| vec![(f, BELOW), (g, GOAL)]),
        colour: colour(row),
    });
    let key =
        [("below floor", BELOW), ("floor met", MET), ("goal met", GOAL), ("not asked", UNASKED)];
    chart(
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
        colour: if row.cpu_ratio.is_some_and(|r| r.median <= 1.0) { GOAL } else { BELOW },
    });
    let key = [("less", GOAL), ("more", BELOW)];
    chart(
        &title,
        "CPU time of an operation (less is better)",
        &bars.collect::<Vec<_>>(),
        (0.125, 8.0),
        &key,
        path,
    )
}

struct Bar<'a> {
    name: &'a str,
    value: Spread,
    marks: Vec<(f64, RGBColor)>,
    colour: RGBColor,
}

/// Bars from 1, along a logarithmic axis.
fn chart(
    title: &str,
    axis: &str,
    bars: &[Bar<'_>],
    (least, most): (f64, f64),
    key: &[(&str, RGBColor)],
    path: &Path,
) -> Outcome {
    if bars.is_empty() {
        return Ok(());
    }
    let canvas = canvas(title, bars.len(), key, path)?;
    let mut chart = ChartBuilder::on(&canvas)
        .margin(8)
        .margin_right(36)
        .margin_top(54)
        .x_label_area_size(34)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((least..most).log_scale().base(2.0), (bars.len() as f64)..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(axis)
        .x_labels(12)
        .x_label_formatter(&|v| v.to_string())
        .draw()?;
    names(&canvas, bars.iter().map(|bar| bar.name), bars.len())?;
    let within = |v: f64| v.clamp(least, most);
    chart.draw_series(bars.iter().enumerate().map(|(i, bar)| {
        let y = i as f64;
        let end = within(bar.value.median);
        Rectangle::new(
            [(1.0f64.min(end), y + 0.18), (1.0f64.max(end), y + 0.82)],
            bar.colour.filled(),
        )
    }))?;
    for (i, bar) in bars.iter().enumerate() {
        let y = i as f64;
        let spread = [(within(bar.value.low), y + 0.5), (within(bar.value.high), y + 0.5)];
        chart.draw_series([PathElement::new(spread, BLACK)])?;
        for (at, colour) in bar.marks.iter().filter(|(at, _)| *at < most) {
            let stroke = [(*at, y + 0.05), (*at, y + 0.95)];
            chart.draw_series([PathElement::new(stroke, colour.stroke_width(2))])?;
        }
        // Behind the bar, its spread and its marks.
        let figure = number(bar.value.median);
        let marks = bar.marks.iter().map(|m| m.0).filter(|at| *at < most);
        let far = marks.fold(within(bar.value.high.max(bar.value.median)).max(1.0), f64::max);
        let text = Text::new(figure, (far * 1.03, y + 0.2), ("sans-serif", 12));
        chart.draw_series([text])?;
    }
    chart.draw_series([PathElement::new([(1.0, 0.0), (1.0, bars.len() as f64)], BLACK)])?;
    canvas.present()?;
    Ok(())
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
    let canvas = canvas(&title, rows.len() * 2, &[("kernel AIO", KERNEL), ("aio-rs", OURS)], path)?;
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
    names(&canvas, rows.iter().map(|(name, _)| *name), rows.len())?;
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

/// A page with a title and a key; `lines` high.
fn canvas<'a>(
    title: &str,
    lines: usize,
    key: &[(&str, RGBColor)],
    path: &'a Path,
) -> Result<Canvas<'a>, Box<dyn Error>> {
    let size = (WIDTH, MARGIN + LINE * lines as u32 + 30);
    let canvas = SVGBackend::new(path, size).into_drawing_area();
    canvas.fill(&WHITE)?;
    canvas.draw(&Text::new(title.to_owned(), (12, 10), ("sans-serif", 18)))?;
    for (i, (name, colour)) in key.iter().enumerate() {
        let x = NAMES + 8 + i as i32 * 120;
        canvas.draw(&Rectangle::new([(x, 36), (x + 12, 48)], colour.filled()))?;
        canvas.draw(&Text::new((*name).to_owned(), (x + 18, 36), ("sans-serif", 13)))?;
    }
    Ok(canvas)
}

/// What each line is, to the left of the chart.
fn names<'a>(canvas: &Canvas<'_>, names: impl Iterator<Item = &'a str>, lines: usize) -> Outcome {
    let (_, height) = canvas.dim_in_pixel();
    // Inside the margins that the charts are built with.
    let (top, bottom) = (54.0, f64::from(height) - 8.0 - 34.0);
    let step = (bottom - top) / lines as f64;
    for (i, name) in names.enumerate() {
        let y = top + step * (i as f64 + 0.5) - 5.0;
        canvas.draw(&Text::new(name.to_owned(), (12, y as i32), ("sans-serif", 13)))?;
    }
    Ok(())
}

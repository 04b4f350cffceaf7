//! Bars beside one another, as SVG.

use super::Spread;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

pub type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Outcome = Result<(), Box<dyn Error>>;

const WIDTH: u32 = 960;
const LINE: u32 = 19;
const MARGIN: u32 = 78;
/// To the left of the chart.
pub const NAMES: i32 = 250;

/// Of our engines.
pub const URING: RGBColor = RGBColor(0x2d, 0x6c, 0xc0);
pub const THREADS: RGBColor = RGBColor(0xd9, 0xa4, 0x41);
pub const LESS: RGBColor = RGBColor(0xc8, 0x4c, 0x3e);
pub const MORE: RGBColor = RGBColor(0x4a, 0x93, 0x5b);

pub struct Bar<'a> {
    pub name: &'a str,
    pub value: Spread,
    pub marks: Vec<(f64, RGBColor)>,
    pub colour: RGBColor,
}

/// The bars of one name: it stands at the first.
pub fn group<'a>(
    name: &'a str,
    ratios: impl IntoIterator<Item = (Option<Spread>, RGBColor)>,
) -> Vec<Bar<'a>> {
    let there = ratios.into_iter().filter_map(|(ratio, colour)| Some((ratio?, colour)));
    let bar = |(i, (value, colour))| {
        let name = if i == 0 { name } else { "" };
        Bar { name, value, marks: Vec::new(), colour }
    };
    there.enumerate().map(bar).collect()
}

/// Bars from 1, along a logarithmic axis.
pub fn bars(
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
        let figure = super::number(bar.value.median);
        let marks = bar.marks.iter().map(|m| m.0).filter(|at| *at < most);
        let far = marks.fold(within(bar.value.high.max(bar.value.median)).max(1.0), f64::max);
        let text = Text::new(figure, (far * 1.03, y + 0.2), ("sans-serif", 12));
        chart.draw_series([text])?;
    }
    chart.draw_series([PathElement::new([(1.0, 0.0), (1.0, bars.len() as f64)], BLACK)])?;
    canvas.present()?;
    Ok(())
}

/// A page with a title and a key; `lines` high.
pub fn canvas<'a>(
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
pub fn names<'a>(
    canvas: &Canvas<'_>,
    names: impl Iterator<Item = &'a str>,
    lines: usize,
) -> Outcome {
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

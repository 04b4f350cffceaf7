//! What was measured: a table, JSON, a drawing.

use super::sides::{LIBAIO, Sides};
use super::target::Target;
use crate::measure::chart::{self, Bar, THREADS, URING};
use crate::measure::{Cost, Plan, Spread, number};
use anstyle::{AnsiColor, Style};
use plotters::style::RGBColor;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

#[derive(Serialize)]
pub struct Figure {
    /// In microseconds.
    #[serde(flatten)]
    pub cost: Cost,
    /// The time of the side that comes first to that of this one: above 1, this one
    /// is faster.
    pub ratio: Option<Spread>,
}

pub struct Figures {
    pub name: String,
    pub sides: Vec<(&'static str, Figure)>,
}

pub struct Report {
    /// What JSON has beside the rows.
    about: Value,
    title: String,
    names: Vec<&'static str>,
    notes: Vec<String>,
    rows: Vec<Figures>,
}

const OURS: [(&str, &str, RGBColor); 2] =
    [("uring", "on io_uring", URING), ("threads", "on threads", THREADS)];

impl Report {
    pub fn new(target: &Target, sides: &Sides, plan: Plan) -> Self {
        let mut notes = sides.notes.clone();
        if target.is_memory() {
            notes.push("This file system is memory: the figures say nothing of a disk".into());
        }
        let path = |path: &PathBuf| path.display().to_string();
        let about = json!({
            "file": {
                "path": path(&target.path),
                "kind": target.kind,
                "file_system": target.file_system,
                "bytes": target.len,
                "written": target.may_write,
            },
            "libaio": sides.system.as_ref().map(path),
            "aio_rs": path(&sides.library),
            "slices": plan.slices,
            "slice_ms": plan.length.as_secs_f64() * 1e3,
            "notes": notes,
        });
        let on = target.file_system.as_ref().map_or(String::new(), |name| format!(", {name}"));
        let title = format!("{} ({}{on})", path(&target.path), target.kind);
        let names = sides.all.iter().map(|side| side.name).collect();
        Self { about, title, names, notes, rows: Vec::new() }
    }

    pub fn add(&mut self, row: Figures) {
        self.rows.push(row);
    }

    /// What the ratios are to.
    fn base(&self) -> &'static str {
        self.names[0]
    }

    pub fn print(&self, json: bool) {
        if json {
            let mut report = self.about.clone();
            report["ratio_to"] = self.base().into();
            let row = |row: &Figures| {
                let sides = row.sides.iter().map(|(name, figure)| (*name, json!(figure)));
                json!({ "name": row.name, "sides": sides.collect::<BTreeMap<_, _>>() })
            };
            report["rows"] = self.rows.iter().map(row).collect();
            anstream::println!("{report:#}");
        } else {
            self.table();
        }
    }

    fn table(&self) {
        let bold = Style::new().bold();
        anstream::println!("{bold}{}{bold:#}\n", self.title);
        let (mut above, mut head) = (" ".repeat(30), format!("{:30}", "microseconds"));
        for name in &self.names {
            match OURS.iter().find(|(ours, ..)| ours == name) {
                Some((_, title, _)) => {
                    above += &format!("   {:<26}", format!("aio-rs {title}"));
                    head += &format!("{:>9}   {:<17}", "", "times as fast");
                }
                None => {
                    above += &format!("{name:>9}");
                    head += &" ".repeat(9);
                }
            }
        }
        anstream::println!("{}\n{}", above.trim_end(), head.trim_end());
        self.rows.iter().for_each(|row| self.line(row));
        anstream::println!(
            "\ntimes as fast: the time {} to that of aio-rs, in slices that were neighbours; \
             median and quartiles.",
            if self.base() == LIBAIO { "of libaio" } else { "of plain calls" }
        );
        anstream::println!("plain: one system call after another.");
        self.notes.iter().for_each(|note| anstream::println!("{note}."));
    }

    fn line(&self, row: &Figures) {
        let mut line = format!("{:30}", row.name);
        for name in &self.names {
            let figure = row.sides.iter().find(|(side, _)| side == name).map(|(_, f)| f);
            line += &format!("{:>9}", figure.map_or("-".into(), |f| number(f.cost.us.median)));
            if OURS.iter().any(|(ours, ..)| ours == name) {
                line += &figure.and_then(|f| f.ratio).map_or(" ".repeat(20), ratio);
            }
        }
        anstream::println!("{}", line.trim_end());
    }

    /// # Errors
    /// What keeps the file from being written.
    pub fn draw(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let of = |row: &Figures, name| {
            let figure = row.sides.iter().find(|(side, _)| *side == name);
            figure.and_then(|(_, figure)| figure.ratio)
        };
        let bars = self.rows.iter().flat_map(|row| {
            let ratios = OURS.map(|(name, _, colour)| (of(row, name), colour));
            chart::group(&row.name, ratios)
        });
        let bars: Vec<Bar> = bars.collect();
        let key = OURS.map(|(_, name, colour)| (name, colour));
        let base = if self.base() == LIBAIO { "the system's libaio" } else { "plain system calls" };
        let title = format!("aio-rs, to {base}: {}", self.title);
        chart::bars(&title, "times as fast (quartiles)", &bars, (0.125, 8.0), &key, path)
    }
}

/// Green where it is faster in three of four slices, red where it is slower.
fn ratio(ratio: Spread) -> String {
    let style = match ratio {
        r if r.low > 1.0 => Style::new().fg_color(Some(AnsiColor::Green.into())),
        r if r.high < 1.0 => Style::new().fg_color(Some(AnsiColor::Red.into())),
        _ => Style::new(),
    };
    let quartiles = format!("{}..{}", number(ratio.low), number(ratio.high));
    format!("   {style}{:<5}{style:#} {quartiles:<11}", number(ratio.median))
}

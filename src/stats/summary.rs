//! The counters as text: what a process leaves behind, and what
//! `aio-rs stats` shows.

use super::page::{Kind, Page, Way};
use std::fmt::{Result, Write};

/// `seconds`: how long it was counted.
pub fn write(page: &Page<u64>, seconds: f64, out: &mut dyn Write) -> Result {
    let accepted: u64 = page.accepted.iter().sum();
    let inline: u64 = Kind::ALL.iter().map(|k| page.inline(*k)).sum();
    writeln!(
        out,
        "  engine {}; {} contexts now, {} made, {} refused; {} of {} events asked for",
        page.engine(),
        page.contexts,
        page.setups,
        page.setups_refused,
        page.nr,
        page.max_nr
    )?;
    writeln!(
        out,
        "  {} requests in {} calls of io_submit, {:.0} a second; {} in flight",
        accepted,
        page.submits,
        accepted as f64 / seconds.max(1e-3),
        page.in_flight()
    )?;
    writeln!(
        out,
        "  calls refused: {} for want of a slot (EAGAIN), {} else",
        page.submits_eagain, page.submits_refused
    )?;
    writeln!(out, "  {} events from {} calls of io_getevents", page.events, page.getevents)?;
    writeln!(
        out,
        "  short transfers gone on with: {}; fallbacks: {}",
        page.continued,
        page.fallbacks()
    )?;
    write!(out, "\n{:>10}{:>12}{:>12}", "", "requests", "inline")?;
    for way in Way::ALL {
        write!(out, "{:>12}", way.name())?;
    }
    writeln!(out)?;
    for kind in Kind::ALL.into_iter().filter(|k| page.accepted[*k as usize] > 0) {
        let requests = page.accepted[kind as usize];
        write!(out, "{:>10}{requests:>12}{:>12}", kind.name(), page.inline(kind))?;
        for done in page.done[kind as usize] {
            write!(out, "{done:>12}")?;
        }
        writeln!(out)?;
    }
    write!(out, "{:>10}{accepted:>12}{inline:>12}", "all")?;
    for way in Way::ALL {
        write!(out, "{:>12}", page.done_by(way))?;
    }
    write!(out, "\n\n{:>28}", "microseconds")?;
    for (name, _) in PERCENTILES {
        write!(out, "{name:>12}")?;
    }
    writeln!(out)?;
    for (name, times) in times(page) {
        write!(out, "{name:>28}")?;
        for (_, share) in PERCENTILES {
            write!(out, "{:>12.1}", times.percentile(share) as f64 / 1e3)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

pub const PERCENTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// What was measured, by name; without what has not been.
pub fn times(page: &Page<u64>) -> impl Iterator<Item = (&'static str, &Times)> {
    let latency = [
        "read not inline, to event",
        "write not inline, to event",
        "fsync, to event",
        "poll, to event",
    ];
    std::iter::once(("in io_submit", &page.submit_time))
        .chain(latency.into_iter().zip(&page.latency))
        .filter(|(_, times)| times.count() > 0)
}

type Times = super::histogram::Histogram<u64>;

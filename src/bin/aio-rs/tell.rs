//! aio-rs stats: the counters of a process, for people and for machines.

use crate::args::{Format, Stats};
use crate::fail;
use crate::pages::{self, Sample};
use crate::stats::histogram::upper;
use crate::stats::page::{Kind, Way};
use crate::stats::summary::{self, PERCENTILES, times};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::process::ExitCode;

pub fn run(args: &Stats) -> ExitCode {
    let sample = match pages::of(args.pid) {
        Ok(sample) => sample,
        Err(e) => return fail(1, e),
    };
    let mut text = String::new();
    let written = match args.format {
        _ if args.json => writeln!(text, "{:#}", json(&sample)),
        Format::Json => writeln!(text, "{:#}", json(&sample)),
        Format::Prometheus => prometheus(&sample, &mut text),
        Format::Text => {
            let Sample { pid, name, seconds, page } = &sample;
            writeln!(text, "aio-rs: process {pid} ({name}) has run {seconds:.1} s on it")
                .and_then(|()| summary::write(page, *seconds, &mut text))
        }
    };
    written.expect("a string takes all");
    anstream::print!("{text}");
    ExitCode::SUCCESS
}

/// Names do not change; numbers may be added.
pub fn json(sample: &Sample) -> Value {
    let page = &sample.page;
    let kinds = Kind::ALL.map(|kind| {
        let mut ways = Map::new();
        ways.insert("accepted".into(), page.accepted[kind as usize].into());
        ways.insert("inline".into(), page.inline(kind).into());
        for way in Way::ALL {
            ways.insert(way.name().into(), page.done[kind as usize][way as usize].into());
        }
        (kind.name().to_owned(), Value::from(ways))
    });
    let microseconds = times(page).map(|(name, times)| {
        let shares = PERCENTILES.map(|(name, share)| {
            (name.to_owned(), Value::from(times.percentile(share) as f64 / 1e3))
        });
        (name.to_owned(), Value::from(Map::from_iter(shares)))
    });
    json!({
        "pid": sample.pid,
        "name": sample.name,
        "seconds": sample.seconds,
        "engine": page.engine(),
        "contexts": page.contexts,
        "events": { "asked_for": page.nr, "limit": page.max_nr },
        "io_setup": { "made": page.setups, "refused": page.setups_refused },
        "io_submit": {
            "calls": page.submits,
            "eagain": page.submits_eagain,
            "refused": page.submits_refused,
        },
        "io_getevents": { "calls": page.getevents, "events": page.events },
        "requests": Map::from_iter(kinds),
        "in_flight": page.in_flight(),
        "continued": page.continued,
        "fallbacks": page.fallbacks(),
        "microseconds": Map::from_iter(microseconds),
    })
}

fn prometheus(sample: &Sample, out: &mut String) -> std::fmt::Result {
    let page = &sample.page;
    let name = sample.name.replace(['\\', '"', '\n'], "_");
    let process = format!("pid=\"{}\",name=\"{name}\"", sample.pid);
    let single: [(&str, &str, u64); 11] = [
        ("contexts", "gauge", page.contexts),
        ("in_flight", "gauge", page.in_flight()),
        ("events_asked_for", "gauge", page.nr),
        ("setups_total", "counter", page.setups),
        ("setups_refused_total", "counter", page.setups_refused),
        ("submits_total", "counter", page.submits),
        ("submits_eagain_total", "counter", page.submits_eagain),
        ("submits_refused_total", "counter", page.submits_refused),
        ("events_total", "counter", page.events),
        ("continued_total", "counter", page.continued),
        ("fallbacks_total", "counter", page.fallbacks()),
    ];
    for (name, kind, value) in single {
        writeln!(out, "# TYPE aio_rs_{name} {kind}\naio_rs_{name}{{{process}}} {value}")?;
    }
    writeln!(out, "# TYPE aio_rs_requests_total counter")?;
    for kind in Kind::ALL {
        let inline = std::iter::once(("inline", page.inline(kind)));
        let done = Way::ALL.map(|way| (way.name(), page.done[kind as usize][way as usize]));
        for (way, n) in inline.chain(done) {
            let kind = kind.name();
            writeln!(out, "aio_rs_requests_total{{{process},kind=\"{kind}\",way=\"{way}\"}} {n}")?;
        }
    }
    let latency = Kind::ALL.map(|kind| (kind.name(), &page.latency[kind as usize]));
    writeln!(out, "# TYPE aio_rs_seconds histogram")?;
    for (what, times) in std::iter::once(("io_submit", &page.submit_time)).chain(latency) {
        let labels = format!("{process},of=\"{what}\"");
        let mut below = 0;
        for (i, n) in times.buckets.iter().enumerate().filter(|(_, n)| **n > 0) {
            below += n;
            let le = upper(i) as f64 / 1e9;
            writeln!(out, "aio_rs_seconds_bucket{{{labels},le=\"{le}\"}} {below}")?;
        }
        writeln!(out, "aio_rs_seconds_bucket{{{labels},le=\"+Inf\"}} {below}")?;
        writeln!(out, "aio_rs_seconds_count{{{labels}}} {below}")?;
    }
    Ok(())
}

//! The benchmark: the system's libaio and ours side by side, in turn, in the same
//! loops; beside them native io_uring and the plain system call.

mod all;
mod args;
mod bench;
mod calls;
mod crew;
mod draw;
mod floors;
mod in_submit;
#[allow(dead_code)] // `aio-rs bench` has use for the rest
#[path = "../../src/bin/aio-rs/measure/mod.rs"]
mod measure;
mod page;
mod place;
mod probe;
mod rates;
mod reaper;
mod results;
mod row;
mod uring;
mod wake_up;

use args::Args;
use bench::Bench;
use clap::Parser;
use library::Aio;
use measure::{chart, file_system, job, library, memory, queue, timed, wait};
use place::Place;
use results::{Results, Run};
use row::Row;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

type Measure = Box<dyn Fn(&Bench) -> io::Result<Vec<Row>>>;

/// All rows by name; some come out of one measurement.
fn rows() -> Vec<(String, Measure)> {
    let mut rows: Vec<(String, Measure)> = Vec::new();
    for rate in rates::all() {
        rows.push((rate.name(), Box::new(move |bench| rate.run(bench))));
    }
    for case in in_submit::all() {
        rows.push((case.name(), Box::new(move |bench| case.run(bench))));
    }
    rows.push(("io_setup, io_destroy".into(), Box::new(calls::contexts)));
    rows.push(("empty poll, reap 32 ready".into(), Box::new(calls::events)));
    rows.push((wake_up::NAME.into(), Box::new(wake_up::run)));
    for direct in [false, true] {
        rows.push((crew::own_name(direct), Box::new(move |bench| crew::own(bench, direct))));
        rows.push((crew::one_name(direct), Box::new(move |bench| crew::one(bench, direct))));
    }
    rows.push((crew::many_name(), Box::new(crew::many)));
    for n in probe::NUMBERS {
        rows.push((probe::name(n), Box::new(move |bench| probe::run(bench, n))));
    }
    rows
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("aio bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(contexts) = args.probe {
        probe::child(&args.library, contexts, &args.dir)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.list {
        rows().iter().filter(|(name, _)| args.wants(name)).for_each(|(name, _)| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(dir) = &args.draw {
        let json = args.json.as_ref().ok_or("--draw needs --json")?;
        page::write(&Results::read(json)?, dir)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.all {
        return all::run(args);
    }
    if std::env::var("AIO_RS_ENGINE").as_deref() != Ok(args.engine.as_str()) {
        return again(&args.engine);
    }
    let bench = prepare(args)?;
    let mut results = Results::new(args.slices, args.length);
    let m = &results.machine;
    println!("\naio-rs {}, engine {}, on {}", m.version, args.engine, bench.label);
    println!("{}, {} x {}, {} GiB", m.kernel, m.processors, m.processor, m.memory_gib);
    println!("{} slices of {} ms\n\n{}", m.slices, m.slice_ms, Row::heading());
    let (label, engine) = (bench.label.clone(), args.engine.clone());
    let mut run = Run { file_system: label, engine, rows: Vec::new() };
    let mut complete = true;
    for (name, measure) in rows().into_iter().filter(|(name, _)| args.wants(name)) {
        match measure(&bench) {
            Ok(rows) => {
                for mut row in rows {
                    // What is asked is asked on the first file system.
                    if args.label.is_none() {
                        floors::judge(&mut row, &args.engine);
                    }
                    println!("{}", row.line());
                    run.rows.push(row);
                }
            }
            Err(e) => {
                println!("{name}: {e}");
                complete = false;
            }
        }
    }
    results.runs.push(run);
    if let Some(path) = &args.json {
        results.write(path)?;
    }
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn prepare(args: &Args) -> Result<Bench, Box<dyn Error>> {
    let place = Place::new(&args.dir)?;
    let label = args.label.clone().unwrap_or_else(|| place.kind.clone());
    // The second name is that of newer Debian and Ubuntu.
    let systems = ["libaio.so.1", "libaio.so.1t64"].map(PathBuf::from).to_vec();
    let systems = args.system.clone().map_or(systems, |path| vec![path]);
    let found = systems.iter().find(|path| Aio::load(path).is_ok());
    let kernel_path = found.unwrap_or(&systems[0]).clone();
    let (kernel, ours) = (Aio::load(&kernel_path)?, Aio::load(&args.library)?);
    if kernel.path() == ours.path() {
        return Err("both libraries are the same one".into());
    }
    Ok(Bench {
        kernel,
        ours,
        kernel_path,
        our_path: args.library.clone(),
        has_uring: io_uring::IoUring::new(8).is_ok(),
        place,
        label,
        plan: args.plan(),
    })
}

/// Our library reads the engine when it is loaded: it has to be set before.
fn again(engine: &str) -> Result<ExitCode, Box<dyn Error>> {
    let status = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env("AIO_RS_ENGINE", engine)
        .status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

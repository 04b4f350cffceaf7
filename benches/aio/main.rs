//! The benchmark: the system's libaio and ours side by side, in turn, in the same
//! loops; beside them native io_uring and the plain system call.

mod bench;
mod calls;
mod floors;
mod job;
mod library;
mod measure;
mod memory;
mod place;
mod queue;
mod rates;
mod reaper;
mod row;
mod uring;
mod wait;

use bench::Bench;
use clap::Parser;
use library::Aio;
use measure::Plan;
use place::Place;
use row::Row;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Measures aio-rs beside the kernel's AIO")]
struct Args {
    /// Only rows whose name has one of these in it
    filter: Vec<String>,
    /// Slices of each side
    #[arg(long, default_value_t = 11)]
    slices: usize,
    /// Milliseconds of a slice
    #[arg(long, default_value_t = 100)]
    length: u64,
    /// Where the files are made
    #[arg(long, default_value = "target")]
    dir: PathBuf,
    /// Engine of ours: uring or threads
    #[arg(long, default_value = "uring")]
    engine: String,
    /// The system's library
    #[arg(long, default_value = "libaio.so.1")]
    system: PathBuf,
    /// Ours
    #[arg(long, default_value = "build/lib/libaio-rs.so.1")]
    library: PathBuf,
    /// Only name the rows
    #[arg(long)]
    list: bool,
    /// cargo bench says so
    #[arg(long, hide = true)]
    bench: bool,
}

type Run = Box<dyn Fn(&Bench) -> io::Result<Vec<Row>>>;

/// All rows by name; some come out of one measurement.
fn rows() -> Vec<(String, Run)> {
    let mut rows: Vec<(String, Run)> = Vec::new();
    for rate in rates::all() {
        rows.push((rate.name(), Box::new(move |bench| rate.run(bench))));
    }
    rows.push(("io_setup, io_destroy".into(), Box::new(calls::contexts)));
    rows.push(("empty poll, reap 32 ready".into(), Box::new(calls::events)));
    rows
}

fn main() -> ExitCode {
    let args = Args::parse();
    let _ = args.bench;
    let wanted = |name: &str| {
        args.filter.is_empty() || args.filter.iter().any(|f| name.contains(f.as_str()))
    };
    let rows: Vec<(String, Run)> = rows().into_iter().filter(|(name, _)| wanted(name)).collect();
    if args.list {
        rows.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    if std::env::var("AIO_RS_ENGINE").as_deref() != Ok(args.engine.as_str()) {
        return again(&args.engine);
    }
    let bench = match prepare(&args) {
        Ok(bench) => bench,
        Err(e) => {
            eprintln!("aio bench: {e}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", Row::heading());
    let mut failed = false;
    for (name, run) in rows {
        match run(&bench) {
            Ok(rows) => rows.iter().for_each(|row| println!("{}", row.line(&args.engine))),
            Err(e) => {
                eprintln!("{name}: {e}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn prepare(args: &Args) -> Result<Bench, Box<dyn std::error::Error>> {
    Ok(Bench {
        kernel: Aio::load(&args.system)?,
        ours: Aio::load(&args.library)?,
        kernel_path: args.system.clone(),
        our_path: args.library.clone(),
        has_uring: io_uring::IoUring::new(8).is_ok(),
        place: Place::new(&args.dir)?,
        plan: Plan { slices: args.slices, length: Duration::from_millis(args.length) },
    })
}

/// Our library reads the engine when it is loaded: it has to be set before.
fn again(engine: &str) -> ExitCode {
    use std::os::unix::process::CommandExt;
    let error = std::process::Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env("AIO_RS_ENGINE", engine)
        .exec();
    eprintln!("aio bench: {error}");
    ExitCode::FAILURE
}

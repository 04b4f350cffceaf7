//! The command line. Man page and shell completions are made from it too, so it
//! needs nothing but clap.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

/// Linux native AIO (libaio) in user space: run programs on it, and look at them
#[derive(Debug, Parser)]
#[command(name = "aio-rs", version, max_term_width = 100, infer_subcommands = false)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Run),
    Doctor(Doctor),
    Bench(Bench),
    Top(Top),
    Stats(Stats),
    /// Load a library and make a context: what doctor asks a child of its own
    #[command(hide = true)]
    Probe {
        library: PathBuf,
    },
}

/// Run a program on aio-rs
///
/// The library is put in front of what LD_PRELOAD holds already, and the program takes this
/// command's place: its signals and its exit status are its own. Options that are not given
/// leave the AIO_RS_* variables as they are.
///
/// The exit status is the program's, or 125: there is no library, 126: the program cannot be
/// executed, 127: it was not found.
#[derive(Args, Debug)]
pub struct Run {
    /// Who does the I/O that io_submit does not do itself
    #[arg(long, value_name = "ENGINE", value_enum)]
    pub engine: Option<Engine>,
    /// How many events all contexts of the process may have in all; "kernel": as many as
    /// fs.aio-max-nr says
    #[arg(long, value_name = "N")]
    pub max_nr: Option<String>,
    /// Count, for aio-rs top and aio-rs stats, and tell at exit: on standard error, or in FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true,
          default_missing_value = "-", value_hint = ValueHint::FilePath)]
    pub stats: Option<PathBuf>,
    /// What to log
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub log: Option<Log>,
    /// Log to this file, not to standard error
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log_file: Option<PathBuf>,
    /// The library to preload [default: the one beside this command, or the installed one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub library: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND",
          value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// Tell what works here, and whether a program can be run on aio-rs
///
/// Without an argument: the kernel, io_uring and why it is refused, the host's limit of kernel
/// AIO and who uses it, and the engine that would be chosen. With a program: how it calls AIO,
/// and whether it can be preloaded. With a process: whether it runs on aio-rs.
///
/// The exit status is 0 when nothing is in the way, 1 when something is, and 2 when that could
/// not be found out.
#[derive(Args, Debug)]
pub struct Doctor {
    /// A program, by name or by path, or the number of a process
    #[arg(value_name = "COMMAND|PID", value_hint = ValueHint::CommandName)]
    pub about: Option<OsString>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The library to ask [default: the one beside this command, or the installed one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub library: Option<PathBuf>,
}

/// Measure aio-rs beside the system's libaio, on a disk of yours
///
/// Each library serves the same loops of requests, in short slices that take turns: the
/// system's libaio, aio-rs on each engine that can be had here, and plain system calls. The
/// table has the time of a request, the ratio of libaio's time to that of aio-rs (above 1,
/// aio-rs is faster), and the quartiles of that ratio.
///
/// In a directory, this is done in a temporary file of 64 MiB without a name, which nothing can
/// leave behind. A file or a block device is only read, unless --write is given; what the page
/// cache has of its beginning may be dropped.
///
/// The exit status is 0 when it was measured, 1 when that failed, and 2 when FILE is refused.
#[derive(Args, Debug)]
pub struct Bench {
    /// A directory, a file of at least 1 MiB, or a block device
    #[arg(value_hint = ValueHint::AnyPath)]
    pub file: PathBuf,
    /// How many seconds it may take, about
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Write to the file, too: back to where it is, what it holds. Nobody else may have it open
    #[arg(long)]
    pub write: bool,
    /// Draw the ratios into this file, as SVG
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The library to measure [default: the one beside this command, or the installed one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub library: Option<PathBuf>,
    /// The system's libaio [default: the one that the loader finds]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub system: Option<PathBuf>,
}

/// Watch the processes that run on aio-rs and count
///
/// Those are the processes that were started with AIO_RS_STATS=1, or by aio-rs run --stats, and
/// that are yours to look at. Pages that killed processes have left behind are removed. Arrow
/// keys choose a process, q ends.
#[derive(Args, Debug)]
pub struct Top {
    /// Only this process
    pub pid: Option<i32>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub interval: f64,
    /// End after so many looks
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Print a line of JSON for each process and look
    #[arg(long)]
    pub json: bool,
}

/// Show what a process has counted so far
///
/// It has to be started with AIO_RS_STATS=1, or by aio-rs run --stats.
#[derive(Args, Debug)]
pub struct Stats {
    pub pid: i32,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    /// The text format that Prometheus reads
    Prometheus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// io_uring where it is allowed, threads elsewhere
    Auto,
    /// io_uring
    Uring,
    /// A pool of threads
    Threads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Log {
    Error,
    Warn,
    Info,
    Debug,
    /// Every call too
    Trace,
}

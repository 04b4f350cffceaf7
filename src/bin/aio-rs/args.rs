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
    /// Run a program on aio-rs
    Run(Run),
    /// Tell what works here, and whether a program can be run on aio-rs
    Doctor(Doctor),
    /// Load a library and make a context: what doctor asks a child of its own
    #[command(hide = true)]
    Probe { library: PathBuf },
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

//! The aio-rs command: runs programs on the library, and tells what it does.

mod args;
mod bench;
mod doctor;
mod library;
#[allow(dead_code)] // make bench has use for all of it
mod measure;
mod pages;
mod probe;
mod run;
/// The library's, which records; here they are only read.
#[allow(dead_code)]
#[path = "../../stats"]
mod stats {
    pub mod histogram;
    pub mod page;
    pub mod summary;
}
mod tell;
mod top;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Stats(args) => tell::run(&args),
        Command::Probe { library } => probe::run(&library),
    }
}

/// "aio-rs: what is wrong", and the exit status for it.
fn fail(status: u8, what: impl std::fmt::Display) -> ExitCode {
    use anstyle::{AnsiColor, Style};
    let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
    anstream::eprintln!("aio-rs: {red}error:{red:#} {what}");
    ExitCode::from(status)
}

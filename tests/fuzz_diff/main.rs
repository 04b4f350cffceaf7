//! Differential fuzzer: random programs, step by step on kernel AIO and on ours.
//!
//! `make fuzz-diff FUZZ_SECONDS= FUZZ_SEED=`. A program is a function of the seed
//! and its number; FUZZ_PROGRAM=n runs that one alone.

#[path = "../support/mod.rs"]
mod support;

mod callbacks;
mod calls;
mod child;
mod differences;
mod executor;
mod fds;
mod fix;
mod generate;
mod layout;
mod libaio;
mod listing;
mod mem;
mod program;
mod reap;
mod rings;
mod runner;
mod signals;
mod submit;
mod trace;
mod via;
mod wire;
mod world;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        // The hidden side of it.
        ["--executor", library, side, disk, memory, cpu, truth] => {
            executor::run(&executor::Options {
                library: Path::new(library),
                kernel: side == "kernel",
                disk: Path::new(disk),
                memory: Path::new(memory),
                cpu: cpu.parse().expect("a CPU"),
                wrong: truth == "wrong",
            })
        }
        _ => runner::run(),
    }
}

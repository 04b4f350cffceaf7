//! aio-rs doctor: what works here, and whether a program can be run on aio-rs.

mod calls;
mod elf;
pub mod engine;
mod host;
mod process;
pub mod program;
mod report;

use crate::args::Doctor;
use crate::{fail, library};
use report::Report;
use std::process::ExitCode;

/// Nothing could be found out.
const UNKNOWN: u8 = 2;

pub fn run(args: &Doctor) -> ExitCode {
    let mut report = Report::new();
    let found = match &args.about {
        None => {
            host::examine(&mut report);
            engine::examine(&mut report, library::find(args.library.as_deref()));
            Ok(())
        }
        Some(about) => match about.to_str().and_then(|text| text.parse().ok()) {
            Some(pid) => process::examine(&mut report, pid),
            None => program::examine(&mut report, about),
        },
    };
    match found {
        Ok(()) => report.finish(args.json),
        Err(e) => fail(UNKNOWN, e),
    }
}

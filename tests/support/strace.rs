//! Which AIO system calls a program makes, as strace sees them.

use super::run::{Outcome, run};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Not one of these may be made on our library.
const AIO_CALLS: &str = "io_setup,io_submit,io_getevents,io_pgetevents,io_cancel,io_destroy";

/// Runs `command` under strace; its AIO calls, a line for each.
///
/// # Panics
/// When strace is not installed.
pub fn aio_calls(command: &Command, limit: Duration) -> (Outcome, Vec<String>) {
    let log = tempfile::NamedTempFile::new().expect("a file for strace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "--signal=none", "-e", &format!("trace={AIO_CALLS}"), "-o"])
        .arg(log.path());
    // What is preloaded is for the program, not for strace.
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            strace.arg("-E").arg(format!("{}={}", name.display(), value.display()));
        }
    }
    strace.arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        strace.current_dir(dir);
    }
    let outcome = run(&mut strace, limit);
    let calls = fs::read_to_string(log.path()).unwrap_or_default();
    (outcome, calls.lines().filter(|line| line.contains("io_")).map(str::to_owned).collect())
}

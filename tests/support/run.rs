//! Runs a program for a limited time and keeps what it said.

use rustix::process::{Pid, Signal, kill_process_group};
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use wait_timeout::ChildExt;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
    /// Killed after the limit; what its threads were waiting for.
    Hang(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(number) => write!(f, "killed by signal {number}"),
            Self::Hang(_) => f.write_str("hang"),
        }
    }
}

#[derive(Debug)]
pub struct Outcome {
    pub end: End,
    pub stdout: String,
    pub stderr: String,
    pub time: Duration,
}

impl Outcome {
    pub fn success(&self) -> bool {
        self.end == End::Exit(0)
    }
}

/// Runs `command` in a process group of its own, of which nothing is left when
/// this returns. Its output goes to files: a process that outlives it cannot
/// keep a pipe open.
///
/// # Panics
/// When it cannot be started.
pub fn run(command: &mut Command, limit: Duration) -> Outcome {
    let mut stdout = tempfile::tempfile().expect("a file for stdout");
    let mut stderr = tempfile::tempfile().expect("a file for stderr");
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("dup"))
        .stderr(stderr.try_clone().expect("dup"))
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", command.get_program().display()));
    let group = Pid::from_child(&child);

    let ended = child.wait_timeout(limit).expect("wait");
    let time = started.elapsed();
    let end = match ended {
        Some(status) => End::from(status),
        None => End::Hang(threads_of(group)),
    };
    // ESRCH: nobody is left in it.
    let _ = kill_process_group(group, Signal::KILL);
    if ended.is_none() {
        // A process inside the kernel dies when its I/O is done.
        let _ = child.wait_timeout(Duration::from_secs(30));
    }
    Outcome { end, stdout: text(&mut stdout), stderr: text(&mut stderr), time }
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match status.signal() {
            Some(number) => Self::Signal(number),
            None => Self::Exit(status.code().unwrap_or(-1)),
        }
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("the program's output");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One line for each thread of the process group: its name, and where in the
/// kernel it sleeps.
fn threads_of(group: Pid) -> String {
    let mut lines = String::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // The fields behind the name: state, ppid, pgrp.
        let pgrp = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(2));
        if pgrp != Some(&group.as_raw_nonzero().to_string()) {
            continue;
        }
        for thread in fs::read_dir(process.path().join("task")).into_iter().flatten().flatten() {
            let read = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
            lines += &format!(
                "{} {}: {}, system call {}\n",
                thread.file_name().display(),
                read("comm").trim(),
                read("wchan").trim(),
                read("syscall").split(' ').next().unwrap_or_default().trim(),
            );
        }
    }
    lines
}

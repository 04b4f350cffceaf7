//! The parent's side of an executor.

use crate::trace::{Report, Request, StepTrace};
use crate::wire;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A step that takes longer hangs. (A busy disk keeps an fsync for half a minute.)
const STEP_LIMIT: Duration = Duration::from_secs(90);

/// Which library an executor loads, and how.
#[derive(Clone, Debug)]
pub struct Side {
    pub library: PathBuf,
    pub kernel: bool,
    pub engine: &'static str,
    pub cpu: usize,
    pub wrong: bool,
    pub disk: PathBuf,
    pub memory: PathBuf,
}

struct Running {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    programs: u32,
}

/// An executor, started when it is needed.
pub struct Executor {
    side: Side,
    running: Option<Running>,
}

/// How a program went.
#[derive(Debug)]
pub enum End {
    Done,
    /// In the step behind the last that was reported.
    #[allow(dead_code)] // shown by Debug
    Crashed(String),
    Hung,
}

/// Programs that one process runs.
const LIFE: u32 = 500;

impl Executor {
    pub fn new(side: Side) -> Self {
        Self { side, running: None }
    }

    /// The next program gets a fresh process.
    pub fn stop(&mut self) {
        if let Some(mut r) = self.running.take() {
            let _ = r.child.kill();
            let _ = r.child.wait();
        }
    }

    fn start(&self) -> Running {
        let side = &self.side;
        let exe = std::env::current_exe().expect("this program");
        let mut child = Command::new(exe)
            .arg("--executor")
            .arg(&side.library)
            .arg(if side.kernel { "kernel" } else { "ours" })
            .args([&side.disk, &side.memory])
            .arg(side.cpu.to_string())
            .arg(if side.wrong { "wrong" } else { "right" })
            .env("RUST_BACKTRACE", "0")
            .env("AIO_RS_ENGINE", side.engine)
            .env("AIO_RS_MAX_NR", "kernel")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an executor");
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let mut running =
            Running { child, to: to.expect("piped"), from: from.expect("piped"), programs: 0 };
        match running.report() {
            Some(Report::Ready) => running,
            other => panic!("{:?} does not start: {other:?}", side.library),
        }
    }

    /// Runs a program; the traces of its steps as far as it came.
    pub fn run(&mut self, request: &Request) -> (Vec<StepTrace>, End) {
        if self.running.as_ref().is_some_and(|r| r.programs >= LIFE) {
            self.stop();
        }
        if self.running.is_none() {
            self.running = Some(self.start());
        }
        let running = self.running.as_mut().expect("just started");
        running.programs += 1;
        wire::send(&mut running.to, request);
        let mut traces = Vec::new();
        let end = loop {
            match running.report() {
                Some(Report::Step(trace)) => traces.push(*trace),
                Some(Report::Done) => return (traces, End::Done),
                Some(other) => break End::Crashed(format!("{other:?}")),
                None => match running.child.try_wait() {
                    Ok(None) if !running.gone() => break End::Hung,
                    _ => {
                        let status = running.child.wait().expect("wait");
                        break End::Crashed(match status.signal() {
                            Some(signal) => format!("signal {signal}"),
                            None => status.to_string(),
                        });
                    }
                },
            }
        };
        self.stop();
        (traces, end)
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    /// None: nothing came in time, or the executor is gone.
    fn report(&mut self) -> Option<Report> {
        let deadline = Instant::now() + STEP_LIMIT;
        let mut p = libc::pollfd { fd: self.from.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis() as i32;
            // SAFETY: one structure, which lives through the call.
            match unsafe { libc::poll(&raw mut p, 1, left) } {
                0 => return None,
                n if n > 0 => return wire::receive(&mut self.from),
                _ => {}
            }
        }
    }

    /// It has closed its output: it is ending.
    fn gone(&self) -> bool {
        let mut p = libc::pollfd { fd: self.from.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: one structure, which lives through the call.
        unsafe { libc::poll(&raw mut p, 1, 0) > 0 && p.revents & libc::POLLHUP != 0 }
    }
}

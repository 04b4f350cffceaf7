//! One program on one library: what a test gets to work with.

use crate::app::search_path;
use crate::confine::Confinement;
use crate::support::daemon::{Daemon, Detached};
use crate::support::ours::{Ours, Way};
use crate::support::run::{Outcome, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The system's libaio, and so the kernel's AIO.
    Kernel,
    Ours(Way, &'static str),
}

impl Library {
    pub const ALL: [Self; 5] = [
        Self::Kernel,
        Self::Ours(Way::Preload, "uring"),
        Self::Ours(Way::Preload, "threads"),
        Self::Ours(Way::DropIn, "uring"),
        Self::Ours(Way::DropIn, "threads"),
    ];
    /// Each engine and each way once.
    pub const FEW: [Self; 3] =
        [Self::Kernel, Self::Ours(Way::Preload, "uring"), Self::Ours(Way::DropIn, "threads")];

    pub fn name(self) -> String {
        match self {
            Self::Kernel => "kernel".into(),
            Self::Ours(Way::Preload, engine) => format!("preload-{engine}"),
            Self::Ours(Way::DropIn, engine) => format!("drop-in-{engine}"),
        }
    }
}

pub struct Job<'a> {
    ours: Option<Ours>,
    /// Empty at first, on a real disk, and gone afterwards.
    pub dir: &'a Path,
    /// All of it, or what `make check` has the time for.
    pub full: bool,
    end: Instant,
    /// The program was told that it may not have io_uring.
    uring_refused: AtomicBool,
}

impl<'a> Job<'a> {
    pub fn new(library: Library, dir: &'a Path, full: bool, limit: Duration) -> Self {
        let ours = match library {
            Library::Kernel => None,
            Library::Ours(way, engine) => Some(Ours::new(way, engine)),
        };
        Self { ours, dir, full, end: Instant::now() + limit, uring_refused: AtomicBool::new(false) }
    }

    /// `few` in `make check`, `many` in `make check-apps`.
    pub fn pick<T>(&self, few: T, many: T) -> T {
        if self.full { many } else { few }
    }

    pub fn on_kernel(&self) -> bool {
        self.ours.is_none()
    }

    /// A program that does not matter here, on the system's library.
    pub fn plain(&self, program: &str) -> Command {
        self.prepare(Command::new(program))
    }

    /// The program under test. On ours, an AIO system call is its death.
    pub fn command(&self, program: &str) -> Command {
        self.confined(program, Confinement::default())
    }

    /// The same under more rules.
    pub fn confined(&self, program: &str, rules: Confinement) -> Command {
        self.uring_refused.store(rules.refuse_uring, Ordering::Relaxed);
        let Some(ours) = &self.ours else {
            return self.prepare(rules.command(program));
        };
        let mut command = self.prepare(Confinement { kill_at_aio: true, ..rules }.command(program));
        ours.load(&mut command);
        command
    }

    fn prepare(&self, mut command: Command) -> Command {
        command
            .current_dir(self.dir)
            .env("PATH", search_path())
            .env("LC_ALL", "C")
            .env_remove("LD_PRELOAD")
            .env_remove("LD_LIBRARY_PATH");
        command
    }

    /// The time that is left.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    pub fn run(&self, command: &mut Command) -> Outcome {
        run(command, self.left())
    }

    /// What it prints.
    ///
    /// # Errors
    /// It did not end well; what it said.
    pub fn must(&self, command: &mut Command) -> Result<String, String> {
        let outcome = self.run(command);
        if outcome.success() {
            return Ok(outcome.stdout);
        }
        let called: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        let said = outcome.stderr + &outcome.stdout;
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(40)..].join("\n");
        Err(format!("{}: {}\n{last}", called.join(" "), outcome.end))
    }

    /// # Errors
    /// It cannot be started.
    pub fn daemon(&self, command: &mut Command) -> Result<Daemon, String> {
        Daemon::start(command, &self.dir.join("output"))
    }

    /// A program that goes into the background when it is ready.
    ///
    /// # Errors
    /// It did not get there.
    pub fn detached(&self, command: &mut Command, pid: &str) -> Result<Detached, String> {
        self.must(command)?;
        Detached::from_file(&self.path(pid))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// # Errors
    /// The work was not done by the library and the engine that it was meant for.
    pub fn check_engine(&self) -> Result<(), String> {
        match &self.ours {
            None => Ok(()),
            Some(ours) if self.uring_refused.load(Ordering::Relaxed) => {
                ours.check_engine_is("threads")
            }
            Some(ours) => ours.check_engine(),
        }
    }
}

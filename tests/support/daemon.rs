//! A program that goes on in the background until it is told to end.

use super::run::End;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wait_timeout::ChildExt;

/// In a process group of its own, of which nothing is left when this is dropped.
pub struct Daemon {
    child: Child,
    output: PathBuf,
}

impl Daemon {
    /// What it prints goes to `output`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command, output: &Path) -> Result<Self, String> {
        let file = File::create(output).map_err(|e| format!("{}: {e}", output.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("dup"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("{}: {e}", command.get_program().display()))?;
        Ok(Self { child, output: output.to_path_buf() })
    }

    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// # Errors
    /// It ended, or `ready` was never true; what it said.
    pub fn wait_until(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), String> {
        let end = Instant::now() + limit;
        while !ready() {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return Err(format!("it ended: {}\n{}", End::from(status), self.output()));
            }
            if Instant::now() > end {
                return Err(format!("not ready after {limit:?}\n{}", self.output()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// Kills it in the midst of its work.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself, as it was told to.
    ///
    /// # Errors
    /// It did not end well; what it said.
    pub fn ended(mut self, limit: Duration) -> Result<String, String> {
        match self.child.wait_timeout(limit).expect("wait").map(End::from) {
            Some(End::Exit(0)) => Ok(self.output()),
            Some(end) => Err(format!("{end}\n{}", self.output())),
            None => Err(format!("still there after {limit:?}\n{}", self.output())),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait_timeout(Duration::from_secs(30));
    }
}

/// A program that put itself into the background, by its pid file.
pub struct Detached {
    pid: Pid,
}

impl Detached {
    /// # Errors
    /// There is no such file, or no pid in it.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        Ok(Self { pid: pid.ok_or_else(|| format!("no pid: {text}"))? })
    }

    /// Gone, or dead and nobody's child.
    fn is_gone(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid.as_raw_nonzero()));
        stat.map_or(true, |stat| stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
    }

    /// Waits until it ends by itself, as it was told to.
    ///
    /// # Errors
    /// It did not.
    pub fn ended(self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        while !self.is_gone() {
            if Instant::now() > end {
                return Err(format!("still there after {limit:?}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if !self.is_gone() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

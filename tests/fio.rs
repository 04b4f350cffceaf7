//! An unmodified fio on our library: everything it writes is there and everything
//! it reads is right, on each file system and engine.
//!
//! `AIO_TEST_FIO=all` runs the whole matrix, otherwise a seventh of it is run, with
//! every value of every option in it. `AIO_TEST_FILTER` picks cases by words of
//! their names.

#![forbid(unsafe_code)]

mod support;

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;
use support::disks::{Disks, in_namespaces};
use support::fio;
use support::ours::{ENGINES, Ours, Way};
use support::report::{Report, skip_reason};
use support::run::{Outcome, run};
use support::strace;

const LIMIT: Duration = Duration::from_secs(180);
/// One in so many cases is run by `make check`; prime to every option's number
/// of values, so that none of them is left out.
const REDUCED: usize = 7;

const RW: [&str; 4] = ["write", "randread", "randwrite", "randrw"];
const BLOCK: [(&str, u64); 4] = [("512", 512), ("4k", 4096), ("64k", 65536), ("1m", 1 << 20)];
const DEPTH: [u32; 3] = [1, 32, 256];
const JOBS: [Jobs; 3] = [Jobs::One, Jobs::Threads, Jobs::Processes];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jobs {
    One,
    /// Four, as threads of one process.
    Threads,
    /// Four, forked.
    Processes,
}

impl Jobs {
    fn count(self) -> u64 {
        if self == Self::One { 1 } else { 4 }
    }
}

#[derive(Clone, Debug)]
struct Case {
    disk: &'static str,
    rw: &'static str,
    direct: bool,
    block: (&'static str, u64),
    depth: u32,
    jobs: Jobs,
    /// fio reads the ring itself and makes no io_getevents.
    userspace_reap: bool,
    engine: &'static str,
}

impl Case {
    /// All combinations, but for the kind of jobs and of reaping: those take
    /// turns.
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for disk in Disks::NAMES {
            for rw in RW {
                for direct in [false, true] {
                    for block in BLOCK {
                        for depth in DEPTH {
                            for engine in ENGINES {
                                let n = cases.len();
                                cases.push(Self {
                                    disk,
                                    rw,
                                    direct,
                                    block,
                                    depth,
                                    jobs: JOBS[(n / 2 + n / 6) % 3],
                                    userspace_reap: (n / 2 + n / 16) % 2 == 1,
                                    engine,
                                });
                            }
                        }
                    }
                }
            }
        }
        cases
    }

    fn name(&self) -> String {
        format!(
            "{} {} {} bs={} depth={} jobs={:?} {} {}",
            self.engine,
            self.disk,
            self.rw,
            self.block.0,
            self.depth,
            self.jobs,
            if self.direct { "direct" } else { "buffered" },
            if self.userspace_reap { "userspace_reap" } else { "getevents" },
        )
    }

    /// What one job moves: enough for some rounds of the queue.
    fn size(&self) -> u64 {
        let blocks = (2 * u64::from(self.depth)).clamp(64, 512);
        (blocks * self.block.1).min(32 << 20)
    }

    fn fio(&self, dir: &Path, rw: &str) -> Command {
        let mut fio = Command::new("fio");
        fio.current_dir(dir)
            .args(["--name=j", "--ioengine=libaio", "--output-format=json", "--eta=never"])
            .args(["--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0"])
            .arg(format!("--rw={rw}"))
            .arg(format!("--bs={}", self.block.0))
            .arg(format!("--size={}", self.size()))
            .arg(format!("--iodepth={}", self.depth))
            .arg(format!("--direct={}", u8::from(self.direct)))
            .arg(format!("--numjobs={}", self.jobs.count()))
            .env_remove("LD_LIBRARY_PATH");
        if self.jobs == Jobs::Threads {
            fio.arg("--thread");
        }
        if self.userspace_reap {
            fio.args(["--userspace_reap=1", "--iodepth_batch_complete_min=0"]);
        }
        fio
    }

    fn run(&self, disk: &Path) -> Result<(), String> {
        let dir = tempfile::tempdir_in(disk).map_err(|e| e.to_string())?;
        let ours = Ours::new(Way::Preload, self.engine);
        if self.rw == "randread" {
            // The data to be read, with its checksums.
            let mut fill = self.fio(dir.path(), "write");
            self.judge(&run(ours.load(fill.arg("--do_verify=0")), LIMIT), "fill")?;
        }
        let mut fio = self.fio(dir.path(), self.rw);
        self.judge(&run(ours.load(&mut fio), LIMIT), self.rw)?;
        ours.check_engine()
    }

    /// No error, and every byte asked for was moved.
    fn judge(&self, outcome: &Outcome, rw: &str) -> Result<(), String> {
        let jobs = fio::jobs(outcome)?;
        if jobs.len() as u64 != self.jobs.count() {
            return Err(format!("{} jobs of {}", jobs.len(), self.jobs.count()));
        }
        for job in jobs {
            let (read, written) = fio::moved(&job);
            let size = self.size();
            // Reads count those that verify. A mixed job reads what it does not
            // write, and then what it wrote.
            let right = match rw {
                "fill" => (read, written) == (0, size),
                "randread" => (read, written) == (size, 0),
                "randrw" => read == size && written > 0 && written < size,
                _ => (read, written) == (size, size),
            };
            if !right {
                return Err(format!("{read} bytes read and {written} written of {size}"));
            }
        }
        Ok(())
    }
}

/// The AIO system calls that a verified fio makes, on the system's library or on
/// an engine of ours.
fn aio_calls(disk: &Path, engine: Option<&'static str>) -> Result<Vec<String>, String> {
    let dir = tempfile::tempdir_in(disk).map_err(|e| e.to_string())?;
    let case = Case {
        disk: "ext4",
        rw: "randrw",
        direct: true,
        block: BLOCK[1],
        depth: 32,
        jobs: Jobs::Processes,
        userspace_reap: false,
        engine: engine.unwrap_or("kernel"),
    };
    let mut fio = case.fio(dir.path(), case.rw);
    let ours = engine.map(|engine| Ours::new(Way::Preload, engine));
    if let Some(ours) = &ours {
        ours.load(&mut fio);
    }
    let (outcome, calls) = strace::aio_calls(&fio, LIMIT);
    case.judge(&outcome, case.rw)?;
    ours.map_or(Ok(()), |ours| ours.check_engine())?;
    Ok(calls)
}

fn check_strace(disk: &Path, report: &mut Report) {
    // The proof can fail: on the system's libaio the calls are there.
    match aio_calls(disk, None) {
        Ok(calls) if !calls.is_empty() => {
            report.pass(&format!("strace sees the kernel's AIO: {} calls", calls.len()));
        }
        Ok(_) => report.fail("strace sees no AIO call on the system's libaio", ""),
        Err(text) => report.fail("strace of fio on the system's libaio", &text),
    }
    for engine in ENGINES {
        match aio_calls(disk, Some(engine)) {
            Ok(calls) if calls.is_empty() => report.pass(&format!("{engine}: no AIO system call")),
            Ok(calls) => report.fail(
                &format!("{engine}: {} AIO system calls", calls.len()),
                &calls[..calls.len().min(10)].join("\n"),
            ),
            Err(text) => report.fail(&format!("{engine}: strace of fio"), &text),
        }
    }
}

fn main() -> ExitCode {
    if let Some(code) = in_namespaces() {
        return code;
    }
    let mut report = Report::default();
    if Command::new("fio").arg("--version").output().is_err() {
        report.fail("fio is not installed (`make deps`)", "");
        return report.finish();
    }
    let disks = Disks::mount();
    let root = rustix::process::geteuid().is_root();
    let filter = env::var("AIO_TEST_FILTER").unwrap_or_default();
    let step = if env::var_os("AIO_TEST_FIO").is_some_and(|v| v == "all") || !filter.is_empty() {
        1
    } else {
        REDUCED
    };

    if filter.is_empty() {
        check_strace(disks.path("ext4").expect("there is always one"), &mut report);
    }
    for case in Case::all().iter().step_by(step) {
        let name = case.name();
        if !filter.split(' ').all(|word| name.contains(word)) {
            continue;
        }
        match disks.path(case.disk) {
            Ok(disk) => match case.run(disk) {
                Ok(()) => report.pass(&name),
                Err(text) => report.fail(&name, &text),
            },
            Err(why) => match skip_reason(&format!("fio-{}", case.disk)) {
                Some(_) if !root => report.skip(&format!("{name}: {why}")),
                _ => report.fail(&format!("{name}: no such disk"), why),
            },
        }
    }
    report.finish()
}

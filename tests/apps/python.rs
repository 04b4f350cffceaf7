//! Language bindings: Python's ctypes, and packages of PyPI.

use crate::app::{App, BOTH, Figure};
use crate::cache;
use crate::job::Job;
use crate::support::ours::Way;
use crate::support::root;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub const APPS: &[App] = &[
    App {
        name: "Python, ctypes",
        needs: &[("python3", "python3")],
        uses: "libaio loaded by its name, each function by its own",
        set: "nothing; preloaded, that libaio is the system's and comes here by `syscall`",
        verified: "32 writes and reads at a time, O_DIRECT and buffered, compared in memory and \
                   in the file; a poll with an eventfd, one that is cancelled",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(60),
        run: ctypes,
    },
    App {
        name: "python-libaio 0.9.5",
        needs: &[("python3", "python3")],
        uses: "ctypes, an eventfd",
        set: "as above",
        verified: "the package's own tests (PyPI)",
        ways: BOTH,
        root: false,
        in_check: false,
        limit: Duration::from_secs(300),
        run: python_libaio,
    },
    App {
        name: "caio 0.12.10",
        needs: &[("python3", "python3")],
        uses: "by number, an eventfd under asyncio",
        set: "nothing; its Linux AIO context is one of several that it has",
        verified: "a hundred files written and read in 16 KiB pieces, all at once; contents \
                   compared, and read again without it (PyPI)",
        ways: &[Way::Preload],
        root: false,
        in_check: false,
        limit: Duration::from_secs(300),
        run: caio,
    },
];

fn script(name: &str) -> PathBuf {
    root().join("tests/apps/python").join(name)
}

/// What a script of ours printed: its last words are the figure.
fn figure(job: &Job, command: &mut Command) -> Result<Figure, String> {
    Ok(job.must(command)?.trim().to_owned())
}

fn ctypes(job: &Job) -> Result<Figure, String> {
    let mut python = job.command("python3");
    python.arg(script("ctypes_aio.py")).arg("file").arg(job.pick("20", "400"));
    figure(job, &mut python)
}

/// The Python of an environment that has the packages.
fn environment(job: &Job) -> Result<String, String> {
    const PACKAGES: [&str; 2] = ["caio==0.12.10", "libaio==0.9.5"];
    let dir = cache::made(&format!("python-{}", PACKAGES.join("-")), |dir| {
        job.must(job.plain("python3").args(["-m", "venv"]).arg(dir))?;
        let mut pip = job.plain(&dir.join("bin/pip").display().to_string());
        pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
        job.must(&mut pip).map(drop)
    })?;
    Ok(dir.join("bin/python").display().to_string())
}

fn python_libaio(job: &Job) -> Result<Figure, String> {
    let mut tests = job.command(&environment(job)?);
    tests.args(["-m", "unittest", "libaio.test"]);
    let outcome = job.run(&mut tests);
    // "Ran 4 tests in 0.119s", "OK", or "OK (skipped=1)".
    let said = &outcome.stderr;
    let ran = said.lines().find(|line| line.starts_with("Ran "));
    match ran {
        Some(ran) if outcome.success() && said.lines().last() == Some("OK") => {
            Ok(ran.split(" in ").next().unwrap_or(ran).to_lowercase())
        }
        _ => Err(said.clone()),
    }
}

fn caio(job: &Job) -> Result<Figure, String> {
    let mut python = job.command(&environment(job)?);
    python.arg(script("caio_files.py")).arg(job.pick("10", "100"));
    figure(job, &mut python)
}

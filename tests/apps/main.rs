//! Real programs: each on the system's libaio first, then on our library by
//! LD_PRELOAD and as its libaio.so.1, on both engines. One file a program.
//!
//! `AIO_TEST_APPS=all` runs all of it (`make check-apps`), otherwise what there
//! is time for in `make check`. `AIO_TEST_APPS=write` writes docs/apps.md, too.
//! `AIO_TEST_FILTER` picks programs, `AIO_TEST_MODES` libraries by words of their
//! names.

#![forbid(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

mod app;
mod cache;
mod confine;
mod fio;
mod image;
mod ioping;
mod job;
mod limits;
mod lvm;
mod mariadb;
mod nginx;
mod python;
mod qemu;
mod qmp;
mod stress_ng;
mod stressapptest;
mod sysbench;
mod table;
mod tgt;

use app::App;
use confine::Confinement;
use job::{Job, Library};
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::disks::in_namespaces;
use support::report::{Report, skip_reason};
use support::run::{End, run};
use table::{Measured, Results};

const APPS: &[&[App]] = &[
    fio::APPS,
    limits::APPS,
    qemu::APPS,
    mariadb::APPS,
    sysbench::APPS,
    stressapptest::APPS,
    lvm::APPS,
    tgt::APPS,
    nginx::APPS,
    stress_ng::APPS,
    ioping::APPS,
    python::APPS,
];

struct Options {
    filter: Vec<String>,
    libraries: Vec<String>,
    full: bool,
    write: bool,
}

impl Options {
    fn from_env() -> Self {
        let text = |name| env::var(name).unwrap_or_default();
        let words = |name| -> Vec<String> {
            text(name).split([' ', ',']).filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        let extent = text("AIO_TEST_APPS");
        Self {
            filter: words("AIO_TEST_FILTER"),
            libraries: words("AIO_TEST_MODES"),
            full: extent == "all" || extent == "write",
            write: extent == "write",
        }
    }

    fn wants(words: &[String], name: &str) -> bool {
        words.is_empty() || words.iter().any(|word| name.contains(word))
    }

    fn libraries(&self, app: &App) -> Vec<Library> {
        table::libraries(app)
            .filter(|library| self.full || Library::FEW.contains(library) || app.ways.len() == 1)
            .filter(|library| Self::wants(&self.libraries, &library.name()))
            .collect()
    }
}

fn run_on(app: &App, library: Library, full: bool) -> Result<String, String> {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::Builder::new().prefix("app-").tempdir_in(here).expect("a directory");
    let job = Job::new(library, dir.path(), full, app.limit);
    let figure = (app.run)(&job)?;
    job.check_engine()?;
    Ok(figure)
}

fn run_app(app: &App, options: &Options, report: &mut Report, results: &mut Results) {
    let root = rustix::process::geteuid().is_root();
    let missing = app.missing();
    if !missing.is_empty() || (app.root && !root) {
        let why = match missing[..] {
            [] => "not root".to_owned(),
            _ => format!("not installed: {} (`make deps`)", missing.join(" ")),
        };
        match skip_reason("apps") {
            Some(_) if !root => report.skip(&format!("{}: {why}", app.name)),
            _ => report.fail(app.name, &why),
        }
        return;
    }
    for library in options.libraries(app) {
        let started = Instant::now();
        let outcome = run_on(app, library, options.full);
        let seconds = started.elapsed().as_secs_f64();
        let line = format!("{:<28} {:<16}", app.name, library.name());
        match outcome {
            Ok(figure) => {
                report.pass(&format!("{line} {seconds:>6.1} s  {figure}"));
                results.insert((app.name.into(), library.name()), Measured { figure, seconds });
            }
            Err(text) => {
                report.fail(&line, &text);
                if library == Library::Kernel {
                    println!(
                        "      the system's libaio fails it: a wrong test, or nothing to compare with"
                    );
                    return;
                }
            }
        }
    }
}

/// The proof that a program makes no AIO system call can fail: on the system's
/// libaio it does not survive.
fn check_confinement(report: &mut Report) {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = tempfile::NamedTempFile::new_in(here).expect("a file");
    file.as_file().set_len(1 << 20).expect("its size");
    let rules = Confinement { kill_at_aio: true, ..Confinement::default() };
    let mut bench = rules.command("qemu-img");
    bench.args(["bench", "-n", "-t", "none", "-f", "raw", "-c", "1"]).arg(file.path());
    match run(&mut bench, Duration::from_secs(30)).end {
        End::Signal(libc::SIGSYS) => report.pass("an AIO system call is seen"),
        end => report.fail("an AIO system call is not seen", &end.to_string()),
    }
}

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    if args.first().is_some_and(|arg| arg == confine::MARK) {
        confine::become_confined(&args[1..]);
    }
    if let Some(code) = in_namespaces() {
        return code;
    }
    let options = Options::from_env();
    let apps: Vec<&App> = APPS.iter().copied().flatten().collect();
    let mut report = Report::default();
    let mut results = Results::new();
    for app in &apps {
        let now = options.full || app.in_check || !options.filter.is_empty();
        if now && Options::wants(&options.filter, app.name) {
            run_app(app, &options, &mut report, &mut results);
        }
    }
    if options.write {
        table::write(&apps, results);
    }
    if options.filter.is_empty() {
        if apps.iter().any(|app| app.name == "qemu-img" && app.missing().is_empty()) {
            check_confinement(&mut report);
        }
        match table::check(&apps) {
            Ok(()) => report.pass("docs/apps.md is current"),
            Err(text) => report.fail("docs/apps.md is not current", &text),
        }
    }
    report.finish()
}

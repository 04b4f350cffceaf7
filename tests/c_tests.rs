//! Every program of `c-tests` on the system's libaio, then on ours in each way a
//! program can come to it. Stdout and the exit code must be the same.
//!
//! The system's library is the judge: a program that fails on it is a wrong
//! test. A hang is a failure; so is a skip (exit 77) that `c-tests/skips.list`
//! does not give a reason for.
//!
//! Environment:
//! - `AIO_TEST_FILTER`: words; only programs with one of them in their name
//! - `AIO_TEST_MODES`: names of modes (below)
//! - `AIO_TEST_JOBS`: runs at a time (default 2 a CPU: most of them only sleep)
//! - `AIO_TEST_TIMEOUT`: seconds for one run (default 60)
//! - `AIO_TEST_DIR`: where the programs make their files
//!
//! What they said is kept beside the libraries, for docs/conformance.md.

#![forbid(unsafe_code)]

mod support;

use parking_lot::Mutex;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};
use support::artefacts::Artefacts;
use support::c_programs::{self, InMode, Record, Results, headers, note, programs, sources};
use support::report::{List, Report, list};
use support::run::{End, Outcome, run};
use support::{compiler, diff, root};

const SKIP: End = End::Exit(77);

/// How a program comes to our library.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Built for the system's libaio, ours by `LD_PRELOAD`.
    Preload,
    /// The same behind a seccomp filter that refuses io_uring.
    PreloadRefused,
    /// Built for the system's libaio, ours as `libaio.so.1`.
    DropIn,
    /// Built with our header and `-laio-rs`.
    Linked,
}

struct Mode {
    name: &'static str,
    way: Way,
    env: &'static [(&'static str, &'static str)],
    /// What the library's log calls the engine it must choose.
    engine: &'static str,
}

/// That somebody watches must change nothing; `c-tests/not-traced.list` has what
/// cannot be traced.
const WATCHED: &[(&str, &str)] =
    &[("AIO_RS_STATS", "1"), ("AIO_RS_LOG", "trace"), ("AIO_RS_LOG_FILE", "/dev/null")];

const MODES: [Mode; 8] = [
    Mode {
        name: "uring",
        way: Way::Preload,
        env: &[("AIO_RS_ENGINE", "uring"), ("AIO_RS_CALLER_RING", "1")],
        engine: "uring",
    },
    Mode {
        name: "threads",
        way: Way::Preload,
        env: &[("AIO_RS_ENGINE", "threads")],
        engine: "threads",
    },
    Mode { name: "drop-in", way: Way::DropIn, env: WATCHED, engine: "uring" },
    Mode {
        name: "drop-in-threads",
        way: Way::DropIn,
        env: &[("AIO_RS_ENGINE", "threads"), WATCHED[0], WATCHED[1], WATCHED[2]],
        engine: "threads",
    },
    Mode { name: "linked", way: Way::Linked, env: &[], engine: "uring" },
    Mode {
        name: "linked-threads",
        way: Way::Linked,
        env: &[("AIO_RS_ENGINE", "threads")],
        engine: "threads",
    },
    Mode { name: "no-uring", way: Way::PreloadRefused, env: &[], engine: "threads" },
    Mode {
        name: "submit-kernel",
        way: Way::Preload,
        env: &[("AIO_RS_SUBMIT", "kernel")],
        engine: "uring",
    },
];

impl Mode {
    /// `c-tests/not-linked.list` says what does not run in every mode.
    fn runs(&self, program: &str, not_linked: &List) -> bool {
        self.way != Way::Linked || !not_linked.contains_key(program)
    }
}

struct Options {
    filter: Vec<String>,
    modes: Vec<&'static Mode>,
    jobs: usize,
    limit: Duration,
    /// The programs' files; on a real file system, as O_DIRECT is wanted.
    dir: PathBuf,
}

impl Options {
    fn from_env() -> Self {
        let words = |name| -> Vec<String> {
            let text = env::var(name).unwrap_or_default();
            text.split([' ', ',']).filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        let number = |name| words(name).first().and_then(|n| n.parse::<usize>().ok());
        let wanted = words("AIO_TEST_MODES");
        for name in &wanted {
            assert!(MODES.iter().any(|m| m.name == name), "AIO_TEST_MODES: no mode {name}");
        }
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        Self {
            filter: words("AIO_TEST_FILTER"),
            modes: MODES
                .iter()
                .filter(|m| wanted.is_empty() || wanted.iter().any(|w| w == m.name))
                .collect(),
            jobs: number("AIO_TEST_JOBS").unwrap_or(cpus * 2).max(1),
            limit: Duration::from_secs(number("AIO_TEST_TIMEOUT").unwrap_or(60) as u64),
            dir: env::var_os("AIO_TEST_DIR").map_or_else(built, PathBuf::from),
        }
    }

    fn chosen(&self, program: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|word| program.contains(word))
    }
}

/// Where the compiled programs go.
fn built() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-tests")
}

fn tool(name: &str) -> PathBuf {
    built().join("tools").join(name)
}

#[derive(Clone, Copy)]
enum Header {
    System,
    Ours,
}

/// Compiles one file, unless the program is newer than all it is made of.
fn compile(source: &Path, program: &Path, header: Header) -> Result<(), String> {
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    let newest = headers()
        .into_iter()
        .chain([source.to_path_buf(), root().join("include/libaio.h")])
        .filter_map(|path| modified(&path))
        .max();
    if modified(program) > newest {
        return Ok(());
    }
    fs::create_dir_all(program.parent().expect("a directory")).map_err(|e| e.to_string())?;
    let mut cc = Command::new(compiler());
    cc.args(["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"])
        // Cancellation runs cleanup handlers by unwinding, as in C++.
        .args(["-fexceptions", "-o"])
        .args([program, source]);
    match header {
        Header::System => cc.arg("-laio"),
        Header::Ours => cc
            .arg("-I")
            .arg(root().join("include"))
            .arg("-L")
            .arg(Artefacts::get().lib_dir())
            .arg("-laio-rs"),
    };
    cc.args(["-ldl", "-lm"]);
    let out = cc.output().map_err(|e| format!("the C compiler does not start: {e}"))?;
    if out.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

fn program_for(name: &str, way: Option<Way>) -> PathBuf {
    let kind = if way == Some(Way::Linked) { "ours" } else { "system" };
    built().join(kind).join(name)
}

/// `name` in `mode`, or on the system's library.
fn command(name: &Path, mode: Option<&Mode>) -> Command {
    let ours = Artefacts::get();
    let mut command = match mode {
        Some(Mode { way: Way::PreloadRefused, .. }) => {
            let mut command = Command::new(tool("deny_uring"));
            command.arg(name);
            command
        }
        _ => Command::new(name),
    };
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AIO_") || name == "LD_PRELOAD" || name == "LD_LIBRARY_PATH" {
            command.env_remove(&*name);
        }
    }
    match mode.map(|m| m.way) {
        None => command.env("AIO_TEST_LIB", "kernel"),
        Some(way) => match way {
            Way::Preload | Way::PreloadRefused => command.env("LD_PRELOAD", ours.preload()),
            Way::DropIn => command.env("LD_LIBRARY_PATH", ours.drop_in_dir()),
            Way::Linked => command.env("LD_LIBRARY_PATH", ours.lib_dir()),
        }
        .env("AIO_TEST_LIB", "ours"),
    };
    command.envs(mode.map_or(&[][..], |m| m.env).iter().copied());
    command
}

/// The kernel's limit is the host's: while a program of `alone.list` is on the
/// system's library, no other may be, of another checkout neither.
fn host_lock(name: &str) -> Option<File> {
    // Another user's file is as good, if it can be read.
    let file = |name| {
        let path = env::temp_dir().join(name);
        File::open(&path).or_else(|_| File::create(&path)).ok()
    };
    // Who wants to be alone lets no newcomers through the gate.
    let (gate, host) = (file("aio-rs-c-tests.gate")?, file("aio-rs-c-tests.lock")?);
    if list("alone.list").contains_key(name) {
        gate.lock().ok()?;
        host.lock().ok()?;
    } else {
        gate.lock_shared().ok()?;
        host.lock_shared().ok()?;
    }
    Some(host)
}

/// One run, in a directory of its own.
fn run_program(name: &str, mode: Option<&Mode>, options: &Options) -> Outcome {
    let _host = mode.is_none().then(|| host_lock(name));
    let dir =
        tempfile::Builder::new().prefix("run-").tempdir_in(&options.dir).expect("a directory");
    let mut command = command(&program_for(name, mode.map(|m| m.way)), mode);
    if list("not-traced.list").contains_key(name) {
        command.env_remove("AIO_RS_LOG");
    }
    run(command.current_dir(dir.path()).env("AIO_TEST_DIR", dir.path()), options.limit)
}

/// What became of one program.
#[derive(Default)]
struct Verdict {
    passed: Vec<&'static str>,
    /// Where it failed, and what is to be shown of it.
    failed: Vec<(&'static str, String)>,
    skipped: Option<String>,
    record: Record,
}

fn details(outcome: &Outcome) -> String {
    let mut text = format!("{}\n", outcome.end);
    if let End::Hang(threads) = &outcome.end {
        text += threads;
    }
    let stderr: Vec<&str> = outcome.stderr.lines().filter(|line| note(line).is_none()).collect();
    if !stderr.is_empty() {
        text += &format!("stderr: {}\n", last_lines(&stderr.join("\n"), 20));
    }
    text
}

fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(n)..].join("\n")
}

fn judge(name: &str, skips: &List, modes: &[&'static Mode], options: &Options) -> Verdict {
    let mut verdict = Verdict::default();
    let reference = run_program(name, None, options);
    verdict.record = Record::new(name, &reference.stdout);
    if reference.end == SKIP {
        let said = reference.stdout.lines().last().and_then(|line| line.strip_prefix("SKIP "));
        match said
            .filter(|said| skips.get(name).is_some_and(|known| known.iter().any(|w| w == said)))
        {
            Some(reason) => {
                verdict.skipped = Some(reason.to_owned());
                for mode in modes {
                    verdict.record.modes.insert(mode.name.to_owned(), InMode::new("skip", ""));
                }
            }
            None => verdict.failed.push((
                "kernel",
                format!("a skip that skips.list does not name\n{}", reference.stdout),
            )),
        }
        return verdict;
    }
    if !reference.success() {
        let text = format!(
            "the system's libaio fails it: a wrong test\n{}{}",
            details(&reference),
            last_lines(&reference.stdout, 30)
        );
        verdict.failed.push(("kernel", text));
        return verdict;
    }
    let runs: Vec<Outcome> =
        modes.par_iter().map(|mode| run_program(name, Some(mode), options)).collect();
    for (mode, ours) in modes.iter().zip(runs) {
        let same = ours.stdout == reference.stdout;
        let good = same && ours.end == reference.end;
        let told = InMode::new(if good { "pass" } else { "fail" }, &ours.stderr);
        verdict.record.modes.insert(mode.name.to_owned(), told);
        if good {
            verdict.passed.push(mode.name);
            continue;
        }
        let mut text = details(&ours);
        if !same {
            text += "--- kernel\n+++ ours\n";
            text += &diff(&reference.stdout, &ours.stdout);
        }
        verdict.failed.push((mode.name, text));
    }
    verdict
}

/// One program; a line for it when it is done.
fn run_one(name: String, options: &Options, report: &Mutex<Report>) -> (String, Record) {
    let started = Instant::now();
    let not_linked = list("not-linked.list");
    let modes: Vec<&'static Mode> =
        options.modes.iter().filter(|m| m.runs(&name, &not_linked)).copied().collect();
    let verdict = judge(&name, &list("skips.list"), &modes, options);
    print(&name, &verdict, started.elapsed(), &mut report.lock());
    (name, verdict.record)
}

fn print(name: &str, verdict: &Verdict, time: Duration, report: &mut Report) {
    let time = time.as_secs_f64();
    if let Some(reason) = &verdict.skipped {
        report.skip(&format!("{name:<24} {reason}"));
    } else if verdict.failed.is_empty() {
        report.pass(&format!("{name:<24} {:>6.1} s  {}", time, verdict.passed.join(" ")));
        report.passed += verdict.passed.len().saturating_sub(1);
    } else {
        report.passed += verdict.passed.len();
    }
    // What went wrong in the same way is shown once.
    let mut shown: Vec<(&str, Vec<&str>)> = Vec::new();
    for (mode, text) in &verdict.failed {
        match shown.iter_mut().find(|(t, _)| t == text) {
            Some((_, modes)) => modes.push(mode),
            None => shown.push((text, vec![mode])),
        }
    }
    for (text, modes) in shown {
        report.fail(&format!("{name} ({})", modes.join(" ")), text);
        report.failed += modes.len() - 1;
    }
}

/// The runner's own test: does each mode reach the library and the engine that
/// it is meant to?
fn check_modes(options: &Options, report: &mut Report) {
    let reached = |mode: Option<&Mode>| {
        let where_is = program_for("where", mode.map(|m| m.way));
        run(
            command(&where_is, mode).env("AIO_RS_LOG", "info").env_remove("AIO_RS_LOG_FILE"),
            options.limit,
        )
    };
    let check = |mode: Option<&Mode>| -> Result<(), String> {
        let outcome = reached(mode);
        let path = match mode.map(|m| m.way) {
            None => support::system_libaio().ok_or("no libaio")?,
            Some(Way::DropIn) => Artefacts::get().drop_in_dir().join("libaio.so.1"),
            Some(Way::Linked) => Artefacts::get().library(),
            Some(_) => Artefacts::get().preload(),
        };
        let path = path.canonicalize().map_err(|e| format!("{}: {e}", path.display()))?;
        let mut wanted: Vec<String> = ["io_setup", "io_submit", "io_getevents"]
            .map(|function| format!("{function}: {}", path.display()))
            .into();
        let syscall = format!("syscall: {}", path.display());
        let in_front = mode.is_some_and(|m| m.way != Way::Linked);
        if outcome.stdout.lines().any(|l| l == syscall) != in_front {
            return Err(format!("libc's `syscall` is from elsewhere\n{}", outcome.stdout));
        }
        match mode {
            Some(Mode { way: Way::PreloadRefused, .. }) => {
                wanted.push("io_uring: Operation not permitted".into());
            }
            Some(Mode { engine: "uring", .. }) => wanted.push("io_uring: yes".into()),
            _ => {}
        }
        wanted.push("context: 0".into());
        for line in wanted {
            if !outcome.stdout.lines().any(|l| l == line) {
                return Err(format!("not so: {line}\n{}{}", outcome.stdout, outcome.stderr));
            }
        }
        match mode {
            Some(m) if !outcome.stderr.contains(&format!("engine: {}", m.engine)) => {
                Err(format!("the log does not name the engine {}\n{}", m.engine, outcome.stderr))
            }
            _ => Ok(()),
        }
    };
    for mode in [None].into_iter().chain(options.modes.iter().map(|m| Some(*m))) {
        let name = mode.map_or("kernel", |m| m.name);
        match check(mode) {
            Ok(()) => report.pass(&format!("mode {name}")),
            Err(text) => report.fail(&format!("mode {name} is not what it should be"), &text),
        }
    }
}

/// What is to be run, and the tools.
fn compile_all(names: &[String], report: &Mutex<Report>) {
    let tools = sources().join("tools");
    let mut work = vec![(tools.join("deny_uring.c"), tool("deny_uring"), Header::System)];
    for (header, way) in [(Header::System, None), (Header::Ours, Some(Way::Linked))] {
        work.push((tools.join("where.c"), program_for("where", way), header));
        for name in names {
            work.push((sources().join(format!("{name}.c")), program_for(name, way), header));
        }
    }
    work.into_par_iter().for_each(|(source, program, header)| {
        if let Err(text) = compile(&source, &program, header) {
            // What an older source made must not be run in its place.
            let _ = fs::remove_file(&program);
            let with = match header {
                Header::System => "the system's header",
                Header::Ours => "our header",
            };
            let what = format!("{} does not compile with {with}", source.display());
            report.lock().fail(&what, &text);
        }
    });
}

fn main() -> ExitCode {
    let options = Options::from_env();
    let names: Vec<String> = programs().into_iter().filter(|name| options.chosen(name)).collect();
    fs::create_dir_all(&options.dir).expect("a directory for the programs' files");
    let report = Mutex::new(Report::default());
    ThreadPoolBuilder::new().num_threads(options.jobs).build_global().expect("threads");

    compile_all(&names, &report);
    let compiled = |name: &String| {
        program_for(name, None).exists() && program_for(name, Some(Way::Linked)).exists()
    };
    if tool("deny_uring").exists() && compiled(&"where".into()) {
        check_modes(&options, &mut report.lock());
        // A program that takes all the host's contexts, say, runs by itself.
        let alone = list("alone.list");
        let (alone, others): (Vec<String>, Vec<String>) =
            names.into_iter().filter(compiled).partition(|name| alone.contains_key(name));
        let run = |name| run_one(name, &options, &report);
        let mut results: Results = others.into_par_iter().map(run).collect();
        results.extend(alone.into_iter().map(run));
        c_programs::write_results(results);
    }
    report.into_inner().finish()
}

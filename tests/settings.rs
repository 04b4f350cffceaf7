//! The AIO_RS_* variables, as a program meets them: read once and early, one line
//! for a value that is not understood, and none of it with raised privileges.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::artefacts::Artefacts;
use support::compiler;
use support::run::run;

/// "clear": without an environment by the time of io_setup, as nginx.
const PROGRAM: &str = r#"
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
int main(int argc, char **argv)
{
	io_context_t ctx = NULL;
	if (argc > 1)
		clearenv();
	(void)argv;
	printf("io_setup %d, raised %lu\n", io_setup(8, &ctx), getauxval(AT_SECURE));
	return 0;
}
"#;

/// A library whose constructor uses AIO.
const EARLY: &str = r#"
#include <libaio.h>
#include <stdio.h>
__attribute__((constructor)) static void early(void)
{
	io_context_t ctx = NULL;
	printf("early %d\n", io_setup(8, &ctx));
	fflush(stdout);
}
"#;

const UNUSED: &str = "io_setup 0, raised 0\n";

fn build(dir: &Path, name: &str, source: &str, args: &[&str]) -> PathBuf {
    let (text, file) = (dir.join(format!("{name}.c")), dir.join(name));
    fs::write(&text, source).expect("a source");
    let mut cc = Command::new(compiler());
    cc.arg("-o").args([&file, &text]).args(args);
    let out = run(&mut cc, Duration::from_secs(60));
    assert!(out.success(), "{name}: {}", out.stderr);
    file
}

/// Stdout and the lines of stderr.
fn said(command: &mut Command) -> (String, Vec<String>) {
    for name in ["ENGINE", "SUBMIT", "MAX_NR", "THREADS", "LOG", "LOG_FILE", "STATS", "STATS_FILE"]
    {
        let name = format!("AIO_RS_{name}");
        if !command.get_envs().any(|(known, _)| known == name.as_str()) {
            command.env_remove(name);
        }
    }
    let out = run(command, Duration::from_secs(60));
    assert!(out.success(), "{}: {}", out.end, out.stderr);
    (out.stdout, out.stderr.lines().map(str::to_owned).collect())
}

struct Bench {
    dir: tempfile::TempDir,
    program: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let program = build(dir.path(), "program", PROGRAM, &["-laio"]);
        Self { dir, program }
    }

    /// The program with these settings.
    fn preloaded(&self, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("LD_PRELOAD", Artefacts::get().preload()).envs(settings.iter().copied());
        command
    }
}

#[test]
fn nothing_is_said_unless_it_is_asked_for() {
    let (stdout, stderr) = said(&mut Bench::new().preloaded(&[]));
    assert_eq!((stdout.as_str(), stderr), (UNUSED, vec![]));
}

#[test]
fn a_value_that_is_not_understood_costs_one_line() {
    let bench = Bench::new();
    for (name, default) in [
        ("AIO_RS_ENGINE", "auto"),
        ("AIO_RS_SUBMIT", "adaptive"),
        ("AIO_RS_MAX_NR", "1048576"),
        ("AIO_RS_THREADS", "64"),
        ("AIO_RS_LOG", "no log"),
    ] {
        let (stdout, stderr) = said(&mut bench.preloaded(&[(name, "nonsense")]));
        assert_eq!((stdout.as_str(), stderr.len()), (UNUSED, 1), "{name}: {stderr:?}");
        let line = format!("WARN: {name}=nonsense is not understood, {default} is used");
        assert!(stderr[0].ends_with(&line), "{stderr:?}");
    }
}

#[test]
fn they_are_read_before_the_program_clears_its_environment() {
    let settings = [("AIO_RS_ENGINE", "threads"), ("AIO_RS_LOG", "info")];
    let (stdout, stderr) = said(Bench::new().preloaded(&settings).arg("clear"));
    assert_eq!((stdout.as_str(), stderr.len()), (UNUSED, 1), "{stderr:?}");
    assert!(stderr[0].contains("INFO: engine: threads (as set by AIO_RS_ENGINE)"), "{stderr:?}");
}

#[test]
fn a_call_before_our_constructor_works_and_knows_them() {
    let bench = Bench::new();
    let dir = bench.dir.path().to_str().expect("a name");
    build(bench.dir.path(), "libearly.so", EARLY, &["-shared", "-fPIC", "-laio"]);
    let flags = ["-Wl,--no-as-needed", "-L", dir, "-l:libearly.so", "-Wl,-rpath", dir, "-laio"];
    let program = build(bench.dir.path(), "later", PROGRAM, &flags);
    let later = Bench { dir: bench.dir, program };
    let mut command = later.preloaded(&[
        ("AIO_RS_ENGINE", "threads"),
        ("AIO_RS_LOG", "info"),
        ("LD_DEBUG", "files"),
    ]);
    let (stdout, stderr) = said(&mut command);
    assert_eq!(stdout, format!("early 0\n{UNUSED}"));
    let init = |name: &str| {
        let line = stderr.iter().position(|l| l.contains("calling init") && l.contains(name));
        line.unwrap_or_else(|| panic!("{name} is not initialised: {stderr:?}"))
    };
    assert!(init("libearly.so") < init("libaio-rs-preload.so"), "the loader's order has changed");
    assert!(stderr.iter().any(|line| line.contains("INFO: engine: threads")), "{stderr:?}");
}

#[test]
fn the_log_goes_where_it_is_sent() {
    let bench = Bench::new();
    let file = bench.dir.path().join("log");
    let settings = [("AIO_RS_LOG", "info"), ("AIO_RS_LOG_FILE", file.to_str().expect("a name"))];
    let (stdout, stderr) = said(&mut bench.preloaded(&settings));
    assert_eq!((stdout.as_str(), stderr), (UNUSED, vec![]));
    assert_eq!(fs::read_to_string(file).expect("the log").matches("INFO: engine: ").count(), 1);
}

#[test]
fn with_raised_privileges_they_are_ignored() {
    let bench = Bench::new();
    let dir = bench.dir.path();
    let (lib, name) = (Artefacts::get().lib_dir(), dir.to_str().expect("a name"));
    let flags = ["-L", lib.to_str().expect("a name"), "-laio-rs", "-Wl,-rpath", name];
    let program = build(dir, "raised", PROGRAM, &flags);
    fs::copy(Artefacts::get().library(), dir.join("libaio-rs.so.1")).expect("a copy");
    for (path, mode) in [(dir, 0o755), (&dir.join("libaio-rs.so.1"), 0o755), (&program, 0o4755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }
    let command = || {
        let mut command = Command::new(&program);
        command
            .env("AIO_RS_MAX_NR", "1")
            .env("AIO_RS_LOG", "trace")
            .env("AIO_RS_ENGINE", "nonsense");
        command
    };
    let (stdout, stderr) = said(&mut command());
    assert_eq!(stdout, "io_setup -11, raised 0\n", "as long as they are not raised they count");
    assert!(!stderr.is_empty());
    if !rustix::process::geteuid().is_root() {
        // Only root can be another user.
        return;
    }
    let (stdout, stderr) = said(command().uid(65534).gid(65534));
    assert_eq!((stdout.as_str(), stderr), ("io_setup 0, raised 1\n", vec![]));
}

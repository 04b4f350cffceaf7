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
        ("AIO_RS_CALLER_RING", "0"),
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
    assert_eq!((stdout.as_str(), stderr.len()), (UNUSED, 2), "{stderr:?}");
    let library = Artefacts::get().preload();
    let banner = format!("aio-rs {} is in: {}", env!("CARGO_PKG_VERSION"), library.display());
    assert!(stderr[0].contains(&format!("INFO: {banner}")), "{stderr:?}");
    assert!(stderr[1].contains("INFO: engine: threads (as set by AIO_RS_ENGINE)"), "{stderr:?}");
}

/// Asks for more than there is, twice; before that, is refused what it names.
const REFUSED: &str = r#"
#include <errno.h>
#include <libaio.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
int main(int argc, char **argv)
{
	io_context_t ctx = NULL, more = NULL;
	struct rlimit none = { 3, 3 };
	struct sock_filter no_uring[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { 4, no_uring };
	if (argc > 1 && !strcmp(argv[1], "nofile") && setrlimit(RLIMIT_NOFILE, &none))
		return 1;
	if (argc > 1 && !strcmp(argv[1], "seccomp") &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &filter, 0, 0)))
		return 2;
	if (io_setup(6, &ctx) || io_setup(8, &more) != -EAGAIN || io_setup(8, &more) != -EAGAIN)
		return 3;
	return 0;
}
"#;

#[test]
fn a_refusal_is_explained_once() {
    let mut bench = Bench::new();
    bench.program = build(bench.dir.path(), "refused", REFUSED, &["-laio"]);
    let lines = |arg: &str, engine| {
        let settings = [("AIO_RS_LOG", "warn"), ("AIO_RS_MAX_NR", "10"), ("AIO_RS_ENGINE", engine)];
        let (_, mut stderr) = said(bench.preloaded(&settings).arg(arg));
        let last = stderr.pop().expect("a line");
        let setting = "8 events are asked for, and of 10 there are 4 left: raise AIO_RS_MAX_NR";
        assert!(last.contains(setting), "{arg}: {last}");
        stderr
    };
    for engine in ["uring", "threads"] {
        assert_eq!(lines("", engine), [] as [&str; 0]);
    }
    let seccomp = lines("seccomp", "uring");
    assert_eq!(seccomp.len(), 1, "{seccomp:?}");
    assert!(seccomp[0].contains("io_uring is refused (Operation not permitted"), "{seccomp:?}");
    assert!(seccomp[0].contains("allow io_uring_setup, io_uring_enter and"), "{seccomp:?}");
    let nofile = lines("nofile", "uring");
    let limit = "all descriptors of RLIMIT_NOFILE=3 are in use: raise it (ulimit -n)";
    assert_eq!(nofile.iter().filter(|line| line.contains(limit)).count(), 2, "{nofile:?}");
    assert!(nofile[2].contains("engine: none"), "{nofile:?}");
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

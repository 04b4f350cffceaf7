//! The aio-rs command, as it is built.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::artefacts::Artefacts;
use support::run::{End, Outcome};

const LIMIT: Duration = Duration::from_secs(20);

/// With an environment that says nothing about us.
fn aio_rs(args: &[&str]) -> Command {
    let mut command = Command::new(Artefacts::get().command());
    command.args(args).env("NO_COLOR", "1").env_remove("LD_PRELOAD");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"AIO_RS_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> Outcome {
    support::run::run(command, LIMIT)
}

fn doctor(args: &[&str]) -> (i32, Value) {
    doctor_by(aio_rs(&["doctor", "--json"]).args(args))
}

fn doctor_by(command: &mut Command) -> (i32, Value) {
    let out = run(command);
    let End::Exit(status) = out.end else { panic!("{out:?}") };
    let report = serde_json::from_str(&out.stdout);
    (status, report.unwrap_or_else(|e| panic!("{e}: {out:?}")))
}

fn finding<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["findings"].as_array().expect("findings").iter().find(|f| f["id"] == id)
}

#[track_caller]
fn level(report: &Value, id: &str) -> String {
    let finding = finding(report, id).unwrap_or_else(|| panic!("no {id} in {report:#}"));
    assert!(finding["what"] != "" && finding["advice"] != "", "{finding}");
    finding["level"].as_str().expect("a level").to_owned()
}

/// A C program, linked to the system's libaio as `args` say.
fn compile(dir: &Path, name: &str, source: &str, args: &[&str]) -> PathBuf {
    let (c, program) = (dir.join(format!("{name}.c")), dir.join(name));
    fs::write(&c, source).expect("a source");
    let out = run(Command::new(support::compiler()).arg(&c).arg("-o").arg(&program).args(args));
    assert!(out.success(), "{}", out.stderr);
    program
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Makes a context, says so, and waits to be killed.
const WAITS: &str = "#include <libaio.h>\n#include <stdio.h>\n#include <unistd.h>\n\
    int main(void) { io_context_t c = 0; int r = io_setup(8, &c);\n\
    printf(\"%d\\n\", r); fflush(stdout); pause(); return 0; }\n";

#[test]
fn run_puts_the_library_in_front() {
    let library = Artefacts::get().preload().canonicalize().expect("the library");
    let out = run(aio_rs(&["run", "printenv", "LD_PRELOAD"]).env("LD_PRELOAD", "libc.so.6"));
    assert_eq!(out.stdout.trim_end(), format!("{}:libc.so.6", library.display()));
    let out = run(aio_rs(&["run", "sh", "-c", "aio-rs run printenv LD_PRELOAD"])
        .env("PATH", path_with(Artefacts::get().command().parent().expect("a directory"))));
    assert_eq!(out.stdout.trim_end(), library.display().to_string());
}

fn path_with(dir: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(dir.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(dirs).expect("a PATH")
}

#[test]
fn run_sets_what_is_asked_for_and_nothing_else() {
    let settings = |command: &mut Command| {
        let out = run(command);
        assert!(out.success(), "{out:?}");
        let mut lines: Vec<_> = out.stdout.lines().filter(|l| l.starts_with("AIO_RS_")).collect();
        lines.sort_unstable();
        lines.join(" ")
    };
    assert_eq!(settings(&mut aio_rs(&["run", "env"])), "");
    assert_eq!(
        settings(aio_rs(&["run", "--", "env"]).env("AIO_RS_ENGINE", "threads")),
        "AIO_RS_ENGINE=threads"
    );
    let options =
        ["run", "--engine", "uring", "--max-nr", "7", "--log", "info", "--log-file", "/tmp/l"];
    assert_eq!(
        settings(aio_rs(&options).arg("env").env("AIO_RS_ENGINE", "threads")),
        "AIO_RS_ENGINE=uring AIO_RS_LOG=info AIO_RS_LOG_FILE=/tmp/l AIO_RS_MAX_NR=7"
    );
}

#[test]
fn run_ends_as_the_program_does() {
    let end = |args: &[&str]| run(&mut aio_rs(args)).end;
    assert_eq!(end(&["run", "true"]), End::Exit(0));
    assert_eq!(end(&["run", "sh", "-c", "exit 7"]), End::Exit(7));
    assert_eq!(end(&["run", "sh", "-c", "kill -TERM $$"]), End::Signal(15));
    assert_eq!(end(&["run", "there-is-no-such-program"]), End::Exit(127));
    assert_eq!(end(&["run", "/etc/passwd"]), End::Exit(126));
    assert_eq!(end(&["run", "--library", "/nowhere.so", "true"]), End::Exit(125));
    assert_eq!(end(&["run"]), End::Exit(2));
}

#[test]
fn run_says_what_cannot_be_preloaded() {
    let dir = dir();
    let program = compile(dir.path(), "fixed", "int main(void) { return 3; }", &["-static"]);
    let out = run(aio_rs(&["run"]).arg(&program));
    assert_eq!(out.end, End::Exit(3));
    assert!(out.stderr.contains("is linked statically"), "{}", out.stderr);
}

#[test]
fn run_reaches_the_program_and_doctor_sees_it() {
    let dir = dir();
    let program = compile(dir.path(), "waits", WAITS, &["-laio"]);
    for engine in support::ours::ENGINES {
        let mut child = aio_rs(&["run", "--engine", engine])
            .arg(&program)
            .stdout(Stdio::piped())
            .spawn()
            .expect("aio-rs run");
        let mut first = [0; 2];
        child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("its line");
        let (status, report) = doctor(&[&child.id().to_string()]);
        kill_process(Pid::from_child(&child), Signal::KILL).expect("kill");
        child.wait().expect("wait");
        assert_eq!(first, *b"0\n");
        assert_eq!(status, 0, "{report:#}");
        assert_eq!(report["facts"]["on_aio_rs"], true, "{report:#}");
        assert_eq!(report["facts"]["engine"], engine, "{report:#}");
    }
}

/// Three cached reads in each of 100 calls, one refused call and one fsync; waits
/// for a signal to exit if it is given an argument.
const COUNTS: &str = "#include <libaio.h>\n#include <fcntl.h>\n#include <signal.h>\n\
    #include <stdio.h>\n#include <stdlib.h>\n#include <sys/wait.h>\n#include <unistd.h>\n\
    static void end(int s) { exit(0); }\n\
    int main(int c, char **v) { static char b[4096]; io_context_t x = 0;\n\
    struct iocb i[3], *p[3]; struct io_event e[3]; int f = open(v[1], O_RDWR | O_CREAT, 0600);\n\
    if (write(f, b, 4096) != 4096 || io_setup(8, &x)) return 1;\n\
    for (int n = 0; n < 3; n++) { io_prep_pread(&i[n], f, b, 4096, 0); p[n] = &i[n]; }\n\
    for (int n = 0; n < 100; n++)\n\
        if (io_submit(x, 3, p) != 3 || io_getevents(x, 3, 3, e, 0) != 3) return 2;\n\
    io_prep_fsync(&i[0], f); if (io_submit(x, 1, p) != 1 || io_getevents(x, 1, 1, e, 0) != 1)\n\
        return 3;\n\
    i[0].aio_fildes = -1; if (io_submit(x, 1, p) != -9) return 4;\n\
    if (fork() == 0) { x = 0; return io_setup(8, &x); }\n\
    if (fork() == 0) { x = 0; _exit(io_setup(8, &x)); }\n\
    if (vfork() == 0) _exit(0);\n\
    while (wait(0) > 0);\n\
    if (c > 2) { signal(SIGTERM, end); printf(\"0\\n\"); fflush(stdout); for (;;) pause(); }\n\
    return 0; }\n";

/// What `COUNTS` does, as JSON tells it.
#[track_caller]
fn check_counts(report: &Value, engine: &str) {
    assert_eq!(report["engine"], engine, "{report:#}");
    assert_eq!(report["requests"]["read"]["accepted"], 300, "{report:#}");
    assert_eq!(report["requests"]["read"]["inline"], 300, "{report:#}");
    assert_eq!(report["requests"]["fsync"]["accepted"], 1, "{report:#}");
    assert_eq!(report["requests"]["fsync"][engine], 1, "{report:#}");
    assert_eq!(report["io_submit"]["calls"], 102, "{report:#}");
    assert_eq!(report["io_submit"]["refused"], 1, "{report:#}");
    assert_eq!(report["io_getevents"]["events"], 301, "{report:#}");
    assert_eq!(report["contexts"], 1, "{report:#}");
    assert_eq!(report["in_flight"], 0, "{report:#}");
    assert!(report["microseconds"]["in io_submit"]["p99"].as_f64() > Some(0.0), "{report:#}");
}

fn pages(pid: u32) -> usize {
    let files = fs::read_dir("/dev/shm").expect("/dev/shm").flatten();
    files.filter(|f| f.file_name().to_string_lossy().contains(&format!(".{pid}."))).count()
}

#[test]
fn a_process_is_counted_while_it_runs_and_when_it_ends() {
    let dir = dir();
    let (data, summary) = (dir.path().join("data"), dir.path().join("summary"));
    let program = compile(dir.path(), "counts", COUNTS, &["-laio"]);
    for engine in support::ours::ENGINES {
        let mut child = aio_rs(&["run", "--engine", engine])
            .arg(format!("--stats={}", summary.display()))
            .args([&program, &data])
            .arg("wait")
            .stdout(Stdio::piped())
            .spawn()
            .expect("aio-rs run");
        let mut first = [0; 2];
        child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("its line");
        let pid = child.id().to_string();
        let stats = run(&mut aio_rs(&["stats", &pid, "--json"]));
        let top = run(&mut aio_rs(&["top", &pid, "--json", "--count", "1"]));
        let metrics = run(&mut aio_rs(&["stats", &pid, "--format", "prometheus"]));
        let screen = run(Command::new("script")
            .args(["-qec"])
            .arg(format!(
                "stty cols 120 rows 40; {} top {pid} --count 1",
                Artefacts::get().command().display()
            ))
            .arg("/dev/null"));
        let seen = pages(child.id());
        kill_process(Pid::from_child(&child), Signal::TERM).expect("kill");
        let ended = child.wait().expect("wait");

        assert!(ended.success(), "{ended}");
        for out in [stats, top] {
            check_counts(&serde_json::from_str(&out.stdout).expect("JSON"), engine);
        }
        let line = format!(
            "aio_rs_requests_total{{pid=\"{pid}\",name=\"counts\",kind=\"read\",way=\"inline\"}} 300"
        );
        assert!(metrics.stdout.lines().any(|l| l == line), "{}", metrics.stdout);
        for text in ["aio-rs top", "counts", "microseconds"] {
            assert!(screen.stdout.contains(text), "{text}: {screen:?}");
        }
        assert_eq!((seen, pages(child.id())), (1, 0));
        let told = fs::read_to_string(&summary).expect("a summary");
        // The forked children tell of their own.
        assert_eq!(told.matches("aio-rs: process ").count(), 3, "{told}");
        assert_eq!(told.matches("301 requests in 102 calls of io_submit").count(), 1, "{told}");
        assert_eq!(told.matches(" 0 requests in 0 calls of io_submit").count(), 2, "{told}");
        fs::remove_file(&summary).expect("the summary");
    }
}

#[test]
fn nothing_is_counted_unless_asked_for() {
    let dir = dir();
    let program = compile(dir.path(), "waits", WAITS, &["-laio"]);
    let mut child =
        aio_rs(&["run"]).arg(&program).stdout(Stdio::piped()).spawn().expect("aio-rs run");
    let mut first = [0; 2];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("its line");
    let found = pages(child.id());
    let stats = run(&mut aio_rs(&["stats", &child.id().to_string()]));
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert_eq!(found, 0);
    assert_eq!(stats.end, End::Exit(1));
    assert!(stats.stderr.contains("AIO_RS_STATS=1"), "{}", stats.stderr);
}

#[test]
fn top_removes_what_a_killed_process_left() {
    let dir = dir();
    let program = compile(dir.path(), "waits", WAITS, &["-laio"]);
    let mut child = aio_rs(&["run", "--stats"])
        .arg(&program)
        .stdout(Stdio::piped())
        .spawn()
        .expect("aio-rs run");
    let mut first = [0; 2];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("its line");
    let top = || run(&mut aio_rs(&["top", "--json", "--count", "1"]));
    top();
    let alive = pages(child.id());
    child.kill().expect("kill");
    child.wait().expect("wait");
    let left = pages(child.id());
    top();
    assert_eq!((alive, left, pages(child.id())), (1, 1, 0));
}

#[test]
fn trace_shows_the_calls() {
    let dir = dir();
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    let program = compile(dir.path(), "counts", COUNTS, &["-laio"]);
    let out =
        run(aio_rs(&["run", "--log", "trace", "--log-file"]).arg(&log).args([&program, &data]));
    assert!(out.success(), "{out:?}");
    let log = fs::read_to_string(log).expect("a log");
    let has = |words: &[&str]| log.lines().any(|line| words.iter().all(|w| line.contains(w)));
    assert!(has(&["io_setup(8, [0x", "]) = 0 <0."]), "{log}");
    assert!(has(&["io_submit(0x", ", 3, [{PREAD, fd=3, buf=0x", "nbytes=4096, offset=0"]), "{log}");
    assert!(has(&["io_getevents(0x", ", 3, 3, [{data=0x0, obj=0x", "res=4096}", "NULL) = 3 <"]));
    assert!(has(&["io_submit(0x", ", 1, [{FSYNC, fd=3, data=0x0}]) = 1 <"]), "{log}");
    assert!(has(&["io_submit(0x", "{FSYNC, fd=-1", "= -1 (Bad file descriptor"]), "{log}");
}

#[test]
fn doctor_knows_the_machine() {
    let (status, report) = doctor(&[]);
    assert_eq!(status, 0, "{report:#}");
    assert!(["uring", "threads"].contains(&report["facts"]["engine"].as_str().expect("an engine")));
    assert!(report["facts"]["aio_max_nr"].as_u64().is_some(), "{report:#}");
    let (status, report) = doctor_by(aio_rs(&["doctor", "--json"]).env("AIO_RS_ENGINE", "threads"));
    assert_eq!((status, &report["facts"]["engine"]), (0, &"threads".into()), "{report:#}");
    let (status, report) = doctor(&["--library", "/nowhere.so"]);
    assert_eq!((status, level(&report, "library")), (1, "problem".into()));
}

#[test]
fn doctor_says_who_refuses_io_uring() {
    let mut command = aio_rs(&["doctor", "--json"]);
    // SAFETY: two system calls that are safe in a forked child.
    unsafe { command.pre_exec(|| refuse(libc::SYS_io_uring_setup, libc::EPERM)) };
    let (status, report) = doctor_by(&mut command);
    assert_eq!(status, 0, "{report:#}");
    assert_eq!(level(&report, "io_uring"), "note");
    assert!(report["facts"]["io_uring"].as_str().expect("why").contains("seccomp"), "{report:#}");
    assert_eq!(report["facts"]["engine"], "threads");
}

/// This system call, with this error.
fn refuse(number: libc::c_long, error: i32) -> std::io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let line = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        line(LOAD, 0, 0, 0),
        line(JUMP, number as u32, 0, 1),
        line(RETURN, libc::SECCOMP_RET_ERRNO | error as u32, 0, 0),
        line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program lives through the calls.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn doctor_knows_how_a_program_calls_aio() {
    let dir = dir();
    let ask = |program: &Path| doctor(&[program.to_str().expect("a name")]);

    let (status, report) = ask(&compile(dir.path(), "linked", WAITS, &["-laio"]));
    assert_eq!((status, level(&report, "libaio")), (0, "good".into()));
    let what = finding(&report, "libaio").expect("found")["what"].to_string();
    assert!(what.contains("io_setup@LIBAIO_0.4"), "{what}");

    let loads = "#include <dlfcn.h>\nint main(void) { return !dlopen(\"libaio.so.1\", 2); }";
    let (status, report) = ask(&compile(dir.path(), "loads", loads, &["-ldl"]));
    assert_eq!((status, level(&report, "dlopen")), (0, "good".into()));
    assert!(finding(&report, "libaio").is_none());

    let (status, report) = ask(&compile(dir.path(), "none", "int main(void) { return 0; }", &[]));
    assert_eq!((status, level(&report, "no-aio")), (0, "note".into()));

    let (status, report) = ask(&compile(dir.path(), "fixed", WAITS, &["-static", "-laio"]));
    assert_eq!((status, level(&report, "static")), (1, "problem".into()));
    assert_eq!(report["facts"]["preload"], false);

    let script = dir.path().join("script");
    fs::write(&script, "#!/bin/sh\n").expect("a script");
    run(Command::new("chmod").arg("+x").arg(&script));
    assert_eq!(level(&ask(&script).1, "script"), "note");

    assert_eq!(run(&mut aio_rs(&["doctor", "there-is-no-such-program"])).end, End::Exit(2));
}

#[test]
#[cfg(target_arch = "x86_64")]
fn doctor_finds_raw_system_calls() {
    let dir = dir();
    let by_function = "#include <unistd.h>\n#include <sys/syscall.h>\n\
        int main(void) { unsigned long c = 0; return syscall(SYS_io_setup, 8, &c) != 0; }";
    let by_instruction = "int main(void) { long r = 206; unsigned long c = 0;\n\
        __asm__ volatile(\"mov $206, %%eax; syscall\"\n\
        : \"=a\"(r) : \"D\"(8L), \"S\"(&c) : \"rcx\", \"r11\", \"memory\"); return r != 0; }";
    for (name, source, expected) in
        [("function", by_function, "note"), ("instruction", by_instruction, "warning")]
    {
        for flags in [&["-O2"][..], &["-O2", "-fno-plt"], &["-O0"]] {
            let program = compile(dir.path(), name, source, flags);
            let (status, report) = doctor(&[program.to_str().expect("a name")]);
            assert_eq!((status, level(&report, "raw")), (0, expected.into()), "{name} {flags:?}");
        }
    }
}

#[test]
fn doctor_sees_raised_privileges() {
    let dir = dir();
    let program = compile(dir.path(), "raised", WAITS, &["-laio"]);
    let to_other: [&OsStr; 2] = ["65534".as_ref(), program.as_ref()];
    if !run(Command::new("chown").args(to_other)).success() {
        // Only root can give a file away; as this user it is not raised.
        return;
    }
    run(Command::new("chmod").arg("u+s").arg(&program));
    let (status, report) = doctor(&[program.to_str().expect("a name")]);
    assert_eq!((status, level(&report, "privileges")), (1, "problem".into()));
}

#[test]
fn doctor_tells_a_process_that_is_not_on_us() {
    let mut child = Command::new("sleep").arg("30").spawn().expect("sleep");
    let (status, report) = doctor(&[&child.id().to_string()]);
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert_eq!((status, level(&report, "process")), (1, "problem".into()));
    assert_eq!(run(&mut aio_rs(&["doctor", "4194999"])).end, End::Exit(2));
}

/// A second of measuring, and what it says.
fn bench(command: &mut Command) -> Value {
    // It writes 64 MiB to a disk that may be busy.
    let out = support::run::run(command, Duration::from_secs(600));
    assert!(out.success(), "{out:?}");
    serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"))
}

fn rows(report: &Value) -> Vec<&str> {
    let rows = report["rows"].as_array().expect("rows");
    rows.iter().map(|row| row["name"].as_str().expect("a name")).collect()
}

#[track_caller]
fn has_figures(report: &Value, sides: &[&str]) {
    for row in report["rows"].as_array().expect("rows") {
        for side in sides {
            if *side == "plain" && row["name"].as_str().expect("a name").contains("io_submit") {
                continue;
            }
            for figure in [&row["sides"][side]["us"], &row["sides"][side]["ratio"]] {
                assert!(figure["median"].as_f64().is_some_and(|f| f > 0.0), "{side}: {row:#}");
            }
        }
    }
}

#[test]
fn bench_measures_in_a_directory_and_leaves_nothing() {
    let (dir, drawn) = (dir(), dir());
    let svg = drawn.path().join("bench.svg");
    let mut command = aio_rs(&["bench", "--seconds", "1", "--json", "--svg"]);
    // As with the package aio-rs-libaio: the name leads to ours.
    let ours = Artefacts::get().drop_in_dir();
    let report = bench(command.arg(&svg).arg(dir.path()).env("LD_LIBRARY_PATH", &ours));
    has_figures(&report, &["libaio", "uring", "threads", "plain"]);
    assert_eq!(report["ratio_to"], "libaio");
    let found = Path::new(report["libaio"].as_str().expect("a path"));
    assert!(!found.starts_with(ours.canonicalize().expect("the drop-in")), "{found:?}");
    let rows = rows(&report);
    for wanted in ["cached read 4 KiB, depth 1", "cached write 4 KiB, depth 32"] {
        assert!(rows.contains(&wanted), "{rows:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 0);
    let drawing = fs::read_to_string(&svg).expect("a drawing");
    assert!(drawing.starts_with("<svg") && drawing.trim_end().ends_with("</svg>"), "{drawing}");
    assert!(rows.iter().all(|row| drawing.contains(row)), "{drawing}");
}

#[test]
fn bench_leaves_a_file_as_it_is() {
    let dir = dir();
    let file = dir.path().join("file");
    let content: Vec<u8> = (0..3 << 20).map(|i: u32| (i.wrapping_mul(40503) >> 7) as u8).collect();
    fs::write(&file, &content).expect("a file");
    let changed = || fs::metadata(&file).expect("the file").modified().expect("a time");
    let before = changed();
    let report = bench(aio_rs(&["bench", "--seconds", "1", "--json"]).arg(&file));
    assert!(!rows(&report).concat().contains("write"), "{report:#}");
    assert_eq!(changed(), before);
    let report = bench(aio_rs(&["bench", "--seconds", "1", "--json", "--write"]).arg(&file));
    has_figures(&report, &["libaio", "uring", "threads", "plain"]);
    assert!(rows(&report).concat().contains("write"), "{report:#}");
    assert_ne!(changed(), before);
    assert!(fs::read(&file).expect("the file") == content);
}

#[test]
fn bench_refuses_what_it_could_harm_or_not_measure() {
    let dir = dir();
    let (small, fifo, used) =
        (dir.path().join("small"), dir.path().join("fifo"), dir.path().join("used"));
    fs::write(&small, "a few bytes").expect("a file");
    assert!(run(Command::new("mkfifo").arg(&fifo)).success());
    fs::write(&used, vec![0; 2 << 20]).expect("a file");
    let open = fs::File::open(&used).expect("the file");
    let refused = |args: &[&OsStr], why: &str| {
        let out = run(aio_rs(&["bench", "--seconds", "1"]).args(args));
        assert_eq!(out.end, End::Exit(2), "{out:?}");
        assert!(out.stderr.contains(why) && out.stdout.is_empty(), "{out:?}");
    };
    refused(&[small.as_ref()], "1 MiB is the least");
    refused(&[fifo.as_ref()], "neither a directory nor a file");
    refused(&["/dev/zero".as_ref()], "neither a directory nor a file");
    refused(&["/nowhere".as_ref()], "No such file");
    refused(&["--write".as_ref(), used.as_ref()], "open in another process");
    refused(&["--svg".as_ref(), used.as_ref(), used.as_ref()], "measured and drawn into");
    drop(open);
    assert!(fs::read(&used).expect("the file").iter().all(|byte| *byte == 0));
    let mut command = aio_rs(&["bench", "--seconds", "1"]);
    let out = run(command.arg(dir.path()).env("LD_PRELOAD", Artefacts::get().preload()));
    assert_eq!(out.end, End::Exit(1), "{out:?}");
    assert!(out.stderr.contains("unset LD_PRELOAD"), "{out:?}");
}

const LOSETUP: &str = "/sbin/losetup";

/// Detached when dropped.
struct LoopDevice(String);

impl Drop for LoopDevice {
    fn drop(&mut self) {
        run(Command::new(LOSETUP).arg("-d").arg(&self.0));
    }
}

#[test]
fn bench_only_reads_a_block_device() {
    let dir = dir();
    let image = dir.path().join("image");
    let content: Vec<u8> =
        (0..2 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&image, &content).expect("a file");
    let mut losetup = Command::new(LOSETUP);
    let out = losetup.args(["--show", "-f"]).arg(&image).output();
    let Some(out) = out.ok().filter(|out| out.status.success()) else {
        // Only root can have a loop device, and not everywhere.
        return;
    };
    let device = LoopDevice(String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let refused = run(aio_rs(&["bench", "--write"]).arg(&device.0));
    assert_eq!(refused.end, End::Exit(2), "{refused:?}");
    let report = bench(aio_rs(&["bench", "--seconds", "1", "--json"]).arg(&device.0));
    has_figures(&report, &["libaio", "uring", "threads", "plain"]);
    let rows = rows(&report).concat();
    assert!(rows.contains("cold reads") && !rows.contains("write"), "{rows}");
    drop(device);
    assert!(fs::read(&image).expect("the file") == content);
}

#[test]
fn bench_does_without_libaio_and_without_io_uring() {
    let dir = dir();
    for (number, error, left, out) in [
        (libc::SYS_io_setup, libc::ENOSYS, ["uring", "threads"], "libaio is left out: io_setup"),
        (
            libc::SYS_io_uring_setup,
            libc::EPERM,
            ["threads", "plain"],
            "uring is left out: Operation not permitted (os error 1);",
        ),
    ] {
        let mut command = aio_rs(&["bench", "--seconds", "1", "--json"]);
        // SAFETY: two system calls that are safe in a forked child.
        unsafe { command.pre_exec(move || refuse(number, error)) };
        let report = bench(command.arg(dir.path()));
        has_figures(&report, &left);
        assert!(
            report["notes"][0].as_str().is_some_and(|note| note.starts_with(out)),
            "{report:#}"
        );
        let base = if number == libc::SYS_io_setup { "plain" } else { "libaio" };
        assert_eq!(report["ratio_to"], base, "{report:#}");
    }
}

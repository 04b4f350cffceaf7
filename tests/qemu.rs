//! QEMU's tools with native AIO on our library, on both engines: what they write
//! is in the file, and what they read is what was written. QEMU never calls
//! io_getevents: it reads the ring itself and moves its head.

#![forbid(unsafe_code)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;
use support::ours::{ENGINES, Ours};
use support::report::Report;
use support::run::run;
use support::strace;

const LIMIT: Duration = Duration::from_secs(120);
const SIZE: usize = 64 << 20;
const MIB: usize = 1 << 20;

fn must(command: &mut Command) -> Result<String, String> {
    let outcome = run(command, LIMIT);
    // qemu-io's exit code says nothing of a pattern that does not match.
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    if outcome.success() && !all.contains("failed") {
        Ok(outcome.stdout)
    } else {
        Err(format!("{command:?}: {}\n{all}", outcome.end))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn new_image(dir: &Path, name: &str, format: &str) -> Result<std::path::PathBuf, String> {
    let path = dir.join(name);
    must(Command::new("qemu-img").args(["create", "-q", "-f", format]).arg(&path).arg("64M"))?;
    Ok(path)
}

/// Runs commands of qemu-io in one process.
fn qemu_io(image: &Path, format: &str, ours: &Ours, commands: &[&str]) -> Result<(), String> {
    let mut args = vec!["-f", format, "-i", "native", "-t", "none"];
    for command in commands {
        args.extend(["-c", command]);
    }
    args.push(text(image));
    must(ours.preload(Command::new("qemu-io").args(&args))).map(drop)
}

fn bench(image: &Path, ours: &Ours, args: &[&str]) -> Result<(), String> {
    let mut all = vec!["bench", "-n", "-t", "none", "-f", "raw"];
    all.extend(args);
    all.push(text(image));
    must(ours.preload(Command::new("qemu-img").args(&all))).map(drop)
}

/// `at..end` of the file holds nothing but `byte`.
fn holds(image: &Path, at: usize, end: usize, byte: u8) -> Result<(), String> {
    let data = fs::read(image).map_err(|e| e.to_string())?;
    match data[at..end].iter().position(|b| *b != byte) {
        None => Ok(()),
        Some(wrong) => {
            Err(format!("byte {} is {:#x}, not {byte:#x}", at + wrong, data[at + wrong]))
        }
    }
}

/// 4096 sequential writes of a pattern, 32 at a time; then they are read.
fn bench_write(dir: &Path, ours: &Ours) -> Result<(), String> {
    let image = new_image(dir, "write.img", "raw")?;
    let args = ["-w", "--pattern=90", "-c", "4096", "-d", "32", "-s", "4096"];
    bench(&image, ours, &args)?;
    holds(&image, 0, 16 * MIB, 90)?;
    holds(&image, 16 * MIB, SIZE, 0)?;
    qemu_io(&image, "raw", ours, &["read -P 90 0 16M", "read -P 0 16M 48M"])
}

/// The same with a flush (FDSYNC) every 64 writes, in large blocks.
fn bench_flush(dir: &Path, ours: &Ours) -> Result<(), String> {
    let image = new_image(dir, "flush.img", "raw")?;
    let args =
        ["-w", "--pattern=165", "-c", "512", "-d", "16", "-s", "65536", "--flush-interval=64"];
    bench(&image, ours, &args)?;
    holds(&image, 0, 32 * MIB, 165)
}

fn bench_read(dir: &Path, ours: &Ours) -> Result<(), String> {
    let image = new_image(dir, "read.img", "raw")?;
    bench(&image, ours, &["-c", "8192", "-d", "64", "-s", "4096", "-S", "8192"])
}

/// Patterns side by side and over each other, plain, vectored and in flight
/// together.
fn patterns(dir: &Path, ours: &Ours) -> Result<(), String> {
    let image = new_image(dir, "patterns.img", "raw")?;
    let write = [
        "write -P 1 0 1M",
        "write -P 2 1M 512",
        "writev -P 3 2M 4k 8k 4k 64k",
        "aio_write -P 4 4M 4M",
        "aio_write -P 5 8M 64k",
        "aio_write -P 6 9M 1M",
        "aio_flush",
        "write -P 7 512k 1M",
        "flush",
    ];
    qemu_io(&image, "raw", ours, &write)?;
    let read = [
        "read -P 1 0 512k",
        "read -P 7 512k 1M",
        "readv -P 3 2M 64k 4k 8k 4k",
        "aio_read -P 4 4M 4M",
        "aio_read -P 5 8M 64k",
        "aio_read -P 6 9M 1M",
        "aio_flush",
        "read -P 0 10M 54M",
    ];
    qemu_io(&image, "raw", ours, &read)?;
    holds(&image, 0, MIB / 2, 1)?;
    holds(&image, MIB / 2, 3 * MIB / 2, 7)?;
    holds(&image, 4 * MIB, 8 * MIB, 4)
}

/// qcow2 on top: metadata and data in one file, in the order that it asks for.
fn qcow2(dir: &Path, ours: &Ours) -> Result<(), String> {
    let image = new_image(dir, "image.qcow2", "qcow2")?;
    let write = ["write -P 17 0 8M", "write -P 18 4M 1M", "write -z 1M 1M", "flush"];
    qemu_io(&image, "qcow2", ours, &write)?;
    let read = ["read -P 17 0 1M", "read -P 0 1M 1M", "read -P 18 4M 1M", "read -P 17 5M 3M"];
    qemu_io(&image, "qcow2", ours, &read)?;
    must(Command::new("qemu-img").arg("check").arg(&image)).map(drop)
}

/// The test can fail: a pattern that is not there is reported.
fn a_wrong_pattern_is_seen(dir: &Path, ours: &Ours) -> Result<(), String> {
    let image = new_image(dir, "wrong.img", "raw")?;
    match qemu_io(&image, "raw", ours, &["write -P 1 0 1M", "read -P 2 0 1M"]) {
        Err(text) if text.contains("Pattern verification failed") => Ok(()),
        other => Err(format!("a wrong pattern was taken as right: {other:?}")),
    }
}

fn no_aio_call(dir: &Path, ours: &Ours) -> Result<(), String> {
    let image = new_image(dir, "trace.img", "raw")?;
    let args =
        ["bench", "-n", "-t", "none", "-f", "raw", "-w", "-c", "500", "-d", "8", text(&image)];
    let (outcome, calls) =
        strace::aio_calls(ours.preload(Command::new("qemu-img").args(args)), LIMIT);
    if !outcome.success() {
        return Err(outcome.stderr);
    }
    // The proof can fail: on the system's libaio the calls are there.
    let (_, kernel) = strace::aio_calls(Command::new("qemu-img").args(args), LIMIT);
    match (calls.is_empty(), kernel.is_empty()) {
        (true, false) => Ok(()),
        (false, _) => Err(calls[..calls.len().min(10)].join("\n")),
        (true, true) => Err("strace sees no AIO call on the system's libaio either".into()),
    }
}

type Test = fn(&Path, &Ours) -> Result<(), String>;
const TESTS: [(&str, Test); 7] = [
    ("bench, writes", bench_write),
    ("bench, writes and flushes", bench_flush),
    ("bench, reads", bench_read),
    ("patterns", patterns),
    ("qcow2", qcow2),
    ("a wrong pattern is seen", a_wrong_pattern_is_seen),
    ("no AIO system call", no_aio_call),
];

fn main() -> ExitCode {
    let mut report = Report::default();
    if Command::new("qemu-io").arg("--version").output().is_err() {
        report.fail("qemu-io is not installed (`make deps`)", "");
        return report.finish();
    }
    let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::tempdir_in(here).expect("a directory");
    for engine in ENGINES {
        for (name, test) in TESTS {
            let ours = Ours::new(engine);
            match test(dir.path(), &ours).and_then(|()| ours.check_engine()) {
                Ok(()) => report.pass(&format!("{engine}: {name}")),
                Err(text) => report.fail(&format!("{engine}: {name}"), &text),
            }
        }
    }
    report.finish()
}

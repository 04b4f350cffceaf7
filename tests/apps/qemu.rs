//! QEMU with aio=native. It never calls io_getevents: it reads the ring itself
//! and moves its head, and each request has an eventfd of its main loop.

use crate::app::{App, BOTH, Figure};
use crate::image::{self, holds};
use crate::job::Job;
use crate::qmp::Qmp;
use crate::support::artefacts::Artefacts;
use serde_json::json;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

const MIB: usize = 1 << 20;

pub const APPS: &[App] = &[
    App {
        name: "qemu-img",
        needs: &[("qemu-utils", "qemu-img")],
        uses: "io_setup, io_submit, io_destroy; reads the ring and moves its head itself; an \
               eventfd on every request; FDSYNC",
        set: "`bench -n -t none`; for convert and compare `--image-opts` with \
              `file.aio=native,file.cache.direct=on`",
        verified: "an image (1 GiB, every block different) converted to qcow2 and back, \
                   compared, its bytes checked; a byte changed is seen; bench reads, writes \
                   with flushes",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(180),
        run: qemu_img,
    },
    App {
        name: "qemu-io",
        needs: &[("qemu-utils", "qemu-io")],
        uses: "as qemu-img",
        set: "`-i native -t none`",
        verified: "patterns, plain, vectored, many in flight and over each other, raw and qcow2; \
                   a wrong pattern is seen",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(60),
        run: qemu_io,
    },
    App {
        name: "qemu-storage-daemon",
        needs: &[("qemu-utils", "qemu-storage-daemon")],
        uses: "as qemu-img, in a process that forks first (`--daemonize`), and in iothreads",
        set: "`aio=native,cache.direct=on`",
        verified: "an image written and read through its NBD export, then mirrored to another \
                   one by a block job; the bytes of both",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(90),
        run: storage_daemon,
    },
    App {
        name: "qemu-system",
        needs: &[("qemu-system-x86", "qemu-system-x86_64")],
        uses: "as qemu-img, in the main loop beside everything else",
        set: "`-blockdev` or `-drive` with `aio=native,cache.direct=on`",
        verified: "a machine without a guest: patterns written and read by its monitor, then its \
                   drive mirrored to another one by a block job; the bytes of both",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(90),
        run: system,
    },
];

/// The image as `--image-opts` has it, with native AIO.
fn native(file: &str, format: &str) -> String {
    format!(
        "driver={format},file.driver=file,file.filename={file},file.aio=native,\
         file.cache.direct=on"
    )
}

fn create(job: &Job, name: &str, format: &str, mib: u64) -> Result<(), String> {
    let size = format!("{mib}M");
    job.must(job.plain("qemu-img").args(["create", "-q", "-f", format, name, &size])).map(drop)
}

fn bench(job: &Job, image: &str, args: &[&str]) -> Result<(), String> {
    let mut command = job.command("qemu-img");
    command.args(["bench", "-n", "-t", "none", "-f", "raw"]).args(args).arg(image);
    job.must(&mut command).map(drop)
}

fn convert(job: &Job, from: (&str, &str), to: (&str, &str)) -> Result<(), String> {
    let mut command = job.command("qemu-img");
    command
        .args(["convert", "-n", "-m", "16", "-W", "--image-opts", "--target-image-opts"])
        .args([native(from.0, from.1), native(to.0, to.1)]);
    job.must(&mut command).map(drop)
}

fn compare(job: &Job, a: (&str, &str), b: (&str, &str)) -> Result<(), String> {
    let mut command = job.command("qemu-img");
    command.args(["compare", "--image-opts"]).args([native(a.0, a.1), native(b.0, b.1)]);
    job.must(&mut command).map(drop)
}

fn qemu_img(job: &Job) -> Result<Figure, String> {
    let mib = job.pick(64, 1024);
    image::write(&job.path("source"), mib, 7)?;
    create(job, "copy.qcow2", "qcow2", mib)?;
    create(job, "back", "raw", mib)?;
    convert(job, ("source", "raw"), ("copy.qcow2", "qcow2"))?;
    convert(job, ("copy.qcow2", "qcow2"), ("back", "raw"))?;
    compare(job, ("source", "raw"), ("copy.qcow2", "qcow2"))?;
    image::check(&job.path("back"), mib, 7)?;

    let back = OpenOptions::new().write(true).open(job.path("back")).map_err(|e| e.to_string())?;
    back.write_at(b"!", (mib << 20) - 5000).map_err(|e| e.to_string())?;
    match compare(job, ("source", "raw"), ("back", "raw")) {
        Err(text) if text.contains("Content mismatch") => {}
        other => return Err(format!("a changed byte was not seen: {other:?}")),
    }

    let count = (mib * 16).to_string();
    let write = ["-w", "--pattern=165", "-d", "32", "-s", "65536", "--flush-interval=64"];
    bench(job, "back", &[&write[..], &["-c", &count]].concat())?;
    holds(&job.path("back"), 0, (mib as usize) * MIB, 165)?;
    bench(job, "back", &["-c", "8192", "-d", "64", "-s", "4096", "-S", "8192"])?;
    Ok(format!("{mib} MiB, seven times"))
}

/// Runs commands of qemu-io in one process.
fn qemu_io_commands(job: &Job, name: &str, format: &str, commands: &[&str]) -> Result<(), String> {
    let mut command = job.command("qemu-io");
    command.args(["-f", format, "-i", "native", "-t", "none"]);
    for one in commands {
        command.args(["-c", one]);
    }
    let said = job.must(command.arg(name))?;
    // Its exit code says nothing of a pattern that does not match.
    if said.contains("failed") { Err(said) } else { Ok(()) }
}

fn qemu_io(job: &Job) -> Result<Figure, String> {
    create(job, "raw", "raw", 64)?;
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
    qemu_io_commands(job, "raw", "raw", &write)?;
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
    qemu_io_commands(job, "raw", "raw", &read)?;
    holds(&job.path("raw"), 0, MIB / 2, 1)?;
    holds(&job.path("raw"), MIB / 2, 3 * MIB / 2, 7)?;
    holds(&job.path("raw"), 4 * MIB, 8 * MIB, 4)?;

    // Metadata and data in one file, in the order that it asks for.
    create(job, "qcow2", "qcow2", 64)?;
    let write = ["write -P 17 0 8M", "write -P 18 4M 1M", "write -z 1M 1M", "flush"];
    qemu_io_commands(job, "qcow2", "qcow2", &write)?;
    let read = ["read -P 17 0 1M", "read -P 0 1M 1M", "read -P 18 4M 1M", "read -P 17 5M 3M"];
    qemu_io_commands(job, "qcow2", "qcow2", &read)?;
    job.must(job.plain("qemu-img").args(["check", "-f", "qcow2", "qcow2"]))?;

    match qemu_io_commands(job, "raw", "raw", &["write -P 1 0 1M", "read -P 2 0 1M"]) {
        Err(text) if text.contains("Pattern verification failed") => Ok("27 patterns".into()),
        other => Err(format!("a wrong pattern was taken as right: {other:?}")),
    }
}

fn node(name: &str) -> String {
    format!("driver=file,node-name={name},filename={name},aio=native,cache.direct=on")
}

fn storage_daemon(job: &Job) -> Result<Figure, String> {
    let mib = job.pick(64, 256);
    image::write(&job.path("source"), mib, 9)?;
    create(job, "disk", "raw", mib)?;
    create(job, "mirror", "raw", mib)?;
    let mut daemon = job.command("qemu-storage-daemon");
    daemon
        .args(["--object", "iothread,id=thread"])
        .args(["--blockdev", &node("disk"), "--blockdev", &node("mirror")])
        .args(["--nbd-server", "addr.type=unix,addr.path=nbd"])
        .args(["--export", "nbd,id=export,node-name=disk,writable=on,iothread=thread"])
        .args(["--chardev", "socket,id=qmp,path=qmp,server=on,wait=off", "--monitor", "qmp"])
        .args(["--daemonize", "--pidfile", "pid"]);
    let daemon = job.detached(&mut daemon, "pid")?;
    let nbd = "nbd+unix:///disk?socket=nbd";
    let copy = ["convert", "-n", "-m", "16", "-W", "-f", "raw", "-O", "raw", "source", nbd];
    job.must(job.plain("qemu-img").args(copy))?;
    job.must(job.plain("qemu-img").args(["compare", "-f", "raw", "-F", "raw", "source", nbd]))?;
    let mut qmp = Qmp::connect(&job.path("qmp"), job.left())?;
    // "hard": the client may just be leaving.
    qmp.call("block-export-del", json!({"id": "export", "mode": "hard"}))?;
    qmp.event("BLOCK_EXPORT_DELETED")?;
    mirror(&mut qmp, "disk", "mirror")?;
    qmp.call("quit", json!({}))?;
    daemon.ended(job.left())?;
    image::check(&job.path("disk"), mib, 9)?;
    image::check(&job.path("mirror"), mib, 9)?;
    Ok(format!("{mib} MiB, four times"))
}

/// Copies one node to another, in the program's main loop.
fn mirror(qmp: &mut Qmp, from: &str, to: &str) -> Result<(), String> {
    let job = json!({"job-id": "copy", "device": from, "target": to, "sync": "full"});
    qmp.call("blockdev-mirror", job)?;
    qmp.event("BLOCK_JOB_READY")?;
    qmp.call("block-job-complete", json!({"device": "copy"}))?;
    qmp.event("BLOCK_JOB_COMPLETED")
}

/// scripts/deps.sh unpacks it where it cannot be installed beside qemu-utils.
fn system_command(job: &Job) -> Command {
    let mut command = job.command("qemu-system-x86_64");
    let libraries = Artefacts::get().dir().join("unpacked/usr/lib/x86_64-linux-gnu");
    let before = command.get_envs().find(|(name, _)| *name == "LD_LIBRARY_PATH");
    let path = match before.and_then(|(_, value)| value) {
        Some(ours) => format!("{}:{}", ours.display(), libraries.display()),
        None => libraries.display().to_string(),
    };
    command.env("LD_LIBRARY_PATH", path);
    command
}

fn system(job: &Job) -> Result<Figure, String> {
    let mib = job.pick(64, 256);
    image::write(&job.path("disk"), mib, 11)?;
    create(job, "mirror", "raw", mib)?;
    let mut qemu = system_command(job);
    qemu.args(["-machine", "none", "-nodefaults", "-display", "none", "-S"])
        .args(["-blockdev", &node("disk"), "-blockdev", &node("mirror")])
        .args(["-qmp", "unix:qmp,server=on,wait=off", "-daemonize", "-pidfile", "pid"]);
    let qemu = job.detached(&mut qemu, "pid")?;
    let mut qmp = Qmp::connect(&job.path("qmp"), job.left())?;
    for command in ["write -P 7 1M 4M", "aio_write -P 8 3M 1M", "aio_flush", "read -P 7 4M 1M"] {
        let line = format!("qemu-io disk \"{command}\"");
        let said = qmp.call("human-monitor-command", json!({"command-line": line}))?;
        if said.to_string().contains("rror") || said.to_string().contains("failed") {
            return Err(format!("{command}: {said}"));
        }
    }
    mirror(&mut qmp, "disk", "mirror")?;
    qmp.call("quit", json!({}))?;
    qemu.ended(job.left())?;
    for name in ["disk", "mirror"] {
        let path = job.path(name);
        holds(&path, MIB, 3 * MIB, 7)?;
        holds(&path, 3 * MIB, 4 * MIB, 8)?;
        holds(&path, 4 * MIB, 5 * MIB, 7)?;
        image::check_from(&path, 5, mib, 11)?;
    }
    Ok(format!("{mib} MiB mirrored"))
}

//! tgt, an iSCSI target that puts itself into the background. The initiators are
//! libiscsi's: nothing here needs the kernel's.

use crate::app::{App, BOTH, Figure};
use crate::image;
use crate::job::Job;
use crate::support::daemon::Detached;
use crate::support::root;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub const APPS: &[App] = &[App {
    name: "tgt",
    needs: &[("tgt", "tgtd"), ("libiscsi-bin", "iscsi-perf"), ("python3", "python3")],
    uses: "a context for each LUN, made after tgtd forked and went into the background; an \
           eventfd on every request; io_getevents for as many as the eventfd said",
    set: "`tgtadm ... --mode logicalunit --bstype aio`",
    verified: "a file written to a LUN and read back by 8 connections, in pieces of any size; the \
               bytes of the LUN's file; 64 random reads in flight on one connection",
    ways: BOTH,
    root: true,
    in_check: true,
    limit: Duration::from_secs(60),
    run: serve,
}];

const TARGET: &str = "iqn.2026-11.org.aio-rs:disk";

/// tgtd, and what is needed to tell it something.
struct Target<'a> {
    job: &'a Job<'a>,
    /// Its path is to fit into an address.
    socket: PathBuf,
}

impl Target<'_> {
    fn with_socket(&self, mut command: Command) -> Command {
        command.env("TGT_IPC_SOCKET", &self.socket);
        command
    }

    fn start(&self, portal: &str) -> Result<Detached, String> {
        let pid = self.job.path("pid");
        let mut tgtd = self.with_socket(self.job.command("tgtd"));
        tgtd.args(["--iscsi", &format!("portal={portal}"), "--pid-file"]).arg(&pid);
        // What starts it ends before the daemon has a session of its own, and is ready.
        let _starts = self.job.daemon(&mut tgtd)?;
        let end = Instant::now() + Duration::from_secs(20);
        let asked = loop {
            let asked = self.tell("show", "system", &[]);
            if asked.is_ok() || Instant::now() > end {
                break asked;
            }
            thread::sleep(Duration::from_millis(20));
        };
        asked.and_then(|_| Detached::from_file(&pid))
    }

    fn tell(&self, what: &str, mode: &str, args: &[&str]) -> Result<String, String> {
        let mut tgtadm = self.with_socket(self.job.plain("tgtadm"));
        tgtadm.args(["--lld", "iscsi", "--op", what, "--mode", mode]).args(args);
        self.job.must(&mut tgtadm)
    }

    fn add_disk(&self, path: &Path) -> Result<(), String> {
        let path = path.display().to_string();
        let lun = ["--tid", "1", "--lun", "1", "--bstype", "aio", "--backing-store", &path];
        self.tell("new", "target", &["--tid", "1", "--targetname", TARGET])?;
        self.tell("new", "logicalunit", &lun)?;
        self.tell("bind", "target", &["--tid", "1", "--initiator-address", "ALL"]).map(drop)
    }

    /// Its contexts go with the target, it with the last word.
    fn end(&self) -> Result<(), String> {
        self.tell("delete", "target", &["--tid", "1", "--force"])?;
        self.tell("delete", "system", &[]).map(drop)
    }
}

/// A port that nobody has just now.
fn portal() -> Result<String, String> {
    let here = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    Ok(here.map_err(|e| e.to_string())?.to_string())
}

/// Reads at random, many in flight; how fast.
fn read_deep(job: &Job, portal: &str) -> Result<String, String> {
    let url = format!("iscsi://{portal}/{TARGET}/1");
    let said =
        job.must(job.plain("iscsi-perf").args(["-r", "-m", "64", "-b", "32", "-t", "1", &url]))?;
    // "iops average 1251 (19 MB/s)", after others of the kind.
    let rate = said.rsplit("iops average").next().and_then(|last| {
        let (_, rate) = last.split_once('(')?;
        rate.split_once(" MB/s)")
    });
    match rate {
        Some((rate, _)) if said.contains("finished.") => Ok(format!("{rate} MiB/s at random")),
        _ => Err(format!("iscsi-perf: {said}")),
    }
}

fn serve(job: &Job) -> Result<Figure, String> {
    let mib = job.pick(16, 64);
    let disk = job.path("disk");
    image::write(&job.path("source"), mib, 13)?;
    File::create(&disk).and_then(|file| file.set_len(mib << 20)).map_err(|e| e.to_string())?;
    let at = tempfile::tempdir().map_err(|e| e.to_string())?;
    let target = Target { job, socket: at.path().join("socket") };
    let portal = portal()?;
    let tgtd = target.start(&portal)?;
    target.add_disk(&disk)?;
    let mut copy = job.plain("python3");
    copy.arg(root().join("tests/apps/python/iscsi_copy.py"));
    copy.args([&portal, TARGET, "1", "source"]);
    let copied = job.must(&mut copy)?;
    let read = read_deep(job, &portal)?;
    target.end()?;
    tgtd.ended(job.left())?;
    image::check(&disk, mib, 13)?;
    Ok(format!("{}; {read}", copied.trim()))
}

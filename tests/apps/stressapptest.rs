//! stressapptest's disk threads.

use crate::app::{App, BOTH, Figure};
use crate::job::Job;
use std::fs::File;
use std::time::Duration;

pub const APPS: &[App] = &[App {
    name: "stressapptest",
    needs: &[("stressapptest", "stressapptest")],
    uses: "a context for each disk thread, one request at a time; io_getevents with a timeout, \
           then io_cancel",
    set: "`-d FILE`; `-f FILE` uses no AIO",
    verified: "two disk threads write patterns to a file and compare what they read",
    ways: BOTH,
    root: false,
    in_check: false,
    limit: Duration::from_secs(60),
    run: disk_threads,
}];

fn disk_threads(job: &Job) -> Result<Figure, String> {
    let file = File::create(job.path("disk")).map_err(|e| e.to_string())?;
    file.set_len(64 << 20).map_err(|e| e.to_string())?;
    let mut command = job.command("stressapptest");
    command.args(["-s", job.pick("2", "8"), "-M", "16", "-m", "1", "-i", "0", "-C", "0"]).args([
        "-d",
        "disk",
        "--destructive",
        "--random-threads",
        "1",
    ]);
    let report = job.must(&mut command)?;
    if !report.contains("Status: PASS") {
        return Err(report);
    }
    // "Stats: Disk: 123.00M at 41.00MB/s"
    let disk = report.lines().find_map(|line| line.strip_prefix("Stats: Disk: "));
    Ok(disk.ok_or(&report)?.replace("at", "checked, at"))
}

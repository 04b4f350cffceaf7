//! fio: what tests/fio.rs does not do with it. Its patterns, the ways in which it
//! submits and reaps, and a crash in the midst of writing.

use crate::app::{App, BOTH, Figure};
use crate::job::Job;
use crate::support::fio::{jobs, moved};
use crate::support::run::End;
use std::fs;
use std::process::Command;
use std::time::Duration;

pub const APPS: &[App] = &[
    App {
        name: "fio",
        needs: &[("fio", "fio")],
        uses: "a context for each job, in its process or thread; io_getevents, or the ring \
               read in user space",
        set: "`ioengine=libaio`",
        verified: "checksums of 11 jobs: mixed sizes and depths, processes and threads, \
                   `userspace_reap`, batches, fsync, I/O priorities",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(120),
        run: patterns,
    },
    App {
        name: "fio, killed",
        needs: &[("fio", "fio")],
        uses: "as above",
        set: "as above",
        verified: "SIGKILL by `--trigger` while it writes; what it had seen completed is \
                   there, by its saved state",
        ways: BOTH,
        root: false,
        in_check: true,
        limit: Duration::from_secs(90),
        run: trigger,
    },
];

/// fio on libaio, in the job's directory.
pub fn command(job: &Job) -> Command {
    let mut fio = job.command("fio");
    fio.args(["--ioengine=libaio", "--output-format=json", "--eta=never"]);
    fio
}

pub fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Arguments that all jobs share, and then each job's own.
const PATTERNS: [&str; 11] = [
    "--rw=write --bs=64k --iodepth=16 --verify=crc32c --direct=1",
    "--rw=randwrite --bs=4k --iodepth=32 --verify=md5 --direct=1 --userspace_reap=1 \
     --iodepth_batch_complete_min=0",
    "--rw=randrw --bs=4k --iodepth=32 --verify=crc32c --direct=1 --numjobs=2",
    "--rw=randrw --bssplit=4k/50:16k/30:128k/20 --iodepth=64 --verify=xxhash --direct=1 \
     --thread --numjobs=2",
    "--rw=randwrite --bs=4k --iodepth=32 --verify=sha256 --direct=0 --fsync=64",
    "--rw=randwrite --bs=8k --iodepth=8 --verify=crc32c --direct=1 --fdatasync=16",
    "--rw=rw --bs=32k --iodepth=16 --verify=crc32c-intel --direct=0 --userspace_reap=1 \
     --iodepth_batch_complete_min=0",
    "--rw=randwrite --bs=4k --iodepth=64 --iodepth_batch_submit=16 --iodepth_batch_complete_min=8 \
     --iodepth_batch_complete_max=32 --verify=crc32c --direct=1",
    "--rw=randwrite --bs=4k --iodepth=32 --verify=pattern --verify_pattern=0xdeadface \
     --verify_async=2 --direct=1",
    "--rw=randwrite --bs=4k --iodepth=32 --verify=crc64 --verify_backlog=256 \
     --verify_backlog_batch=64 --direct=1",
    "--rw=randrw --bs=4k --iodepth=32 --verify=crc32c --direct=1 --cmdprio_percentage=50",
];

fn patterns(job: &Job) -> Result<Figure, String> {
    let mut bytes = 0;
    for (n, args) in PATTERNS.iter().enumerate() {
        let mut fio = command(job);
        fio.arg(format!("--name=p{n}"))
            .args(args.split_whitespace())
            .args(["--verify_fatal=1", "--verify_state_save=0", "--unlink=1"])
            .arg(format!("--size={}", job.pick("4m", "32m")));
        let done = jobs(&job.run(&mut fio)).map_err(|text| format!("{args}: {text}"))?;
        for one in &done {
            let (read, written) = moved(one);
            if read == 0 || written == 0 {
                return Err(format!("{args}: {read} bytes read, {written} written"));
            }
            bytes += read + written;
        }
    }
    Ok(format!("{} written and verified", mib(bytes)))
}

/// The job that is killed, and then asked what became of its writes.
fn crash_job(job: &Job) -> Command {
    let mut fio = command(job);
    fio.args(["--name=crash", "--filename=crash.dat", "--size=32m", "--bs=4k"])
        .args(["--rw=randwrite", "--direct=1", "--verify=crc32c", "--verify_fatal=1", "--thread"])
        .arg("--randseed=5");
    fio
}

fn trigger(job: &Job) -> Result<Figure, String> {
    let mut fio = crash_job(job);
    fio.args(["--do_verify=0", "--verify_state_save=1", "--trigger-timeout=1"])
        // All of a batch is waited for: its state is right only if nothing older than
        // the last 32 is in flight.
        .args(["--iodepth=32", "--iodepth_batch_submit=32", "--iodepth_batch_complete_min=32"])
        // In the midst of it after that second, whatever the disk is.
        .arg("--rate_iops=3000")
        // fio saves its state, and then its shell kills it.
        .arg("--trigger=kill -9 $PPID");
    let outcome = job.run(&mut fio);
    if outcome.end != End::Signal(9) {
        return Err(format!("not killed: {}\n{}{}", outcome.end, outcome.stderr, outcome.stdout));
    }
    let verify = |job: &Job| {
        let mut fio = crash_job(job);
        fio.args(["--verify_only=1", "--verify_state_load=1", "--iodepth=1"]);
        jobs(&job.run(&mut fio))
    };
    let done = verify(job)?;
    let read = done.iter().map(|one| moved(one).0).sum::<u64>();
    if read < 256 << 10 {
        return Err(format!("only {read} bytes had been written"));
    }
    // It can fail: a block that is not there is seen.
    let file = job.path("crash.dat");
    let mut data = fs::read(&file).map_err(|e| e.to_string())?;
    let block = (0..data.len()).step_by(4096).find(|at| data[*at..].starts_with(&[0xca, 0xac]));
    data[block.ok_or("nothing was written")? + 2048] ^= 1;
    fs::write(&file, data).map_err(|e| e.to_string())?;
    match verify(job) {
        Err(_) => Ok(format!("{} KiB verified after it", read >> 10)),
        Ok(_) => Err("a block that was damaged is verified as well".into()),
    }
}

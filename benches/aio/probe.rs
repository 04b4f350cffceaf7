//! What contexts cost, in a process of its own for each library and number.

use crate::bench::Bench;
use crate::floors;
use crate::job::{Job, Op};
use crate::library::{Aio, Context, Event};
use crate::measure::{cpu_time, number};
use crate::row::Row;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const NUMBERS: [usize; 3] = [1, 1000, 10_000];
/// Milliseconds of idling.
const IDLE: u64 = 2000;

/// What the child tells: how much more there is with the contexts.
#[derive(Serialize, Deserialize)]
struct Found {
    /// Of resident memory, in all.
    kib: f64,
    /// Of the contexts' rings.
    ring_kib: f64,
    fds: i64,
    threads: i64,
    idle_ms: f64,
}

pub fn name(contexts: usize) -> String {
    format!("memory of {contexts} contexts, KiB each")
}

pub fn run(bench: &Bench, contexts: usize) -> io::Result<Vec<Row>> {
    let file = bench.place.path("read.dat");
    bench.place.file("read.dat", crate::place::WIDE, 0)?;
    let ask = |library: &Path| -> io::Result<Found> {
        let out = Command::new("/proc/self/exe")
            .arg("--probe")
            .arg(contexts.to_string())
            .arg("--library")
            .arg(library)
            .arg("--dir")
            .arg(&file)
            .output()?;
        serde_json::from_slice(&out.stdout)
            .map_err(|_| io::Error::other(String::from_utf8_lossy(&out.stderr).into_owned()))
    };
    let ours = ask(&bench.our_path)?;
    let kernel = ask(&bench.kernel_path);
    let each = |found: &Found| found.kib / contexts as f64;
    let mut memory = Row::of_figures(name(contexts), kernel.as_ref().ok().map(each), each(&ours));
    memory.ratio = None;
    let beside = (ours.kib - ours.ring_kib) / contexts as f64;
    memory.note = format!(
        "ours: {} KiB beside the ring, {} descriptors, {} threads",
        number(beside),
        ours.fds,
        ours.threads
    );
    if let Err(e) = &kernel {
        memory.note += &format!("; kernel: {}", e.to_string().lines().last().unwrap_or(""));
    }
    if contexts > 1 {
        memory.demands.push(floors::memory(beside));
    }
    let name = format!("idle CPU of {contexts} contexts, ms a second");
    let mut idle = Row::of_figures(name, kernel.ok().map(|k| k.idle_ms), ours.idle_ms);
    idle.ratio = None;
    idle.demands.push(floors::idle(ours.idle_ms));
    Ok(vec![memory, idle])
}

/// In the child: prints `Found`.
///
/// # Errors
/// What refuses the contexts.
pub fn child(
    library: &Path,
    contexts: usize,
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let aio = Aio::load(library)?;
    let direct = libc::O_DIRECT;
    let file = OpenOptions::new().read(true).custom_flags(direct).open(file)?;
    let job = Job::new(file.into(), Op::Read, 4096, 0, 1, 1 << 20);
    let mut iocb = job.iocb(0);
    let mut event = [Event::default()];
    let mut all = Vec::with_capacity(contexts);
    let (kib, fds, threads) = (resident()?, entries("fd")?, entries("task")?);
    for _ in 0..contexts {
        let context = Context::new(aio, 1).map_err(|e| format!("io_setup: {e}"))?;
        // SAFETY: waited for in the next line.
        unsafe { context.submit_all(&mut [&raw mut iocb])? };
        assert_eq!(context.getevents(1, &mut event, None), 1, "io_getevents");
        all.push(context);
    }
    // Each ring is one page: 127 events.
    let found = Found {
        kib: resident()? - kib,
        ring_kib: 4.0 * contexts as f64,
        fds: entries("fd")? - fds,
        threads: entries("task")? - threads,
        idle_ms: idle(),
    };
    println!("{}", serde_json::to_string(&found)?);
    // io_destroy takes 32 ms each in the kernel: leave that to exit.
    std::mem::forget(all);
    Ok(())
}

fn idle() -> f64 {
    std::thread::sleep(Duration::from_millis(500));
    let before = cpu_time();
    std::thread::sleep(Duration::from_millis(IDLE));
    (cpu_time() - before) * 1e6 / IDLE as f64
}

fn entries(of: &str) -> io::Result<i64> {
    Ok(std::fs::read_dir(format!("/proc/self/{of}"))?.count() as i64)
}

/// KiB of resident memory, rings too.
fn resident() -> io::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|l| l.strip_prefix("Rss:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
    kib.ok_or_else(|| io::Error::other("no Rss in smaps_rollup"))
}

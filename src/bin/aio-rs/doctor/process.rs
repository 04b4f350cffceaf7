//! A running process: whether it is on aio-rs, and on which engine.

use super::program;
use super::report::{Finding, Level, Report};
use crate::library;
use procfs::process::{MMapPath, Process};
use std::path::{Path, PathBuf};

/// # Errors
/// There is no such process, or it is somebody else's.
pub fn examine(report: &mut Report, pid: i32) -> Result<(), String> {
    let process = Process::new(pid).map_err(|e| format!("process {pid}: {e}"))?;
    let maps = process.maps().map_err(|e| format!("process {pid} cannot be looked at: {e}"))?;
    let exe = process.exe().map_err(|e| format!("process {pid}: {e}"))?;
    report.fact("pid", pid);
    let mut files: Vec<PathBuf> = maps
        .iter()
        .filter_map(|map| match &map.pathname {
            MMapPath::Path(path) => Some(path.clone()),
            _ => None,
        })
        .collect();
    files.sort();
    files.dedup();
    // The process may have another root than we.
    let seen = |path: &Path| {
        let below = path.strip_prefix("/").unwrap_or(path);
        PathBuf::from(format!("/proc/{pid}/root")).join(below)
    };
    let is_library = |path: &&PathBuf| path.to_string_lossy().contains("libaio");
    let ours = files.iter().filter(is_library).find(|path| library::is_ours(&seen(path)));
    let kernels = files.iter().any(|path| path.starts_with("/[aio]"));
    report.fact("on_aio_rs", ours.is_some());
    let Some(ours) = ours else {
        let what = if kernels {
            format!("process {pid} ({}) uses kernel AIO", exe.display())
        } else {
            format!("process {pid} ({}) has not loaded aio-rs", exe.display())
        };
        report.add(Finding::new(
            Level::Problem,
            "process",
            what,
            "A running process cannot be moved: start it again by aio-rs run.",
        ));
        return program::examine_file(report, &seen(&exe));
    };
    report.fact("library", ours.display().to_string());
    let engine = engine(&process);
    report.fact("engine", engine);
    let what = format!("process {pid} ({}) is on {}", exe.display(), ours.display());
    match engine {
        None => report.add(Finding::new(
            Level::Note,
            "process",
            format!("{what}, and has made no context yet"),
            "Nothing to do: the engine is started by its first io_setup.",
        )),
        Some(engine) => report.good("process", format!("{what}, engine {engine}")),
    }
    if kernels {
        report.add(Finding::new(
            Level::Warning,
            "kernel-aio",
            format!("process {pid} also has contexts of the kernel's"),
            "It makes AIO system calls itself: see aio-rs doctor for its program.",
        ));
    }
    Ok(())
}

/// The engine, by the names of the library's threads.
fn engine(process: &Process) -> Option<&'static str> {
    let names: Vec<String> = process
        .tasks()
        .ok()?
        .flatten()
        .filter_map(|task| Some(task.stat().ok()?.comm))
        .filter(|name| name.starts_with("aio-rs-"))
        .collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    match (has("aio-rs-uring"), has("aio-rs-worker")) {
        (true, true) => Some("uring and threads"),
        (true, false) => Some("uring"),
        (false, true) => Some("threads"),
        (false, false) => None,
    }
}

//! `--all`: this program again for each engine and file system, where it can be
//! had. What is mounted is seen by these processes alone and goes with them.

use crate::args::Args;
use crate::results::Results;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Set in the process that has a mount namespace of its own.
const MARK: &str = "AIO_BENCH_NAMESPACE";
const DISK: u64 = 1 << 30;

/// What is asked of the engine of threads.
const THREADS: &[&str] = &[
    "cached read 512",
    "cached read 4k",
    "cached overwrite 4k",
    "direct read 4k",
    "direct overwrite 4k",
    "cold read",
];
const XFS: &[&str] = &[
    "cached read 4k",
    "cached overwrite 4k",
    "direct read 4k",
    "direct overwrite 4k",
    "cold read 64k",
    "write 1m",
    "direct extend",
    "fsync",
];
const TMPFS: &[&str] =
    &["cached read 4k", "cached overwrite 4k", "direct read 4k", "direct overwrite 4k", "write 1m"];
const DEVICE: &[&str] =
    &["cached read 4k", "cached overwrite 4k", "direct read 4k", "direct overwrite 4k"];

/// # Errors
/// What keeps the runs in the given directory from being made.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let me = env::current_exe()?;
    // SAFETY: no pointers.
    let root = unsafe { libc::geteuid() } == 0;
    if root && env::var_os(MARK).is_none() {
        let mut again = Command::new("unshare");
        again.args(["--mount", "--"]).arg(me).args(env::args_os().skip(1)).env(MARK, "1");
        let ok = again.status()?.success();
        return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let work = args.dir.join(format!("aio-bench-all-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let done = all(args, &me, &work);
    for mounted in ["xfs", "tmpfs"] {
        let _ = Command::new("umount").arg("--lazy").arg(work.join(mounted)).output();
    }
    let _ = fs::remove_dir_all(&work);
    done
}

fn all(args: &Args, me: &Path, work: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let mut results = Results::new(args.slices, args.length);
    let mut complete = true;
    let mut add = |dir: &Path, label: Option<&str>, engine: &str, rows: &[&str]| {
        let json = work.join("run.json");
        let mut child = Command::new(me);
        child.arg("--dir").arg(dir).args(["--engine", engine]).arg("--json").arg(&json);
        child.arg("--slices").arg(args.slices.to_string());
        child.arg("--length").arg(args.length.to_string());
        child.arg("--library").arg(&args.library);
        if let Some(system) = &args.system {
            child.arg("--system").arg(system);
        }
        if let Some(label) = label {
            child.args(["--label", label]);
        }
        child.args(if args.filter.is_empty() {
            rows.iter().map(|r| (*r).to_owned()).collect()
        } else {
            args.filter.clone()
        });
        complete &= child.status().is_ok_and(|s| s.success());
        if let Ok(one) = Results::read(&json) {
            results.runs.extend(one.runs);
        }
        let _ = fs::remove_file(json);
    };
    add(&args.dir, None, "uring", &[]);
    add(&args.dir, None, "threads", THREADS);
    match xfs(work) {
        Ok(dir) => add(&dir, Some("XFS on a loop device"), "uring", XFS),
        Err(e) => println!("\nno XFS: {e}"),
    }
    match mount(work, "tmpfs", &["-t", "tmpfs", "none"]) {
        Ok(dir) => add(&dir, Some("tmpfs"), "uring", TMPFS),
        Err(e) => println!("\nno tmpfs: {e}"),
    }
    match LoopDevice::new(work) {
        Ok(device) => add(&device.0, Some("loop device"), "uring", DEVICE),
        Err(e) => println!("\nno loop device: {e}"),
    }
    if let Some(path) = &args.json {
        results.write(path)?;
        println!("\nresults: {}", path.display());
    }
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn xfs(work: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let image = image(work, "xfs.img")?;
    let image = image.to_str().ok_or("a name")?;
    tool("mkfs.xfs", &["-q", image])?;
    mount(work, "xfs", &["-o", "loop", image])
}

fn mount(work: &Path, name: &str, args: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    if env::var_os(MARK).is_none() {
        return Err("only root can mount".into());
    }
    let at = work.join(name);
    fs::create_dir(&at)?;
    let mut args = args.to_vec();
    args.push(at.to_str().ok_or("a name")?);
    tool("mount", &args)?;
    Ok(at)
}

fn image(work: &Path, name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path = work.join(name);
    File::create(&path)?.set_len(DISK)?;
    Ok(path)
}

/// Detached when dropped.
struct LoopDevice(PathBuf);

impl LoopDevice {
    fn new(work: &Path) -> Result<Self, Box<dyn Error>> {
        let image = image(work, "loop.img")?;
        let device = tool("losetup", &["--show", "-f", image.to_str().ok_or("a name")?])?;
        Ok(Self(device.trim().into()))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).output();
    }
}

fn tool(name: &str, args: &[&str]) -> Result<String, Box<dyn Error>> {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let out = Command::new(name).args(args).env("PATH", path).output()?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&out.stderr).trim()).into())
}

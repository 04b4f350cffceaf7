//! File systems to test on: ext4, XFS on a loop device, and tmpfs. What is
//! mounted is seen by the test alone and goes with it, however it ends.

use super::run::run;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use tempfile::TempDir;

const SIZE: u64 = 640 << 20;
/// Set in the process that has namespaces of its own.
const MARK: &str = "AIO_TEST_NAMESPACE";

/// Runs this program again with mounts and processes of its own, that all end
/// with it, and gives its exit code; `None` in that process, and for users who may
/// not have that.
pub fn in_namespaces() -> Option<ExitCode> {
    if env::var_os(MARK).is_some() || !rustix::process::geteuid().is_root() {
        return None;
    }
    let me = env::current_exe().expect("this program");
    let status = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(me)
        .args(env::args_os().skip(1))
        .env(MARK, "1")
        .status()
        .ok()?;
    Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub struct Disks {
    /// By `NAMES`: where it is, or why there is none.
    paths: Vec<Result<PathBuf, String>>,
    _dir: TempDir,
}

impl Disks {
    pub const NAMES: [&str; 3] = ["ext4", "xfs", "tmpfs"];

    pub fn mount() -> Self {
        let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(here).expect("a directory to work in");
        let dir = tempfile::Builder::new().prefix("disks-").tempdir_in(here).expect("a directory");
        let ext4 = if kind_of(here) == "ext2/ext3" {
            Ok(dir.path().to_path_buf())
        } else {
            on_loop(dir.path(), "ext4")
        };
        let paths = vec![ext4, on_loop(dir.path(), "xfs"), tmpfs(dir.path())];
        Self { paths, _dir: dir }
    }

    /// # Errors
    /// Why there is no such disk here.
    pub fn path(&self, name: &str) -> Result<&Path, &str> {
        let at = Self::NAMES.iter().position(|n| *n == name).expect("a disk of ours");
        self.paths[at].as_deref().map_err(String::as_str)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for name in ["ext4", "xfs", "tmpfs"] {
            let at = self._dir.path().join(name);
            if at.exists() {
                let _ = Command::new("umount").arg("--lazy").arg(at).output();
            }
        }
    }
}

fn kind_of(path: &Path) -> String {
    let out = Command::new("stat").args(["-f", "-c", "%T"]).arg(path).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

fn on_loop(dir: &Path, kind: &str) -> Result<PathBuf, String> {
    let image = dir.join(format!("{kind}.img"));
    File::create(&image).and_then(|f| f.set_len(SIZE)).map_err(|e| e.to_string())?;
    tool(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image))?;
    mount(dir, kind, Command::new("mount").args(["-o", "loop"]).arg(image))
}

fn tmpfs(dir: &Path) -> Result<PathBuf, String> {
    mount(dir, "tmpfs", Command::new("mount").args(["-t", "tmpfs", "none"]))
}

fn mount(dir: &Path, name: &str, command: &mut Command) -> Result<PathBuf, String> {
    if env::var_os(MARK).is_none() {
        return Err("only root can mount".into());
    }
    let at = dir.join(name);
    fs::create_dir(&at).map_err(|e| e.to_string())?;
    tool(command.arg(&at))?;
    Ok(at)
}

fn tool(command: &mut Command) -> Result<(), String> {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let outcome = run(command.env("PATH", path), Duration::from_secs(60));
    if outcome.success() { Ok(()) } else { Err(format!("{command:?}: {}", outcome.stderr.trim())) }
}

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
    /// By `NAMES`: what is mounted (nothing where the directory itself will do), or
    /// why there is none.
    disks: [Result<Option<Mount>, String>; 3],
    dir: TempDir,
}

impl Disks {
    pub const NAMES: [&str; 3] = ["ext4", "xfs", "tmpfs"];

    pub fn mount() -> Self {
        let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(here).expect("a directory to work in");
        let dir = tempfile::Builder::new().prefix("disks-").tempdir_in(here).expect("a directory");
        let on_ext4 = kind_of(here) == "ext2/ext3";
        let disks = Self::NAMES.map(|name| match name {
            "ext4" if on_ext4 => Ok(None),
            _ => Mount::new(dir.path(), name).map(Some),
        });
        Self { disks, dir }
    }

    /// # Errors
    /// Why there is no such disk here.
    pub fn path(&self, name: &str) -> Result<&Path, &str> {
        let at = Self::NAMES.iter().position(|n| *n == name).expect("a disk of ours");
        match &self.disks[at] {
            Ok(mount) => Ok(mount.as_ref().map_or(self.dir.path(), Mount::path)),
            Err(why) => Err(why),
        }
    }
}

/// A file system below a directory, until this is dropped.
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// # Errors
    /// Why it cannot be had here.
    pub fn new(dir: &Path, kind: &str) -> Result<Self, String> {
        let mut command = Command::new("mount");
        match kind {
            "tmpfs" => {
                command.args(["-t", "tmpfs", "none"]);
            }
            "overlay" => {
                let part = |name: &str| {
                    let path = dir.join(format!("overlay-{name}"));
                    fs::create_dir(&path).map_err(|e| e.to_string())?;
                    Ok::<_, String>(format!("{name}dir={}", path.display()))
                };
                let parts = [part("lower")?, part("upper")?, part("work")?];
                command.args(["-t", "overlay", "none", "-o", &parts.join(",")]);
            }
            "fuse" => {
                command = Command::new("fuse2fs");
                command.arg(image(dir, kind, "ext4")?);
            }
            _ => {
                command.args(["-o", "loop"]).arg(image(dir, kind, kind)?);
            }
        }
        Self::by(&dir.join(kind), &mut command)
    }

    /// What is there already, at another place, too.
    ///
    /// # Errors
    /// Why it cannot be had here.
    pub fn bind(what: &Path, at: &Path) -> Result<Self, String> {
        Self::by(at, Command::new("mount").arg("--bind").arg(what))
    }

    /// No more writing.
    ///
    /// # Errors
    /// Somebody still writes.
    pub fn make_read_only(&self) -> Result<(), String> {
        tool(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.at))
    }

    fn by(at: &Path, command: &mut Command) -> Result<Self, String> {
        if env::var_os(MARK).is_none() {
            return Err("only root can mount".into());
        }
        fs::create_dir_all(at).map_err(|e| e.to_string())?;
        tool(command.arg(at))?;
        Ok(Self { at: at.to_path_buf() })
    }

    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = tool(Command::new("umount").arg("--lazy").arg(&self.at));
    }
}

/// A file with an empty file system.
fn image(dir: &Path, name: &str, kind: &str) -> Result<PathBuf, String> {
    let image = dir.join(format!("{name}.img"));
    File::create(&image).and_then(|f| f.set_len(SIZE)).map_err(|e| e.to_string())?;
    tool(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image))?;
    Ok(image)
}

fn kind_of(path: &Path) -> String {
    let out = Command::new("stat").args(["-f", "-c", "%T"]).arg(path).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

fn tool(command: &mut Command) -> Result<(), String> {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let outcome = run(command.env("PATH", path), Duration::from_secs(60));
    if outcome.success() { Ok(()) } else { Err(format!("{command:?}: {}", outcome.stderr.trim())) }
}

//! The same verified fio job where little is allowed, and on other file systems.

use crate::app::{App, BOTH, Figure};
use crate::confine::Confinement;
use crate::fio::mib;
use crate::job::Job;
use crate::support::artefacts::Artefacts;
use crate::support::disks::Mount;
use crate::support::fio::{jobs, moved};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const fn restricted(
    name: &'static str,
    verified: &'static str,
    in_check: bool,
    run: fn(&Job) -> Result<Figure, String>,
) -> App {
    App {
        name,
        needs: &[("fio", "fio")],
        uses: "as fio",
        set: "-",
        verified,
        ways: BOTH,
        root: true,
        in_check,
        limit: Duration::from_secs(120),
        run,
    }
}

pub const APPS: &[App] = &[
    restricted(
        "fio without io_uring",
        "EPERM for io_uring by seccomp, as Docker's default profile has it: both engines' runs \
         take the threads",
        true,
        without_uring,
    ),
    restricted("fio, RLIMIT_NOFILE 64", "64 descriptors", true, few_files),
    restricted(
        "fio, RLIMIT_NPROC",
        "another user who may have 8 processes and threads in all",
        true,
        few_processes,
    ),
    restricted(
        "fio in a memory cgroup",
        "buffered, 64 MiB of files in a group that may have 32 MiB",
        false,
        little_memory,
    ),
    restricted(
        "fio in a user namespace",
        "an unprivileged user, with no capability outside",
        true,
        user_namespace,
    ),
    restricted("fio in a chroot", "a root directory without /proc and /sys", true, chroot),
    App {
        needs: &[
            ("fio", "fio"),
            ("xfsprogs", "mkfs.xfs"),
            ("btrfs-progs", "mkfs.btrfs"),
            ("fuse2fs", "fuse2fs"),
        ],
        ..restricted(
            "fio, file systems",
            "O_DIRECT and buffered on overlayfs, FUSE, XFS, btrfs, tmpfs; reads of a read-only \
             mount",
            false,
            file_systems,
        )
    },
];

/// Completes the command line, and judges what it did.
fn verified(job: &Job, fio: &mut Command, more: &[&str]) -> Result<u64, String> {
    fio.args(["--ioengine=libaio", "--output-format=json", "--eta=never", "--name=j"])
        .args(["--rw=randrw", "--bs=4k", "--size=8m", "--iodepth=32", "--direct=1"])
        .args(["--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0"])
        .args(more);
    let mut bytes = 0;
    for one in jobs(&job.run(fio))? {
        let (read, written) = moved(&one);
        if read == 0 {
            return Err("nothing was read".into());
        }
        bytes += read + written;
    }
    Ok(bytes)
}

fn verified_figure(job: &Job, fio: &mut Command, more: &[&str]) -> Result<Figure, String> {
    verified(job, fio, more).map(mib)
}

fn without_uring(job: &Job) -> Result<Figure, String> {
    let rules = Confinement { refuse_uring: true, ..Confinement::default() };
    verified_figure(job, &mut job.confined("fio", rules), &["--numjobs=2"])
}

fn few_files(job: &Job) -> Result<Figure, String> {
    verified_figure(job, job.command("prlimit").args(["--nofile=64", "fio"]), &["--numjobs=2"])
}

/// A place that all users can reach and write to, with the library in it.
struct Open {
    // The mount goes first.
    mount: Mount,
    _at: tempfile::TempDir,
    _dir: tempfile::TempDir,
}

impl Open {
    fn new(job: &Job) -> Result<Self, String> {
        let dir = tempfile::tempdir_in(job.dir).map_err(|e| e.to_string())?;
        let at = tempfile::tempdir().map_err(|e| e.to_string())?;
        // Nobody but this process and its children sees it there.
        let mount = Mount::bind(dir.path(), at.path())?;
        fs::set_permissions(mount.path(), fs::Permissions::from_mode(0o777))
            .map_err(|e| e.to_string())?;
        let ours = Artefacts::get();
        for file in [ours.preload(), ours.drop_in_dir().join("libaio.so.1")] {
            let name = file.file_name().expect("a file");
            fs::copy(&file, mount.path().join(name)).map_err(|e| e.to_string())?;
        }
        Ok(Self { mount, _at: at, _dir: dir })
    }

    /// The same command, with what it loads from there.
    fn command(&self, job: &Job, program: &str) -> Command {
        let mut command = job.command(program);
        let loads = |name: &str| {
            command.get_envs().find(|(key, value)| *key == name && value.is_some()).is_some()
        };
        let (preloads, drops_in) = (loads("LD_PRELOAD"), loads("LD_LIBRARY_PATH"));
        command.current_dir(self.mount.path());
        if preloads {
            command.env("LD_PRELOAD", self.mount.path().join("libaio-rs-preload.so"));
        }
        if drops_in {
            command.env("LD_LIBRARY_PATH", self.mount.path());
        }
        command
    }
}

/// A user that nobody is, so that its processes can be counted.
const USER: [&str; 4] = ["--reuid=54321", "--regid=54321", "--clear-groups", "--"];

fn few_processes(job: &Job) -> Result<Figure, String> {
    let open = Open::new(job)?;
    let mut fio = open.command(job, "setpriv");
    fio.args(USER).args(["prlimit", "--nproc=8", "fio"]);
    verified_figure(job, &mut fio, &[])
}

fn user_namespace(job: &Job) -> Result<Figure, String> {
    let open = Open::new(job)?;
    let mut fio = open.command(job, "setpriv");
    fio.args(USER).args(["unshare", "--user", "fio"]);
    verified_figure(job, &mut fio, &["--numjobs=2"])
}

/// A control group that is removed again; version 1 or 2, whichever has memory.
struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    fn new(bytes: u64) -> Result<Self, String> {
        let name = format!("aio-rs-{}", std::process::id());
        let roots =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        let mut why = String::new();
        for (root, limit) in roots {
            let path = Path::new(root).join(&name);
            if let Err(e) = fs::create_dir(&path) {
                why += &format!("{}: {e}\n", path.display());
                continue;
            }
            let group = Self { path };
            match fs::write(group.path.join(limit), bytes.to_string()) {
                Ok(()) => return Ok(group),
                Err(e) => why += &format!("{}: {e}\n", group.path.display()),
            }
        }
        Err(why)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

fn little_memory(job: &Job) -> Result<Figure, String> {
    let group = MemoryGroup::new(32 << 20)?;
    let mut fio = job.command("sh");
    fio.arg("-c").arg("echo $$ > $0/cgroup.procs && exec \"$@\"").arg(&group.path).arg("fio");
    verified_figure(job, &mut fio, &["--size=32m", "--numjobs=2", "--direct=0", "--fsync=512"])
}

/// A directory that is never removed with what is in it: the host's own are bound
/// there.
struct Root {
    mounts: Vec<Mount>,
    dir: PathBuf,
}

impl Root {
    fn new() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?.keep();
        let mut root = Self { mounts: Vec::new(), dir };
        root.mounts.push(Mount::new(&root.dir, "tmpfs")?);
        Ok(root)
    }

    fn path(&self) -> &Path {
        self.mounts[0].path()
    }

    fn bind(&mut self, dir: &Path) -> Result<(), String> {
        let at = self.path().join(dir.strip_prefix("/").expect("absolute"));
        self.mounts.push(Mount::bind(dir, &at)?);
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        while self.mounts.pop().is_some() {}
        // Fail where something is still mounted.
        let _ = fs::remove_dir(self.dir.join("tmpfs"));
        let _ = fs::remove_dir(&self.dir);
    }
}

fn chroot(job: &Job) -> Result<Figure, String> {
    let open = Open::new(job)?;
    let mut root = Root::new()?;
    // The links that merged distributions have are followed.
    for dir in ["/usr", "/bin", "/lib", "/lib64", "/dev", "/tmp"].map(Path::new) {
        if dir.exists() {
            root.bind(dir)?;
        }
    }
    let here = open.mount.path();
    root.bind(here)?;
    let mut fio = open.command(job, "chroot");
    fio.arg(root.path()).args(["sh", "-c", "cd $0 && [ ! -e /proc ] && exec \"$@\""]);
    fio.arg(here).arg("fio");
    verified_figure(job, &mut fio, &["--numjobs=2"])
}

fn file_systems(job: &Job) -> Result<Figure, String> {
    let mut bytes = 0;
    for kind in ["overlay", "fuse", "xfs", "btrfs", "tmpfs"] {
        let mount = Mount::new(job.dir, kind)?;
        for direct in ["--direct=1", "--direct=0"] {
            let mut fio = job.command("fio");
            fio.current_dir(mount.path());
            let more = [direct, "--numjobs=2", "--unlink=1"];
            bytes += verified(job, &mut fio, &more).map_err(|e| format!("{kind} {direct}: {e}"))?;
        }
        if kind == "xfs" {
            bytes += read_only(job, &mount).map_err(|e| format!("read-only: {e}"))?;
        }
    }
    Ok(mib(bytes))
}

fn read_only(job: &Job, mount: &Mount) -> Result<u64, String> {
    let on_it = || {
        let mut fio = job.command("fio");
        fio.current_dir(mount.path());
        fio
    };
    verified(job, &mut on_it(), &["--rw=write"])?;
    mount.make_read_only()?;
    verified(job, &mut on_it(), &["--rw=randread", "--readonly"])
}

//! The machine: kernel, io_uring, and the host's limit of kernel AIO.

use super::report::{Finding, Level, Report};
use io_uring::{IoUring, Probe, opcode};
use procfs::process::{MMapPath, Process, all_processes};
use std::fs;
use std::io;

pub fn examine(report: &mut Report) {
    kernel(report);
    io_uring(report);
    kernel_aio(report);
}

fn kernel(report: &mut Report) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    report.fact("kernel", release.as_str());
    let version = version(&release);
    let what = format!("Linux {release}");
    if version >= (6, 8) {
        report.good("kernel", what);
    } else if version >= (5, 9) {
        let advice = "The engine of threads serves here; io_uring as it is used needs Linux 6.8.";
        report.add(Finding::new(Level::Note, "kernel", what, advice));
    } else {
        let advice = "Use Linux 5.9 or newer, better 6.8.";
        report.add(Finding::new(Level::Problem, "kernel", what, advice));
    }
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn io_uring(report: &mut Report) {
    let refused = match usable() {
        Ok(true) => {
            report.fact("io_uring", "usable");
            return report.good("io_uring", "io_uring can be used");
        }
        Ok(false) => {
            report.fact("io_uring", "too old");
            let what = "io_uring is there, but without what came with Linux 6.7 and 6.8";
            let advice = "Nothing has to be done: threads do the I/O. A newer kernel is faster.";
            return report.add(Finding::new(Level::Note, "io_uring", what, advice));
        }
        Err(e) => e,
    };
    let (reason, advice) = why(&refused);
    report.fact("io_uring", reason.as_str());
    let what = format!("io_uring cannot be used: {reason} ({refused})");
    report.add(Finding::new(Level::Note, "io_uring", what, advice));
}

/// Whether it has all that the engine needs.
fn usable() -> io::Result<bool> {
    let ring = IoUring::new(2)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    Ok([opcode::FutexWait::CODE, opcode::FixedFdInstall::CODE]
        .iter()
        .all(|&code| probe.is_supported(code)))
}

/// Who refuses io_uring to this process, and what to do about it.
fn why(refused: &io::Error) -> (String, String) {
    let disabled = sysctl("kernel/io_uring_disabled");
    let filtered = Process::myself().and_then(|p| p.status()).is_ok_and(|s| s.seccomp == Some(2));
    let threads = "Without it threads do the I/O.";
    match (refused.raw_os_error(), disabled) {
        (Some(libc::EPERM), Some(2)) => (
            "kernel.io_uring_disabled is 2".into(),
            format!("sysctl kernel.io_uring_disabled=0 allows it to everybody. {threads}"),
        ),
        (Some(libc::EPERM), Some(1)) => {
            let group = sysctl("kernel/io_uring_group").filter(|group| *group >= 0);
            let group = group.map_or("kernel.io_uring_group names none".into(), |g| {
                format!("this process is not in group {g}, see kernel.io_uring_group")
            });
            (
                format!("kernel.io_uring_disabled is 1, and {group}"),
                format!("Add the user to a group that is allowed, or set it to 0. {threads}"),
            )
        }
        (Some(libc::EPERM | libc::ENOSYS | libc::EACCES), _) if filtered => (
            "a seccomp filter refuses io_uring_setup".into(),
            format!(
                "Allow io_uring_setup, io_uring_enter and io_uring_register in the profile of \
                 the container or service (Docker: --security-opt seccomp=FILE; systemd: \
                 SystemCallFilter=@io-uring). {threads}"
            ),
        ),
        (Some(libc::ENOSYS), _) => (
            "the kernel does not have it".into(),
            format!("Use a kernel with CONFIG_IO_URING; gVisor has none. {threads}"),
        ),
        (Some(libc::EPERM | libc::EACCES), _) => (
            "a security module refuses it".into(),
            format!("Look for io_uring in the log of SELinux or AppArmor. {threads}"),
        ),
        (Some(libc::ENOMEM), _) => (
            "no memory may be locked for its rings".into(),
            format!("Raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=). {threads}"),
        ),
        (Some(libc::EMFILE | libc::ENFILE), _) => (
            "there is no descriptor free".into(),
            format!("Raise RLIMIT_NOFILE (ulimit -n, LimitNOFILE=). {threads}"),
        ),
        _ => ("the kernel refuses it".into(), threads.into()),
    }
}

fn sysctl(name: &str) -> Option<i64> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

/// The limit that programs on kernel AIO share, how far it is used, and by whom.
fn kernel_aio(report: &mut Report) {
    let (Some(max), Some(used)) = (sysctl("fs/aio-max-nr"), sysctl("fs/aio-nr")) else {
        let advice = "Nothing to do: programs on aio-rs do not need it.";
        let what = "this kernel has no AIO of its own";
        return report.add(Finding::new(Level::Note, "aio-max-nr", what, advice));
    };
    report.fact("aio_max_nr", max);
    report.fact("aio_nr", used);
    let users = users();
    report.fact("aio_users", serde_json::json!(users));
    let mut what = format!("kernel AIO: fs.aio-nr is {used} of fs.aio-max-nr {max}");
    if let Some(most) = users.first() {
        what +=
            &format!("; most by {} ({}, rings for {} events)", most.name, most.pid, most.events);
    }
    if used * 10 < max * 9 {
        return report.good("aio-max-nr", what);
    }
    let advice = "Programs on kernel AIO are about to be refused (EAGAIN): raise fs.aio-max-nr, \
                  or run the largest of them by aio-rs run, which does not count there.";
    report.add(Finding::new(Level::Warning, "aio-max-nr", what, advice));
}

#[derive(serde::Serialize)]
struct User {
    pid: i32,
    name: String,
    events: u64,
}

/// Processes with contexts of the kernel's, by what their rings have room for;
/// as far as they can be looked at.
fn users() -> Vec<User> {
    let events = |process: &Process| {
        let maps = process.maps().ok()?;
        let rings = maps
            .iter()
            .filter(|map| matches!(&map.pathname, MMapPath::Path(p) if p.starts_with("/[aio]")));
        let bytes: u64 = rings.map(|map| map.address.1 - map.address.0).sum();
        (bytes > 0).then_some(bytes / 32)
    };
    let mut users: Vec<User> = all_processes()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|process| {
            let events = events(&process)?;
            let name = process.stat().ok()?.comm;
            Some(User { pid: process.pid, name, events })
        })
        .collect();
    users.sort_by_key(|user| std::cmp::Reverse(user.events));
    users
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("6.18.44-fc-v669"), (6, 18));
        assert_eq!(version("5.9-rc1"), (5, 9));
    }
}

//! What the log says of a refusal: what was needed, what there is, and what to
//! change.

use crate::errno::Errno;
use crate::sys;
use std::fmt::{Display, Formatter, Result};

/// io_uring was refused.
pub struct Uring(pub Errno);

/// Threads were refused, or a descriptor of theirs.
pub struct Threads(pub Errno);

const CALLS: &str = "io_uring_setup, io_uring_enter and io_uring_register";

impl Display for Uring {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let disabled = sys::read_number(c"/proc/sys/kernel/io_uring_disabled").unwrap_or(0);
        match self.0.0 {
            libc::EPERM if disabled == 1 => {
                f.write_str("kernel.io_uring_disabled is 1 and this process is not in the group ")?;
                f.write_str("kernel.io_uring_group: join it, or set the former to 0")
            }
            libc::EPERM if disabled > 1 => {
                write!(
                    f,
                    "kernel.io_uring_disabled is {disabled}: sysctl kernel.io_uring_disabled=0"
                )
            }
            libc::EPERM | libc::EACCES => {
                write!(f, "a seccomp profile, as Docker's, or a security module: allow {CALLS}")
            }
            libc::ENOSYS => {
                write!(f, "a kernel without it, or a seccomp profile that hides it: allow {CALLS}")
            }
            libc::EINVAL => f.write_str("Linux 6.8 is needed, and this one is older"),
            libc::ENOMEM => {
                f.write_str("no memory may be locked: raise RLIMIT_MEMLOCK (ulimit -l)")
            }
            _ => Threads(self.0).fmt(f),
        }
    }
}

impl Display for Threads {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match self.0.0 {
            libc::EMFILE => {
                let limit = sys::rlimit_nofile();
                write!(
                    f,
                    "all descriptors of RLIMIT_NOFILE={limit} are in use: raise it (ulimit -n)"
                )
            }
            libc::EAGAIN => {
                f.write_str("no thread can be started: raise RLIMIT_NPROC (ulimit -u), or ")?;
                f.write_str("pids.max of the control group")
            }
            libc::ENOMEM => {
                f.write_str("no memory: raise RLIMIT_AS (ulimit -v) or vm.max_map_count")
            }
            libc::EPERM | libc::EACCES | libc::ENOSYS => {
                f.write_str("a seccomp profile or a security module refuses a system call")
            }
            _ => f.write_str("see docs/troubleshooting.md"),
        }
    }
}

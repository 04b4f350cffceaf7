//! The page's place: a file in /dev/shm that its owner alone can read.
//!
//! A file, and not a memfd: daemons close all descriptors, and the mapping of a
//! closed memfd can be opened by root alone. The mapping stays when the program
//! changes its root or its user. A forked child makes one of its own; it keeps the
//! parent's mapped, for calls that it is in the middle of. A new image (exec) makes
//! it anew under the same name.

use super::Counters;
use super::page::{DIRECTORY, MAGIC, PREFIX, Page, SIZE, VERSION};
use crate::errno::Errno;
use crate::logging::Line;
use crate::sys;
use std::ffi::CStr;
use std::fmt::Write;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// A page that counts from now on; one that nobody sees, if it cannot be shared.
///
/// # Errors
/// ENOMEM.
pub fn page() -> Result<&'static Counters, Errno> {
    let id = Identity::own();
    let memory = id.map_file().or_else(|why| {
        log::warn!("statistics: no page in {DIRECTORY} ({why}): aio-rs top does not see it");
        sys::mmap_anon(SIZE, libc::MAP_PRIVATE)
    })?;
    // SAFETY: a mapping of ours, large enough, zeroed, never unmapped.
    let page = unsafe { &*memory.cast::<Counters>() };
    page.pid.store(id.pid, Relaxed);
    page.start_time.store(id.start_time, Relaxed);
    page.pid_namespace.store(id.pid_namespace, Relaxed);
    page.since.store(sys::boot_time_ns(), Relaxed);
    page.version.store(VERSION, Relaxed);
    // Release: whoever sees it sees the rest.
    page.magic.store(MAGIC, Release);
    Ok(page)
}

/// Removes this process's page, once. None: it is gone, or a parent's whose memory
/// we share.
pub fn remove(page: &Counters) -> Option<Page<u64>> {
    let id = Identity::own();
    let copy = page.read();
    page.pid.compare_exchange(id.pid, 0, Relaxed, Relaxed).ok()?;
    id.unlink();
    Some(copy)
}

/// What tells a process from all others, as it is seen from inside.
struct Identity {
    pid: u64,
    start_time: u64,
    pid_namespace: u64,
    path: Line<64>,
}

impl Identity {
    fn own() -> Self {
        // SAFETY: no memory is passed.
        let (pid, uid) = unsafe { (crate::sys!(getpid), crate::sys!(geteuid)) };
        let (pid, uid) = (pid.unwrap_or(0) as u64, uid.unwrap_or(0));
        let start_time = sys::start_time();
        let mut path = Line::new();
        let _ = write!(path, "{DIRECTORY}/{PREFIX}{uid}.{pid}.{start_time}\0");
        Self { pid, start_time, pid_namespace: sys::pid_namespace(), path }
    }

    fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(self.path.bytes()).unwrap_or(c"")
    }

    fn unlink(&self) {
        let path = self.path();
        // SAFETY: the path is NUL-terminated.
        let _ = unsafe { crate::sys!(unlinkat, libc::AT_FDCWD, path.as_ptr(), 0) };
    }

    /// # Errors
    /// No /dev/shm, no room there, or not for us.
    fn map_file(&self) -> Result<*mut std::ffi::c_void, Errno> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
        let path = self.path();
        let create = || {
            // SAFETY: the path is NUL-terminated.
            unsafe { crate::sys!(openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600) }
        };
        let fd = create().or_else(|e| match e {
            // What this process has left behind before it called exec.
            Errno(libc::EEXIST) => {
                self.unlink();
                create()
            }
            e => Err(e),
        })? as i32;
        // The pages are taken now: later, a full /dev/shm would be a SIGBUS.
        // SAFETY: a descriptor and numbers.
        let mapped = unsafe { crate::sys!(fallocate, fd, 0, 0, SIZE) }
            .and_then(|_| sys::map_shared(fd, SIZE));
        sys::close(fd);
        mapped.inspect_err(|_| self.unlink())
    }
}

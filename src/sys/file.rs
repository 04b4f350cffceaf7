//! Descriptors: what they name, reading, writing and polling.

use super::SigSet;
use super::wait::time_left;
use crate::errno::Errno;
use crate::sys;
use std::ffi::c_int;
use syscalls::Sysno;

/// fcntl(fd, F_GETFL)
pub fn getfl(fd: c_int) -> Result<c_int, Errno> {
    // SAFETY: no memory is passed.
    unsafe { sys!(fcntl, fd, libc::F_GETFL) }.map(|f| f as c_int)
}

/// close(2) of a descriptor of ours.
pub fn close(fd: c_int) {
    // SAFETY: no memory is passed; the number is ours by the caller's word.
    let _ = unsafe { sys!(close, fd) };
}

/// What a file is.
pub struct Stat {
    pub mode: libc::mode_t,
    pub dev: u64,
    pub ino: u64,
    pub rdev: u64,
    pub size: i64,
}

impl Stat {
    pub fn file_type(&self) -> libc::mode_t {
        self.mode & libc::S_IFMT
    }

    pub fn id(&self) -> FileId {
        FileId { dev: self.dev, ino: self.ino }
    }
}

/// fstat(2), without the times: once somebody has seen them the next write has to
/// change them (multigrain timestamps, Linux 6.13), and one that must not wait
/// is refused.
///
/// # Errors
/// EBADF.
pub fn stat(fd: c_int) -> Result<Stat, Errno> {
    let mask = libc::STATX_TYPE | libc::STATX_INO | libc::STATX_SIZE;
    let mut x = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the kernel fills the structure; all zeroes is a valid one.
    let x = unsafe {
        match sys!(statx, fd, c"".as_ptr(), libc::AT_EMPTY_PATH, mask, x.as_mut_ptr()) {
            Ok(_) => x.assume_init(),
            // A sandbox that was made for fstat.
            Err(Errno(libc::ENOSYS | libc::EPERM | libc::EACCES)) => return fstat(fd),
            Err(e) => return Err(e),
        }
    };
    Ok(Stat {
        mode: x.stx_mode.into(),
        dev: libc::makedev(x.stx_dev_major, x.stx_dev_minor),
        ino: x.stx_ino,
        rdev: libc::makedev(x.stx_rdev_major, x.stx_rdev_minor),
        size: x.stx_size as i64,
    })
}

#[cold]
fn fstat(fd: c_int) -> Result<Stat, Errno> {
    let mut st = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: as above.
    let st = unsafe {
        sys!(fstat, fd, st.as_mut_ptr())?;
        st.assume_init()
    };
    Ok(Stat {
        mode: st.st_mode,
        dev: st.st_dev,
        ino: st.st_ino,
        rdev: st.st_rdev,
        size: st.st_size,
    })
}

/// The file system's magic number (fstatfs).
pub fn fs_magic(fd: c_int) -> Result<i64, Errno> {
    let mut st = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: as for `stat`.
    unsafe {
        sys!(fstatfs, fd, st.as_mut_ptr())?;
        Ok(st.assume_init().f_type)
    }
}

/// The events that are ready on `fd` right now (poll with no wait).
pub fn poll_now(fd: c_int, events: i16) -> Result<i16, Errno> {
    let mut p = libc::pollfd { fd, events, revents: 0 };
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        // SAFETY: both structures live through the call.
        match unsafe { sys!(ppoll, &raw mut p, 1usize, &raw const zero, 0usize, 8usize) } {
            // Also without waiting, when a signal is pending.
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
            Ok(_) => break,
        }
    }
    Ok(p.revents)
}

/// preadv2(2) / pwritev2(2), by `write`. `iov` may hold any addresses: bad ones
/// are EFAULT.
///
/// # Safety
/// `iov` points to `n` readable iovecs. A read writes to where they point, so
/// the caller must have been given those buffers for that.
pub unsafe fn rwv2(
    write: bool,
    fd: c_int,
    iov: *const libc::iovec,
    n: usize,
    pos: i64,
    flags: u32,
) -> Result<usize, Errno> {
    let nr = if write { Sysno::pwritev2 } else { Sysno::preadv2 };
    // SAFETY: passed on from the caller.
    unsafe { syscalls::syscall!(nr, fd, iov, n, pos, 0usize, flags) }
        .map_err(|e| Errno(e.into_raw()))
}

/// A transfer of no bytes that reaches the file: preadv2 and pwritev2 stop before
/// it. It does not wait.
pub fn rw_nothing(write: bool, fd: c_int, no_signal: bool) -> Result<usize, Errno> {
    if !write {
        // SAFETY: nothing is stored.
        return unsafe { sys!(read, fd, 0usize, 0usize) };
    }
    let flags = libc::MSG_DONTWAIT | if no_signal { libc::MSG_NOSIGNAL } else { 0 };
    // SAFETY: nothing is read.
    match unsafe { sys!(sendto, fd, 0usize, 0usize, flags, 0usize, 0usize) } {
        // SAFETY: as above.
        Err(Errno(libc::ENOTSOCK)) => unsafe { sys!(write, fd, 0usize, 0usize) },
        answer => answer,
    }
}

/// write(2) to a descriptor, from memory of ours.
pub fn write(fd: c_int, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is readable.
    unsafe { sys!(write, fd, bytes.as_ptr(), bytes.len()) }
}

/// fsync(2) or fdatasync(2)
pub fn fsync(fd: c_int, data_only: bool) -> Result<(), Errno> {
    let nr = if data_only { Sysno::fdatasync } else { Sysno::fsync };
    // SAFETY: no memory is passed.
    unsafe { syscalls::syscall!(nr, fd) }.map(|_| ()).map_err(|e| Errno(e.into_raw()))
}

/// RLIMIT_FSIZE, when it limits.
pub fn rlimit_fsize() -> Option<u64> {
    let mut r = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives through the call.
    unsafe { sys!(prlimit64, 0, libc::RLIMIT_FSIZE, 0usize, &raw mut r) }.ok()?;
    (r.rlim_cur != libc::RLIM64_INFINITY).then_some(r.rlim_cur)
}

/// Waits until `fd` is readable, with `mask` in force.
///
/// # Errors
/// EINTR: a signal handler ran. ETIMEDOUT: CLOCK_MONOTONIC reached `deadline`.
pub fn ppoll_one(fd: c_int, deadline: Option<libc::timespec>, mask: SigSet) -> Result<(), Errno> {
    let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let left = deadline.map(time_left);
    let left = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: all structures live through the call.
    match unsafe { sys!(ppoll, &raw mut p, 1usize, left, &raw const mask, 8usize) } {
        Ok(0) => Err(Errno::ETIMEDOUT),
        Ok(_) => Ok(()),
        Err(e) => Err(e),
    }
}

/// What tells one open file's inode from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileId {
    pub dev: u64,
    pub ino: u64,
}

pub fn file_id(fd: c_int) -> Result<FileId, Errno> {
    stat(fd).map(|st| st.id())
}

/// Closes a descriptor of ours that is in the program's table, unless the program
/// has closed it and used the number again.
pub fn close_if_ours(fd: c_int, id: FileId) {
    if fd >= 0 && file_id(fd) == Ok(id) {
        close(fd);
    }
}

/// The soft RLIMIT_NOFILE.
pub fn rlimit_nofile() -> u32 {
    let mut r = libc::rlimit64 { rlim_cur: 1024, rlim_max: 0 };
    // SAFETY: the structure lives through the call.
    let _ = unsafe { sys!(prlimit64, 0, libc::RLIMIT_NOFILE, 0usize, &raw mut r) };
    u32::try_from(r.rlim_cur).unwrap_or(u32::MAX)
}

/// A copy of `fd` with a number out of the program's way: above what it uses and
/// what select can hold, where RLIMIT_NOFILE allows; not so high that the
/// kernel's table grows much.
///
/// # Errors
/// EMFILE.
pub fn dup_high(fd: c_int) -> Result<c_int, Errno> {
    let high = rlimit_nofile().saturating_sub(16).min(4000);
    // SAFETY: no memory is passed.
    let dup = |from: u32| unsafe { sys!(fcntl, fd, libc::F_DUPFD_CLOEXEC, from) };
    dup(high).or_else(|_| dup(high / 2)).or_else(|_| dup(0)).map(|n| n as c_int)
}

/// Gives the calling thread a descriptor table of its own, with only `fd` in it.
///
/// # Errors
/// ENOSYS (before Linux 5.9), EPERM (seccomp), ENOMEM.
pub fn keep_only_fd(fd: c_int) -> Result<(), Errno> {
    const CLOSE_RANGE_UNSHARE: u32 = 2;
    // SAFETY: no memory is passed; the table is the thread's own from the first
    // call on.
    unsafe {
        sys!(close_range, fd as u32 + 1, u32::MAX, CLOSE_RANGE_UNSHARE)?;
        if fd > 0 {
            sys!(close_range, 0, fd as u32 - 1, 0)?;
        }
    }
    Ok(())
}

/// statx(2)'s word on RWF_ATOMIC for this file.
pub fn can_write_atomically(fd: c_int) -> bool {
    const STATX_WRITE_ATOMIC: u32 = 0x1_0000;
    /// Where `stx_atomic_write_unit_max` lies (Linux 6.11).
    const UNIT_MAX: usize = 0xac / 4;
    let mut stx = [0u32; 64];
    // SAFETY: struct statx has 256 bytes, as the array.
    let r = unsafe {
        sys!(statx, fd, c"".as_ptr(), libc::AT_EMPTY_PATH, STATX_WRITE_ATOMIC, stx.as_mut_ptr())
    };
    r.is_ok() && stx[0] & STATX_WRITE_ATOMIC != 0 && stx[UNIT_MAX] != 0
}

/// A socket's SO_RCVTIMEO or SO_SNDTIMEO.
pub fn socket_timeval(fd: c_int, option: c_int) -> Option<libc::timeval> {
    let mut t = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut len = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: the value and its length live through the call.
    unsafe { sys!(getsockopt, fd, libc::SOL_SOCKET, option, &raw mut t, &raw mut len) }.ok()?;
    Some(t)
}

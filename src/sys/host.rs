//! What the kernel and /proc tell of the machine and of the process.

use super::file::close;
use crate::sys;
use once_cell::race::OnceBool;
use std::ffi::{CStr, c_int};

/// The beginning of a small text file, without allocating.
fn read_start<'a>(path: &CStr, buf: &'a mut [u8]) -> Option<&'a str> {
    // SAFETY: the path is NUL-terminated; the buffer is writable.
    unsafe {
        let fd =
            sys!(openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC).ok()?;
        let n = sys!(read, fd, buf.as_mut_ptr(), buf.len());
        close(fd as c_int);
        std::str::from_utf8(buf.get(..n.ok()?)?).ok()
    }
}

/// A file that holds one number (a sysctl).
pub fn read_number(path: &CStr) -> Option<u64> {
    read_start(path, &mut [0; 32])?.trim().parse().ok()
}

/// num_possible_cpus(): "0-3,8-11" in /sys, or the size of the kernel's CPU mask
/// where there is no /sys.
pub fn possible_cpus() -> u32 {
    let mut buf = [0; 256];
    let listed = read_start(c"/sys/devices/system/cpu/possible", &mut buf).and_then(|text| {
        text.trim().split(',').try_fold(0, |n, range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(n + last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1)
        })
    });
    // SAFETY: sysconf has no preconditions.
    let configured = || unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    listed.unwrap_or_else(|| u32::try_from(configured()).unwrap_or(1)).max(1)
}

/// True with CAP_SYS_ADMIN or CAP_SYS_NICE in force.
pub fn may_use_rt_ioprio() -> bool {
    const CAP_SYS_ADMIN: u32 = 1 << 21;
    const CAP_SYS_NICE: u32 = 1 << 23;
    // struct __user_cap_header_struct (version 3, this thread) and two data.
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut data = [[0u32; 3]; 2];
    // SAFETY: both structures live through the call.
    let r = unsafe { sys!(capget, header.as_ptr(), data.as_mut_ptr()) };
    r.is_ok() && data[0][0] & (CAP_SYS_ADMIN | CAP_SYS_NICE) != 0
}

/// RWF_NOAPPEND came with Linux 6.9.
pub fn has_rwf_noappend() -> bool {
    // Lock-free, so that a signal handler can come by.
    static ANSWER: OnceBool = OnceBool::new();
    ANSWER.get_or_init(|| kernel_version() >= (6, 9))
}

/// Major and minor number of the running kernel.
fn kernel_version() -> (u32, u32) {
    let mut name = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the kernel fills the structure; zeroes are a valid one.
    let name = unsafe {
        let _ = sys!(uname, name.as_mut_ptr());
        name.assume_init()
    };
    let mut numbers = name.release.split(|c| !(*c as u8).is_ascii_digit()).map(|digits| {
        digits.iter().fold(0u32, |n, c| n.saturating_mul(10) + u32::from(*c as u8 - b'0'))
    });
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

pub fn getpid() -> c_int {
    // SAFETY: no memory is passed.
    unsafe { sys!(getpid) }.unwrap_or(0) as c_int
}

/// When this process was started, since boot in clock ticks; 0 without /proc.
pub fn start_time() -> u64 {
    let mut buf = [0; 512];
    // The 22nd field; the second, a name in brackets, may hold anything.
    let stat = read_start(c"/proc/self/stat", &mut buf).and_then(|s| s.rsplit_once(") "));
    stat.and_then(|(_, rest)| rest.split(' ').nth(19)?.parse().ok()).unwrap_or(0)
}

/// What getpid's answer is a number of; 0 without /proc.
pub fn pid_namespace() -> u64 {
    let mut st = std::mem::MaybeUninit::<libc::stat>::zeroed();
    let path = c"/proc/self/ns/pid".as_ptr();
    // SAFETY: the path is NUL-terminated; zeroes are a valid `stat`.
    unsafe {
        let _ = sys!(newfstatat, libc::AT_FDCWD, path, st.as_mut_ptr(), 0);
        st.assume_init().st_ino
    }
}

/// CLOCK_BOOTTIME.
pub fn boot_time_ns() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock always exists; the vDSO call does not fail or set errno.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// The file of this library.
pub fn own_path() -> &'static str {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: an address of ours; the names it gives stay, as the library does.
    unsafe {
        libc::dladdr(own_path as *const std::ffi::c_void, info.as_mut_ptr());
        let name = info.assume_init().dli_fname;
        if name.is_null() { "?" } else { CStr::from_ptr(name).to_str().unwrap_or("?") }
    }
}

pub fn gettid() -> c_int {
    // SAFETY: no memory is passed.
    unsafe { sys!(gettid) }.unwrap_or(0) as c_int
}

/// Whether the process has such a thread; one that is just ending counts.
pub fn is_thread(tid: c_int) -> bool {
    // SAFETY: no memory is passed; no signal is sent.
    unsafe { sys!(tgkill, getpid(), tid, 0) }.is_ok()
}

/// Calls `f` with each thread of the process. False: /proc cannot be read.
pub fn each_task(mut f: impl FnMut(c_int)) -> bool {
    /// Offsets in struct linux_dirent64.
    const RECLEN: usize = 16;
    const NAME: usize = 19;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path is NUL-terminated.
    let Ok(fd) = (unsafe { sys!(openat, libc::AT_FDCWD, c"/proc/self/task".as_ptr(), flags) })
    else {
        return false;
    };
    let mut buf = [0u8; 4096];
    // SAFETY: the buffer is writable.
    while let Ok(n @ 1..) = unsafe { sys!(getdents64, fd, buf.as_mut_ptr(), buf.len()) } {
        let mut at = 0;
        while at + NAME < n {
            let len = usize::from(u16::from_ne_bytes([buf[at + RECLEN], buf[at + RECLEN + 1]]));
            let name = buf[at + NAME..at + len].split(|&b| b == 0).next().unwrap_or(&[]);
            if let Some(tid) = std::str::from_utf8(name).ok().and_then(|s| s.parse().ok()) {
                f(tid);
            }
            at += len;
        }
    }
    close(fd as c_int);
    true
}

/// True for a task that libc does not count: a worker of the kernel's io_uring
/// (iou-wrk-N), or the main thread after it has left by pthread_exit.
pub fn is_no_thread_of_libc(tid: c_int) -> bool {
    let uncounted = |name: &str, state| name.starts_with("iou-") || matches!(state, b'Z' | b'X');
    // Who cannot be read (no descriptor is left) may be one that counts.
    task(tid, uncounted).unwrap_or_else(|| !is_thread(tid))
}

pub fn task_is_named(tid: c_int, start: &str) -> bool {
    task(tid, |name, _| name.starts_with(start)).unwrap_or(false)
}

/// `f` of a thread's name and state. None: it has gone, or cannot be read.
fn task<T>(tid: c_int, f: impl FnOnce(&str, u8) -> T) -> Option<T> {
    use std::fmt::Write;
    let mut path = Path { bytes: [0; 40], len: 0 };
    let _ = write!(path, "/proc/self/task/{tid}/stat");
    let mut buf = [0; 512];
    let path = CStr::from_bytes_until_nul(&path.bytes).ok()?;
    // "tid (name) state ...": the name may hold anything.
    let (name, rest) = read_start(path, &mut buf)?.rsplit_once(") ")?;
    Some(f(name.split_once('(')?.1, *rest.as_bytes().first()?))
}

/// A short path, NUL-terminated, on the stack.
struct Path {
    bytes: [u8; 40],
    len: usize,
}

impl std::fmt::Write for Path {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let end = self.len + s.len();
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

//! Raw system calls: no `errno`, no cancellation point, callable from signal
//! handlers and in a forked child.

use crate::errno::Errno;
use once_cell::race::OnceBool;
use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::AtomicU32;
pub use syscalls::Sysno;

/// A raw system call; up to six arguments, each castable to `usize`.
#[macro_export]
macro_rules! sys {
    ($nr:ident $(, $arg:expr)* $(,)?) => {
        ::syscalls::syscall!($crate::sys::Sysno::$nr $(, $arg)*)
            .map_err(|e| $crate::errno::Errno(e.into_raw()))
    };
}

const FUTEX_WAIT_BITSET_PRIVATE: u32 = 9 | 128;
const FUTEX_WAKE_PRIVATE: u32 = 1 | 128;
const FUTEX_WAKE_OP_PRIVATE: u32 = 5 | 128;
const FUTEX_BITSET_MATCH_ANY: u32 = !0;

/// Sleeps while `*word == expected`, until woken, a signal handler ran (EINTR)
/// or CLOCK_MONOTONIC reached `deadline` (ETIMEDOUT).
///
/// Without a deadline a far one is used: a futex wait without a time limit is
/// restarted by the kernel after an SA_RESTART handler, and io_getevents has to
/// return EINTR then.
pub fn futex_wait(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<libc::timespec>,
) -> Result<(), Errno> {
    let far = libc::timespec { tv_sec: libc::time_t::MAX >> 8, tv_nsec: 0 };
    let deadline = deadline.unwrap_or(far);
    // SAFETY: the word and the deadline outlive the call.
    match unsafe {
        sys!(
            futex,
            word.as_ptr(),
            FUTEX_WAIT_BITSET_PRIVATE,
            expected,
            &raw const deadline,
            0usize,
            FUTEX_BITSET_MATCH_ANY
        )
    } {
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Wakes up to `n` sleepers of `word`.
pub fn futex_wake(word: &AtomicU32, n: u32) {
    // SAFETY: FUTEX_WAKE only uses the address as a key.
    let _ = unsafe { sys!(futex, word.as_ptr(), FUTEX_WAKE_PRIVATE, n) };
}

/// True when `addr` (4-byte aligned) can be written: a FUTEX_WAKE_OP that adds 0
/// there, the one cheap call that takes a write fault and changes nothing.
pub fn probe_write(addr: usize) -> bool {
    // FUTEX_OP(ADD, 0, LT, 0): *addr += 0; then wake sleepers of addr if old < 0.
    const OP_ADD_0_CMP_LT_0: u32 = (1 << 28) | (2 << 24);
    static NOBODY: AtomicU32 = AtomicU32::new(0);
    // SAFETY: a bad `addr` is answered with EFAULT; a good one keeps its value.
    unsafe {
        sys!(futex, NOBODY.as_ptr(), FUTEX_WAKE_OP_PRIVATE, 0, 0, addr, OP_ADD_0_CMP_LT_0).is_ok()
    }
}

/// True when the 8 bytes at `addr` can be read: rt_sigprocmask copies the set in
/// before it refuses the unknown `how`.
pub fn probe_read(addr: usize) -> bool {
    // SAFETY: a bad `addr` is answered with EFAULT, a good one with EINVAL.
    unsafe { sys!(rt_sigprocmask, usize::MAX, addr, 0usize, 8usize) == Err(Errno::EINVAL) }
}

/// Now on CLOCK_MONOTONIC.
pub fn monotonic_now() -> libc::timespec {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock always exists; the vDSO call does not fail or set errno.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut ts) };
    ts
}

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

/// fstat(2)
pub fn fstat(fd: c_int) -> Result<libc::stat, Errno> {
    let mut st = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel fills the structure; all zeroes is a valid one.
    unsafe {
        sys!(fstat, fd, st.as_mut_ptr())?;
        Ok(st.assume_init())
    }
}

/// The file system's magic number (fstatfs).
pub fn fs_magic(fd: c_int) -> Result<i64, Errno> {
    let mut st = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: as for fstat.
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

/// write(2) to a descriptor, from memory of ours.
pub fn write(fd: c_int, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is readable.
    unsafe { sys!(write, fd, bytes.as_ptr(), bytes.len()) }
}

/// Anonymous memory, zeroed.
///
/// # Errors
/// ENOMEM, EAGAIN (mlockall and RLIMIT_MEMLOCK).
pub fn mmap_anon(len: usize, flags: c_int) -> Result<*mut c_void, Errno> {
    // SAFETY: a new mapping at an address that the kernel chooses.
    unsafe {
        sys!(
            mmap,
            0usize,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_ANONYMOUS | flags,
            usize::MAX,
            0usize
        )
    }
    .map(|p| p as *mut c_void)
}

/// munmap(2)
///
/// # Safety
/// The range is a mapping of ours that nobody uses any more.
pub unsafe fn munmap(addr: usize, len: usize) {
    // SAFETY: passed on from the caller.
    let _ = unsafe { sys!(munmap, addr, len) };
}

/// A signal mask as the kernel has it.
pub type SigSet = u64;

/// Sets the thread's signal mask and returns the old one.
pub fn sigmask_set(mask: SigSet) -> SigSet {
    let mut old: SigSet = 0;
    // SAFETY: both masks live through the call.
    let _ =
        unsafe { sys!(rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut old, 8usize) };
    old
}

/// Blocks all signals of the thread until dropped: for the parts that take locks
/// which a signal handler on the same thread could want too.
pub struct SignalsBlocked(SigSet);

impl SignalsBlocked {
    #[must_use]
    pub fn new() -> Self {
        Self(sigmask_set(!0))
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        sigmask_set(self.0);
    }
}

/// CLOCK_MONOTONIC, `ns` (at least 0) from now.
pub fn monotonic_in(ns: i64) -> libc::timespec {
    let mut t = monotonic_now();
    t.tv_sec = t.tv_sec.saturating_add(ns / 1_000_000_000);
    t.tv_nsec += ns % 1_000_000_000;
    if t.tv_nsec >= 1_000_000_000 {
        t.tv_nsec -= 1_000_000_000;
        t.tv_sec = t.tv_sec.saturating_add(1);
    }
    t
}

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

/// Some 50 microseconds of sleep: for rare waits that have nothing to sleep on.
pub fn nap() {
    let t = libc::timespec { tv_sec: 0, tv_nsec: 50_000 };
    // SAFETY: the time outlives the call.
    let _ = unsafe { sys!(nanosleep, &raw const t, 0usize) };
}

/// fsync(2) or fdatasync(2)
pub fn fsync(fd: c_int, data_only: bool) -> Result<(), Errno> {
    let nr = if data_only { Sysno::fdatasync } else { Sysno::fsync };
    // SAFETY: no memory is passed.
    unsafe { syscalls::syscall!(nr, fd) }.map(|_| ()).map_err(|e| Errno(e.into_raw()))
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

/// RLIMIT_FSIZE, when it limits.
pub fn rlimit_fsize() -> Option<u64> {
    let mut r = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives through the call.
    unsafe { sys!(prlimit64, 0, libc::RLIMIT_FSIZE, 0usize, &raw mut r) }.ok()?;
    (r.rlim_cur != libc::RLIM64_INFINITY).then_some(r.rlim_cur)
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

/// The signals that are blocked and pending, for the thread or the process.
pub fn pending_signals() -> SigSet {
    let mut set: SigSet = 0;
    // SAFETY: the set lives through the call.
    let _ = unsafe { sys!(rt_sigpending, &raw mut set, 8usize) };
    set
}

/// Waits until `fd` is readable, with `mask` in force.
///
/// # Errors
/// EINTR: a signal handler ran. ETIMEDOUT: CLOCK_MONOTONIC reached `deadline`.
pub fn ppoll_one(fd: c_int, deadline: Option<libc::timespec>, mask: SigSet) -> Result<(), Errno> {
    let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let left = deadline.map(|d| {
        let now = monotonic_now();
        let ns = (d.tv_sec - now.tv_sec)
            .saturating_mul(1_000_000_000)
            .saturating_add(d.tv_nsec - now.tv_nsec)
            .max(0);
        libc::timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 }
    });
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
    fstat(fd).map(|st| FileId { dev: st.st_dev, ino: st.st_ino })
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

/// Whether two addresses show the same page of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamePage {
    Yes,
    No,
    /// The first cannot be read.
    Fault,
}

/// Asks the kernel by a call that changes nothing: FUTEX_CMP_REQUEUE_PI refuses
/// two names of one futex (EINVAL) before it looks at anything else. `ours` can
/// be written; both are 4-byte aligned.
pub fn same_page(theirs: u64, ours: u64) -> SamePage {
    const FUTEX_CMP_REQUEUE_PI: u32 = 12;
    // SAFETY: there are no waiters to move, so nothing is written.
    match unsafe { sys!(futex, theirs, FUTEX_CMP_REQUEUE_PI, 1, 0, ours, !0u32) } {
        Err(Errno::EINVAL) => SamePage::Yes,
        Err(Errno::EFAULT) => SamePage::Fault,
        // A kernel without PI futexes cannot tell; believe what can be read.
        Err(Errno::ENOSYS) if probe_read(theirs as usize) => SamePage::Yes,
        Err(Errno::ENOSYS) => SamePage::Fault,
        _ => SamePage::No,
    }
}

/// Four bytes of the program's memory, without touching it ourselves: another
/// thread may be unmapping it.
pub fn peek_u32(addr: u64) -> Option<u32> {
    let mut value = 0u32;
    let ours = libc::iovec { iov_base: (&raw mut value).cast(), iov_len: 4 };
    let theirs = libc::iovec { iov_base: addr as *mut c_void, iov_len: 4 };
    // SAFETY: the kernel copies into `value`; a bad address is EFAULT.
    let n = unsafe {
        let pid = sys!(getpid).ok()?;
        sys!(process_vm_readv, pid, &raw const ours, 1, &raw const theirs, 1, 0)
    };
    match n {
        Ok(4) => Some(value),
        Err(Errno::EFAULT) => None,
        // Refused by a sandbox: the careful look has to do.
        _ => crate::uaccess::get_user_probed(addr).ok(),
    }
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

pub fn ns_between(start: libc::timespec, end: libc::timespec) -> i64 {
    (end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec
}

/// A socket's SO_RCVTIMEO or SO_SNDTIMEO.
pub fn socket_timeval(fd: c_int, option: c_int) -> Option<libc::timeval> {
    let mut t = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut len = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: the value and its length live through the call.
    unsafe { sys!(getsockopt, fd, libc::SOL_SOCKET, option, &raw mut t, &raw mut len) }.ok()?;
    Some(t)
}

pub fn gettid() -> c_int {
    // SAFETY: no memory is passed.
    unsafe { sys!(gettid) }.unwrap_or(0) as c_int
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
    use std::fmt::Write;
    let mut path = Path { bytes: [0; 40], len: 0 };
    let _ = write!(path, "/proc/self/task/{tid}/stat");
    let mut buf = [0; 512];
    let path = CStr::from_bytes_until_nul(&path.bytes).ok();
    // "tid (name) state ...": the name may hold anything.
    let stat = path.and_then(|p| read_start(p, &mut buf)).and_then(|s| s.rsplit_once(") "));
    stat.is_none_or(|(name, rest)| name.contains("(iou-") || rest.starts_with(['Z', 'X']))
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

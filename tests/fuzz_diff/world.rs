//! An executor's descriptors and files.

use crate::fds::{self, FDS, FILES, FIRST_FD, Kind, MEMFD};
use crate::mem;
use std::ffi::{CString, c_int};
use std::os::fd::RawFd;
use std::path::Path;

/// Descriptors that stay open, for the harness's own use, have numbers from here.
const PRIVATE_FD: i32 = 400;

pub struct World {
    /// Regular files, opened O_RDWR.
    files: Vec<RawFd>,
    /// Files that the last program may have changed.
    dirty: [bool; FILES.len()],
}

/// # Panics
/// The call failed: the machine is not fit for the test.
fn must(what: &str, r: c_int) -> c_int {
    assert!(r >= 0, "{what}: {}", std::io::Error::last_os_error());
    r
}

/// Moves a descriptor to this number.
fn place(fd: RawFd, number: i32) {
    assert_ne!(fd, number);
    // SAFETY: `number` is the harness's own; `fd` was just opened.
    unsafe {
        must("dup3", libc::dup3(fd, number, libc::O_CLOEXEC));
        libc::close(fd);
    }
}

fn open(path: &str, flags: i32) -> RawFd {
    let path = CString::new(path).expect("no NUL in it");
    // SAFETY: the path is NUL-terminated.
    must("open", unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) })
}

/// What a file holds at the start of a program.
fn pattern(file: usize) -> Vec<u8> {
    (0..FILES[file].size).map(|i| (i * 7 + i / 256 + file as u64 * 31) as u8).collect()
}

impl World {
    /// `disk` and `memory` are directories.
    pub fn new(disk: &Path, memory: &Path) -> Self {
        let mut files = Vec::new();
        for (i, file) in FILES.iter().enumerate() {
            let fd = if i == MEMFD as usize {
                // SAFETY: the name is NUL-terminated.
                must("memfd", unsafe { libc::memfd_create(c"fuzz".as_ptr(), libc::MFD_CLOEXEC) })
            } else {
                let dir = if file.in_memory { memory } else { disk };
                let path = dir.join(format!("fuzz-{}-{}", std::process::id(), file.name));
                let fd = open(path.to_str().expect("plain"), libc::O_RDWR | libc::O_CREAT);
                std::fs::remove_file(&path).expect("unlink");
                fd
            };
            place(fd, PRIVATE_FD + i as i32);
            files.push(PRIVATE_FD + i as i32);
        }
        Self { files, dirty: [true; FILES.len()] }
    }

    /// Everything as it is at the start of a program.
    pub fn reset(&mut self) {
        for (i, dirty) in self.dirty.iter_mut().enumerate().filter(|(_, d)| **d) {
            let (fd, data) = (self.files[i], pattern(i));
            // SAFETY: writes from `data`.
            unsafe {
                must("ftruncate", libc::ftruncate(fd, 0));
                let n = libc::pwrite(fd, data.as_ptr().cast(), data.len(), 0);
                assert_eq!(n, data.len() as isize, "pwrite");
            }
            *dirty = false;
        }
        let mut pairs: Vec<(Kind, [RawFd; 2])> = Vec::new();
        for (i, entry) in FDS.iter().enumerate() {
            let number = FIRST_FD + i as i32;
            // SAFETY: the harness's own number, perhaps closed by the program.
            unsafe { libc::close(number) };
            match entry.kind {
                Kind::Pipe(_, 0, flags) => {
                    let pair = pipe(flags);
                    pairs.push((entry.kind, pair));
                    place(pair[0], number);
                }
                Kind::Socket(_, 0, flags) => {
                    let pair = socketpair(flags);
                    pairs.push((entry.kind, pair));
                    place(pair[0], number);
                }
                // The other end is the entry behind.
                Kind::Pipe(..) | Kind::Socket(..) => {
                    place(pairs.last().expect("its first end").1[1], number);
                }
                kind => place(self.open(kind), number),
            }
        }
    }

    fn open(&self, kind: Kind) -> RawFd {
        // SAFETY: no memory is passed, or memory that lives through the call.
        unsafe {
            match kind {
                Kind::File(file, flags) => {
                    open(&format!("/proc/self/fd/{}", self.files[file as usize]), flags)
                }
                Kind::Open(path, flags) => open(path, flags),
                Kind::Eventfd(flags) => must("eventfd", libc::eventfd(0, flags)),
                Kind::Timerfd => {
                    let flags = libc::TFD_NONBLOCK;
                    must("timerfd", libc::timerfd_create(libc::CLOCK_MONOTONIC, flags))
                }
                Kind::Signalfd => {
                    let set = signal_set(&[libc::SIGUSR2]);
                    must("signalfd", libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK))
                }
                Kind::Inotify => must("inotify", libc::inotify_init1(libc::IN_NONBLOCK)),
                Kind::Udp => must(
                    "socket",
                    libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0),
                ),
                Kind::Listening => {
                    let fd = must("socket", libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0));
                    // An address of the kernel's choice.
                    let family = libc::AF_UNIX as u16;
                    must("bind", libc::bind(fd, (&raw const family).cast(), 2));
                    must("listen", libc::listen(fd, 1));
                    fd
                }
                Kind::Epoll => {
                    let fd = must("epoll", libc::epoll_create1(0));
                    let mut ev = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
                    let member = FIRST_FD + i32::from(fds::slot("pipe_r"));
                    must(
                        "epoll_ctl",
                        libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, member, &raw mut ev),
                    );
                    fd
                }
                Kind::Fifo => {
                    let pipe = FIRST_FD + i32::from(fds::slot("pipe_r"));
                    open(&format!("/proc/self/fd/{pipe}"), libc::O_RDWR)
                }
                Kind::Pipe(..) | Kind::Socket(..) => unreachable!("opened in pairs"),
            }
        }
    }

    pub fn touch(&mut self, file: u8) {
        self.dirty[file as usize] = true;
    }

    pub fn truncate(&mut self, file: u8, len: u64) -> i64 {
        self.touch(file);
        // SAFETY: no memory is passed.
        i64::from(unsafe { libc::ftruncate(self.files[file as usize], len as i64) })
    }

    /// Sets the timerfd, and waits for it.
    pub fn let_timer_expire(&self) {
        let fd = FIRST_FD + i32::from(fds::slot("timerfd"));
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let soon = libc::timespec { tv_sec: 0, tv_nsec: 100_000 };
        let once = libc::itimerspec { it_interval: never, it_value: soon };
        let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: all structures live through the calls.
        unsafe {
            libc::timerfd_settime(fd, 0, &raw const once, std::ptr::null_mut());
            libc::poll(&raw mut p, 1, 1000);
        }
    }

    /// Writes a file out and drops it from the page cache.
    pub fn drop_cache(&mut self, file: u8) {
        self.touch(file);
        let fd = self.files[file as usize];
        // SAFETY: no memory is passed.
        unsafe {
            libc::fsync(fd);
            libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED);
        }
    }

    /// Size and contents of the regular files that may have changed.
    pub fn files(&self) -> Vec<(u64, u64)> {
        const LOOKED_AT: usize = 160 << 10;
        let mut buf = vec![0u8; LOOKED_AT];
        let look = |(i, &fd): (usize, &RawFd)| {
            if !self.dirty[i] {
                return (0, 0);
            }
            // SAFETY: reads into `buf`; all zeroes is a valid stat.
            unsafe {
                let mut st: libc::stat = std::mem::zeroed();
                must("fstat", libc::fstat(fd, &raw mut st));
                let n = libc::pread(fd, buf.as_mut_ptr().cast(), buf.len(), 0).max(0);
                let tail = (st.st_size - 8192).max(0);
                let head = mem::hash(&buf[..n as usize]);
                let n = libc::pread(fd, buf.as_mut_ptr().cast(), 8192, tail).max(0);
                (st.st_size as u64, head ^ mem::hash(&buf[..n as usize]))
            }
        };
        self.files.iter().enumerate().map(look).collect()
    }

    /// The state, waited for until it is as on the other side: an eventfd is
    /// signalled after the event that tells of it.
    pub fn state_soon(&self, expected: Option<&Vec<(u8, i64)>>) -> Vec<(u8, i64)> {
        const TRIES: u32 = 5000;
        for _ in 0..TRIES {
            let state = self.state();
            if expected.is_none_or(|e| *e == state) {
                return state;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.state()
    }

    /// What can be asked about a descriptor without changing it.
    pub fn state(&self) -> Vec<(u8, i64)> {
        let mut all = Vec::new();
        for (i, entry) in FDS.iter().enumerate() {
            let (slot, fd) = (i as u8, FIRST_FD + i as i32);
            match entry.kind {
                Kind::Pipe(_, 0, _) | Kind::Socket(..) => {
                    let mut n: c_int = -1;
                    // SAFETY: stores an int.
                    unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut n) };
                    all.push((slot, i64::from(n)));
                }
                // SAFETY: no memory is passed.
                Kind::File(..) => all.push((slot, unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) })),
                Kind::Eventfd(_) => all.push((slot, eventfd_count(fd))),
                _ => {}
            }
        }
        all
    }
}

fn pipe(flags: i32) -> [RawFd; 2] {
    let mut pair = [0; 2];
    // SAFETY: stores two descriptors.
    must("pipe2", unsafe { libc::pipe2(pair.as_mut_ptr(), flags | libc::O_CLOEXEC) });
    pair
}

fn socketpair(flags: i32) -> [RawFd; 2] {
    let mut pair = [0; 2];
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags;
    // SAFETY: stores two descriptors.
    must("socketpair", unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) });
    pair
}

pub fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: sigemptyset fills the set; the numbers are signals.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &s in signals {
            libc::sigaddset(&raw mut set, s);
        }
        set
    }
}

/// -1: closed.
pub fn eventfd_count(fd: RawFd) -> i64 {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let count = info.lines().find_map(|l| l.strip_prefix("eventfd-count:"));
    count.and_then(|c| u64::from_str_radix(c.trim(), 16).ok()).map_or(-1, |c| c as i64)
}

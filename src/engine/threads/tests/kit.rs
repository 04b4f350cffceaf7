//! Requests, files and processes for the tests.

use crate::engine::op::{FileTraits, IoVecs, Kind, Op, OpArgs, OpList, OpPtr};
use crate::engine::threads::Threads;
use crate::engine::{Cancelled, Done, Engine};
use crate::errno::Errno;
use crate::sys;
use std::ffi::c_int;
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI64, AtomicU32};

/// Longer means that it hangs.
const PATIENCE_NS: i64 = 20_000_000_000;

#[repr(C)]
pub struct Inner {
    pub op: Op,
    engine: &'static Threads,
    res: AtomicI64,
    done: AtomicU32,
}

/// An operation with its buffer.
pub struct Req {
    inner: Box<Inner>,
    pub buf: Vec<u8>,
}

impl std::ops::Deref for Req {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.inner
    }
}

unsafe fn complete(done: &[Done]) {
    for &one in done {
        // SAFETY: passed on.
        unsafe { complete_one(one) };
    }
}

unsafe fn complete_one(done: Done) {
    let Done { op, res } = done;
    // SAFETY: `op` is the first field of an `Inner`, which lives until it is done.
    let inner = unsafe { op.cast::<Inner>().as_ref() };
    // SAFETY: as above.
    if unsafe { inner.op.args() }.resfd >= 0 {
        // SAFETY: called in the completion, once.
        unsafe { inner.engine.signal(&[done]) };
    }
    inner.res.store(res, Relaxed);
    let word = std::ptr::from_ref(&inner.done);
    inner.done.fetch_add(1, Release);
    // SAFETY: FUTEX_WAKE only uses the address.
    let _ = unsafe { crate::sys!(futex, word, 129, 1) };
}

pub fn start(max_workers: u32) -> &'static Threads {
    Threads::start(complete, max_workers).unwrap()
}

pub fn traits_of(fd: c_int) -> FileTraits {
    let kind = sys::stat(fd).unwrap().file_type();
    FileTraits { seekable: matches!(kind, libc::S_IFREG | libc::S_IFBLK), ..FileTraits::default() }
}

impl Req {
    pub fn new(engine: &'static Threads, kind: Kind, fd: c_int) -> Self {
        // SAFETY: as in a request slab: zeroes are valid.
        let op = unsafe { MaybeUninit::<Op>::zeroed().assume_init() };
        let inner = Inner { op, engine, res: AtomicI64::new(i64::MIN), done: AtomicU32::new(0) };
        let mut r = Self { inner: Box::new(inner), buf: Vec::new() };
        let args = r.args();
        args.kind = kind;
        args.fd = fd;
        args.resfd = -1;
        args.traits = traits_of(fd);
        r
    }

    fn rw(
        engine: &'static Threads,
        kind: Kind,
        f: &impl AsRawFd,
        mut buf: Vec<u8>,
        pos: i64,
    ) -> Self {
        let mut r = Self::new(engine, kind, f.as_raw_fd());
        r.args().iov = IoVecs::one(buf.as_mut_ptr() as u64, buf.len() as u64);
        r.args().pos = if r.args().traits.seekable { pos } else { -1 };
        r.buf = buf;
        r
    }

    pub fn read(engine: &'static Threads, f: &impl AsRawFd, len: usize, pos: i64) -> Self {
        Self::rw(engine, Kind::Read, f, vec![0; len], pos)
    }

    pub fn write(engine: &'static Threads, f: &impl AsRawFd, data: &[u8], pos: i64) -> Self {
        Self::rw(engine, Kind::Write, f, data.to_vec(), pos)
    }

    pub fn poll(engine: &'static Threads, f: &impl AsRawFd, events: i16) -> Self {
        let mut r = Self::new(engine, Kind::Poll, f.as_raw_fd());
        r.args().poll_events = events as u16;
        r
    }

    pub fn args(&mut self) -> &mut OpArgs {
        // SAFETY: not started, and exclusively borrowed.
        unsafe { self.inner.op.args() }
    }

    fn ptr(&self) -> OpPtr {
        NonNull::from(&*self.inner).cast()
    }

    pub fn start(&self) {
        self.start_quietly();
        self.engine.kick();
    }

    pub fn start_quietly(&self) {
        // SAFETY: pinned.
        unsafe { self.engine.start(self.ptr()) };
    }

    pub fn is_done(&self) -> bool {
        self.done.load(Acquire) != 0
    }

    pub fn completions(&self) -> u32 {
        self.done.load(Acquire)
    }

    pub fn wait(&self) -> i64 {
        let deadline = sys::monotonic_in(PATIENCE_NS);
        while !self.is_done() {
            if sys::futex_wait(&self.done, 0, Some(deadline)) == Err(Errno::ETIMEDOUT) {
                eprintln!("hangs: state {:#x}", self.op.state.load(Relaxed));
                std::process::abort();
            }
        }
        self.res.load(Relaxed)
    }

    pub fn cancel(&self, engine: &Threads) -> Cancelled {
        // SAFETY: the memory lives.
        unsafe { engine.cancel(self.ptr(), &|| !self.is_done()) }
    }
}

pub fn try_pin(engine: &Threads, reqs: &mut [&mut Req]) -> (usize, Result<(), Errno>) {
    let (mut batch, mut pinned) = (OpList::new(), OpList::new());
    reqs.iter().for_each(|r| batch.push(r.ptr()));
    // SAFETY: ours, filled in.
    let why = unsafe { engine.pin(&mut batch, &mut pinned) };
    (pinned.iter().count(), why)
}

pub fn pin(engine: &Threads, reqs: &mut [&mut Req]) {
    assert_eq!(try_pin(engine, reqs), (reqs.len(), Ok(())));
}

pub fn submit(engine: &Threads, reqs: &mut [&mut Req]) {
    pin(engine, reqs);
    reqs.iter().for_each(|r| r.start_quietly());
    engine.kick();
}

pub fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8 ^ seed)).collect()
}

/// A file that is gone with this.
pub struct Named(PathBuf);

impl AsRef<std::path::Path> for Named {
    fn as_ref(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub fn named_file(contents: &[u8]) -> Named {
    static N: AtomicU32 = AtomicU32::new(0);
    let name = format!("aio-rs-threads-{}-{}", std::process::id(), N.fetch_add(1, Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, contents).unwrap();
    Named(path)
}

/// Without a name.
pub fn temp_file(contents: &[u8]) -> File {
    std::fs::OpenOptions::new().read(true).write(true).open(named_file(contents)).unwrap()
}

pub fn contents(mut f: &File) -> Vec<u8> {
    let mut all = Vec::new();
    std::io::Seek::rewind(&mut f).unwrap();
    f.read_to_end(&mut all).unwrap();
    all
}

pub fn pipe() -> (OwnedFd, OwnedFd) {
    let mut p = [0; 2];
    // SAFETY: the array lives; the descriptors are new.
    unsafe {
        assert_eq!(libc::pipe2(p.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(p[0]), OwnedFd::from_raw_fd(p[1]))
    }
}

pub fn eventfd(flags: c_int) -> OwnedFd {
    // SAFETY: a new descriptor.
    unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, flags | libc::EFD_CLOEXEC)) }
}

pub fn read(f: &impl AsRawFd, buf: &mut [u8]) -> usize {
    // SAFETY: the buffer is writable.
    usize::try_from(unsafe { libc::read(f.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) })
        .unwrap()
}

pub fn read_eventfd(f: &impl AsRawFd) -> u64 {
    let mut b = [0; 8];
    assert_eq!(read(f, &mut b), 8);
    u64::from_ne_bytes(b)
}

pub fn set_nonblock(f: &impl AsRawFd) {
    // SAFETY: no memory is passed.
    assert_eq!(unsafe { libc::fcntl(f.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0);
}

/// A page, with nothing mapped behind it.
pub fn guarded_page() -> usize {
    let two = sys::mmap_anon(8192, libc::MAP_PRIVATE).unwrap() as usize;
    // SAFETY: ours.
    unsafe { sys::munmap(two + 4096, 4096) };
    two
}

/// Runs the calling test in a process of its own: true in there.
pub fn alone(test: &str) -> bool {
    if std::env::var_os("AIO_RS_ALONE").is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("engine::threads::tests::rough::{test}"))
        .env("AIO_RS_ALONE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && said.contains("1 passed");
    assert!(passed, "{test}: {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    false
}

pub fn set_rlimit(what: libc::__rlimit_resource_t, to: u64) {
    let r = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: the structure lives through the call.
    assert_eq!(unsafe { libc::setrlimit(what, &r) }, 0);
}

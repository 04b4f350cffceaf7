//! The program's end of the socket, and sending through it.
//!
//! Its number is in the program's table, where anything can happen to it: a
//! daemon closes what it does not know and opens other files under the number.
//! So it is looked at before each message, and made anew when it is gone.

use super::message::{MAX_FDS, MAX_OPS, Message};
use super::{Threads, locked};
use crate::engine::op::OpList;
use crate::errno::Errno;
use crate::sys;
use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::mem::{MaybeUninit, offset_of};
use std::sync::Mutex;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64};

const SOCKET: c_int = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;

/// With a lower RLIMIT_NOFILE the workers could not receive a file.
const LEAST_NOFILE: u32 = 16;

/// How long a sender waits for the workers to make room, in naps: while they
/// cannot, for other operations have to end first, and while they only are slow.
const NAPS_HELD: u32 = 50;
const NAPS: u32 = 2000;

/// The steps of making a new connection, taken in turn by a thread of the
/// program, which has the descriptor table to connect from, and by a worker,
/// which has the one to accept in.
mod step {
    pub(super) const IDLE: u32 = 0;
    pub(super) const LISTEN: u32 = 1;
    pub(super) const LISTENING: u32 = 2;
    pub(super) const ACCEPT: u32 = 3;
    pub(super) const ACCEPTED: u32 = 4;
    /// A worker has taken the step on.
    pub(super) const TAKEN: u32 = 5;
    pub(super) const FAILED: u32 = 6;
}

#[derive(Clone, Copy, PartialEq)]
struct Socket {
    fd: c_int,
    id: sys::FileId,
}

pub(super) struct Link {
    /// Released by `renew`, acquired by `verified`.
    pub(super) fd: AtomicI32,
    /// What the number meant when it was ours. Written with `fd`; a reader that
    /// sees half of it takes the descriptor for lost and looks again under
    /// `renewal`.
    dev: AtomicU64,
    ino: AtomicU64,
    renewal: Mutex<()>,
    /// Each store that ends a step releases what was done in it; the next one's
    /// load or exchange acquires it.
    step: AtomicU32,
    /// Written by the worker before LISTENING, read after it.
    address: UnsafeCell<(libc::sockaddr_un, libc::socklen_t)>,
    /// In the workers' table.
    listener: AtomicI32,
    /// The last wait for room was in vain: the next senders do not wait.
    stuck: AtomicBool,
}

// SAFETY: `address` is handed from thread to thread by `step`.
unsafe impl Sync for Link {}

/// The two ends: one at a high number, for the program's threads, the other at a
/// low one.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM; EACCES or EPERM by a sandbox.
pub(super) fn pair() -> Result<(c_int, c_int), Errno> {
    let mut ends: [c_int; 2] = [-1; 2];
    // SAFETY: the array lives through the call.
    unsafe { crate::sys!(socketpair, libc::AF_UNIX, SOCKET, 0, ends.as_mut_ptr())? };
    let high = sys::dup_high(ends[0]);
    sys::close(ends[0]);
    match high {
        Ok(sender) => Ok((sender, ends[1])),
        Err(e) => {
            sys::close(ends[1]);
            Err(e)
        }
    }
}

impl Link {
    pub(super) fn new(fd: c_int) -> Result<Self, Errno> {
        let id = sys::file_id(fd)?;
        // SAFETY: integers; zeroes are valid.
        let no_address = unsafe { MaybeUninit::zeroed().assume_init() };
        Ok(Self {
            fd: AtomicI32::new(fd),
            dev: AtomicU64::new(id.dev),
            ino: AtomicU64::new(id.ino),
            renewal: Mutex::new(()),
            step: AtomicU32::new(step::IDLE),
            address: UnsafeCell::new((no_address, 0)),
            listener: AtomicI32::new(-1),
            stuck: AtomicBool::new(false),
        })
    }

    /// The socket, if the number still names it.
    fn verified(&self) -> Option<Socket> {
        let fd = self.fd.load(Acquire);
        let id = sys::FileId { dev: self.dev.load(Relaxed), ino: self.ino.load(Relaxed) };
        (sys::file_id(fd) == Ok(id)).then_some(Socket { fd, id })
    }

    pub(super) fn close_if_ours(&self) {
        if let Some(socket) = self.verified() {
            sys::close(socket.fd);
        }
    }

    /// A worker has made room.
    pub(super) fn unstick(&self) {
        if self.stuck.load(Relaxed) {
            self.stuck.store(false, Relaxed);
        }
    }

    /// True when a worker has a step to take.
    pub(super) fn wants_worker(&self) -> bool {
        matches!(self.step.load(Relaxed), step::LISTEN | step::ACCEPT)
    }

    fn set_step(&self, to: u32) {
        self.step.store(to, Release);
        sys::futex_wake(&self.step, 1);
    }
}

impl Threads {
    /// # Safety
    /// As `Engine::pin`.
    pub(super) unsafe fn send_batch(
        &self,
        batch: &mut OpList,
        pinned: &mut OpList,
    ) -> Result<(), Errno> {
        let nofile = sys::rlimit_nofile();
        if nofile < LEAST_NOFILE {
            return Err(Errno::EMFILE);
        }
        self.inbox.set_nofile(nofile);
        let mut max_ops = MAX_OPS;
        // Not more at once than a small table of the workers can take.
        let max_fds = MAX_FDS.min(nofile as usize / 8);
        while !batch.is_empty() {
            let mut message = Message::gather(batch, max_ops, max_fds);
            for entry in message.entries() {
                // SAFETY: lent to us by the submitter until it is sent.
                unsafe { (*entry.op).state.store(0, Relaxed) };
            }
            match self.send(&mut message) {
                Ok(()) => {
                    for _ in message.entries() {
                        if let Some(op) = batch.pop() {
                            pinned.push(op);
                        }
                    }
                }
                // One of the descriptors: the operations before it can go.
                Err(Errno::EBADF | Errno::EINVAL) if message.entries().len() > 1 => max_ops = 1,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn send(&self, message: &mut Message) -> Result<(), Errno> {
        let mut naps = 0;
        let mut renewed = 0;
        loop {
            let socket = match self.link.verified() {
                Some(socket) => socket,
                None if renewed < 3 => {
                    renewed += 1;
                    self.renew()?
                }
                None => return Err(Errno::EAGAIN),
            };
            match message.send(socket.fd) {
                Ok(()) => {
                    self.inbox.sent();
                    return Ok(());
                }
                Err(
                    e @ (Errno::EAGAIN | Errno::ENOMEM | Errno(libc::ENOBUFS | libc::ETOOMANYREFS)),
                ) => {
                    // The workers do not block on receiving.
                    let enough = if self.inbox.is_held() { NAPS_HELD } else { NAPS };
                    if naps >= enough || self.link.stuck.load(Relaxed) {
                        self.link.stuck.store(true, Relaxed);
                        return Err(e);
                    }
                    self.wake_one_if_needed();
                    sys::nap();
                    naps += 1;
                }
                Err(e) if self.link.verified() == Some(socket) => return Err(e),
                // Not because of the descriptors: the socket was closed meanwhile.
                Err(_) => {}
            }
        }
    }

    /// Connects to the workers anew: the program has closed our end.
    #[cold]
    fn renew(&self) -> Result<Socket, Errno> {
        let link = &self.link;
        let _guard = locked(&link.renewal);
        if let Some(socket) = link.verified() {
            return Ok(socket);
        }
        log::info!("the program has closed the engine's descriptor: a new one is made");
        self.let_worker(step::LISTEN, step::LISTENING)?;
        let connected = link.connect();
        // Also after a failure, to have the listener closed.
        let accepted = self.let_worker(step::ACCEPT, step::ACCEPTED);
        let low = connected?;
        let made = accepted.and_then(|()| sys::dup_high(low)).and_then(|fd| {
            let id = sys::file_id(fd)?;
            link.dev.store(id.dev, Relaxed);
            link.ino.store(id.ino, Relaxed);
            link.fd.store(fd, Release);
            Ok(Socket { fd, id })
        });
        sys::close(low);
        made
    }

    /// Waits, but not for ever, until a worker has taken a step.
    fn let_worker(&self, from: u32, to: u32) -> Result<(), Errno> {
        let word = &self.link.step;
        word.store(from, Release);
        self.wake_one_if_needed();
        let deadline = sys::monotonic_in(1_000_000_000);
        loop {
            let now = word.load(Acquire);
            if now != from && now != step::TAKEN {
                word.store(step::IDLE, Relaxed);
                return if now == to { Ok(()) } else { Err(Errno::EAGAIN) };
            }
            // What is taken will soon be done; what is not is given up in time.
            let timed_out = sys::futex_wait(word, now, Some(deadline)) == Err(Errno::ETIMEDOUT);
            if timed_out && word.compare_exchange(from, step::IDLE, Relaxed, Relaxed).is_ok() {
                return Err(Errno::EAGAIN);
            }
        }
    }

    /// The worker's part.
    #[cold]
    pub(super) fn take_link_step(&self) {
        let link = &self.link;
        let taken = |s| link.step.compare_exchange(s, step::TAKEN, AcqRel, Relaxed).is_ok();
        if taken(step::LISTEN) {
            let listener = link.listen();
            link.listener.store(listener.unwrap_or(-1), Relaxed);
            link.set_step(if listener.is_ok() { step::LISTENING } else { step::FAILED });
        } else if taken(step::ACCEPT) {
            let listener = link.listener.swap(-1, Relaxed);
            let accepted = accept_own(listener).map(|fd| self.inbox.add_socket(fd));
            sys::close(listener);
            link.set_step(if accepted.is_some() { step::ACCEPTED } else { step::FAILED });
        }
    }
}

impl Link {
    /// A socket under an abstract name that the kernel picks; it is there until
    /// the program's thread has connected. Whoever else connects is turned away.
    fn listen(&self) -> Result<c_int, Errno> {
        // SAFETY: the kernel fills the address, which nobody else uses during
        // this step; its length is in the variable.
        unsafe {
            let fd = crate::sys!(socket, libc::AF_UNIX, SOCKET | libc::SOCK_NONBLOCK, 0)? as c_int;
            let (address, len) = &mut *self.address.get();
            address.sun_family = libc::AF_UNIX as _;
            *len = size_of_val(address) as _;
            let bound =
                crate::sys!(bind, fd, &raw const *address, offset_of!(libc::sockaddr_un, sun_path))
                    .and_then(|_| crate::sys!(getsockname, fd, &raw mut *address, &raw mut *len))
                    .and_then(|_| crate::sys!(listen, fd, 16));
            bound.map(|_| fd).inspect_err(|_| sys::close(fd))
        }
    }

    fn connect(&self) -> Result<c_int, Errno> {
        // SAFETY: the address was written before this step; it lives on.
        unsafe {
            let fd = crate::sys!(socket, libc::AF_UNIX, SOCKET, 0)? as c_int;
            let (address, len) = &*self.address.get();
            let connected = crate::sys!(connect, fd, &raw const *address, *len);
            connected.map(|_| fd).inspect_err(|_| sys::close(fd))
        }
    }
}

/// The connection that this process has made.
fn accept_own(listener: c_int) -> Option<c_int> {
    // SAFETY: the structures live through the calls.
    unsafe {
        let own = crate::sys!(getpid).ok()?;
        loop {
            let fd =
                crate::sys!(accept4, listener, 0usize, 0usize, libc::SOCK_CLOEXEC).ok()? as c_int;
            let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
            let mut len = size_of::<libc::ucred>() as libc::socklen_t;
            let asked = crate::sys!(
                getsockopt,
                fd,
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                &raw mut peer,
                &raw mut len
            );
            if asked.is_ok() && peer.pid as usize == own {
                return Some(fd);
            }
            sys::close(fd);
        }
    }
}

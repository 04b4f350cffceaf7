//! Running one operation.

use super::{BLOCKS, FRUITLESS, RUNNING, Threads};
use crate::abi::RWF_NOWAIT;
use crate::engine::blocking;
use crate::engine::op::{Kind, Op, OpArgs, OpPtr, Timeout};
use crate::errno::Errno;
use crate::sys;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// A file that was said to be ready this often and was not is waited for in a
/// blocking call.
const PATIENCE: u32 = 64;

/// What a pipe that says it is writable has room for.
const PIPE_BUF: usize = 4096;

impl Threads {
    /// None: it is not done, and not in the caller's hands any more.
    ///
    /// # Safety
    /// The caller holds the operation.
    pub(super) unsafe fn run(&self, op: OpPtr, ioprio: &mut u16) -> Option<i64> {
        // SAFETY: by the caller's word.
        let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
        if o.abandoned.load(Acquire) {
            return Some(Errno::ECANCELED.neg());
        }
        let fd = match o.pin.load(Relaxed) {
            // Never a wrong file: it could not be received.
            Op::NO_PIN => return Some(Errno::EMFILE.neg()),
            pin => pin as c_int,
        };
        let waits = o.state.load(Relaxed) & BLOCKS == 0;
        match args.kind {
            // SAFETY: passed on.
            Kind::Poll => unsafe { self.run_poll(op) },
            // SAFETY: passed on.
            Kind::Read | Kind::Write if !args.traits.seekable && waits => unsafe {
                self.run_stream(op)
            },
            // SAFETY: passed on.
            Kind::Read | Kind::Write if !args.traits.seekable => unsafe { self.block_stream(op) },
            _ => {
                o.state.fetch_or(RUNNING, Relaxed);
                set_ioprio(args.ioprio, ioprio);
                // SAFETY: passed on.
                Some(unsafe { blocking::run(fd, args) })
            }
        }
    }

    /// # Safety
    /// As `run`.
    unsafe fn run_poll(&self, op: OpPtr) -> Option<i64> {
        // SAFETY: by the caller's word.
        let (o, events) = unsafe { (op.as_ref(), op.as_ref().args().poll_events) };
        // An error (RLIMIT_NOFILE is 0) does not keep it from waiting.
        match sys::poll_now(o.pin.load(Relaxed) as c_int, events as i16) {
            Ok(ready) if ready != 0 => return Some(i64::from(ready as u16)),
            _ => {}
        }
        self.poller.add(&self.pins, op).map_or_else(|e| Some(e.neg()), |()| None)
    }

    /// A read or write of a pipe, socket or tty: no thread is kept while it waits.
    ///
    /// # Safety
    /// As `run`.
    pub(super) unsafe fn run_stream(&self, op: OpPtr) -> Option<i64> {
        // SAFETY: by the caller's word.
        let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
        let fd = o.pin.load(Relaxed) as c_int;
        let before = args.done;
        // SAFETY: the buffers are the request's.
        let not_now = match unsafe { attempt(fd, args) } {
            Attempt::Done(res) => return Some(res),
            Attempt::NotNow => true,
            Attempt::MayBlock => false,
        };
        if args.done > before {
            o.state.fetch_and(FRUITLESS - 1, Relaxed);
        }
        let waits = not_now
            && o.state.fetch_add(FRUITLESS, Relaxed) / FRUITLESS < PATIENCE
            // Only a blocking call keeps to a timeout.
            && args.timeout == Timeout::NONE
            && self.poller.add(&self.pins, op).is_ok();
        if !waits {
            o.state.fetch_or(BLOCKS, Relaxed);
            self.queue(op);
        }
        None
    }

    /// The same by a call that may block.
    ///
    /// # Safety
    /// As `run`.
    unsafe fn block_stream(&self, op: OpPtr) -> Option<i64> {
        // SAFETY: by the caller's word.
        let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
        o.state.fetch_or(RUNNING, Relaxed);
        // SAFETY: the buffers are the request's.
        let done = unsafe { blocking_step(o.pin.load(Relaxed) as c_int, args) };
        if done.is_none() {
            o.state.fetch_and(!(RUNNING | BLOCKS), Relaxed);
            self.queue(op);
        }
        done
    }

    pub(super) fn queue(&self, op: OpPtr) {
        self.pool.lock().push(op);
        self.wake_one_if_needed();
    }
}

/// True for what is over, or handed to the poller, within microseconds.
pub(super) fn never_blocks(op: &Op) -> bool {
    // SAFETY: the operation is in the caller's hands, who looks and lets go.
    let args = unsafe { op.args() };
    let stream = match args.kind {
        Kind::Poll => true,
        Kind::Read | Kind::Write => !args.traits.seekable,
        Kind::Fsync { .. } => false,
    };
    stream && op.state.load(Relaxed) & BLOCKS == 0 || op.abandoned.load(Relaxed)
}

/// # Safety
/// As `sys::rwv2`.
unsafe fn call(fd: c_int, args: &mut OpArgs, flags: u32) -> Result<usize, Errno> {
    if args.iov.total == 0 && args.done == 0 {
        return sys::rw_nothing(args.kind == Kind::Write, fd, true);
    }
    let count = args.iov.count as usize;
    // SAFETY: passed on.
    unsafe {
        sys::rwv2(args.kind == Kind::Write, fd, args.iov.as_mut_ptr(), count, args.pos, flags)
    }
}

/// What was transferred before an error counts.
fn failed(args: &OpArgs, e: Errno) -> i64 {
    if args.done > 0 { args.done as i64 } else { e.neg() }
}

enum Attempt {
    Done(i64),
    /// The file is not ready.
    NotNow,
    /// The file is ready, but there is no call that surely does not block.
    MayBlock,
}

/// Transfers what can be without waiting.
///
/// # Safety
/// As `sys::rwv2`.
unsafe fn attempt(fd: c_int, args: &mut OpArgs) -> Attempt {
    let patient = !args.traits.nonblock && args.rw_flags & RWF_NOWAIT == 0;
    let write = args.kind == Kind::Write;
    loop {
        // SAFETY: passed on.
        let mut r = unsafe { call(fd, args, args.rw_flags | RWF_NOWAIT) };
        if r == Err(Errno::EOPNOTSUPP) && args.rw_flags & RWF_NOWAIT == 0 {
            // SAFETY: passed on.
            r = unsafe {
                if patient { call_socket(fd, args) } else { call(fd, args, args.rw_flags) }
            };
        }
        match r {
            Ok(n) => {
                args.advance(n as u64);
                // Reads take what is there, writes go on while one is patient.
                if args.iov.total == 0 || n == 0 || !write || !patient {
                    return Attempt::Done(args.done as i64);
                }
            }
            Err(Errno::EAGAIN) if patient => return Attempt::NotNow,
            Err(Errno(libc::ENOTSOCK)) if patient => {
                let wanted = if write { libc::POLLOUT } else { libc::POLLIN };
                let ready = sys::poll_now(fd, wanted).is_ok_and(|r| r != 0);
                return if ready { Attempt::MayBlock } else { Attempt::NotNow };
            }
            Err(Errno::EINTR) => {}
            Err(e) => return Attempt::Done(failed(args, e)),
        }
    }
}

/// For kernels whose sockets do not know RWF_NOWAIT. ENOTSOCK: something else.
///
/// # Safety
/// As `sys::rwv2`.
unsafe fn call_socket(fd: c_int, args: &mut OpArgs) -> Result<usize, Errno> {
    // SAFETY: integers and pointers; zeroes are valid.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_iov = args.iov.as_mut_ptr();
    header.msg_iovlen = args.iov.count as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header lives through the call; the buffers are the request's.
    unsafe {
        if args.kind == Kind::Write {
            crate::sys!(sendmsg, fd, &raw const header, flags)
        } else {
            crate::sys!(recvmsg, fd, &raw mut header, flags)
        }
    }
}

/// One call that may block, on a worker. None: there is more to do.
///
/// # Safety
/// As `sys::rwv2`.
unsafe fn blocking_step(fd: c_int, args: &mut OpArgs) -> Option<i64> {
    let write = args.kind == Kind::Write;
    let fifo = write && sys::stat(fd).is_ok_and(|st| st.file_type() == libc::S_IFIFO);
    // SAFETY: passed on; a piece of the first segment is as good as all.
    let r = unsafe {
        match args.iov.as_slice_mut().first().copied() {
            Some(mut piece) if fifo => {
                piece.iov_len = piece.iov_len.min(PIPE_BUF);
                sys::rwv2(write, fd, &raw const piece, 1, args.pos, args.rw_flags)
            }
            _ => call(fd, args, args.rw_flags),
        }
    };
    match r {
        Ok(n) => {
            args.advance(n as u64);
            (args.iov.total == 0 || n == 0 || !write).then_some(args.done as i64)
        }
        Err(Errno::EINTR) => None,
        Err(e) => Some(failed(args, e)),
    }
}

/// Gives the thread the priority of the operation; it keeps it until another is
/// asked for.
fn set_ioprio(wanted: u16, now: &mut u16) {
    const IOPRIO_WHO_PROCESS: c_int = 1;
    if wanted != *now {
        // SAFETY: no memory is passed.
        let _ = unsafe { crate::sys!(ioprio_set, IOPRIO_WHO_PROCESS, 0, wanted) };
        *now = wanted;
    }
}

//! The engine's thread: takes operations over, feeds the ring, and reports what
//! is done.

use super::cancel::{CancelRequest, GONE, Stage, refuse_cancels};
use super::ring::Ring;
use super::{polls, sqe};
use crate::engine::op::{Kind, Op, OpPtr, Timeout};
use crate::engine::{Done, blocking};
use crate::errno::Errno;
use crate::{sys, worker};
use io_uring::{cqueue, opcode, squeue, types};
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

/// What a completion's user_data points to, in the low bits of the pointer.
pub(super) const TAG_OP: u64 = 0;
const TAG_CANCEL: u64 = 1;
const TAG_FUTEX: u64 = 2;
const TAG_INSTALL: u64 = 3;
pub(super) const TAG_NOTHING: u64 = 4;
const TAG_RUN: u64 = 5;
const TAG_SIGNAL: u64 = 6;
const TAGS: u64 = 7;

/// `Op::state` here.
const WAITS: u32 = 0;
const ISSUED: u32 = 1;

/// Operations that are completed together.
const TOGETHER: usize = 32;

/// Operations that are not kept waiting for the next call into the kernel.
const MANY: usize = 16;

pub extern "C" fn main(arg: *mut c_void) -> *mut c_void {
    let _running = worker::enter(c"aio-rs-uring");
    // SAFETY: the engine lives for ever.
    let ring = unsafe { &*arg.cast_const().cast::<Ring>() };
    match sys::keep_only_fd(ring.own_fd) {
        Ok(()) => ring.started.store(1, Release),
        Err(e) => ring.started.store(2 + e.0 as u32, Release),
    }
    sys::futex_wake(&ring.started, 1);
    if ring.started.load(Relaxed) == 1 {
        let none = Done { op: NonNull::dangling(), res: 0 };
        let (done, done_count) = ([none; TOGETHER], 0);
        Service { ring, in_flight: 0, futex_armed: false, done, done_count }.run();
        ring.started.store(GONE, SeqCst);
        refuse_cancels(ring);
        // SAFETY: retired, and nothing points to the ring's queues any more.
        unsafe { drop(std::ptr::read(&raw const *ring.io_uring)) };
    }
    null_mut()
}

/// Signals an eventfd of which the thread could not get a descriptor of its own
/// (RLIMIT_NOFILE). On the ring's thread.
pub fn signal_by_ring(ring: &Ring, pin: u32) {
    static ONE: u64 = 1;
    let from = (&raw const ONE).cast();
    let sqe = opcode::Write::new(types::Fixed(pin), from, 8).build();
    let sqe = sqe.user_data(u64::from(pin) << 3 | TAG_SIGNAL);
    ring.signals.fetch_add(1, Relaxed);
    // SAFETY: this thread alone uses the submission queue; `ONE` is static.
    while unsafe { ring.io_uring.submission_shared().push(&sqe) }.is_err() {
        let _ = ring.io_uring.submit();
    }
}

pub(super) struct Service {
    ring: &'static Ring,
    /// Requests in the ring, the one that waits on the futex not counted.
    pub(super) in_flight: usize,
    futex_armed: bool,
    /// The first `done_count` are to be completed.
    done: [Done; TOGETHER],
    done_count: usize,
}

impl Service {
    /// Until the ring is retired and its last operation is done.
    fn run(&mut self) {
        loop {
            let mut busy = self.take_inbox();
            busy |= self.take_cancels();
            // What was taken goes into the kernel by the call that then waits,
            // unless it is much.
            if self.queued() >= MANY {
                self.submit(0);
            }
            busy |= self.reap();
            if busy {
                continue;
            }
            if self.ring.retired.load(Acquire) && self.ring.pinned.load(Acquire) == 0 {
                return;
            }
            self.sleep();
        }
    }

    /// Operations handed over, in the order in which they were.
    fn take_inbox(&mut self) -> bool {
        // Acquire: pairs with the release in `push`.
        let mut newest = self.ring.inbox.swap(null_mut(), Acquire);
        let mut oldest: *mut Op = null_mut();
        let any = !newest.is_null();
        // SAFETY: handed over to this thread.
        unsafe {
            while !newest.is_null() {
                let next = (*newest).next.load(Relaxed);
                (*newest).next.store(oldest, Relaxed);
                oldest = newest;
                newest = next;
            }
            while let Some(op) = NonNull::new(oldest) {
                oldest = op.as_ref().next.load(Relaxed);
                op.as_ref().next.store(null_mut(), Relaxed);
                self.begin(op);
            }
        }
        any
    }

    fn begin(&mut self, op: OpPtr) {
        // SAFETY: handed over to this thread.
        let o = unsafe { op.as_ref() };
        let res_pin = o.res_pin.load(Relaxed);
        if res_pin != Op::NO_PIN && self.ring.needs_install(res_pin) {
            // Done before anything behind it: installing never waits.
            let sqe = opcode::FixedFdInstall::new(types::Fixed(res_pin), 0).build();
            self.push(sqe.user_data(u64::from(res_pin) << 3 | TAG_INSTALL));
            self.in_flight += 1;
        }
        if o.abandoned.load(Acquire) {
            self.submit(0);
            self.reap();
            self.finish(op, Errno::ECANCELED.neg());
            self.complete();
            return;
        }
        self.issue(op, squeue::Flags::empty());
    }

    fn issue(&mut self, op: OpPtr, flags: squeue::Flags) {
        // SAFETY: handed over to this thread; the ring gets pointers to the
        // request's own vector and the program's buffers, for the operation.
        let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
        let sqe = sqe::build(args, sqe::Target::Slot(o.pin.load(Relaxed)));
        o.state.store(ISSUED, Relaxed);
        self.in_flight += 1;
        let timed = args.timeout != Timeout::NONE;
        let flags = if timed { flags | squeue::Flags::IO_LINK } else { flags };
        self.push(
            sqe.flags(flags | squeue::Flags::FIXED_FILE).user_data(op.as_ptr() as u64 | TAG_OP),
        );
        if timed {
            // Copied when it is submitted; the request keeps it till then.
            let limit = (&raw const args.timeout).cast::<types::Timespec>();
            self.in_flight += 1;
            self.push(opcode::LinkTimeout::new(limit).build().user_data(TAG_NOTHING));
        }
    }

    pub(super) fn push(&mut self, sqe: squeue::Entry) {
        loop {
            // SAFETY: this thread alone uses the submission queue; what the entry
            // points to lives until its completion.
            if unsafe { self.ring.io_uring.submission_shared().push(&sqe) }.is_ok() {
                return;
            }
            self.submit(0);
            self.reap();
        }
    }

    fn queued(&self) -> usize {
        // SAFETY: as in `push`.
        unsafe { self.ring.io_uring.submission_shared().len() }
    }

    /// Enters the ring, and waits for `want` completions.
    fn submit(&mut self, want: usize) {
        if self.queued() == 0 && want == 0 {
            return;
        }
        match self.ring.io_uring.submit_and_wait(want) {
            Ok(_) => {}
            // A seccomp filter that came later than the ring. What is in flight
            // still completes, whenever this thread makes any system call.
            Err(e)
                if matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) =>
            {
                sys::nap()
            }
            // EBUSY and EAGAIN: reap first, then try again; EINTR: nothing sent us
            // a signal but the kernel, which wants us back in.
            Err(_) => {}
        }
    }

    fn reap(&mut self) -> bool {
        let mut any = false;
        loop {
            // SAFETY: this thread alone uses the completion queue.
            let Some(cqe) = (unsafe { self.ring.io_uring.completion_shared().next() }) else {
                self.complete();
                return any;
            };
            any = true;
            let at = cqe.user_data() & !TAGS;
            match cqe.user_data() & TAGS {
                TAG_FUTEX => self.futex_armed = false,
                TAG_RUN => {
                    self.in_flight -= 1;
                    if let Some(op) = NonNull::new(at as *mut Op) {
                        self.run_here(op, cqe.result());
                    }
                }
                TAG_NOTHING => self.in_flight -= 1,
                TAG_SIGNAL => {
                    self.ring.signals.fetch_sub(1, Relaxed);
                    self.ring.unpin(self.ring.own_fd, (at >> 3) as u32);
                }
                TAG_INSTALL => {
                    self.in_flight -= 1;
                    self.ring.set_installed((at >> 3) as u32, cqe.result().max(-1));
                }
                TAG_CANCEL => {
                    self.in_flight -= 1;
                    // SAFETY: the asking thread waits for the answer.
                    self.cancel_found(unsafe { &*(at as *const CancelRequest) }, cqe.result());
                }
                _ => {
                    let more = cqueue::more(cqe.flags());
                    self.in_flight -= usize::from(!more);
                    match NonNull::new(at as *mut Op) {
                        Some(op) if more => self.changed(op, cqe.result()),
                        Some(op) => self.completed(op, cqe.result()),
                        None => {}
                    }
                }
            }
        }
    }

    fn completed(&mut self, op: OpPtr, mut res: i32) {
        // SAFETY: in this thread's hands until it is finished.
        let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
        let cancel = o.next.swap(null_mut(), Relaxed).cast::<CancelRequest>();
        if args.kind == Kind::Poll && args.done > 0 {
            res = args.done as i32;
        } else if args.kind == Kind::Poll && res > 0 {
            res = match polls::polled(args, res) {
                // Only what it was not asked for, which may last.
                0 if cancel.is_null() => return self.watch(op),
                0 => -libc::ECANCELED,
                asked => asked,
            };
        }
        let transfer = matches!(args.kind, Kind::Read | Kind::Write);
        // The kernel had no worker for it (RLIMIT_NPROC, the pids cgroup).
        let no_worker = res == -libc::ECANCELED && cancel.is_null() && args.is_device_io();
        // The ring says so for EOPNOTSUPP, too, which pwritev2 can tell from it.
        let unclear = res == -libc::EAGAIN
            && args.kind == Kind::Write
            && args.rw_flags & crate::abi::RWF_NOWAIT != 0
            && args.traits.seekable
            && !args.traits.direct;
        if no_worker || unclear {
            let file = types::Fixed(o.pin.load(Relaxed));
            self.in_flight += 1;
            let sqe = opcode::FixedFdInstall::new(file, 0).build();
            return self.push(sqe.user_data(op.as_ptr() as u64 | TAG_RUN));
        }
        if transfer && cancel.is_null() {
            // An O_NONBLOCK file is not punted; a file that has no business with
            // O_NONBLOCK must not tell.
            let again = res == -libc::EAGAIN
                && args.traits.seekable
                && args.rw_flags & crate::abi::RWF_NOWAIT == 0;
            if again || res == -libc::EINTR {
                return self.issue(op, squeue::Flags::ASYNC);
            }
            let unfinished = res > 0 && (res as u64) < args.iov.total;
            let full = args.traits.seekable || args.kind == Kind::Write && !args.traits.nonblock;
            if unfinished && full {
                args.advance(res as u64);
                return self.issue(op, squeue::Flags::empty());
            }
        }
        // The link of the socket's timeout stopped it.
        let timed_out =
            res == -libc::ECANCELED && cancel.is_null() && args.timeout != Timeout::NONE;
        let res = i64::from(if timed_out { -libc::EAGAIN } else { res });
        let total = match res {
            n if n >= 0 && transfer => args.done as i64 + n,
            n if n < 0 && args.done > 0 => args.done as i64,
            n => n,
        };
        // SAFETY: a request to cancel lives until it is answered.
        let cancel = unsafe { cancel.as_ref() };
        let stopped =
            total == Errno::ECANCELED.neg() || cancel.is_some() && total == Errno::EINTR.neg();
        self.finish(op, if stopped { Errno::ECANCELED.neg() } else { total });
        if let Some(c) = cancel {
            self.complete();
            // Answered once both completions are there: c is needed till then.
            match c.stage.get() {
                Stage::Asked => c.stage.set(Stage::Completed(stopped)),
                _ => c.reply(stopped),
            }
        }
    }

    /// Does it on this thread, through a descriptor of the thread's own.
    fn run_here(&mut self, op: OpPtr, fd: i32) {
        // The others are not to wait for it.
        self.complete();
        // SAFETY: in this thread's hands.
        let args = unsafe { op.as_ref().args() };
        let res = if fd < 0 {
            i64::from(fd)
        } else {
            // SAFETY: `fd` is the pinned file.
            unsafe { blocking::run(fd, args) }
        };
        if fd >= 0 {
            sys::close(fd);
        }
        self.finish(op, res);
    }

    fn finish(&mut self, op: OpPtr, res: i64) {
        // SAFETY: in this thread's hands until `complete`.
        unsafe {
            op.as_ref().state.store(WAITS, Relaxed);
            self.ring.unpin(self.ring.own_fd, op.as_ref().pin.load(Relaxed));
        }
        self.done[self.done_count] = Done { op, res };
        self.done_count += 1;
        if self.done_count == TOGETHER {
            self.complete();
        }
    }

    /// Completes what is finished.
    fn complete(&mut self) {
        let done = &self.done[..std::mem::take(&mut self.done_count)];
        if !done.is_empty() {
            // SAFETY: in this thread's hands, and after this in nobody's.
            unsafe { (self.ring.complete)(done) };
            self.ring.pinned.fetch_sub(done.len(), Release);
        }
    }

    fn take_cancels(&mut self) -> bool {
        // Acquire: pairs with the release in `push`.
        let mut at = self.ring.cancels.swap(null_mut(), Acquire);
        let any = !at.is_null();
        if any {
            // What was handed over before has to be in the ring by now.
            self.take_inbox();
        }
        // SAFETY: each lives until it is answered; operations that are still
        // there can only complete on this thread.
        unsafe {
            while let Some(c) = at.as_ref() {
                at = c.next.load(Relaxed);
                let op = c.op.as_ref();
                let here = c.is_there()
                    && op.state.load(Relaxed) == ISSUED
                    && std::ptr::eq(op.home.load(Relaxed).cast(), self.ring)
                    && op.next.load(Relaxed).is_null()
                    // The device would be interrupted, or finish it anyway.
                    && !op.args().is_device_io();
                if !here {
                    c.reply(false);
                    continue;
                }
                op.next.store(std::ptr::from_ref(c).cast_mut().cast(), Relaxed);
                let sqe = opcode::AsyncCancel::new(c.op.as_ptr() as u64 | TAG_OP).build();
                self.in_flight += 1;
                self.push(sqe.user_data(std::ptr::from_ref(c) as u64 | TAG_CANCEL));
            }
        }
        any
    }

    /// The ring's answer to a request to cancel.
    fn cancel_found(&mut self, c: &CancelRequest, res: i32) {
        match c.stage.get() {
            Stage::Completed(stopped) => c.reply(stopped),
            _ if res == 0 => c.stage.set(Stage::Found),
            _ => {
                // SAFETY: not completed, hence in this thread's hands.
                unsafe { c.op.as_ref() }.next.store(null_mut(), Relaxed);
                c.reply(false);
            }
        }
    }

    /// Until something is handed over or completes.
    fn sleep(&mut self) {
        let r = self.ring;
        let word = r.word.load(Acquire);
        r.asleep.store(1, Relaxed);
        // Pairs with the fence in `kick`.
        fence(SeqCst);
        let retired_now = r.retired.load(Relaxed) && r.pinned.load(Relaxed) == 0;
        if retired_now || !r.inbox.load(Relaxed).is_null() || !r.cancels.load(Relaxed).is_null() {
            r.asleep.store(0, Relaxed);
            return;
        }
        let idle = self.in_flight == 0 && r.signals.load(Relaxed) == 0;
        if idle && !self.futex_armed {
            let _ = sys::futex_wait(&r.word, word, None);
        } else {
            if !self.futex_armed {
                self.futex_armed = true;
                let sqe = sqe::futex_wait(&r.word, word);
                self.push(sqe.user_data(TAG_FUTEX));
            }
            self.submit(1);
        }
        r.asleep.store(0, Relaxed);
    }
}

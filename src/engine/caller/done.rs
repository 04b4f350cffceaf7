//! Completions: looking for them, sleeping for them, and what becomes of each.

use super::life::CallerRing;
use super::ring::{self, Pending, Wait};
use crate::engine::Done;
use crate::engine::op::{Op, OpArgs, OpList, OpPtr};
use crate::engine::uring::sqe;
use crate::errno::Errno;
use crate::sys;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// The kernel hands out some 20 completions at a time.
const FETCHES: u32 = ring::COMPLETIONS / 16;

/// user_data of the futex; all else is a pointer to an operation.
const FUTEX: u64 = 1;

impl CallerRing {
    /// In the owner: completes what is done.
    #[inline]
    pub fn look(&self) {
        let Some(_user) = self.user() else { return };
        match self.pages.pending() {
            Pending::None => return self.seen(),
            Pending::Here => {}
            Pending::InKernel => self.fetch_all(),
        }
        self.reap();
    }

    /// Has the kernel put what is done into the ring.
    pub(super) fn fetch_all(&self) {
        // The kernel's mark of that can outlast the work.
        for _ in 0..FETCHES {
            if !self.pages.has_work() || !self.fetch() {
                break;
            }
        }
    }

    /// Has the kernel put some of what is done into the ring. False: it cannot now.
    #[cold]
    pub(super) fn fetch(&self) -> bool {
        let Some(_visit) = self.visit() else { return false };
        let r = self.pages.enter(self.fd.load(Relaxed));
        self.look_at_error(r.err());
        r.is_ok()
    }

    /// In the owner: sleeps until something is done, or until the word does not
    /// have the value any more and its sleepers are woken. May return early.
    ///
    /// # Errors
    /// EINTR: a signal handler ran. ETIMEDOUT.
    pub fn sleep(
        &self,
        word: Option<(&AtomicU32, u32)>,
        deadline: Option<libc::timespec>,
        mask: Option<sys::SigSet>,
    ) -> Result<(), Errno> {
        let Some(_visit) = self.visit() else { return Ok(()) };
        let mut left = deadline.map(sys::time_left);
        let mut shortened = false;
        if let Some((word, value)) = word
            && !self.futex_armed.load(Relaxed)
        {
            if self.pushing.swap(true, AcqRel) {
                // The thread below us is about to push: without the futex, not long.
                left = Some(libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 });
                shortened = true;
            } else {
                self.arm_futex(word, value);
                self.pushing.store(false, Relaxed);
            }
        }
        self.asleep.store(true, Relaxed);
        let r = self.pages.enter_and_wait(self.fd.load(Relaxed), &Wait { left, mask });
        self.asleep.store(false, Relaxed);
        // The more there are, the fewer calls of io_submit follow.
        self.fetch_all();
        match r {
            Err(Errno(libc::ETIME)) if !shortened => Err(Errno::ETIMEDOUT),
            Err(Errno::EINTR) => Err(Errno::EINTR),
            r => {
                self.look_at_error(r.err());
                Ok(())
            }
        }
    }

    fn arm_futex(&self, word: &AtomicU32, value: u32) {
        let entry = sqe::futex_wait(word, value);
        self.futex_armed.store(true, Relaxed);
        if !self.pages.push(entry.user_data(FUTEX)) {
            self.futex_armed.store(false, Relaxed);
        }
    }

    /// Completes what is done. The owner, and any thread once the ring is closed.
    pub fn reap(&self) {
        let mut again = OpList::new();
        let Some(_user) = self.user() else { return };
        self.reap_round(0, &mut again);
        if !again.is_empty() {
            // SAFETY: the ring has given them back.
            unsafe { (self.all().go_on)(again) };
        }
    }

    pub(super) fn reap_round(&self, round: u32, again: &mut OpList) {
        while let Some((data, res)) = self.pages.pop() {
            if data == FUTEX {
                self.futex_armed.store(false, Relaxed);
                continue;
            }
            if let Some(op) = NonNull::new(data as *mut Op) {
                // SAFETY: completed once; in our hands.
                unsafe { self.completed(op, i64::from(res), round, again) };
            }
        }
    }

    /// # Safety
    /// The ring has given the operation back.
    unsafe fn completed(&self, op: OpPtr, res: i64, round: u32, again: &mut OpList) {
        // SAFETY: by the caller's word.
        let (o, args) = unsafe { (op.as_ref(), op.as_ref().args()) };
        let of_this_call = round != 0 && o.state.load(Relaxed) == round;
        let refused = [Errno::EAGAIN, Errno(libc::EOPNOTSUPP)].iter().any(|e| res == e.neg());
        let stopped = refused || [Errno::ECANCELED, Errno::EINTR].iter().any(|e| res == e.neg());
        let unfinished = res > 0 && (res as u64) < args.iov.total && !ends_there(args, res);
        if refused {
            let penalty = (self.penalty.load(Relaxed) * 2).clamp(4, 4096);
            self.penalty.store(penalty, Relaxed);
            self.skip.store(penalty, Relaxed);
        } else {
            self.penalty.store(0, Relaxed);
        }
        // Later than the call the descriptor may name another file.
        if (stopped || unfinished) && (of_this_call || sys::file_id(args.fd) == Ok(args.id)) {
            if unfinished {
                args.advance(res as u64);
            }
            self.take_back(o);
            again.push(op);
            return;
        }
        // SAFETY: by the caller's word.
        unsafe { (self.all().complete)(&[Done { op, res }]) };
        self.in_flight.fetch_sub(1, AcqRel);
    }
}

/// A short read that reached the end of the file.
fn ends_there(args: &OpArgs, moved: i64) -> bool {
    sys::stat(args.fd).is_ok_and(|st| {
        let regular = st.file_type() == libc::S_IFREG;
        args.id == st.id() && regular && args.pos + moved >= st.size
    })
}

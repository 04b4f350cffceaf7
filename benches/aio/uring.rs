//! Native io_uring in the same loop: what a program would be rewritten to.

use crate::job::{Job, Op};
use crate::queue::Queue;
use crate::wait::Epoll;
use io_uring::{IoUring, opcode, squeue, types};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// The request of a slot.
pub fn entry(job: &Job, slot: usize, offset: u64) -> squeue::Entry {
    let fd = types::Fd(job.fd());
    let (buffer, size) = (job.buffer(slot), job.size as u32);
    let entry = match (job.op, job.vecs as u32) {
        (Op::Read, 0) => opcode::Read::new(fd, buffer, size).offset(offset).build(),
        (Op::Write, 0) => opcode::Write::new(fd, buffer, size).offset(offset).build(),
        (Op::Read, n) => opcode::Readv::new(fd, job.iovec(slot), n).offset(offset).build(),
        (Op::Write, n) => opcode::Writev::new(fd, job.iovec(slot), n).offset(offset).build(),
        (Op::Fsync, _) => opcode::Fsync::new(fd).build(),
    };
    entry.user_data(slot as u64)
}

pub struct Uring<'a> {
    job: &'a Job,
    ring: IoUring,
    epoll: Option<Epoll>,
    /// Submit and wait in one system call: in `reap`.
    together: bool,
}

impl<'a> Uring<'a> {
    pub fn new(job: &'a Job) -> Self {
        Self { job, ring: ring(job.depth, true), epoll: None, together: true }
    }

    /// Submits and waits in two system calls.
    pub fn apart(job: &'a Job) -> Self {
        Self { together: false, ..Self::new(job) }
    }

    pub fn with_epoll(job: &'a Job, epoll: Epoll) -> Self {
        let ring = ring(job.depth, false);
        ring.submitter().register_eventfd(epoll.eventfd.as_raw_fd()).expect("an eventfd");
        Self { job, ring, epoll: Some(epoll), together: false }
    }
}

/// With what the manual recommends for one thread, if it is one.
fn ring(depth: usize, one_thread: bool) -> IoUring {
    let size = (depth.max(8) as u32).next_power_of_two();
    let mut builder = IoUring::builder();
    if one_thread {
        builder.setup_coop_taskrun();
    }
    builder.build(size).expect("io_uring")
}

impl Queue for Uring<'_> {
    #[inline]
    fn prepare(&mut self, slot: usize, offset: u64) {
        let entry = entry(self.job, slot, offset);
        // SAFETY: buffer and vectors belong to the job, which outlives the ring.
        unsafe { self.ring.submission().push(&entry).expect("room in the ring") };
    }

    #[inline]
    fn submit(&mut self) -> io::Result<()> {
        if !self.together {
            self.ring.submit()?;
        }
        Ok(())
    }

    #[inline]
    fn reap(&mut self, done: &mut Vec<usize>) -> io::Result<()> {
        match &self.epoll {
            None => {
                self.ring.submit_and_wait(1)?;
            }
            Some(epoll) => {
                epoll.wait();
            }
        }
        for event in self.ring.completion() {
            self.job.check(event.result().into())?;
            done.push(event.user_data() as usize);
        }
        Ok(())
    }
}

/// A ring whose completions another thread waits for.
#[derive(Clone)]
pub struct SharedRing(Arc<IoUring>);

const STOP: u64 = u64::MAX;

impl SharedRing {
    pub fn new(depth: usize) -> Self {
        Self(Arc::new(ring(depth, false)))
    }

    /// The submitting thread only.
    pub fn push(&self, job: &Job, slot: usize, offset: u64) {
        self.push_entry(&entry(job, slot, offset));
    }

    pub fn submit(&self) {
        self.0.submit().expect("io_uring_enter");
    }

    /// Ends the reaper.
    pub fn stop(&self) {
        self.push_entry(&opcode::Nop::new().build().user_data(STOP));
        self.submit();
    }

    fn push_entry(&self, entry: &squeue::Entry) {
        // SAFETY: one thread submits; buffers belong to the job, which outlives
        // the ring's last request.
        unsafe { self.0.submission_shared().push(entry).expect("room in the ring") };
    }

    /// The reaping thread only. False: it is to end.
    pub fn wait(&self, size: usize, done: &mut Vec<usize>) -> bool {
        let enter = |n| {
            // SAFETY: waits only; submits nothing.
            unsafe { self.0.submitter().enter::<libc::sigset_t>(0, n, 1, None) }
        };
        // SAFETY: one thread reaps.
        let mut completion = unsafe { self.0.completion_shared() };
        if completion.is_empty() {
            let _ = enter(1);
            completion.sync();
        }
        for event in completion {
            if event.user_data() == STOP {
                return false;
            }
            assert_eq!(event.result(), size as i32, "result of io_uring");
            done.push(event.user_data() as usize);
        }
        true
    }
}

//! One loop for all sides. A side is a queue of requests: libaio's calls, in
//! either library; io_uring; or the plain system call.

use super::job::{Job, Op};
use super::library::{self, Aio, Context, Event, Iocb};
use super::memory;
use super::wait::Wait;
use std::io;
use std::time::{Duration, Instant};

pub trait Queue: Send {
    /// Gets the request of a slot ready.
    fn prepare(&mut self, slot: usize, offset: u64);
    /// Submits what is ready.
    fn submit(&mut self) -> io::Result<()>;
    /// Waits for one event or more; adds the slots to `done`.
    fn reap(&mut self, done: &mut Vec<usize>) -> io::Result<()>;
}

/// Keeps all slots busy for `time`. Gives the number of requests done.
///
/// # Errors
/// What a call or a request fails with.
pub fn drive(queue: &mut dyn Queue, job: &Job, time: Duration) -> io::Result<u64> {
    let mut offsets = job.offsets();
    let mut done: Vec<usize> = (0..job.depth).collect();
    let mut ops = 0;
    let rounds = (64 / job.depth).max(1);
    let end = Instant::now() + time;
    while Instant::now() < end {
        for _ in 0..rounds {
            for &slot in &done {
                queue.prepare(slot, offsets.next());
            }
            queue.submit()?;
            done.clear();
            queue.reap(&mut done)?;
            ops += done.len() as u64;
        }
    }
    let mut flying = job.depth - done.len();
    while flying > 0 {
        done.clear();
        queue.reap(&mut done)?;
        flying -= done.len();
        ops += done.len() as u64;
    }
    Ok(ops)
}

/// Every slot once, and the data compared.
///
/// # Errors
/// As `drive`.
pub fn verify(queue: &mut dyn Queue, job: &Job, seed: u64) -> io::Result<()> {
    let mut offsets = job.offsets();
    let at: Vec<u64> = (0..job.depth).map(|_| offsets.next()).collect();
    // What is written; a read has to replace it by what is in the file.
    let (before, after) = if job.op == Op::Read { (99, 0) } else { (seed, seed) };
    for (slot, &offset) in at.iter().enumerate() {
        with_buffer(job, slot, |bytes| memory::fill(bytes, offset, before));
        queue.prepare(slot, offset);
    }
    queue.submit()?;
    let mut done = Vec::new();
    while done.len() < job.depth {
        queue.reap(&mut done)?;
    }
    for (slot, &offset) in at.iter().enumerate() {
        with_buffer(job, slot, |bytes| {
            if job.op == Op::Write {
                bytes.fill(0);
                read_at(job, bytes, offset);
            }
            assert!(memory::is_filled(bytes, offset, after), "wrong data at {offset}");
        });
    }
    Ok(())
}

fn with_buffer(job: &Job, slot: usize, work: impl FnOnce(&mut [u8])) {
    // SAFETY: no request is in flight, and no other part of the program looks.
    work(unsafe { std::slice::from_raw_parts_mut(job.buffer(slot), job.size) });
}

fn read_at(job: &Job, bytes: &mut [u8], offset: u64) {
    // SAFETY: the slot's buffer.
    let n = unsafe { libc::pread(job.fd(), bytes.as_mut_ptr().cast(), bytes.len(), offset as i64) };
    assert_eq!(n, bytes.len() as isize, "pread");
}

/// libaio's calls.
pub struct Libaio<'a> {
    job: &'a Job,
    context: Context,
    iocbs: Vec<Iocb>,
    batch: Vec<*mut Iocb>,
    events: Vec<Event>,
    wait: Wait,
}

// SAFETY: the pointers of `batch` are to `iocbs`, which moves with it.
unsafe impl Send for Libaio<'_> {}

impl<'a> Libaio<'a> {
    /// # Errors
    /// What io_setup returns.
    pub fn new(aio: &'static Aio, job: &'a Job, wait: Wait) -> io::Result<Self> {
        let context = Context::patient(aio, job.depth.max(128))?;
        let mut iocbs: Vec<Iocb> = (0..job.depth).map(|slot| job.iocb(slot)).collect();
        if let Some(fd) = wait.eventfd() {
            for iocb in &mut iocbs {
                iocb.flags = library::RESFD;
                iocb.resfd = fd;
            }
        }
        let events = vec![Event::default(); job.depth];
        Ok(Self { job, context, iocbs, batch: Vec::with_capacity(job.depth), events, wait })
    }
}

impl Queue for Libaio<'_> {
    #[inline]
    fn prepare(&mut self, slot: usize, offset: u64) {
        let iocb = &mut self.iocbs[slot];
        iocb.offset = offset as i64;
        if let Some(there) = self.job.there(offset) {
            iocb.buf = there as u64;
        }
        self.batch.push(iocb);
    }

    #[inline]
    fn submit(&mut self) -> io::Result<()> {
        // SAFETY: buffers belong to the job, which outlives the context, and
        // io_destroy waits for what nobody has waited for.
        unsafe { self.context.submit_all(&mut self.batch)? };
        self.batch.clear();
        Ok(())
    }

    #[inline]
    fn reap(&mut self, done: &mut Vec<usize>) -> io::Result<()> {
        let n = self.wait.events(&self.context, &mut self.events)?;
        for event in &self.events[..n] {
            self.job.check(event.res)?;
            done.push(event.data as usize);
        }
        Ok(())
    }
}

/// One system call a request.
pub struct Plain<'a> {
    job: &'a Job,
    ready: Vec<(usize, u64)>,
}

impl<'a> Plain<'a> {
    pub fn new(job: &'a Job) -> Self {
        Self { job, ready: Vec::with_capacity(job.depth) }
    }
}

impl Queue for Plain<'_> {
    #[inline]
    fn prepare(&mut self, slot: usize, offset: u64) {
        self.ready.push((slot, offset));
    }

    fn submit(&mut self) -> io::Result<()> {
        Ok(())
    }

    #[inline]
    fn reap(&mut self, done: &mut Vec<usize>) -> io::Result<()> {
        let Job { op, size, vecs, .. } = *self.job;
        let fd = self.job.fd();
        for (slot, offset) in self.ready.drain(..) {
            let buffer = self.job.there(offset).unwrap_or_else(|| self.job.buffer(slot)).cast();
            let offset = offset as i64;
            // SAFETY: the slot's own buffer and vectors, or what is only read.
            let n = unsafe {
                match (op, vecs) {
                    (Op::Read, 0) => libc::pread(fd, buffer, size, offset),
                    (Op::Write, 0) => libc::pwrite(fd, buffer, size, offset),
                    (Op::Read, n) => libc::preadv(fd, self.job.iovec(slot), n as i32, offset),
                    (Op::Write, n) => libc::pwritev(fd, self.job.iovec(slot), n as i32, offset),
                    (Op::Fsync, _) => libc::fsync(fd) as isize,
                }
            };
            let error = || -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
            self.job.check(if n < 0 { error().into() } else { n as i64 })?;
            done.push(slot);
        }
        Ok(())
    }
}

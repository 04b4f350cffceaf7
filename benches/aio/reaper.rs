//! Submit in one thread, reap in another, as InnoDB does.

use crate::job::Job;
use crate::library::{self, Aio, Context, Event, Iocb};
use crate::queue::Queue;
use crate::uring::SharedRing;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Slots on their way back from the reaper.
#[derive(Default)]
struct Finished {
    slots: Mutex<Vec<usize>>,
    any: Condvar,
}

impl Finished {
    fn give(&self, slots: &mut Vec<usize>) {
        self.slots.lock().append(slots);
        self.any.notify_one();
    }

    fn take(&self, done: &mut Vec<usize>) {
        let mut slots = self.slots.lock();
        while slots.is_empty() {
            self.any.wait(&mut slots);
        }
        done.append(&mut slots);
    }
}

enum Side {
    Libaio { context: Arc<Context>, iocbs: Vec<Iocb>, batch: Vec<*mut Iocb> },
    Uring(SharedRing),
}

pub struct Reaped<'a> {
    job: &'a Job,
    side: Side,
    finished: Arc<Finished>,
    reaper: Option<JoinHandle<()>>,
}

// SAFETY: the pointers of `batch` are to `iocbs`, which moves with it.
unsafe impl Send for Reaped<'_> {}

const STOP: u64 = u64::MAX;

impl<'a> Reaped<'a> {
    /// # Errors
    /// What io_setup returns.
    pub fn libaio(aio: &'static Aio, job: &'a Job) -> io::Result<Self> {
        let context = Arc::new(Context::patient(aio, job.depth.max(128))?);
        let iocbs = (0..job.depth).map(|slot| job.iocb(slot)).collect();
        let finished = Arc::new(Finished::default());
        let (size, depth) = (job.size as i64, job.depth);
        let reaper = {
            let (context, finished) = (Arc::clone(&context), Arc::clone(&finished));
            std::thread::spawn(move || {
                let mut events = vec![Event::default(); depth];
                let mut slots = Vec::with_capacity(depth);
                loop {
                    let n = context.getevents(1, &mut events, None);
                    assert!(n > 0, "io_getevents: {n}");
                    for event in &events[..n as usize] {
                        if event.data == STOP {
                            return;
                        }
                        assert_eq!(event.res, size, "result of a request");
                        slots.push(event.data as usize);
                    }
                    finished.give(&mut slots);
                }
            })
        };
        let side = Side::Libaio { context, iocbs, batch: Vec::with_capacity(depth) };
        Ok(Self { job, side, finished, reaper: Some(reaper) })
    }

    pub fn uring(job: &'a Job) -> Self {
        let ring = SharedRing::new(job.depth);
        let finished = Arc::new(Finished::default());
        let (size, depth) = (job.size, job.depth);
        let reaper = {
            let (ring, finished) = (ring.clone(), Arc::clone(&finished));
            std::thread::spawn(move || {
                let mut slots = Vec::with_capacity(depth);
                while ring.wait(size, &mut slots) {
                    if !slots.is_empty() {
                        finished.give(&mut slots);
                    }
                }
            })
        };
        Self { job, side: Side::Uring(ring), finished, reaper: Some(reaper) }
    }
}

impl Queue for Reaped<'_> {
    #[inline]
    fn prepare(&mut self, slot: usize, offset: u64) {
        match &mut self.side {
            Side::Libaio { iocbs, batch, .. } => {
                iocbs[slot].offset = offset as i64;
                batch.push(&raw mut iocbs[slot]);
            }
            Side::Uring(ring) => ring.push(self.job, slot, offset),
        }
    }

    #[inline]
    fn submit(&mut self) -> io::Result<()> {
        match &mut self.side {
            Side::Libaio { context, batch, .. } => {
                // SAFETY: `drive` waits for all of them.
                unsafe { context.submit_all(batch)? };
                batch.clear();
            }
            Side::Uring(ring) => ring.submit(),
        }
        Ok(())
    }

    #[inline]
    fn reap(&mut self, done: &mut Vec<usize>) -> io::Result<()> {
        self.finished.take(done);
        Ok(())
    }
}

impl Drop for Reaped<'_> {
    fn drop(&mut self) {
        match &self.side {
            Side::Libaio { context, .. } => {
                let mut last = self.job.iocb(0);
                (last.data, last.opcode, last.nbytes) = (STOP, library::PREAD, 0);
                (last.fd, last.buf) = (self.job.fd(), self.job.buffer(0) as u64);
                // SAFETY: a read of nothing; the reaper is joined below.
                unsafe { context.submit_all(&mut [&raw mut last]).expect("io_submit") };
                self.join();
            }
            Side::Uring(ring) => {
                ring.stop();
                self.join();
            }
        }
    }
}

impl Reaped<'_> {
    fn join(&mut self) {
        if let Some(reaper) = self.reaper.take() {
            reaper.join().expect("the reaper");
        }
    }
}

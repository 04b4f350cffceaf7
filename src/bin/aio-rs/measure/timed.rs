//! The time that io_submit itself takes: one request a call.

use super::job::Job;
use super::queue::Queue;
use hdrhistogram::Histogram;
use std::io;
use std::time::{Duration, Instant};

/// What one side spent inside io_submit, in nanoseconds; by slices, the warm-up
/// first.
#[derive(Default)]
pub struct Times(Vec<Histogram<u64>>);

impl Times {
    pub fn begin(&mut self) {
        self.0.push(Histogram::new(3).expect("a histogram"));
    }

    #[inline]
    pub fn submit(&mut self, queue: &mut dyn Queue) -> io::Result<()> {
        let start = Instant::now();
        queue.submit()?;
        let ns = start.elapsed().as_nanos() as u64;
        let slice = self.0.last_mut().expect("a slice was begun");
        slice.record(ns.max(1)).expect("a time");
        Ok(())
    }

    pub fn slices(&self) -> &[Histogram<u64>] {
        &self.0[1..]
    }

    pub fn all(&self) -> Histogram<u64> {
        let mut all = Histogram::new(3).expect("a histogram");
        self.slices().iter().for_each(|slice| all += slice);
        all
    }
}

/// As many requests in flight as the job has slots, for `time`, and `most` of them;
/// `offset` tells where the nth one goes. Gives their number.
///
/// # Errors
/// What a call or a request fails with.
pub fn drive(
    queue: &mut dyn Queue,
    job: &Job,
    time: Duration,
    most: u64,
    offset: impl Fn(u64) -> u64,
    times: &mut Times,
) -> io::Result<u64> {
    let mut free: Vec<usize> = (0..job.depth).collect();
    let (mut n, end) = (0, Instant::now() + time);
    while n < most && Instant::now() < end {
        let Some(slot) = free.pop() else {
            queue.reap(&mut free)?;
            continue;
        };
        queue.prepare(slot, offset(n));
        times.submit(queue)?;
        n += 1;
    }
    while free.len() < job.depth {
        queue.reap(&mut free)?;
    }
    Ok(n)
}

/// Blocks in an order of no use to read-ahead, each once.
pub fn scattered(first: u64, n: u64, blocks: u64) -> u64 {
    (first + n).wrapping_mul(1_000_003) % blocks
}

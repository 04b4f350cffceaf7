//! Slot accounting: at most as many requests in flight and unreaped events as
//! the ring has room for. Mirrors `get_reqs_available`, `put_reqs_available` and
//! `refill_reqs_available` of fs/aio.c, batches per CPU included: programs can
//! observe them (slots that are stranded on another CPU).

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// `struct kioctx_cpu`, alone on its cache line.
#[repr(align(64))]
pub struct KioctxCpu {
    reqs_available: AtomicU32,
}

pub struct ReqsAvailable {
    available: AtomicU32,
    batch: u32,
    cpus: *const KioctxCpu,
    ncpus: u32,
}

impl ReqsAvailable {
    pub const fn empty() -> Self {
        Self { available: AtomicU32::new(0), batch: 1, cpus: std::ptr::null(), ncpus: 0 }
    }

    /// For a ring of `nr_events`; `cpus` points to `ncpus` zeroed entries.
    ///
    /// # Safety
    /// The entries live as long as this.
    pub unsafe fn new(nr_events: u32, cpus: *const KioctxCpu, ncpus: u32) -> Self {
        let batch = ((nr_events - 1) / (ncpus * 4)).max(1);
        Self { available: AtomicU32::new(nr_events - 1), batch, cpus, ncpus }
    }

    pub fn cpus(&self) -> u32 {
        self.ncpus
    }

    #[inline]
    fn this_cpu(&self) -> &AtomicU32 {
        // SAFETY: sched_getcpu has no preconditions (rseq area or vDSO).
        let cpu = unsafe { libc::sched_getcpu() }.max(0) as u32 % self.ncpus;
        // SAFETY: `ncpus` entries by `new`.
        unsafe { &(*self.cpus.add(cpu as usize)).reqs_available }
    }

    /// Takes up to `wanted` slots, one at least: none only if there is none. The
    /// kernel takes one at a time.
    #[inline]
    pub fn get(&self, wanted: u32) -> u32 {
        let kcpu = self.this_cpu();
        // Unlike the kernel we may be moved to another CPU at any point, so the
        // counters are atomic.
        let mut here = kcpu.load(Relaxed);
        while here > 0 {
            let taken = here.min(wanted);
            match kcpu.compare_exchange_weak(here, here - taken, Relaxed, Relaxed) {
                Ok(_) => return taken,
                Err(now) => here = now,
            }
        }
        self.get_batch(kcpu, wanted)
    }

    #[cold]
    fn get_batch(&self, kcpu: &AtomicU32, wanted: u32) -> u32 {
        if self.available.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(self.batch)).is_err() {
            return 0;
        }
        let taken = self.batch.min(wanted);
        if self.batch > taken {
            kcpu.fetch_add(self.batch - taken, Relaxed);
        }
        taken
    }

    /// Gives slots back.
    pub fn put(&self, nr: u32) {
        let kcpu = self.this_cpu();
        kcpu.fetch_add(nr, Relaxed);
        let over = |n: u32| (n >= self.batch * 2).then(|| n - self.batch);
        while kcpu.fetch_update(Relaxed, Relaxed, over).is_ok() {
            self.available.fetch_add(self.batch, Relaxed);
        }
    }
}

/// How many of `completed_events` have left the ring by now: the part of
/// `refill_reqs_available` that computes. `head` is the program's word for it and
/// can be anything; `tail` is ours.
pub fn completed_and_read(nr_events: u32, head: u32, tail: u32, completed_events: u32) -> u32 {
    let head = head % nr_events;
    let in_ring = if head <= tail { tail - head } else { nr_events - (head - tail) };
    completed_events.saturating_sub(in_ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cpus(nr_events: u32, ncpus: u32, f: impl FnOnce(&ReqsAvailable)) {
        let cpus: Vec<_> =
            (0..ncpus).map(|_| KioctxCpu { reqs_available: AtomicU32::new(0) }).collect();
        // SAFETY: `cpus` outlives the use.
        f(&unsafe { ReqsAvailable::new(nr_events, cpus.as_ptr(), ncpus) });
    }

    #[test]
    fn slots_of_one_cpu_are_whole_batches() {
        // io_setup(1), (128), (1000) and (65536) on two CPUs, as measured.
        for (nr_events, slots) in [(127, 120), (383, 376), (2047, 2040), (131_199, 131_192)] {
            with_cpus(nr_events, 1, |_| ());
            let batch = (nr_events - 1) / 8;
            assert_eq!((nr_events - 1) / batch * batch, slots);
        }
    }

    #[test]
    fn all_slots_come_back() {
        with_cpus(127, 1, |r| {
            let all = |wanted| std::iter::repeat_with(move || r.get(wanted)).take_while(|&n| n > 0);
            let n: u32 = all(1).sum();
            assert!(n >= 120 && all(1).count() == 0);
            for wanted in [1, 2, 7, 1000] {
                r.put(n);
                assert!(all(wanted).all(|taken| taken <= wanted));
                r.put(n);
                assert_eq!(all(wanted).sum::<u32>(), n, "{wanted} at a time");
            }
        });
    }

    #[test]
    fn refill_ignores_a_senseless_head() {
        assert_eq!(completed_and_read(127, 0, 2, 2), 0);
        assert_eq!(completed_and_read(127, 1, 2, 2), 1);
        assert_eq!(completed_and_read(127, 2, 2, 2), 2);
        assert_eq!(completed_and_read(127, u32::MAX, 2, 2), 0);
        assert_eq!(completed_and_read(127, 5, 2, 2), 0);
    }
}

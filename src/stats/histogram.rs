//! A histogram of times, recorded without a lock and readable by another process.
//!
//! A recorder of a crate has its buckets on the heap of one process, and its range
//! behind a lock or `&mut`; these are plain words in a shared page. Their limits
//! are those of the `histogram` crate with a grouping power of 3: each bucket is
//! at most an eighth wide of where it stands.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

const GROUPING: u32 = 3;
/// 2^40 ns: 18 minutes. What is longer counts as that.
const MAX_POWER: u32 = 40;
/// Up to here a bucket is a nanosecond wide.
const EXACT: u64 = 1 << (GROUPING + 1);
pub const BUCKETS: usize = EXACT as usize + ((MAX_POWER - GROUPING - 1) << GROUPING) as usize;

#[repr(C)]
pub struct Histogram<C> {
    pub buckets: [C; BUCKETS],
}

fn bucket(ns: u64) -> usize {
    let ns = ns.min((1 << MAX_POWER) - 1);
    if ns < EXACT {
        return ns as usize;
    }
    let power = ns.ilog2();
    let group = (power - GROUPING - 1) << GROUPING;
    let within = (ns - (1 << power)) >> (power - GROUPING);
    EXACT as usize + group as usize + within as usize
}

/// The longest time that belongs to the bucket.
pub fn upper(bucket: usize) -> u64 {
    if bucket < EXACT as usize {
        return bucket as u64;
    }
    let above = bucket - EXACT as usize;
    let power = GROUPING + 1 + (above >> GROUPING) as u32;
    let within = (above & ((1 << GROUPING) - 1)) as u64;
    (1 << power) + ((within + 1) << (power - GROUPING)) - 1
}

impl Histogram<AtomicU64> {
    pub fn record(&self, ns: u64) {
        self.buckets[bucket(ns)].fetch_add(1, Relaxed);
    }
}

impl Histogram<u64> {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Of all times, the one that `share` (0 to 1) are not above; none: 0.
    pub fn percentile(&self, share: f64) -> u64 {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|n| {
            seen += n;
            seen >= wanted
        });
        found.map_or(0, upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buckets_are_those_of_the_crate() {
        let theirs = histogram::Config::new(GROUPING as u8, MAX_POWER as u8).expect("a range");
        assert_eq!(theirs.total_buckets(), BUCKETS);
        let mut ns = 0u64;
        while ns < 1 << MAX_POWER {
            let ours = Histogram { buckets: [const { AtomicU64::new(0) }; BUCKETS] };
            ours.record(ns);
            let mut crates = histogram::Histogram::with_config(&theirs);
            crates.increment(ns).expect("in range");
            let ours = ours.buckets.map(AtomicU64::into_inner);
            assert_eq!(ours[..], *crates.as_slice(), "{ns}");
            assert!(upper(bucket(ns)) >= ns && upper(bucket(ns)) - ns <= ns / 8, "{ns}");
            ns += 1 + ns / 13;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_count_from_below() {
        let mut h = Histogram { buckets: [0; BUCKETS] };
        assert_eq!(h.percentile(0.5), 0);
        for ns in 1..=10 {
            h.buckets[bucket(ns)] += 1;
        }
        assert_eq!((h.percentile(0.5), h.percentile(0.99), h.percentile(0.0)), (5, 10, 1));
    }
}

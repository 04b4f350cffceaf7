//! `ctx->wait`: sleeping until a context's ring holds enough events.
//!
//! A sleeper announces in `sleepers` how many events it still needs; a completion
//! wakes those that have as many in the ring, and each looks for itself. The kernel
//! wakes all of them. Here a completion wakes as many as it has brought events, and
//! no more than there are processors; whoever was woken wakes one for what it
//! leaves behind. So no event lies there for a sleeper without somebody on the way
//! to it, and a crowd of threads is not woken for what one of them takes.
//!
//! All of it is a few atomic accesses, so that completions in signal handlers
//! need no lock, and sleepers hold no reference to their context. Which of them
//! sleep is known to the futex alone, by a bit for each number of events: one that
//! has left by longjmp is not in its queue.

use crate::errno::Errno;
use crate::sys;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;
use std::sync::atomic::{AtomicU32, AtomicU64};

pub struct WaitQueue {
    /// Changes at every wake-up; what the futex watches.
    seq: AtomicU32,
    /// `Sleepers`
    sleepers: AtomicU64,
}

/// Who has announced a sleep since all were woken, and is not back from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sleepers {
    /// At most what the one of them with the least need needs; NOBODY: none does.
    wake_at: u32,
    /// At least as many as there are.
    count: u32,
    /// They cannot be woken one by one.
    together: bool,
    /// Changes when all are woken.
    generation: u32,
}

/// More than any ring has room for.
const NOBODY: u32 = (1 << 24) - 1;
/// A count that is not kept any more.
const COUNTLESS: u32 = (1 << 15) - 1;
/// Who needs more is woken with everybody else.
const MOST_ALONE: u32 = 30;

impl Sleepers {
    const fn pack(self) -> u64 {
        self.wake_at as u64
            | (self.count as u64) << 24
            | (self.together as u64) << 39
            | (self.generation as u64) << 40
    }

    fn unpack(v: u64) -> Self {
        Self {
            wake_at: v as u32 & NOBODY,
            count: (v >> 24) as u32 & COUNTLESS,
            together: v >> 39 & 1 == 1,
            generation: (v >> 40) as u32,
        }
    }

    const fn none(generation: u32) -> Self {
        Self { wake_at: NOBODY, count: 0, together: false, generation }
    }
}

/// How a sleeper can be woken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It sleeps in `wait`, and looks at the ring when it is woken.
    Itself,
    /// Somebody or something else is in the futex's queue in its place.
    Another,
}

/// What `prepare_to_wait` saw, for `wait`.
#[derive(Clone, Copy)]
pub struct Prepared {
    seq: u32,
    generation: u32,
    /// The futex's bits.
    bits: u32,
}

impl WaitQueue {
    pub const fn new() -> Self {
        Self { seq: AtomicU32::new(0), sleepers: AtomicU64::new(Sleepers::none(0).pack()) }
    }

    /// Announces a sleeper that needs `events` in the ring; 0: each may end its
    /// sleep. Look at the ring after this, then `wait`, then `forget`.
    pub fn prepare_to_wait(&self, events: u32, by: By) -> Prepared {
        let seq = self.seq.load(Acquire);
        let alone = by == By::Itself && (1..=MOST_ALONE).contains(&events);
        let generation = self.update(|s| {
            Some(Sleepers {
                wake_at: s.wake_at.min(events).min(NOBODY - 1),
                count: (s.count + 1).min(COUNTLESS),
                together: s.together || !alone,
                ..s
            })
        });
        // Pairs with the fence in `complete`: either the completion sees this
        // sleeper, or the sleeper's next look at the ring sees the event.
        fence(SeqCst);
        Prepared { seq, generation, bits: if alone { 1 << events } else { sys::FUTEX_TOGETHER } }
    }

    /// The generation that it met.
    fn update(&self, f: impl Fn(Sleepers) -> Option<Sleepers>) -> u32 {
        let change = |v| f(Sleepers::unpack(v)).map(Sleepers::pack);
        let (Ok(v) | Err(v)) = self.sleepers.fetch_update(SeqCst, Relaxed, change);
        Sleepers::unpack(v).generation
    }

    /// # Errors
    /// EINTR: a signal handler ran. ETIMEDOUT.
    pub fn wait(&self, at: Prepared, deadline: Option<libc::timespec>) -> Result<(), Errno> {
        sys::futex_wait_bits(&self.seq, at.seq, at.bits, deadline)
    }

    /// What `wait` would sleep on: the word, and the value that it has meanwhile.
    pub fn futex(&self, at: Prepared) -> (&AtomicU32, u32) {
        (&self.seq, at.seq)
    }

    /// Takes an announcement back, after the sleep or in place of it. `wake_at`
    /// may be too low then, which costs one vain wake-up.
    pub fn forget(&self, at: Prepared) {
        self.update(|s| match s.count {
            _ if s.generation != at.generation => None,
            COUNTLESS => None,
            0 | 1 => Some(Sleepers::none(s.generation)),
            count => Some(Sleepers { count: count - 1, ..s }),
        });
    }

    /// After events were published, of which as many sleepers as `events` are to
    /// hear: `available` are in the ring now. And after a sleep, when this thread
    /// has looked at the ring.
    #[inline]
    pub fn complete(&self, events: u32, available: impl FnOnce() -> u32) {
        // Pairs with the fence in `prepare_to_wait`.
        fence(SeqCst);
        let s = Sleepers::unpack(self.sleepers.load(Relaxed));
        if s.wake_at != NOBODY {
            let available = available();
            if available >= s.wake_at {
                self.wake(s, events, available);
            }
        }
    }

    #[cold]
    fn wake(&self, s: Sleepers, events: u32, available: u32) {
        let few = !s.together && s.count > events;
        if few && self.wake_some(events, available) > 0 {
            return;
        }
        self.wake_all();
    }

    /// Wakes up to `n` of those that need no more than `available`. How many were
    /// asleep: who was not yet does not begin to, and looks again.
    fn wake_some(&self, n: u32, available: u32) -> usize {
        // Release: a sleeper that sees the new number sees the events, too.
        self.seq.fetch_add(1, Release);
        let enough = (2 << available.min(MOST_ALONE)) - 1;
        sys::futex_wake_bits(&self.seq, n, enough)
    }

    /// Wakes every sleeper, whatever it waits for.
    #[cold]
    pub fn wake_all(&self) {
        self.update(|s| Some(Sleepers::none(s.generation.wrapping_add(1) & 0xff_ffff)));
        // Release: a sleeper that sees the new number announces itself anew
        // after the store above.
        self.seq.fetch_add(1, Release);
        sys::futex_wake(&self.seq, i32::MAX as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    /// A ring that only counts its events, and threads that wait for some.
    struct Crowd {
        queue: WaitQueue,
        ring: AtomicU32,
        over: AtomicBool,
    }

    impl Crowd {
        fn post(&self, events: u32) {
            self.ring.fetch_add(events, Release);
            self.queue.complete(events, || self.ring.load(Acquire));
        }

        fn take(&self, needed: u32, most: u32) -> bool {
            let some = |n: u32| (n >= needed).then(|| n - n.min(most));
            self.over.load(Acquire) || self.ring.fetch_update(SeqCst, Acquire, some).is_ok()
        }

        /// io_getevents, as `read_events` has it. Who cannot take the last event has
        /// some sleeps cut short.
        fn wait(&self, needed: u32, most: u32, by: By) {
            for turn in 0.. {
                let found = self.take(needed, most);
                if turn > 0 {
                    self.queue.complete(1, || self.ring.load(Acquire));
                }
                if found {
                    return;
                }
                let at = self.queue.prepare_to_wait(needed, by);
                let found = self.take(needed, most);
                if !found {
                    let short = needed > 1 && turn % 3 == 2;
                    let _ = self.queue.wait(at, short.then(|| sys::monotonic_in(100_000)));
                }
                self.queue.forget(at);
                if found {
                    return;
                }
            }
        }
    }

    /// Starts these: what each needs, takes at most, and how it sleeps; `between`
    /// what each does after it took some. Posts events, round after round. None may
    /// stay in the ring.
    fn rounds(
        members: &[(u32, u32, By)],
        between: impl Fn(&Crowd) + Sync,
        post: impl Fn(&Crowd, u32),
    ) {
        let crowd = &Crowd {
            queue: WaitQueue::new(),
            ring: AtomicU32::new(0),
            over: AtomicBool::new(false),
        };
        let between = &between;
        std::thread::scope(|s| {
            for &(needed, most, by) in members {
                s.spawn(move || {
                    while !crowd.over.load(Acquire) {
                        crowd.wait(needed, most, by);
                        between(crowd);
                    }
                });
            }
            let end = || {
                crowd.over.store(true, Release);
                crowd.queue.wake_all();
            };
            for round in 0..2000 {
                post(crowd, round);
                let start = Instant::now();
                while crowd.ring.load(Acquire) > 0 {
                    let lost = start.elapsed() > Duration::from_secs(20);
                    if lost {
                        end();
                    }
                    assert!(!lost, "round {round} of {} threads", members.len());
                    std::thread::yield_now();
                }
            }
            end();
        });
    }

    #[test]
    fn no_event_stays_while_somebody_sleeps_for_it() {
        let crowds: &[&[(u32, u32, By)]] = &[
            &[(1, 1, By::Itself); 2],
            &[(1, 1, By::Itself); 12],
            &[(1, 1, By::Itself), (2, 2, By::Itself), (2, 9, By::Itself), (3, 3, By::Itself)],
            &[(1, 2, By::Itself), (1, 1, By::Itself), (31, 40, By::Itself), (40, 40, By::Itself)],
            &[(1, 1, By::Itself), (1, 3, By::Itself), (1, 1, By::Another), (5, 5, By::Another)],
        ];
        for members in crowds {
            rounds(
                members,
                |_| (),
                |crowd, round| {
                    (0..round % 7).for_each(|i| crowd.post(1 + i % 3));
                    crowd.post(1);
                },
            );
        }
    }

    /// Of two events the first one's sleeper takes one, and the second one's, who
    /// needs both, none.
    #[test]
    fn what_one_leaves_another_is_woken_for() {
        let all_sleep = |crowd: &Crowd| {
            while Sleepers::unpack(crowd.queue.sleepers.load(Relaxed)).count < 3
                && !crowd.over.load(Acquire)
            {
                std::thread::yield_now();
            }
        };
        let until_taken = |crowd: &Crowd| {
            while crowd.ring.load(Acquire) > 0 && !crowd.over.load(Acquire) {
                std::thread::yield_now();
            }
        };
        let members = [(1, 1, By::Itself), (2, 2, By::Itself), (1, 1, By::Itself)];
        rounds(&members, until_taken, |crowd, _| {
            all_sleep(crowd);
            std::thread::sleep(Duration::from_micros(20));
            crowd.post(1);
            crowd.post(1);
        });
    }

    #[test]
    fn what_is_announced_is_packed_and_taken_back() {
        let s = Sleepers { wake_at: NOBODY - 1, count: 5, together: true, generation: 0xff_ffff };
        assert_eq!(Sleepers::unpack(s.pack()), s);
        let queue = WaitQueue::new();
        let now = || Sleepers::unpack(queue.sleepers.load(Relaxed));
        let first = queue.prepare_to_wait(7, By::Itself);
        let second = queue.prepare_to_wait(u32::MAX - 1, By::Itself);
        assert_eq!(now(), Sleepers { wake_at: 7, count: 2, together: true, generation: 0 });
        queue.forget(first);
        queue.forget(second);
        assert_eq!(now(), Sleepers::none(0));
        let late = queue.prepare_to_wait(1, By::Itself);
        queue.wake_all();
        queue.prepare_to_wait(2, By::Itself);
        queue.forget(late);
        assert_eq!((now().wake_at, now().count), (2, 1), "of the next generation");
    }
}

//! The contexts of a program as an executor follows them: what was accepted, what
//! has completed, by looking at the ring.

use crate::layout::*;
use crate::mem;
use crate::program::{Iocb, POLL, RESFD};
use crate::submit;
use crate::trace::{Event, Ring};
use std::cell::Cell;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// How long something may take that must come.
const LIMIT: Duration = Duration::from_secs(45);

/// An accepted operation that has not completed.
struct Pending {
    data: u64,
    obj: u64,
    /// A poll: a duplicate of its descriptor, and what it waits for.
    poll: Option<(RawFd, i16)>,
    /// Behind its event an eventfd is signalled.
    signals: bool,
}

/// A live context.
pub struct Live {
    pub address: u64,
    id: u32,
    nr: u32,
    /// Where the next event will go.
    true_tail: u32,
    /// The tail in memory when last looked at.
    seen_tail: u32,
    new: Vec<Event>,
    pending: Vec<Pending>,
    /// The program has written to the tail.
    tail_set: bool,
    /// At most so many slots are taken.
    used: u64,
    /// Slots may have been stranded on another CPU: see `slots`.
    stranded: bool,
    /// At least as many calls as were made on it.
    calls: Cell<u32>,
    /// An eventfd may be about to be signalled.
    signalling: bool,
}

fn poll_ready(fd: RawFd, events: i16) -> bool {
    let mut p = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one structure, which lives through the call.
    unsafe { libc::poll(&raw mut p, 1, 0) != 0 }
}

impl Live {
    fn at(address: u64) -> Self {
        // SAFETY: a live context's address is its ring's.
        let [id, nr, _, tail, ..] = unsafe { *(address as *const [u32; 8]) };
        Self {
            address,
            id,
            nr,
            true_tail: tail,
            seen_tail: tail,
            new: vec![],
            pending: vec![],
            tail_set: false,
            used: 0,
            stranded: false,
            calls: Cell::new(0),
            signalling: false,
        }
    }

    pub fn nr(&self) -> u32 {
        self.nr
    }

    /// Of the ring's mapping.
    pub fn len(&self) -> usize {
        (u64::from(self.nr + 1) * EVENT) as usize
    }

    /// Moves the mapping, there or back: the old and the new address.
    pub fn move_ring(&mut self, slot: u8) -> (u64, u64) {
        let (old, place) = (self.address, RINGS + RING_PLACE * 2 * u64::from(slot));
        let new = if old == place { place + RING_PLACE } else { place };
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let (at, len) = (old as *mut libc::c_void, self.len());
        // SAFETY: a ring's mapping goes to where only rings are put.
        let r = unsafe { libc::mremap(at, len, len, flags, new as *mut libc::c_void) };
        assert_eq!(r as u64, new, "mremap: {}", std::io::Error::last_os_error());
        self.address = new;
        (old, new)
    }

    pub fn called(&self, times: usize) {
        self.calls.set(self.calls.get() + times as u32);
    }

    /// Ours looks at its ring now and then only: a difference.
    pub fn trusted(&self) -> bool {
        self.calls.get() >= 30
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn true_tail(&self) -> u32 {
        self.true_tail
    }

    /// The program has written something else to it than belongs there.
    pub fn header_changed(&self) -> bool {
        let [id, nr, head, ..] = self.header();
        id != self.id || nr != self.nr || head >= nr || self.tail_set
    }

    pub fn header(&self) -> [u32; 8] {
        // SAFETY: a live context's address is its ring's; both sides only write
        // whole words.
        unsafe { std::ptr::read_volatile(self.address as *const [u32; 8]) }
    }

    pub fn set_header(&self, field: usize, value: u32) {
        // SAFETY: as for header.
        unsafe { std::ptr::write_volatile((self.address as *mut u32).add(field), value) };
    }

    /// The program itself has written the tail.
    pub fn tail_was_set(&mut self) {
        self.seen_tail = self.header()[3];
        self.tail_set = true;
    }

    fn record(&self, index: u32) -> *mut Event {
        assert!(index < self.nr);
        (self.address + 32 + EVENT * u64::from(index)) as *mut Event
    }

    pub fn event(&self, index: u32) -> Event {
        // SAFETY: a record of a live ring.
        unsafe { std::ptr::read_volatile(self.record(index % self.nr)) }
    }

    pub fn scribble(&self, index: u32, byte: u8) {
        // SAFETY: as for event.
        unsafe { std::ptr::write_bytes(self.record(index % self.nr), byte, 1) };
    }

    /// How many events io_getevents would find.
    pub fn available(&self) -> u32 {
        let h = self.header();
        let (head, tail) = (h[2] % self.nr, h[3] % self.nr);
        if h[2] == h[3] { 0 } else { (tail + self.nr - head) % self.nr }
    }

    /// How many more operations are accepted for sure. None: exactly as many as
    /// on the other side, which is to be seen.
    pub fn slots(&self) -> Option<u64> {
        // SAFETY: no memory is passed.
        let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) } as u64;
        let most = u64::from(self.nr) - 1;
        let batch = (most / (4 * cpus)).max(1);
        // The events of operations that end on another CPU leave up to two batches
        // there; which ones these are differs.
        let sure = most / batch * batch - 2 * batch * (cpus - 1);
        self.stranded.then(|| sure.saturating_sub(self.used))
    }

    /// The program has taken `n` events. (None: nothing is learnt, as one side may
    /// not even have been asked.)
    pub fn reaped(&mut self, n: u64) {
        if n == 0 {
            return;
        }
        self.scan();
        self.used = self.used.saturating_sub(n).max(self.pending.len() as u64);
        if self.available() == 0 && !self.header_changed() {
            self.used = self.pending.len() as u64;
        }
    }

    /// An iocb was accepted, with this `data` and address.
    pub fn accepted(&mut self, (data, obj): (u64, u64), iocb: &Iocb) {
        let later = submit::may_end_later(iocb);
        self.used += 1;
        self.stranded |= later;
        let dup = |fd| {
            // SAFETY: no memory is passed.
            unsafe { libc::fcntl(submit::fd_number(fd), libc::F_DUPFD_CLOEXEC, 500) }
        };
        let poll = (iocb.opcode == POLL).then(|| (dup(iocb.fd), submit::poll_events(iocb)));
        let signals = later && iocb.flags & RESFD != 0;
        self.pending.push(Pending { data, obj, poll, signals });
    }

    /// Looks for new events.
    pub fn scan(&mut self) {
        let tail = self.header()[3];
        if tail == self.seen_tail {
            // What the program has put there may have become true.
            while self.tail_set && self.is_pending(self.event(self.true_tail).data) {
                self.take();
            }
        } else if tail < self.nr {
            while self.true_tail != tail {
                self.take();
            }
            self.seen_tail = tail;
        }
    }

    fn is_pending(&self, data: u64) -> bool {
        self.pending.iter().any(|p| p.data == data)
    }

    fn take(&mut self) {
        let event = self.event(self.true_tail);
        self.true_tail = (self.true_tail + 1) % self.nr;
        if let Some(i) = self.pending.iter().position(|p| p.data == event.data) {
            self.signalling |= self.pending[i].signals;
            self.pending.swap_remove(i).close();
        }
        self.new.push(event);
    }

    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// How many of them are not polls.
    pub fn transfers(&self) -> usize {
        self.pending.iter().filter(|p| p.poll.is_none()).count()
    }

    /// Nothing in flight can complete by itself.
    fn settled(&mut self) -> bool {
        self.scan();
        self.pending.iter().all(|p| p.poll.is_some_and(|(fd, events)| !poll_ready(fd, events)))
    }
}

impl Pending {
    fn close(self) {
        if let Some((fd, _)) = self.poll {
            // SAFETY: the duplicate is ours.
            unsafe { libc::close(fd) };
        }
    }
}

/// All contexts, by variable.
#[derive(Default)]
pub struct Rings {
    pub live: [Option<Live>; CONTEXT_COUNT as usize],
    /// What the variables held before io_destroy.
    pub stale: [u64; CONTEXT_COUNT as usize],
    /// Contexts that no variable holds any more.
    pub orphans: Vec<u64>,
}

impl Rings {
    pub fn get(&mut self, slot: u8) -> Option<&mut Live> {
        self.live[slot as usize].as_mut()
    }

    /// A context was made. Old values may name it now.
    pub fn made(&mut self, slot: u8, address: u64) {
        self.stale = Default::default();
        self.forgotten(slot);
        self.live[slot as usize] = Some(Live::at(address));
    }

    pub fn destroyed(&mut self, slot: u8) {
        if let Some(live) = self.live[slot as usize].take() {
            self.stale[slot as usize] = live.address;
            live.pending.into_iter().for_each(Pending::close);
        }
    }

    /// The variable was overwritten; the context lives on.
    pub fn forgotten(&mut self, slot: u8) {
        if let Some(old) = self.live[slot as usize].take() {
            old.set_header(0, old.id);
            self.orphans.push(old.address);
            old.pending.into_iter().for_each(Pending::close);
        }
    }

    /// Waits until one operation of an iocb has completed, which was cancelled: in
    /// the kernel a worker may do that.
    pub fn await_one_of(&mut self, slot: u8, iocb: u64) {
        let Some(live) = self.get(slot) else { return };
        let left = |live: &Live| live.pending.iter().filter(|p| p.obj == iocb).count();
        let (before, start) = (left(live), Instant::now());
        while before != 0 && left(live) == before && start.elapsed() < LIMIT {
            std::thread::yield_now();
            live.scan();
        }
    }

    /// Waits until all that can complete has, and, if told, until as much is in
    /// flight as `expected`. False: it never came to that.
    pub fn settle(&mut self, expected: Option<&[u32]>) -> bool {
        let start = Instant::now();
        for round in 0.. {
            // One completion can make another possible: look at all, twice.
            let mut done = true;
            for (i, live) in self.live.iter_mut().enumerate() {
                let Some(live) = live else { continue };
                done &= live.settled();
                done &= expected.is_none_or(|e| live.in_flight() <= e[i] as usize);
            }
            if done {
                return true;
            }
            if start.elapsed() > LIMIT {
                return false;
            }
            if round > 20 {
                std::thread::sleep(Duration::from_micros(50));
            } else {
                std::thread::yield_now();
            }
        }
        unreachable!()
    }

    /// Waits a little if an event is there whose eventfd may not be signalled yet.
    pub fn let_signal(&mut self) {
        let mut any = false;
        for live in self.live.iter_mut().flatten() {
            any |= std::mem::take(&mut live.signalling);
        }
        if any {
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    /// The rings as they are now; the next look tells what is new from here on.
    pub fn look(&mut self) -> Vec<Option<Ring>> {
        let look = |live: &mut Live| {
            live.scan();
            Ring {
                header: live.header(),
                new: std::mem::take(&mut live.new),
                in_flight: live.in_flight() as u32,
            }
        };
        self.live.iter_mut().map(|live| live.as_mut().map(look)).collect()
    }
}

/// The context variable.
pub fn variable(slot: u8) -> u64 {
    CONTEXTS + 8 * u64::from(slot)
}

pub fn value(slot: u8) -> u64 {
    mem::read(variable(slot))
}

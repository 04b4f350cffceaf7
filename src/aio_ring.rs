//! The completion ring that programs see: `struct aio_ring` at the address that
//! is the context's id, and the events behind it.
//!
//! The pages are mapped twice: where the program reads (and may write, unmap,
//! move or protect) them, and for us. We write only through our own mapping, so
//! nothing that a program does to its own can fault us. No Rust reference ever
//! points into these pages, and nothing in them is trusted.

use crate::abi::{
    AIO_RING_COMPAT_FEATURES, AIO_RING_INCOMPAT_FEATURES, AIO_RING_MAGIC, AioRing, IoEvent,
};
use crate::errno::Errno;
use crate::sys;
use std::mem::offset_of;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub const PAGE_SIZE: usize = 4096;
const EVENT: usize = size_of::<IoEvent>();
const HEADER: usize = size_of::<AioRing>();

/// Ring pages and events for `nr` requests (`aio_setup_ring`): two more events
/// than asked, then all that fits into whole pages.
pub fn ring_size(nr: u64) -> (usize, u64) {
    let pages = (HEADER as u64 + EVENT as u64 * (nr + 2)).div_ceil(PAGE_SIZE as u64);
    let nr_events = (PAGE_SIZE as u64 * pages - HEADER as u64) / EVENT as u64;
    ((pages * PAGE_SIZE as u64) as usize, nr_events)
}

pub struct Ring {
    /// Our own mapping.
    kaddr: usize,
    len: usize,
    pub nr_events: u32,
}

impl Ring {
    pub const fn empty() -> Self {
        Self { kaddr: 0, len: 0, nr_events: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Moves the ring out.
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::empty())
    }

    /// Mirrors `fs/aio.c:aio_setup_ring()`. Returns the ring and the program's
    /// address of it.
    ///
    /// # Errors
    /// ENOMEM (RLIMIT_AS, mlockall with a low RLIMIT_MEMLOCK, no memory).
    pub fn setup(nr: u64, id: u32) -> Result<(Self, usize), Errno> {
        let (len, nr_events) = ring_size(nr);
        let user = sys::mmap_anon(len, libc::MAP_SHARED).map_err(|_| Errno::ENOMEM)? as usize;
        // A shared mapping "moved" from size 0 is mapped a second time. No
        // descriptor is needed, so this works with RLIMIT_NOFILE exhausted.
        // SAFETY: a new mapping at an address that the kernel chooses.
        let kaddr = match unsafe { crate::sys!(mremap, user, 0usize, len, libc::MREMAP_MAYMOVE) } {
            Ok(k) => k,
            Err(_) => {
                // SAFETY: mapped above, known to nobody.
                unsafe { sys::munmap(user, len) };
                return Err(Errno::ENOMEM);
            }
        };
        // Our mapping is nobody else's business: not the forked child's.
        // SAFETY: a mapping of ours.
        let _ = unsafe { crate::sys!(madvise, kaddr, len, libc::MADV_DONTFORK) };
        let ring = Self { kaddr, len, nr_events: nr_events as u32 };
        ring.id().store(id, Relaxed);
        ring.word(offset_of!(AioRing, nr)).store(nr_events as u32, Relaxed);
        ring.word(offset_of!(AioRing, compat_features)).store(AIO_RING_COMPAT_FEATURES, Relaxed);
        ring.word(offset_of!(AioRing, incompat_features))
            .store(AIO_RING_INCOMPAT_FEATURES, Relaxed);
        ring.word(offset_of!(AioRing, header_length)).store(HEADER as u32, Relaxed);
        ring.word(offset_of!(AioRing, magic)).store(AIO_RING_MAGIC, Release);
        Ok((ring, user))
    }

    /// Mirrors `fs/aio.c:aio_free_ring()` for our mapping.
    ///
    /// # Safety
    /// Nobody uses the ring any more.
    pub unsafe fn free(&mut self) {
        // SAFETY: our mapping, unused by the caller's word.
        unsafe { sys::munmap(self.kaddr, self.len) };
        *self = Self::empty();
    }

    #[inline]
    fn word(&self, offset: usize) -> &AtomicU32 {
        debug_assert!(offset < HEADER && self.kaddr != 0);
        // SAFETY: inside our mapping, aligned; shared with the program, hence
        // only ever accessed as an atomic.
        unsafe { AtomicU32::from_ptr((self.kaddr + offset) as *mut u32) }
    }

    #[inline]
    pub fn head(&self) -> &AtomicU32 {
        self.word(offset_of!(AioRing, head))
    }

    #[inline]
    pub fn tail(&self) -> &AtomicU32 {
        self.word(offset_of!(AioRing, tail))
    }

    pub fn id(&self) -> &AtomicU32 {
        self.word(offset_of!(AioRing, id))
    }

    /// Where our own mapping begins.
    pub fn kernel_address(&self) -> u64 {
        self.kaddr as u64
    }

    #[inline]
    fn event(&self, index: u32) -> *mut IoEvent {
        debug_assert!(index < self.nr_events);
        (self.kaddr + HEADER + index as usize * EVENT) as *mut IoEvent
    }

    /// Stores an event at `tail` and returns the next tail: the writing half of
    /// `fs/aio.c:aio_complete()`, up to `publish`. One caller at a time.
    #[inline]
    pub fn push(&self, tail: u32, event: IoEvent) -> u32 {
        // SAFETY: `tail` is our private one, below `nr_events`; the program may
        // read the record meanwhile, which is its own race: volatile.
        unsafe { self.event(tail).write_volatile(event) };
        if tail + 1 >= self.nr_events { 0 } else { tail + 1 }
    }

    /// Shows the events before `tail`.
    #[inline]
    pub fn publish(&self, tail: u32) {
        // Release: pairs with the acquire of `tail` in `copy_out`, and with the
        // read barrier of programs that read the ring themselves.
        self.tail().store(tail, Release);
    }

    /// Events in the ring, by the program's head and the tail in the page.
    #[inline]
    pub fn available(&self) -> u32 {
        let head = self.head().load(Relaxed) % self.nr_events;
        let tail = self.tail().load(Acquire) % self.nr_events;
        if head <= tail { tail - head } else { self.nr_events - (head - tail) }
    }

    /// Copies up to `max` events to the program and moves head behind them.
    /// Mirrors `fs/aio.c:aio_read_events_ring()`. One caller at a time.
    ///
    /// # Errors
    /// EFAULT: they do not fit into the program's memory; head is not moved.
    #[inline]
    pub fn copy_out(&self, to: u64, max: u64) -> Result<u64, Errno> {
        let head = self.head().load(Relaxed);
        // Acquire: pairs with the release in `push`.
        let tail = self.tail().load(Acquire);
        if head == tail {
            return Ok(0);
        }
        let (mut head, tail) = (head % self.nr_events, tail % self.nr_events);
        let mut done = 0;
        while done < max && head != tail {
            // SAFETY: `head` is below `nr_events`; volatile as in `push`.
            let event = unsafe { self.event(head).read_volatile() };
            crate::uaccess::put_user(to.wrapping_add(done * EVENT as u64), event)?;
            head = if head + 1 >= self.nr_events { 0 } else { head + 1 };
            done += 1;
        }
        // Release: the program's (or our) next event may overwrite the records
        // only after they were read.
        self.head().store(head, Release);
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_kernel_s() {
        // io_setup(N) on two CPUs asks for 2 * max(N, 8).
        for (asked, bytes, nr) in [
            (1u64, 4096, 127),
            (62, 4096, 127),
            (63, 8192, 255),
            (128, 12288, 383),
            (1000, 65536, 2047),
            (4096, 266_240, 8319),
            (65536, 4_198_400, 131_199),
        ] {
            assert_eq!(ring_size(2 * asked.max(8)), (bytes, nr), "io_setup({asked})");
        }
    }

    #[test]
    fn events_come_out_in_order_over_the_wrap() {
        let (mut ring, user) = Ring::setup(16, 0).unwrap();
        let mut tail = 0;
        let mut out = [IoEvent::default(); 100];
        let mut next = 0;
        for round in 0..10 {
            for i in 0..90 {
                tail = ring.push(tail, IoEvent { data: round * 90 + i, ..IoEvent::default() });
            }
            ring.publish(tail);
            assert_eq!(ring.available(), 90);
            assert_eq!(ring.copy_out(out.as_mut_ptr() as u64, 100), Ok(90));
            for e in &out[..90] {
                assert_eq!(e.data, next);
                next += 1;
            }
        }
        // SAFETY: nobody uses the ring any more.
        unsafe {
            sys::munmap(user, ring.len());
            ring.free();
        }
    }

    #[test]
    fn any_head_and_tail_are_survived() {
        let (mut ring, user) = Ring::setup(16, 0).unwrap();
        let mut out = [IoEvent::default(); 200];
        for (head, tail, want) in
            [(5u32, 2u32, 124), (126, 2, 3), (1000, 2, 18), (u32::MAX, 2, 114)]
        {
            ring.head().store(head, Relaxed);
            ring.tail().store(tail, Relaxed);
            assert_eq!(ring.copy_out(out.as_mut_ptr() as u64, 200), Ok(want), "head {head}");
            assert_eq!(ring.head().load(Relaxed), tail);
        }
        // SAFETY: nobody uses the ring any more.
        unsafe {
            sys::munmap(user, ring.len());
            ring.free();
        }
    }
}

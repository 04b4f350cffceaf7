//! The ways in which programs wait for events.

use super::library::{self, Context, Event};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

pub enum Wait {
    /// io_getevents until there is one.
    GetEvents,
    /// nginx: epoll on an eventfd, then io_getevents that does not wait.
    Epoll(Epoll),
    /// QEMU: epoll on an eventfd, then the ring is read by the program.
    Ring(Epoll),
}

impl Wait {
    pub fn eventfd(&self) -> Option<RawFd> {
        match self {
            Self::GetEvents => None,
            Self::Epoll(e) | Self::Ring(e) => Some(e.eventfd.as_raw_fd()),
        }
    }

    /// Waits for one event or more; gives their number.
    ///
    /// # Errors
    /// What io_getevents returns.
    #[inline]
    pub fn events(&self, context: &Context, events: &mut [Event]) -> io::Result<usize> {
        match self {
            Self::GetEvents => loop {
                match context.getevents(1, events, None) {
                    n if n > 0 => return Ok(n as usize),
                    error if error != -libc::EINTR => return Err(library::failed(error)),
                    _ => {}
                }
            },
            Self::Epoll(epoll) => {
                let ready = epoll.wait() as usize;
                let mut got = 0;
                while got < ready {
                    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                    let n = context.getevents(1, &mut events[got..], Some(&mut now));
                    match n {
                        0 => break,
                        n if n > 0 => got += n as usize,
                        error => return Err(library::failed(error)),
                    }
                }
                Ok(got)
            }
            Self::Ring(epoll) => {
                epoll.wait();
                Ok(read_ring(context, events))
            }
        }
    }
}

pub struct Epoll {
    epoll: OwnedFd,
    pub eventfd: OwnedFd,
}

impl Epoll {
    pub fn new() -> Self {
        // SAFETY: new descriptors, owned here.
        unsafe {
            let eventfd =
                OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK));
            let epoll = OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC));
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
            let r = libc::epoll_ctl(
                epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                eventfd.as_raw_fd(),
                &raw mut event,
            );
            assert_eq!(r, 0, "epoll_ctl");
            Self { epoll, eventfd }
        }
    }

    /// What the eventfd has counted, once it is not 0.
    #[inline]
    pub fn wait(&self) -> u64 {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
        let mut count = 0u64;
        // SAFETY: both arrays outlive their calls.
        unsafe {
            // EINTR: io_uring's task work interrupts it.
            while libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 8, -1) < 1 {}
            libc::read(self.eventfd.as_raw_fd(), (&raw mut count).cast(), 8);
        }
        count
    }
}

/// QEMU's block/linux-aio.c: events behind a 32-byte header, head moved by us.
fn read_ring(context: &Context, events: &mut [Event]) -> usize {
    let ring = context.id() as *const u32;
    // SAFETY: the ring stays mapped while the context is there; its words are
    // shared with the other side, so they are read as atomics.
    unsafe {
        let nr = ring.add(1).read();
        let head = &*ring.add(2).cast::<AtomicU32>();
        let tail = &*ring.add(3).cast::<AtomicU32>();
        let mut at = head.load(Acquire);
        let mut n = 0;
        while n < events.len() && at != tail.load(Acquire) {
            events[n] = ring.add(8).cast::<Event>().add(at as usize).read_volatile();
            at = (at + 1) % nr;
            n += 1;
        }
        head.store(at, Release);
        n
    }
}

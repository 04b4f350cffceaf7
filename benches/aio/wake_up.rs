//! From the moment that a request becomes complete to io_getevents' return.

use crate::bench::Bench;
use crate::library::{self, Aio, Context, Event, Iocb};
use crate::measure::{self, Side, Slice};
use crate::row::Row;
use crate::wait::Epoll;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

pub const NAME: &str = "wake-up: poll ready to return";
/// By then the waiter sleeps.
const ASLEEP: Duration = Duration::from_micros(200);

/// A POLL on an eventfd that another thread writes.
pub fn run(bench: &Bench) -> io::Result<Vec<Row>> {
    let side = |aio: &'static Aio| -> io::Result<Side<'_>> {
        let context = Context::patient(aio, 128)?;
        Ok(Box::new(move |time| polls(&context, time)))
    };
    let slices = measure::in_turn(&mut [side(bench.kernel)?, side(bench.ours)?], bench.plan)?;
    Ok(vec![Row::new(NAME.to_owned(), &["kernel", "ours"], &slices).without_cpu()])
}

fn polls(context: &Context, time: Duration) -> io::Result<Slice> {
    let Epoll { eventfd, .. } = Epoll::new();
    let mut iocb = Iocb {
        opcode: library::POLL,
        fd: eventfd.as_raw_fd(),
        buf: libc::POLLIN as u64,
        ..Iocb::default()
    };
    let start = Instant::now();
    let now = || start.elapsed().as_nanos() as u64;
    // Odd: to be written. Even: written.
    let (turn, written_at) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut slice = Slice::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            loop {
                match turn.load(Acquire) {
                    u64::MAX => return,
                    n if n == seen => thread::yield_now(),
                    n => {
                        seen = n;
                        thread::sleep(ASLEEP);
                        written_at.store(now(), Release);
                        // SAFETY: eight bytes, as an eventfd takes them.
                        unsafe { libc::write(eventfd.as_raw_fd(), (&raw const ONE).cast(), 8) };
                    }
                }
            }
        });
        let mut event = [Event::default()];
        while start.elapsed() < time {
            // SAFETY: waited for in the next line but one.
            unsafe { context.submit_all(&mut [&raw mut iocb]).expect("io_submit") };
            turn.fetch_add(1, Release);
            assert_eq!(context.getevents(1, &mut event, None), 1, "io_getevents");
            slice.seconds += (now() - written_at.load(Acquire)) as f64 / 1e9;
            slice.ops += 1;
            let mut count = 0u64;
            // SAFETY: eight bytes of our own.
            unsafe { libc::read(eventfd.as_raw_fd(), (&raw mut count).cast(), 8) };
        }
        turn.store(u64::MAX, Release);
    });
    Ok(slice)
}

static ONE: u64 = 1;

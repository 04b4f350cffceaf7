//! Rows that time single calls.

use crate::bench::Bench;
use crate::job::{Job, Op};
use crate::library::{Aio, Context, Event, Iocb};
use crate::measure::{self, Side, Slice, cpu_time};
use crate::place::WIDE;
use crate::row::Row;
use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};

const READY: usize = 32;

/// What one side spent in a slice on each of some calls.
type Spent = Vec<Slice>;
type Work<'a> = Box<dyn FnMut(Duration) -> Spent + 'a>;

/// io_setup and io_destroy of a context that has served one request.
pub fn contexts(bench: &Bench) -> io::Result<Vec<Row>> {
    let job = one_block(bench, 1)?;
    let side = |aio| -> Work<'_> {
        let job = &job;
        Box::new(move |time| setup_and_destroy(aio, job, time))
    };
    rows(&["io_setup", "io_destroy"], vec![side(bench.kernel), side(bench.ours)], bench)
}

fn setup_and_destroy(aio: &'static Aio, job: &Job, time: Duration) -> Spent {
    let (mut setup, mut destroy) = (Slice::default(), Slice::default());
    let mut iocb = job.iocb(0);
    let mut event = [Event::default()];
    let end = Instant::now() + time;
    while Instant::now() < end {
        let context = setup.add(1, || Context::new(aio, 128).expect("io_setup"));
        // SAFETY: waited for in the next line.
        unsafe { context.submit_all(&mut [&raw mut iocb]).expect("io_submit") };
        assert_eq!(context.getevents(1, &mut event, None), 1, "io_getevents");
        destroy.add(1, || drop(context));
    }
    vec![setup, destroy]
}

/// io_getevents with nothing there, and with 32 events there.
pub fn events(bench: &Bench) -> io::Result<Vec<Row>> {
    let job = one_block(bench, READY)?;
    let side = |aio| -> io::Result<Work<'_>> {
        let context = Context::patient(aio, 128)?;
        let mut iocbs: Vec<Iocb> = (0..READY).map(|slot| job.iocb(slot)).collect();
        Ok(Box::new(move |time| poll_and_reap(&context, &mut iocbs, time)))
    };
    let sides = vec![side(bench.kernel)?, side(bench.ours)?];
    rows(&["empty poll", "reap 32 ready"], sides, bench)
}

fn poll_and_reap(context: &Context, iocbs: &mut [Iocb], time: Duration) -> Spent {
    let (mut poll, mut reap) = (Slice::default(), Slice::default());
    let mut events = [Event::default(); READY];
    let mut batch: Vec<*mut Iocb> = iocbs.iter_mut().map(std::ptr::from_mut).collect();
    let end = Instant::now() + time;
    while Instant::now() < end {
        poll.add(100, || {
            for _ in 0..100 {
                let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                assert_eq!(context.getevents(0, &mut events, Some(&mut now)), 0, "no event");
            }
        });
        // SAFETY: waited for below.
        unsafe { context.submit_all(&mut batch).expect("io_submit") };
        // They are cached, but nobody promises that they are done at once.
        while ready(context) < READY {
            std::thread::yield_now();
        }
        reap.add(1, || assert_eq!(context.getevents(READY, &mut events, None), READY as i32));
    }
    vec![poll, reap]
}

/// Events in the ring.
fn ready(context: &Context) -> usize {
    let ring = context.id() as *const u32;
    // SAFETY: the ring's header, mapped while the context is there.
    let (nr, head, tail) = unsafe {
        (ring.add(1).read_volatile(), ring.add(2).read_volatile(), ring.add(3).read_volatile())
    };
    ((tail + nr - head) % nr) as usize
}

impl Slice {
    /// Adds the time of `work`, which is `ops` operations.
    fn add<T>(&mut self, ops: u64, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.seconds += start.elapsed().as_secs_f64();
        self.ops += ops;
        result
    }
}

fn one_block(bench: &Bench, depth: usize) -> io::Result<Job> {
    let fd = bench.place.file("read.dat", WIDE, 0)?;
    bench.place.settle("read.dat")?;
    Ok(Job::new(fd, Op::Read, 512, 0, depth, WIDE))
}

/// A row for each name, from what the sides (kernel, ours) spent on it.
fn rows(names: &[&str], work: Vec<Work<'_>>, bench: &Bench) -> io::Result<Vec<Row>> {
    let spent: Vec<RefCell<Vec<Spent>>> = work.iter().map(|_| RefCell::default()).collect();
    let mut sides: Vec<Side<'_>> = Vec::new();
    for (mut work, spent) in work.into_iter().zip(&spent) {
        sides.push(Box::new(move |time| {
            let before = cpu_time();
            spent.borrow_mut().push(work(time));
            Ok(Slice { ops: 1, seconds: 1.0, cpu_seconds: cpu_time() - before })
        }));
    }
    measure::in_turn(&mut sides, bench.plan)?;
    drop(sides);
    let row = |(i, name): (usize, &&str)| {
        // Without the warm-up.
        let of = |side: &RefCell<Vec<Spent>>| -> Vec<Slice> {
            side.borrow()[1..].iter().map(|spent| spent[i]).collect()
        };
        let slices: Vec<Vec<Slice>> = spent.iter().map(of).collect();
        Row::new((*name).to_owned(), &["kernel", "ours"], &slices).without_cpu()
    };
    Ok(names.iter().enumerate().map(row).collect())
}

//! The child process: runs programs on one library, step by step.

use crate::callbacks;
use crate::calls::{Calls, Outcome};
use crate::fds::{self, FIRST_FD};
use crate::layout::*;
use crate::libaio::Libaio;
use crate::mem::{self, Shadow};
use crate::program::*;
use crate::rings::{self, Rings};
use crate::trace::{Report, Request, StepTrace};
use crate::via::Way;
use crate::world::{World, eventfd_count};
use crate::{signals, submit, wire};
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub struct Options<'a> {
    pub library: &'a Path,
    /// It is the system's: it would die of some arguments.
    pub kernel: bool,
    pub disk: &'a Path,
    pub memory: &'a Path,
    pub cpu: usize,
    /// Answers wrongly now and then: the fuzzer has to find that.
    pub wrong: bool,
}

/// Serves requests from standard input until it is closed.
pub fn run(options: &Options) -> ExitCode {
    let (mut requests, mut reports) = wire::take_over();
    let load = || Libaio::load(options.library).unwrap_or_else(|e| panic!("{e}"));
    mem::map();
    signals::install();
    callbacks::install(load(), submit::nothing(callbacks::OF_CALLBACK));
    let mut executor = Executor {
        world: World::new(options.disk, options.memory),
        calls: Calls { lib: load(), kernel: options.kernel, way: Way::Plain },
        rings: Rings::default(),
        wrong: options.wrong,
        events_seen: 0,
    };
    executor.warm_up();
    pin_to(options.cpu);
    wire::send(&mut reports, &Report::Ready);
    while let Some(request) = wire::receive::<Request>(&mut requests) {
        executor.program(&request, &mut reports);
        if options.kernel {
            // Slow: while the other side runs the program.
            wire::send(&mut reports, &Report::Done);
            executor.clean_up();
        } else {
            let refused = executor.clean_up();
            wire::send(&mut reports, &refused.map_or(Report::Done, Report::Broken));
        }
    }
    ExitCode::SUCCESS
}

/// Slots are counted by CPU: programs run on one.
fn pin_to(cpu: usize) {
    // SAFETY: the set is plain data.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

/// For the first io_setup.
const PATIENCE: Duration = Duration::from_secs(10);

struct Executor {
    world: World,
    calls: Calls,
    rings: Rings,
    wrong: bool,
    events_seen: u64,
}

impl Executor {
    /// A first context starts our library's threads, on any CPU.
    fn warm_up(&mut self) {
        let start = Instant::now();
        // fs.aio-nr is the whole machine's.
        while self.calls.setup(1, rings::variable(0)) != 0 {
            assert!(start.elapsed() < PATIENCE, "no first io_setup");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.calls.destroy(rings::value(0));
        mem::write(rings::variable(0), 0u64);
    }

    fn program(&mut self, request: &Request, reports: &mut File) {
        let program = &request.program;
        mem::reset();
        signals::reset(false);
        self.world.reset();
        signals::reset(program.fsize_limit);
        let mut shadow = Shadow::new();
        let mut in_a_hurry = 0;
        for (i, step) in program.steps.iter().enumerate() {
            let mut outcome = self.step(program, i, in_a_hurry);
            let hurry = program.hurries(i, in_a_hurry);
            let mut trace = StepTrace {
                answer: outcome.answer,
                errno: outcome.errno,
                events: std::mem::take(&mut outcome.events),
                as_in_ring: outcome.as_in_ring,
                spoilt: outcome.spoilt,
                left_out: outcome.left_out,
                keys: outcome.keys,
                settled: !hurry,
                rings: vec![],
                fds: vec![],
                files: vec![],
                memory: vec![],
                signals: [0; 3],
                stuck: false,
            };
            if hurry {
                in_a_hurry += step.iocbs().len();
            } else {
                in_a_hurry = 0;
                trace.stuck = !self.rings.settle(request.expected.get(i).map(Vec::as_slice));
                self.rings.let_signal();
                trace.rings = self.rings.look();
                trace.fds = self.world.state_soon(request.fds.get(i));
                trace.signals = signals::counts();
                trace.memory = shadow.changes();
                if step.may_write_files() || i + 1 == program.steps.len() {
                    trace.files = self.world.files();
                }
            }
            self.spoil(&mut trace);
            wire::send(reports, &Report::Step(Box::new(trace)));
        }
    }

    fn step(&mut self, program: &Program, i: usize, in_a_hurry: usize) -> Outcome {
        for file in program.steps[i].iocbs().iter().filter_map(Iocb::disturbs) {
            self.world.touch(file);
        }
        match &program.steps[i] {
            Step::Truncate { file, len } => {
                Outcome::of(self.world.truncate(*file, u64::from(*len)))
            }
            Step::DropCache { file } => {
                self.world.drop_cache(*file);
                Outcome::of(0)
            }
            Step::Write { fd, len } => Outcome::of(transfer(*fd, *len, true)),
            Step::Read { fd, len } => Outcome::of(transfer(*fd, *len, false)),
            Step::AddEventfd { fd, value } => Outcome::of(add_to_eventfd(*fd, *value)),
            Step::Close { fd } => {
                // SAFETY: the number is for programs.
                Outcome::of(i64::from(unsafe { libc::close(FIRST_FD + i32::from(*fd)) }))
            }
            Step::SetAppend { fd, on } => Outcome::of(set_append(FIRST_FD + i32::from(*fd), *on)),
            Step::Shutdown { fd, how } => {
                let number = FIRST_FD + i32::from(*fd);
                // SAFETY: no memory is passed.
                Outcome::of(i64::from(unsafe { libc::shutdown(number, i32::from(*how)) }))
            }
            Step::Timer => {
                self.world.let_timer_expire();
                Outcome::of(0)
            }
            Step::Raise => {
                signals::raise_usr1();
                Outcome::of(0)
            }
            _ => self.calls.step(&mut self.rings, program, i, in_a_hurry),
        }
    }

    /// The fuzzer's own test: every thousandth event is reported wrongly.
    fn spoil(&mut self, trace: &mut StepTrace) {
        for event in trace.rings.iter_mut().flatten().flat_map(|r| &mut r.new) {
            self.events_seen += 1;
            if self.wrong && self.events_seen.is_multiple_of(1000) {
                event.res += 1;
            }
        }
    }

    /// Destroys all contexts. An answer: one of ours could not be.
    fn clean_up(&mut self) -> Option<String> {
        let mut contexts = Vec::new();
        for slot in 0..CONTEXT_COUNT as u8 {
            if let Some(live) = self.rings.get(slot) {
                live.set_header(0, live.id());
                contexts.push(live.address);
                self.rings.destroyed(slot);
            }
            mem::write(rings::variable(slot), 0u64);
        }
        // (The program may have destroyed these by an old address.)
        let orphans = std::mem::take(&mut self.rings.orphans);
        if self.calls.kernel {
            // Each takes tens of milliseconds.
            std::thread::scope(|s| {
                for ctx in contexts.into_iter().chain(orphans) {
                    let calls = &self.calls;
                    s.spawn(move || calls.destroy(ctx));
                }
            });
            return None;
        }
        let mut refused = None;
        for ctx in contexts {
            match self.calls.destroy(ctx) {
                0 => {}
                e => refused = Some(format!("io_destroy of {ctx:#x} at the end: {e}")),
            }
        }
        for ctx in orphans {
            self.calls.destroy(ctx);
        }
        refused
    }
}

/// write(2) or read(2) by the program itself, of bytes that lie nowhere else;
/// left out if it would wait.
fn transfer(slot: u8, len: u16, write: bool) -> i64 {
    // What surely fits when there is room at all.
    let most = if write && fds::entry(slot).blocks() { 4096 } else { u16::MAX };
    let mut buf = vec![slot; usize::from(len.min(most))];
    let number = submit::fd_number(Fd::Slot(slot));
    let events = if write { libc::POLLOUT } else { libc::POLLIN };
    let mut p = libc::pollfd { fd: number, events, revents: 0 };
    // SAFETY: one structure; the buffer has this length.
    unsafe {
        if libc::poll(&raw mut p, 1, 0) == 0 {
            return 0;
        }
        let n = if write {
            libc::write(number, buf.as_ptr().cast(), buf.len())
        } else {
            libc::read(number, buf.as_mut_ptr().cast(), buf.len())
        };
        if n >= 0 { n as i64 } else { -i64::from(*libc::__errno_location()) }
    }
}

/// write(2) to an eventfd; left out if it would wait.
fn add_to_eventfd(slot: u8, value: u64) -> i64 {
    let number = submit::fd_number(Fd::Slot(slot));
    let room = (u64::MAX - 1).saturating_sub(eventfd_count(number) as u64);
    if fds::entry(slot).blocks() && value != u64::MAX && value > room {
        return 0;
    }
    // SAFETY: writes from `value`.
    unsafe { libc::write(number, (&raw const value).cast(), 8) as i64 }
}

fn set_append(fd: i32, on: bool) -> i64 {
    // SAFETY: no memory is passed.
    let r = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL) & !libc::O_APPEND;
        libc::fcntl(fd, libc::F_SETFL, flags | if on { libc::O_APPEND } else { 0 })
    };
    i64::from(r)
}

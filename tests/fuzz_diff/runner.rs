//! The parent: makes programs, has them run on both sides, compares, shrinks.

use crate::child::{End, Executor, Side};
use crate::differences::{difference, unlucky};
use crate::program::{Program, Step};
use crate::support::artefacts::Artefacts;
use crate::trace::{Answer, Request, StepTrace};
use crate::{generate, listing, support};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

struct Settings {
    seconds: u64,
    seed: u64,
    /// As many steps at least, or it has not passed.
    steps: u64,
    only: Option<u64>,
    wrong: bool,
    workers: usize,
    verbose: bool,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|v| !v.is_empty()).map(|v| v.parse().expect(name))
}

impl Settings {
    fn get() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        Self {
            seconds: number("FUZZ_SECONDS").unwrap_or(30),
            seed: number("FUZZ_SEED").unwrap_or(now),
            steps: number("FUZZ_STEPS").unwrap_or(1),
            only: number("FUZZ_PROGRAM"),
            wrong: number("FUZZ_WRONG").is_some(),
            workers: number("FUZZ_WORKERS").unwrap_or(8) as usize,
            verbose: number("FUZZ_VERBOSE").is_some(),
        }
    }
}

/// After so many programs a line tells how far it has come.
const PROGRESS: u64 = 2000;

/// The two executors of a worker.
struct Pair {
    kernel: Executor,
    ours: Executor,
    steps: u64,
}

enum Verdict {
    Same,
    /// The machine did not let the kernel do it.
    Unfit,
    /// It may be luck: only if it is so again and again.
    Unlucky {
        step: usize,
        what: String,
    },
    Different {
        step: usize,
        what: String,
    },
}

impl Pair {
    fn run(&mut self, program: &Program) -> Verdict {
        let mut request = Request { program: program.clone(), expected: vec![], fds: vec![] };
        let (kernel, end) = self.kernel.run(&request);
        if !matches!(end, End::Done) {
            let what = format!("the kernel's side at step {}: {end:?}", kernel.len());
            return Verdict::Different { step: kernel.len(), what };
        }
        if let Some(i) = kernel.iter().position(|t| t.stuck) {
            return Verdict::Different { step: i, what: "the kernel's side is stuck".into() };
        }
        // fs.aio-nr is the whole machine's.
        let wants = |step: &Step| {
            matches!(step, Step::Setup { nr: 1..=4096, .. } | Step::QueueInit { nr: 1..=4096, .. })
        };
        let refused = |t: &StepTrace| t.answer == Answer::Returned(-i64::from(libc::EAGAIN));
        if program.steps.iter().zip(&kernel).any(|(s, t)| wants(s) && refused(t)) {
            return Verdict::Unfit;
        }
        let flight = |r: &Option<crate::trace::Ring>| r.as_ref().map_or(0, |r| r.in_flight);
        request.expected = kernel.iter().map(|t| t.rings.iter().map(flight).collect()).collect();
        request.fds = kernel.iter().map(|t| t.fds.clone()).collect();
        let (ours, end) = self.ours.run(&request);
        for (step, (k, o)) in kernel.iter().zip(&ours).enumerate() {
            self.steps += 1;
            if let Some(what) = difference(program, k, o) {
                return match unlucky(program, [k, o]) {
                    true => Verdict::Unlucky { step, what },
                    false => Verdict::Different { step, what },
                };
            }
        }
        match end {
            End::Done => Verdict::Same,
            end => Verdict::Different { step: ours.len(), what: format!("ours: {end:?}") },
        }
    }

    fn fresh(&mut self) {
        self.kernel.stop();
        self.ours.stop();
    }
}

/// Program `n` of a seed.
fn tree(seed: u64, n: u64) -> Box<dyn ValueTree<Value = Program>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&n.to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    Box::new(generate::program().new_tree(&mut runner).expect("a program"))
}

/// The smallest program found that still differs.
fn shrink(
    pair: &mut Pair,
    tree: &mut dyn ValueTree<Value = Program>,
    limit: Duration,
) -> (Program, usize, String) {
    let start = Instant::now();
    let mut best = None;
    let mut failing = true;
    loop {
        let moved = if failing { tree.simplify() } else { tree.complicate() };
        if !moved || start.elapsed() > limit {
            break;
        }
        let program = tree.current();
        failing = match pair.run(&program) {
            Verdict::Different { step, what } => {
                best = Some((program, step, what));
                true
            }
            _ => false,
        };
    }
    best.unwrap_or_else(|| (tree.current(), 0, String::new()))
}

pub fn run() -> ExitCode {
    let settings = Settings::get();
    let system = support::system_libaio().expect("libaio's development files");
    let ours = Artefacts::get().library();
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let memory = PathBuf::from("/dev/shm");
    println!("fuzz-diff: seed {}, {} s", settings.seed, settings.seconds);
    let start = Instant::now();
    let deadline = start + Duration::from_secs(settings.seconds);
    let counters: [AtomicU64; 2] = Default::default();
    let (programs, steps, failures) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let out = Mutex::new(());
    std::thread::scope(|s| {
        for worker in 0..if settings.only.is_some() { 1 } else { settings.workers } {
            let (counters, programs, steps, failures, out) =
                (&counters, &programs, &steps, &failures, &out);
            let (settings, system, ours, disk, memory) =
                (&settings, &system, &ours, &disk, &memory);
            // proptest's strategies are large.
            let thread = std::thread::Builder::new().stack_size(256 << 20);
            let work = move || {
                let engine = settings.only.map_or(worker, |n| n as usize) % 2;
                let side = |kernel| Side {
                    library: if kernel { system.clone() } else { ours.clone() },
                    kernel,
                    engine: support::ours::ENGINES[engine],
                    cpu: worker % 2,
                    wrong: settings.wrong && !kernel,
                    disk: disk.clone(),
                    memory: memory.clone(),
                };
                let mut pair = Pair {
                    kernel: Executor::new(side(true)),
                    ours: Executor::new(side(false)),
                    steps: 0,
                };
                while Instant::now() < deadline && failures.load(Relaxed) == 0 {
                    let n = settings.only.unwrap_or_else(|| {
                        counters[engine].fetch_add(1, Relaxed) * 2 + engine as u64
                    });
                    let mut tree = tree(settings.seed, n);
                    let program = tree.current();
                    if settings.verbose {
                        println!("program {n}:\n{}", listing::listing(&program));
                    }
                    let mut verdict = pair.run(&program);
                    for _ in 0..50 {
                        if !matches!(verdict, Verdict::Unfit | Verdict::Unlucky { .. }) {
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(100));
                        verdict = pair.run(&program);
                    }
                    if let Verdict::Unlucky { step, what } = verdict {
                        verdict = Verdict::Different { step, what };
                    }
                    steps.fetch_add(std::mem::take(&mut pair.steps), Relaxed);
                    let done = programs.fetch_add(1, Relaxed) + 1;
                    if done.is_multiple_of(PROGRESS) {
                        let (s, steps) = (start.elapsed().as_secs(), steps.load(Relaxed));
                        println!("fuzz-diff: {s} s, {done} programs, {steps} steps");
                    }
                    if let Verdict::Different { step, what } = verdict {
                        if failures.compare_exchange(0, 1, Relaxed, Relaxed).is_err() {
                            break;
                        }
                        let _quiet = out.lock();
                        println!(
                            "\nprogram {n} ({}) differs at step {step}: {what}\n\
                             again: make fuzz-diff FUZZ_SEED={} FUZZ_PROGRAM={n}",
                            support::ours::ENGINES[engine],
                            settings.seed
                        );
                        pair.fresh();
                        let again = pair.run(&program);
                        if !matches!(again, Verdict::Different { .. }) {
                            println!(
                                "not reproducible in fresh executors:\n{}",
                                listing::listing(&program)
                            );
                        } else {
                            let (small, step, what) =
                                shrink(&mut pair, &mut *tree, Duration::from_secs(120));
                            println!(
                                "shrunk: differs at step {step}: {what}\n{}",
                                listing::listing(&small)
                            );
                        }
                    }
                    if settings.only.is_some() {
                        break;
                    }
                }
            };
            thread.spawn_scoped(s, work).expect("a thread");
        }
    });
    let (programs, steps) = (programs.load(Relaxed), steps.load(Relaxed));
    println!(
        "fuzz-diff: seed {}: {} s, {programs} programs, {steps} steps, differences {}",
        settings.seed,
        start.elapsed().as_secs(),
        failures.load(Relaxed)
    );
    if steps < settings.steps {
        println!("fuzz-diff: fewer than {} steps", settings.steps);
    }
    let passed = failures.load(Relaxed) == 0 && steps >= settings.steps;
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! The engines: how a request that io_submit does not finish itself is run.
//!
//! An engine knows nothing of contexts and rings; it is given operations and a
//! function to call when one is done.
//!
//! The life of an operation in an engine:
//! 1. `pin`, in io_submit: the program's descriptors are turned into references
//!    to the open files, so that closing and reusing the numbers changes nothing.
//! 2. `start`, from any thread: as soon as nothing earlier on the file is in the
//!    way.
//! 3. the engine calls `Complete` once, on a thread of its own, with what else is
//!    done by then. In it the event is published and `signal` called where there is
//!    an eventfd. The operation is gone when `Complete` returns.

pub mod blocking;
pub mod both;
pub mod caller;
pub mod op;
pub mod threads;
pub mod uring;

use crate::advice;
use crate::config::{Config, EngineChoice};
use crate::errno::Errno;
use caller::{CallerRings, GoOn};
use op::{OpList, OpPtr};

/// An operation that is done, and the result of its event.
#[derive(Clone, Copy)]
pub struct Done {
    pub op: OpPtr,
    pub res: i64,
}

/// Called once for each started operation, for some of them together.
///
/// # Safety
/// The operations were started and are not used by the engine afterwards.
pub type Complete = unsafe fn(&[Done]);

/// What `Engine::cancel` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The operation was stopped; its completion (with -ECANCELED) has been
    /// delivered through `Complete`.
    Yes,
    /// It runs on, or is already done; it completes as if never asked.
    No,
}

pub trait Engine: Sync {
    /// As AIO_RS_ENGINE has it.
    fn name(&self) -> &'static str;

    /// Pins the files (and eventfds) of `batch`, in the thread that called
    /// io_submit. Takes the operations that it could pin out of the list's front
    /// and appends them to `pinned`; stops at the first that it could not.
    ///
    /// Must not block on I/O. Called with all signals blocked.
    ///
    /// # Safety
    /// The caller holds the operations and has filled in their arguments.
    ///
    /// # Errors
    /// Why the first operation left in `batch` could not be pinned.
    unsafe fn pin(&self, batch: &mut OpList, pinned: &mut OpList) -> Result<(), Errno>;

    /// Hands a pinned operation over to be run. Any thread; signals blocked.
    ///
    /// # Safety
    /// The operation was pinned by this engine; nobody else touches its
    /// arguments from here on.
    unsafe fn start(&self, op: OpPtr);

    /// Called after a series of `start`s: wakes whoever has to run them.
    fn kick(&self);

    /// Tries to stop an operation, and waits until that is decided.
    ///
    /// `still_there` is asked, on an engine thread that keeps the operation from
    /// completing meanwhile, whether the pointer still means the same request.
    /// Called in a thread of the program, signals blocked.
    ///
    /// # Safety
    /// The operation's memory is that of a request slab that outlives the call.
    unsafe fn cancel(&self, op: OpPtr, still_there: &(dyn Fn() -> bool + Sync)) -> Cancelled;

    /// Adds 1 to the pinned eventfd for each of the operations, which have the same
    /// pin, and drops their pins. Never blocks: a counter that is full stays full.
    /// Called from inside `Complete`.
    ///
    /// # Safety
    /// As for `Complete`; called once for an operation with an eventfd.
    unsafe fn signal(&self, ops: &[Done]);

    /// Whether threads of the program may have rings for themselves.
    fn has_uring(&self) -> bool {
        false
    }

    /// Where there are rings for callers' own requests.
    fn caller_rings(&self) -> Option<&'static CallerRings> {
        None
    }
}

/// The engine for this process, by the settings and by what is allowed here: one
/// that is refused makes room for the next.
/// None: neither can be had; io_submit then does everything itself.
pub fn choose(config: &Config, complete: Complete, go_on: GoOn) -> Option<&'static dyn Engine> {
    let workers = config.max_workers;
    let uring = || {
        let started = both::Both::start(complete, go_on, config).map(|e| e as _);
        started.inspect_err(|e| log::warn!("io_uring is refused ({e}): {}", advice::Uring(*e)))
    };
    let threads = || {
        let started = threads::Threads::start(complete, workers).map(|e| e as _);
        started.inspect_err(|e| log::warn!("threads are refused ({e}): {}", advice::Threads(*e)))
    };
    let (first, second, why): (Start, Start, _) = match config.engine {
        EngineChoice::Auto => (&uring, &threads, "the first choice"),
        EngineChoice::Uring => (&uring, &threads, "as set by AIO_RS_ENGINE"),
        EngineChoice::Threads => (&threads, &uring, "as set by AIO_RS_ENGINE"),
    };
    let refused = match first() {
        Ok(engine) => {
            log::info!("engine: {} ({why})", engine.name());
            return Some(engine);
        }
        Err(e) => e,
    };
    match second() {
        Ok(engine) => {
            log::info!("engine: {} (the other is refused: {refused})", engine.name());
            Some(engine)
        }
        Err(e) => {
            log::warn!("engine: none ({refused}; {e}); all I/O is done inside io_submit");
            None
        }
    }
}

type Start<'a> = &'a dyn Fn() -> Result<&'static dyn Engine, Errno>;

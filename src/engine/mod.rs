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
//! 3. the engine calls `Complete` once, on a thread of its own. In it the event
//!    is published and, with an eventfd, `signal` called once. The operation is
//!    gone when `Complete` returns.

pub mod blocking;
pub mod both;
pub mod op;
pub mod threads;
pub mod uring;

use crate::config::{Config, EngineChoice};
use crate::errno::Errno;
use op::{OpList, OpPtr};

/// Called once for each started operation, with the result of the event.
///
/// # Safety
/// The operation was started and is not used by the engine afterwards.
pub type Complete = unsafe fn(OpPtr, i64);

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

    /// Adds 1 to the operation's pinned eventfd and drops that pin. Never blocks:
    /// a counter that is full stays full. Called from inside `Complete`.
    ///
    /// # Safety
    /// As for `Complete`; called once for an operation with an eventfd.
    unsafe fn signal(&self, op: OpPtr);
}

/// The engine for this process, by the settings and by what is allowed here.
/// None: neither can be had; io_submit then does everything itself.
pub fn choose(config: &Config, complete: Complete) -> Option<&'static dyn Engine> {
    let mut why = "as set by AIO_RS_ENGINE";
    let mut refused = None;
    let uring = match config.engine {
        EngineChoice::Threads => None,
        EngineChoice::Uring => {
            Some(uring::Uring::start(complete).map(|e| e as &'static dyn Engine))
        }
        EngineChoice::Auto => {
            Some(both::Both::start(complete, config.max_workers).map(|e| e as &'static dyn Engine))
        }
    };
    match uring {
        Some(Ok(engine)) => {
            let auto = config.engine == EngineChoice::Auto;
            log::info!("engine: uring ({})", if auto { "the first choice" } else { why });
            return Some(engine);
        }
        Some(Err(e)) => refused = Some(e),
        None => {}
    }
    if let Some(e) = refused {
        log::info!("io_uring is refused here: {e}");
        why = "io_uring is refused";
    }
    if config.engine != EngineChoice::Uring {
        match threads::Threads::start(complete, config.max_workers) {
            Ok(engine) => {
                log::info!("engine: threads ({why})");
                return Some(engine);
            }
            Err(e) => log::info!("threads are refused here: {e}"),
        }
    }
    log::warn!("engine: none; all I/O is done inside io_submit");
    None
}

//! io_uring, and threads for what it cannot take: a program may install a seccomp
//! filter after io_setup, or have more files in flight than rings can pin.

use super::caller::{CallerRings, GoOn};
use super::op::{OpList, OpPtr};
use super::threads::Threads;
use super::uring::Uring;
use super::{Cancelled, Complete, Done, Engine};
use crate::config::Config;
use crate::errno::Errno;
use crate::sys;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub struct Both {
    uring: &'static Uring,
    /// Started when first needed.
    threads: AtomicPtr<Threads>,
    starting: Mutex<()>,
    /// None: not wanted, or no memory or no thread to be had for them.
    caller_rings: Option<&'static CallerRings>,
    complete: Complete,
    max_workers: u32,
}

impl Both {
    /// # Errors
    /// As `Uring::start`.
    pub fn start(complete: Complete, go_on: GoOn, config: &Config) -> Result<&'static Self, Errno> {
        let uring = Uring::start(complete)?;
        let memory = sys::mmap_anon(size_of::<Self>(), libc::MAP_PRIVATE)?.cast::<Self>();
        let (threads, starting) = (AtomicPtr::new(null_mut()), Mutex::new(()));
        let caller_rings =
            config.caller_ring.then(|| CallerRings::start(complete, go_on).ok()).flatten();
        let max_workers = config.max_workers;
        // SAFETY: fresh memory, large enough, never unmapped.
        unsafe {
            memory.write(Self { uring, threads, starting, caller_rings, complete, max_workers });
            Ok(&*memory)
        }
    }

    fn threads(&self) -> Option<&'static Threads> {
        // Acquire: pairs with the release in `threads_or_start`.
        // SAFETY: engines are never unmapped.
        unsafe { self.threads.load(Acquire).as_ref() }
    }

    fn threads_or_start(&self) -> Result<&'static Threads, Errno> {
        let _starting = self.starting.lock().unwrap_or_else(|_| std::process::abort());
        if let Some(threads) = self.threads() {
            return Ok(threads);
        }
        let threads = Threads::start(self.complete, self.max_workers)?;
        log::info!("engine: threads, too: io_uring is refused by now");
        self.threads.store(std::ptr::from_ref(threads).cast_mut(), Release);
        Ok(threads)
    }

    /// The one that pinned the operation.
    ///
    /// # Safety
    /// `op` is memory of a request slab.
    unsafe fn of(&self, op: OpPtr) -> &'static dyn Engine {
        // SAFETY: by the caller's word.
        let by_threads = unsafe { op.as_ref() }.by_threads.load(Relaxed);
        match self.threads() {
            Some(threads) if by_threads => threads,
            _ => self.uring,
        }
    }
}

impl Engine for Both {
    fn name(&self) -> &'static str {
        self.uring.name()
    }

    unsafe fn pin(&self, batch: &mut OpList, pinned: &mut OpList) -> Result<(), Errno> {
        for op in batch.iter() {
            op.by_threads.store(false, Relaxed);
        }
        // SAFETY: passed on.
        if unsafe { self.uring.pin(batch, pinned) }.is_ok() {
            return Ok(());
        }
        let threads = self.threads_or_start()?;
        for op in batch.iter() {
            op.by_threads.store(true, Relaxed);
        }
        // SAFETY: passed on; io_uring has not pinned what is left.
        unsafe { threads.pin(batch, pinned) }
    }

    unsafe fn start(&self, op: OpPtr) {
        // SAFETY: passed on.
        unsafe { self.of(op).start(op) }
    }

    #[inline]
    fn kick(&self) {
        self.uring.kick();
        if let Some(threads) = self.threads() {
            threads.kick();
        }
    }

    unsafe fn cancel(&self, op: OpPtr, still_there: &(dyn Fn() -> bool + Sync)) -> Cancelled {
        // SAFETY: passed on.
        unsafe { self.of(op).cancel(op, still_there) }
    }

    unsafe fn signal(&self, ops: &[Done]) {
        let Some(first) = ops.first() else { return };
        // SAFETY: passed on; a pin is of one engine.
        unsafe { self.of(first.op).signal(ops) }
    }

    fn has_uring(&self) -> bool {
        true
    }

    fn caller_rings(&self) -> Option<&'static CallerRings> {
        self.caller_rings
    }
}

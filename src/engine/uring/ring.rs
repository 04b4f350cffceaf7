//! One ring with its thread and its table of pinned files.

use super::cancel::CancelRequest;
use super::service;
use super::slots::{Met, Slots};
use crate::engine::Complete;
use crate::engine::op::Op;
use crate::errno::Errno;
use crate::{sys, worker};
use io_uring::{IoUring, Probe, opcode};
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, fence};

const ENTRIES: u32 = 512;
const COMPLETIONS: u32 = 8192;
/// The kernel's workers for what cannot be done without blocking.
const WORKERS: u32 = 64;
/// Files that a ring can pin at a time, if RLIMIT_NOFILE allows as many.
const SLOTS: u32 = 32768;

pub struct Ring {
    pub io_uring: ManuallyDrop<IoUring>,
    /// The ring in the program's table, where its threads need it, and what it
    /// is, in case the program closes it and uses the number again.
    pub program_fd: c_int,
    pub identity: sys::FileId,
    /// The ring in its thread's own table.
    pub own_fd: c_int,
    pub slots: Slots,
    pub complete: Complete,

    /// Operations pinned here and not yet done.
    pub pinned: AtomicUsize,
    /// Eventfds that are being signalled through the ring.
    pub signals: AtomicUsize,
    /// The program took our descriptor: the thread ends with the last operation.
    pub retired: AtomicBool,

    /// Operations handed over, newest first.
    pub inbox: AtomicPtr<Op>,
    pub cancels: AtomicPtr<CancelRequest>,
    /// 1 while the thread sleeps or is about to.
    pub asleep: AtomicU32,
    /// What it sleeps on; changes when it is woken.
    pub word: AtomicU32,
    /// 0: starting. 1: runs. Else: 2 + the error it could not start for.
    pub started: AtomicU32,
}

// SAFETY: the ring's queues are touched only by its thread; all else is atomic.
unsafe impl Sync for Ring {}

impl Ring {
    /// Makes a ring and starts its thread. Its memory is never unmapped.
    ///
    /// # Errors
    /// Whatever refuses io_uring here: EPERM, EACCES, ENOSYS, EINVAL, ENOMEM,
    /// EMFILE, EAGAIN (no thread).
    pub fn start(complete: Complete) -> Result<&'static Self, Errno> {
        let io_uring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_clamp()
            .setup_submit_all()
            .setup_coop_taskrun()
            .dontfork()
            .build(ENTRIES)
            .map_err(|e| Errno::from_io(&e))?;
        let own_fd = std::os::fd::AsRawFd::as_raw_fd(&io_uring);
        needed_operations(&io_uring)?;
        let nr_slots = SLOTS.min(sys::rlimit_nofile());
        io_uring.submitter().register_files_sparse(nr_slots).map_err(|e| Errno::from_io(&e))?;
        // As many fsyncs and writes at a time as io_submit may be given; the
        // default is 4 for each CPU.
        let _ = io_uring.submitter().register_iowq_max_workers(&mut [WORKERS, WORKERS]);
        let program_fd = sys::dup_high(own_fd)?;
        let made = Slots::new(nr_slots).and_then(|slots| {
            let identity = sys::file_id(program_fd)?;
            let memory = sys::mmap_anon(size_of::<Self>(), libc::MAP_PRIVATE)?.cast::<Self>();
            // SAFETY: fresh memory, large enough, never unmapped: the thread and
            // operations point into it for ever.
            let ring = unsafe {
                memory.write(Self {
                    io_uring: ManuallyDrop::new(io_uring),
                    program_fd,
                    identity,
                    own_fd,
                    slots,
                    complete,
                    pinned: AtomicUsize::new(0),
                    signals: AtomicUsize::new(0),
                    retired: AtomicBool::new(false),
                    inbox: AtomicPtr::new(null_mut()),
                    cancels: AtomicPtr::new(null_mut()),
                    asleep: AtomicU32::new(0),
                    word: AtomicU32::new(0),
                    started: AtomicU32::new(0),
                });
                &*memory
            };
            // SAFETY: the thread's argument lives for ever.
            unsafe { worker::spawn(service::main, std::ptr::from_ref(ring) as *mut c_void) }
                .and_then(|()| ring.wait_until_started())
                .inspect_err(|_| sys::close(own_fd))?;
            // The thread has its own copy; here only the high number stays.
            sys::close(own_fd);
            Ok(ring)
        });
        made.inspect_err(|_| sys::close(program_fd))
    }

    fn wait_until_started(&self) -> Result<(), Errno> {
        loop {
            match self.started.load(Acquire) {
                0 => {
                    let _ = sys::futex_wait(&self.started, 0, None);
                }
                1 => return Ok(()),
                e => return Err(Errno(e as c_int - 2)),
            }
        }
    }

    /// True while the program has left us our descriptor.
    pub fn still_ours(&self) -> bool {
        sys::file_id(self.program_fd) == Ok(self.identity)
    }

    /// Pins the files of an operation that its submitter holds.
    pub fn pin_op(&self, op: &Op, met: &mut Met) -> Result<(), Errno> {
        // SAFETY: the submitter holds the operation and lent it to us.
        let args = unsafe { op.args() };
        let pin = self.pin_fd(args.fd, met)?;
        if args.resfd >= 0 {
            match self.pin_fd(args.resfd, met) {
                Ok(slot) => op.res_pin.store(slot, Relaxed),
                Err(e) => {
                    self.unpin(self.program_fd, pin);
                    return Err(e);
                }
            }
        }
        op.pin.store(pin, Relaxed);
        op.home.store(std::ptr::from_ref(self).cast_mut().cast(), Relaxed);
        self.pinned.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Wakes the thread if it sleeps.
    #[inline]
    pub fn kick(&self) {
        // Pairs with the fence in `Service::sleep`: either it sees what was
        // handed over, or we see that it sleeps.
        fence(SeqCst);
        if self.asleep.load(Relaxed) == 1 && self.asleep.swap(0, AcqRel) == 1 {
            self.word.fetch_add(1, Release);
            sys::futex_wake(&self.word, 1);
        }
    }

    /// The descriptor is not ours any more: no new operations.
    pub fn retire(&self) {
        self.retired.store(true, SeqCst);
        self.kick();
    }
}

/// The engine cannot do without: it sleeps on a futex and on the ring at once
/// (Linux 6.7), and takes eventfds into its table (6.8).
fn needed_operations(ring: &IoUring) -> Result<(), Errno> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|e| Errno::from_io(&e))?;
    let all = [opcode::FutexWait::CODE, opcode::FixedFdInstall::CODE, opcode::AsyncCancel::CODE]
        .iter()
        .all(|&code| probe.is_supported(code));
    if all { Ok(()) } else { Err(Errno::ENOSYS) }
}

//! One operation as an engine sees it: what to do, on which pinned file, and
//! whom to tell. It lives inside a request (`AioKiocb`) in its context's slab,
//! so its address is stable and nothing is allocated for it.

use crate::sys::FileId;
use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32};

/// Vectors of up to this many segments are kept inside the operation.
pub const INLINE_IOVECS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    /// fsync, or fdatasync.
    Fsync {
        data_only: bool,
    },
    Poll,
}

/// What the file is like, as far as it changes how an operation must be run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileTraits {
    /// A regular file or a block device: transfers are full, position counts.
    pub seekable: bool,
    /// O_NONBLOCK: on a pipe, socket or tty "not now" is an answer.
    pub nonblock: bool,
    /// O_DIRECT.
    pub direct: bool,
}

/// The vector of a transfer: the caller's own copy is not ours to read after
/// io_submit has returned.
#[derive(Clone, Copy)]
pub struct IoVecs {
    /// Storage for short vectors; `heap` is used when it is not null.
    pub inline: [libc::iovec; INLINE_IOVECS],
    pub heap: *mut libc::iovec,
    pub count: u32,
    /// The sum of the lengths, at most MAX_RW_COUNT.
    pub total: u64,
}

impl IoVecs {
    pub const EMPTY: Self = Self {
        inline: [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; INLINE_IOVECS],
        heap: std::ptr::null_mut(),
        count: 0,
        total: 0,
    };

    pub fn one(base: u64, len: u64) -> Self {
        let mut v = Self::EMPTY;
        v.inline[0] = libc::iovec { iov_base: base as *mut _, iov_len: len as usize };
        v.count = 1;
        v.total = len;
        v
    }

    /// The segments that are left, as the kernel's calls take them.
    pub fn as_mut_ptr(&mut self) -> *mut libc::iovec {
        if self.heap.is_null() { self.inline.as_mut_ptr() } else { self.heap }
    }

    pub fn as_slice_mut(&mut self) -> &mut [libc::iovec] {
        let n = self.count as usize;
        // SAFETY: `heap` holds `count` iovecs of ours while it is not null, and
        // `inline` holds at least `count` otherwise; nobody else has a reference.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), n) }
    }

    /// Drops the first `n` bytes, which have been transferred.
    pub fn advance(&mut self, mut n: u64) {
        self.total -= n.min(self.total);
        let segs = self.as_slice_mut();
        let mut first = 0;
        while first < segs.len() && segs[first].iov_len as u64 <= n {
            n -= segs[first].iov_len as u64;
            first += 1;
        }
        segs.copy_within(first.., 0);
        self.count -= first as u32;
        if let Some(seg) = self.as_slice_mut().first_mut() {
            seg.iov_base = seg.iov_base.wrapping_byte_add(n as usize);
            seg.iov_len -= n as usize;
        }
    }
}

/// Seconds and nanoseconds, as io_uring takes them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeout {
    pub sec: i64,
    pub nsec: i64,
}

impl Timeout {
    pub const NONE: Self = Self { sec: 0, nsec: 0 };
}

/// What the submitter fills in. Nobody writes it while the engine has the
/// operation, except the engine itself.
pub struct OpArgs {
    pub kind: Kind,
    pub traits: FileTraits,
    /// The program's descriptors; they name the file only until `Engine::pin`
    /// has returned. `resfd` is -1 without IOCB_FLAG_RESFD.
    pub fd: c_int,
    pub resfd: c_int,
    /// What `fd` named in io_submit.
    pub id: FileId,
    pub iov: IoVecs,
    pub pos: i64,
    pub rw_flags: u32,
    pub ioprio: u16,
    pub poll_events: u16,
    /// SO_RCVTIMEO or SO_SNDTIMEO of a socket: -EAGAIN when it has passed; zero:
    /// no limit.
    pub timeout: Timeout,
    /// Bytes moved so far: short transfers are continued.
    pub done: u64,
    /// How often.
    pub continued: u32,
}

impl OpArgs {
    /// Notes that `n` more bytes were moved.
    pub fn advance(&mut self, n: u64) {
        self.done += n;
        self.iov.advance(n);
        let full = self.traits.seekable || self.kind == Kind::Write;
        self.continued += u32::from(full && self.iov.total > 0);
        if self.pos >= 0 {
            self.pos += n as i64;
        }
    }

    /// Kernel AIO does it inside io_submit: a transfer through the page cache.
    pub fn is_buffered_io(&self) -> bool {
        matches!(self.kind, Kind::Read | Kind::Write) && self.traits.seekable && !self.traits.direct
    }

    /// Work for a device, which ends by itself; the others wait for somebody.
    pub fn is_device_io(&self) -> bool {
        match self.kind {
            Kind::Poll => false,
            Kind::Fsync { .. } => true,
            Kind::Read | Kind::Write => self.traits.seekable,
        }
    }
}

pub struct Op {
    args: UnsafeCell<OpArgs>,
    /// The engine's names for the pinned file and eventfd (a slot of the ring's
    /// file table, or a descriptor of the workers' own table).
    pub pin: AtomicU32,
    pub res_pin: AtomicU32,
    /// Engine-private state, and the part of the engine that has the operation.
    pub state: AtomicU32,
    pub home: AtomicPtr<()>,
    /// Link for the one list that the operation is in: a submitter's batch, an
    /// engine's inbox or its run queue.
    pub next: AtomicPtr<Op>,
    /// Link in the queue of operations that wait for earlier ones on their file.
    pub order_next: AtomicPtr<Op>,
    pub order: UnsafeCell<crate::order::Ticket>,
    /// What still keeps the operation from starting: the pin and the order.
    pub gates: AtomicU8,
    /// Set before `Engine::start`: not to be run, only completed with -ECANCELED.
    pub abandoned: AtomicBool,
    /// Which of two engines has it (`engine::both`).
    pub by_threads: AtomicBool,
    /// It is in its submitter's own ring, not in the engine.
    pub by_caller: AtomicBool,
}

// SAFETY: `args` and `order` are handed from thread to thread with the
// operation; every hand-over is a release/acquire pair on a list or a gate.
unsafe impl Sync for Op {}

impl Op {
    pub const NO_PIN: u32 = u32::MAX;

    /// # Safety
    /// The caller holds the operation: it has just been allocated to it, or was
    /// handed over to it, and it has not handed it on. One reference at a time.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn args(&self) -> &mut OpArgs {
        // SAFETY: exclusive by the caller's word.
        unsafe { &mut *self.args.get() }
    }
}

impl Op {
    /// True when it has a place among its file's operations, or had to wait for one.
    ///
    /// # Safety
    /// As for `args`.
    pub unsafe fn is_ordered(&self) -> bool {
        // SAFETY: exclusive by the caller's word.
        unsafe { (*self.order.get()).holds_place() }
    }
}

pub type OpPtr = NonNull<Op>;

/// A chain of operations through their `next` links, in submission order.
pub struct OpList {
    head: *mut Op,
    tail: *mut Op,
}

impl OpList {
    pub const fn new() -> Self {
        Self { head: std::ptr::null_mut(), tail: std::ptr::null_mut() }
    }

    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    pub fn push(&mut self, op: OpPtr) {
        use std::sync::atomic::Ordering::Relaxed;
        // SAFETY: operations in the list are held by the list's owner.
        unsafe { op.as_ref() }.next.store(std::ptr::null_mut(), Relaxed);
        if self.head.is_null() {
            self.head = op.as_ptr();
        } else {
            // SAFETY: `tail` is the last operation of a non-empty list.
            unsafe { &*self.tail }.next.store(op.as_ptr(), Relaxed);
        }
        self.tail = op.as_ptr();
    }

    pub fn front(&self) -> Option<OpPtr> {
        NonNull::new(self.head)
    }

    pub fn pop(&mut self) -> Option<OpPtr> {
        use std::sync::atomic::Ordering::Relaxed;
        let op = NonNull::new(self.head)?;
        // SAFETY: as for push.
        self.head = unsafe { op.as_ref() }.next.load(Relaxed);
        Some(op)
    }

    /// The operations, without taking them out.
    pub fn iter(&self) -> impl Iterator<Item = &Op> {
        use std::sync::atomic::Ordering::Relaxed;
        let mut at = self.head;
        std::iter::from_fn(move || {
            // SAFETY: as for push.
            let op = unsafe { at.as_ref() }?;
            at = op.next.load(Relaxed);
            Some(op)
        })
    }
}

impl Default for OpList {
    fn default() -> Self {
        Self::new()
    }
}

//! The as-if-inline order of buffered operations.
//!
//! The kernel runs buffered I/O inside io_submit, one operation after another,
//! and programs lean on it. We may defer such an operation; this keeps what a
//! program can see of that order: on one file nothing overtakes a write, a write
//! overtakes nothing, reads may run side by side, and an fsync waits for the
//! writes submitted before it (as in the kernel, nothing waits for an fsync).
//! O_DIRECT and polls take no part, as in the kernel.
//!
//! Only operations that were deferred are known here. Each file that has some
//! is a first-come first-served readers-writer lock.

use crate::engine::op::{Op, OpPtr};
use crate::errno::Errno;
use crate::sys;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Mutex, MutexGuard};

/// One file, or one direction of a stream: reading and writing a socket do not
/// wait for each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub dev: u64,
    pub ino: u64,
    pub writes_of_stream: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A read of a seekable file.
    Shared,
    /// A write, or a read that consumes what it reads.
    Exclusive,
    /// An fsync: behind writes, in front of nothing.
    Behind,
}

/// An operation's place in its file's order, while it has one.
pub struct Ticket {
    file: *mut FileQueue,
    bucket: u32,
    class: Class,
}

impl Ticket {
    pub const NONE: Self = Self { file: null_mut(), bucket: 0, class: Class::Behind };

    pub fn holds_place(&self) -> bool {
        !self.file.is_null()
    }
}

struct FileQueue {
    key: Key,
    readers: u32,
    writer: bool,
    /// Operations that wait, oldest first, through `order_next`.
    head: *mut Op,
    tail: *mut Op,
    next: *mut FileQueue,
}

impl FileQueue {
    fn admits(&self, class: Class) -> bool {
        match class {
            Class::Shared | Class::Behind => !self.writer,
            Class::Exclusive => !self.writer && self.readers == 0,
        }
    }

    fn start(&mut self, class: Class) {
        match class {
            Class::Shared => self.readers += 1,
            Class::Exclusive => self.writer = true,
            Class::Behind => {}
        }
    }

    fn finish(&mut self, class: Class) {
        match class {
            Class::Shared => self.readers -= 1,
            Class::Exclusive => self.writer = false,
            Class::Behind => {}
        }
    }

    fn is_idle(&self) -> bool {
        self.readers == 0 && !self.writer && self.head.is_null()
    }
}

const BUCKETS: usize = 256;

/// Unused `FileQueue`s. They come from whole pages that are never given back:
/// io_submit may run in a handler that interrupted malloc.
struct Pool(*mut FileQueue);

struct Bucket(*mut FileQueue);

// SAFETY: the pointers are reached only under the mutex that each lies in.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Send for Bucket {}

/// The deferred operations of a process, by file. Callers have signals blocked
/// or run on a thread of ours: the locks are not for signal handlers.
pub struct OrderTable {
    buckets: [Mutex<Bucket>; BUCKETS],
    pool: Mutex<Pool>,
    exclusive: AtomicUsize,
    all: AtomicUsize,
}

/// Tells that `op` may start as far as the order is concerned.
pub type Release<'a> = &'a dyn Fn(OpPtr);

fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|_| std::process::abort())
}

impl OrderTable {
    pub fn new() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Mutex::new(Bucket(null_mut()))),
            pool: Mutex::new(Pool(null_mut())),
            exclusive: AtomicUsize::new(0),
            all: AtomicUsize::new(0),
        }
    }

    /// True when some deferred operation could be in the way of `class`; only
    /// then need the file be looked up.
    pub fn may_conflict(&self, class: Class) -> bool {
        match class {
            Class::Shared => self.exclusive.load(Relaxed) != 0,
            Class::Exclusive => self.all.load(Relaxed) != 0,
            Class::Behind => false,
        }
    }

    /// True when an inline run of `class` on this file would overtake a
    /// deferred operation.
    pub fn conflicts(&self, key: Key, class: Class) -> bool {
        let bucket = locked(&self.buckets[bucket_of(key)]);
        // SAFETY: files in the bucket live while its lock is held.
        unsafe { find(&bucket, key) }.is_some_and(|f| !f.head.is_null() || !f.admits(class))
    }

    /// Gives `op` its place. True: nothing is in its way. False: `Release` will
    /// be called for it by the `leave` of another operation.
    ///
    /// # Errors
    /// ENOMEM: no memory for the file's queue; the operation has no place.
    ///
    /// # Safety
    /// The caller holds the operation.
    pub unsafe fn enter(&self, op: &Op, key: Key, class: Class) -> Result<bool, Errno> {
        let index = bucket_of(key);
        let mut bucket = locked(&self.buckets[index]);
        // SAFETY: files in the bucket live while its lock is held.
        let file = match unsafe { find(&bucket, key) } {
            Some(f) => f,
            None if class == Class::Behind => return Ok(true),
            // SAFETY: a fresh queue, put into the bucket under its lock.
            None => unsafe {
                let f = self.new_queue(key)?;
                (*f).next = bucket.0;
                bucket.0 = f;
                &mut *f
            },
        };
        if class == Class::Behind && file.head.is_null() && file.admits(class) {
            return Ok(true);
        }
        // SAFETY: the caller holds the operation.
        unsafe { *op.order.get() = Ticket { file, bucket: index as u32, class } };
        self.count(class, 1);
        if file.head.is_null() && file.admits(class) {
            file.start(class);
            return Ok(true);
        }
        let op = std::ptr::from_ref(op).cast_mut();
        // SAFETY: waiting operations live until they have left the queue.
        unsafe {
            (*op).order_next.store(null_mut(), Relaxed);
            if file.head.is_null() {
                file.head = op;
            } else {
                (*file.tail).order_next.store(op, Relaxed);
            }
        }
        file.tail = op;
        Ok(false)
    }

    /// `op` is done: those that waited for it are released.
    ///
    /// # Safety
    /// The caller holds the operation, which was entered at most once.
    pub unsafe fn leave(&self, op: &Op, release: Release) {
        // SAFETY: the caller holds the operation.
        let ticket = unsafe { std::mem::replace(&mut *op.order.get(), Ticket::NONE) };
        if ticket.file.is_null() {
            return;
        }
        self.count(ticket.class, -1);
        let mut bucket = locked(&self.buckets[ticket.bucket as usize]);
        // SAFETY: a file lives while an operation holds a ticket for it.
        unsafe {
            (*ticket.file).finish(ticket.class);
            self.advance(&mut bucket, ticket.file, release);
        }
    }

    /// Takes `op` out again if it still waits for its turn. Then it will never
    /// be released, and the caller holds it.
    ///
    /// # Safety
    /// `op` is memory of a request slab; what it holds may belong to anyone.
    pub unsafe fn withdraw(&self, op: OpPtr, key_hint: u32, release: Release) -> bool {
        let mut bucket = locked(&self.buckets[key_hint as usize % BUCKETS]);
        let mut at = bucket.0;
        // SAFETY: files and their waiting operations live under the bucket lock.
        unsafe {
            while let Some(file) = at.as_mut() {
                let mut before: *mut Op = null_mut();
                let mut here = file.head;
                while !here.is_null() {
                    let next = (*here).order_next.load(Relaxed);
                    if here == op.as_ptr() {
                        match before.as_ref() {
                            Some(b) => b.order_next.store(next, Relaxed),
                            None => file.head = next,
                        }
                        if file.tail == here {
                            file.tail = before;
                        }
                        let ticket = std::mem::replace(&mut *(*here).order.get(), Ticket::NONE);
                        self.count(ticket.class, -1);
                        self.advance(&mut bucket, at, release);
                        return true;
                    }
                    before = here;
                    here = next;
                }
                at = file.next;
            }
        }
        false
    }

    /// Where `withdraw` has to look for an operation with a ticket.
    ///
    /// # Safety
    /// The caller keeps the operation from completing, or treats the answer as a
    /// hint.
    pub unsafe fn bucket_hint(op: OpPtr) -> u32 {
        // SAFETY: request slabs are never unmapped while a context is used.
        unsafe { (*op.as_ref().order.get()).bucket }
    }

    fn count(&self, class: Class, by: isize) {
        self.all.fetch_add(by as usize, SeqCst);
        if class == Class::Exclusive {
            self.exclusive.fetch_add(by as usize, SeqCst);
        }
    }

    /// Starts what can start at the front of the queue; drops an idle file.
    ///
    /// # Safety
    /// `file` is in `bucket`, whose lock is held.
    unsafe fn advance(&self, bucket: &mut Bucket, file: *mut FileQueue, release: Release) {
        // SAFETY: as above; waiting operations live until they are released.
        unsafe {
            let f = &mut *file;
            while let Some(op) = NonNull::new(f.head) {
                let class = (*op.as_ref().order.get()).class;
                if !f.admits(class) {
                    break;
                }
                f.head = op.as_ref().order_next.load(Relaxed);
                f.start(class);
                if class == Class::Behind {
                    // Nothing waits for it: its place ends here.
                    *op.as_ref().order.get() = Ticket::NONE;
                    self.count(class, -1);
                }
                release(op);
            }
            if f.is_idle() {
                let mut link = &raw mut bucket.0;
                while *link != file {
                    link = &raw mut (**link).next;
                }
                *link = f.next;
                let mut pool = locked(&self.pool);
                f.next = pool.0;
                pool.0 = file;
            }
        }
    }

    fn new_queue(&self, key: Key) -> Result<*mut FileQueue, Errno> {
        const CHUNK: usize = 16384;
        let mut pool = locked(&self.pool);
        if pool.0.is_null() {
            let chunk = sys::mmap_anon(CHUNK, libc::MAP_PRIVATE)?.cast::<FileQueue>();
            for i in 0..CHUNK / size_of::<FileQueue>() {
                // SAFETY: inside the fresh chunk; zeroed queues are valid.
                unsafe {
                    let q = chunk.add(i);
                    (*q).next = pool.0;
                    pool.0 = q;
                }
            }
        }
        let q = pool.0;
        // SAFETY: the pool's queues are unused and live for ever.
        unsafe {
            pool.0 = (*q).next;
            q.write(FileQueue {
                key,
                readers: 0,
                writer: false,
                head: null_mut(),
                tail: null_mut(),
                next: null_mut(),
            });
        }
        Ok(q)
    }
}

fn bucket_of(key: Key) -> usize {
    let h = (key.ino ^ key.dev.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (h >> 56) as usize % BUCKETS
}

/// # Safety
/// The bucket's lock is held for as long as the result is used.
unsafe fn find<'a>(bucket: &Bucket, key: Key) -> Option<&'a mut FileQueue> {
    let mut at = bucket.0;
    // SAFETY: as above.
    while let Some(f) = unsafe { at.as_mut() } {
        if f.key == key {
            return Some(f);
        }
        at = f.next;
    }
    None
}

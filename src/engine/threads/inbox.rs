//! The workers' end of the socket: receiving operations and their files.
//!
//! A message must never be taken while the table cannot hold its descriptors:
//! the files would be lost. So when it gets full, equal files are held once; and
//! when that is not enough, messages stay in the socket until a file is closed.

use super::message::{Entry, MAX_FDS, Message, NONE, Received, discard};
use super::pins::{Pins, same_file};
use super::{RECEIVED, STARTED, Threads, locked};
use crate::engine::op::{Op, OpList};
use crate::errno::Errno;
use crate::sys;
use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32};

const SOCKETS: usize = 4;
const BUCKETS: usize = 256;
const NO_PIN: u32 = Op::NO_PIN;

pub(super) struct Inbox {
    receiver: Mutex<Receiver>,
    /// Messages sent and not yet received. Counted after sending: below 0 for a
    /// moment when a message is received at once. A sender counts before it looks
    /// for a sleeper under the pool's lock; a worker looks here under that lock
    /// before it sleeps.
    unreceived: AtomicI32,
    /// The table is full: nothing is received until a file is closed.
    held: AtomicBool,
    /// RLIMIT_NOFILE as the last sender saw it.
    nofile: AtomicU32,
}

struct Receiver {
    /// One, and those that the program has closed and that may have messages
    /// left; -1 where there is none.
    sockets: [c_int; SOCKETS],
    socket_id: sys::FileId,
    /// The files that are held, by hash; used once the table gets full.
    index: [u32; BUCKETS],
}

impl Inbox {
    pub(super) fn new(socket: c_int) -> Result<Self, Errno> {
        let mut sockets = [-1; SOCKETS];
        sockets[0] = socket;
        let socket_id = sys::file_id(socket)?;
        let index = [NO_PIN; BUCKETS];
        Ok(Self {
            receiver: Mutex::new(Receiver { sockets, socket_id, index }),
            unreceived: AtomicI32::new(0),
            held: AtomicBool::new(false),
            nofile: AtomicU32::new(0),
        })
    }

    /// Gives the calling thread, and those that it will make, a table with only
    /// the socket in it.
    pub(super) fn make_table_private(&self) -> Result<(), Errno> {
        let receiver = locked(&self.receiver);
        let socket = receiver.sockets[0];
        sys::keep_only_fd(socket).or_else(|_| leave_table(socket))?;
        // Another thread may have closed it before the table was ours.
        if sys::file_id(socket)? == receiver.socket_id { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    /// Takes a new socket beside those that the program has closed.
    pub(super) fn add_socket(&self, socket: c_int) {
        let mut receiver = locked(&self.receiver);
        // Without an end each: a forked child holds the other side. They are empty.
        let oldest = receiver.sockets[0];
        if receiver.sockets.iter().all(|&s| s >= 0) {
            sys::close(oldest);
            receiver.sockets[0] = -1;
        }
        receiver.sockets.sort_unstable_by_key(|&s| s < 0);
        receiver.sockets[SOCKETS - 1] = socket;
    }

    /// Told by each sender, before it sends.
    pub(super) fn set_nofile(&self, limit: u32) {
        if self.nofile.load(Relaxed) != limit {
            self.nofile.store(limit, Relaxed);
            self.let_go();
        }
    }

    pub(super) fn sent(&self) {
        self.unreceived.fetch_add(1, SeqCst);
    }

    /// True when there is something to receive, and room for it.
    pub(super) fn has_mail(&self) -> bool {
        self.unreceived.load(SeqCst) > 0 && !self.is_held()
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.load(SeqCst)
    }

    /// A file was closed: true for the one caller that ends the hold.
    pub(super) fn let_go(&self) -> bool {
        self.held.swap(false, SeqCst)
    }

    /// Takes a pin without references out of the index.
    pub(super) fn forget(&self, pins: &Pins, pin: u32) {
        if pins.at(pin).indexed.load(Acquire) != 0 {
            locked(&self.receiver).unlink(pins, pin);
        }
    }
}

impl Threads {
    /// Receives a message, if there is one and the table has room for it; what
    /// can run then is in the run queue. True: something was received.
    pub(super) fn receive(&self) -> bool {
        let mut receiver = locked(&self.inbox.receiver);
        let counted = self.inbox.unreceived.load(SeqCst);
        let limit = Pins::limit(self.inbox.nofile.load(Relaxed));
        let mut message = Message::new();
        for i in 0..SOCKETS {
            let socket = receiver.sockets[i];
            if socket < 0 {
                continue;
            }
            match self.receive_from(socket, limit, &mut message) {
                Some(Received::Message) => {
                    self.inbox.unreceived.fetch_sub(1, SeqCst);
                    self.link.unstick();
                    self.take_over(&mut receiver, limit, &message);
                    return true;
                }
                Some(Received::Nothing) => {}
                Some(Received::End) => {
                    sys::close(socket);
                    receiver.sockets[i] = -1;
                }
                None => return false,
            }
        }
        if counted > 0 {
            // Cannot be: those were sent before we looked. Never spin for them.
            self.inbox.unreceived.fetch_sub(counted, SeqCst);
        }
        false
    }

    /// None: what is there has to wait for a file to be closed.
    fn receive_from(&self, socket: c_int, limit: u32, message: &mut Message) -> Option<Received> {
        loop {
            let careful = limit < self.pins.live() + MAX_FDS as u32;
            let received = message.receive(socket, careful);
            if !careful || !matches!(received, Received::Message) {
                return Some(received);
            }
            if !message.truncated {
                discard(socket);
                self.inbox.let_go();
                return Some(received);
            }
            let nothing_to_wait_for = self.pins.live() == 0;
            message.fds().iter().for_each(|&fd| sys::close(fd));
            if nothing_to_wait_for {
                // Larger than the whole table: these operations fail.
                discard(socket);
                message.forget_fds();
                self.inbox.let_go();
                return Some(received);
            }
            // Once more after the flag is up: a file closed before is seen now, one
            // closed later sees the flag.
            if self.inbox.held.swap(true, SeqCst) {
                return None;
            }
        }
    }

    /// Notes the files of the operations, and lets those run that are started.
    fn take_over(&self, receiver: &mut Receiver, limit: u32, message: &Message) {
        let mut uses = [0; MAX_FDS];
        for &Entry { file, event, .. } in message.entries() {
            uses[file as usize] += 1;
            if event != NONE {
                uses[event as usize] += 1;
            }
        }
        let mut held = [NO_PIN; MAX_FDS];
        for (i, &fd) in message.fds().iter().enumerate() {
            // From an eighth of the table on, and always in a small one.
            let crowded = self.pins.live() >= limit.saturating_sub(256) / 8;
            held[i] = self.hold(receiver, crowded, fd, uses[i]);
        }
        let mut ready = OpList::new();
        for entry in message.entries() {
            let Some(op) = NonNull::new(entry.op) else { continue };
            // SAFETY: sent by `pin`; it lives until it is completed.
            let o = unsafe { op.as_ref() };
            o.pin.store(held[entry.file as usize], Relaxed);
            o.res_pin.store(
                if entry.event == NONE { NO_PIN } else { held[entry.event as usize] },
                Relaxed,
            );
            // AcqRel: pairs with `start`'s.
            if o.state.fetch_or(RECEIVED, AcqRel) & STARTED != 0 {
                ready.push(op);
            }
        }
        let mut pool = self.pool.lock();
        while let Some(op) = ready.pop() {
            pool.push(op);
        }
    }

    /// The pin for a descriptor just received.
    /// In a `crowded` table a file that is held already is not held again.
    fn hold(&self, receiver: &mut Receiver, crowded: bool, fd: c_int, refs: u32) -> u32 {
        let id = if crowded { sys::file_id(fd).ok() } else { None };
        if let Some(id) = id {
            for pin in receiver.candidates(&self.pins, id) {
                if !self.pins.share(pin, refs) {
                    continue;
                }
                if same_file(pin, fd) {
                    sys::close(fd);
                    return pin;
                }
                if self.pins.release(pin, refs) {
                    // Its users were faster, and left it to us.
                    receiver.unlink(&self.pins, pin);
                    self.close_pin(pin);
                }
            }
        }
        let Some(pin) = self.pins.adopt(fd, refs) else {
            sys::close(fd);
            return NO_PIN;
        };
        if let Some(id) = id {
            receiver.link(&self.pins, pin, id);
        }
        pin
    }
}

impl Receiver {
    fn bucket(id: sys::FileId) -> usize {
        let hash = (id.ino ^ id.dev.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 56) as usize % BUCKETS
    }

    fn link(&mut self, pins: &Pins, pin: u32, id: sys::FileId) {
        let slot = pins.at(pin);
        let head = &mut self.index[Self::bucket(id)];
        slot.dev.store(id.dev, Relaxed);
        slot.ino.store(id.ino, Relaxed);
        slot.next.store(*head, Relaxed);
        slot.indexed.store(1, Relaxed);
        *head = pin;
    }

    fn unlink(&mut self, pins: &Pins, pin: u32) {
        let slot = pins.at(pin);
        if slot.indexed.swap(0, Relaxed) == 0 {
            return;
        }
        let id = sys::FileId { dev: slot.dev.load(Relaxed), ino: slot.ino.load(Relaxed) };
        let head = &mut self.index[Self::bucket(id)];
        let after = slot.next.load(Relaxed);
        if *head == pin {
            *head = after;
            return;
        }
        let mut at = *head;
        while at != NO_PIN {
            let next = &pins.at(at).next;
            if next.load(Relaxed) == pin {
                next.store(after, Relaxed);
                return;
            }
            at = next.load(Relaxed);
        }
    }

    /// The pins that may be this file.
    fn candidates<'a>(
        &self,
        pins: &'a Pins,
        id: sys::FileId,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let mut at = self.index[Self::bucket(id)];
        std::iter::from_fn(move || {
            while at != NO_PIN {
                let (pin, slot) = (at, pins.at(at));
                at = slot.next.load(Relaxed);
                if slot.dev.load(Relaxed) == id.dev && slot.ino.load(Relaxed) == id.ino {
                    return Some(pin);
                }
            }
            None
        })
    }
}

/// What `sys::keep_only_fd` does, where close_range cannot.
fn leave_table(keep: c_int) -> Result<(), Errno> {
    // SAFETY: no memory is passed; the table is the thread's own from here on.
    unsafe { crate::sys!(unshare, libc::CLONE_FILES)? };
    (0..1 << 20).filter(|&fd| fd != keep).for_each(sys::close);
    Ok(())
}

//! Reads and writes in io_submit: the checks of `aio_prep_rw`, and the attempt to
//! do the transfer at once without blocking on a device.

use crate::abi::*;
use crate::config::SubmitMode;
use crate::engine::op::{IoVecs, Timeout};
use crate::errno::Errno;
use crate::file::{File, FileType};
use crate::guess::{BUFFERED, IN_MEMORY};
use crate::mm::Mm;
use crate::order::Class;
use crate::sys;

/// A buffered write up to this size is made inside io_submit: a copy into the page
/// cache, which waits only when the kernel slows down all writers.
pub const INLINE_WRITE_MAX: u64 = 65536;
/// How long such a write waits for a deferred one on its file: some milliseconds.
const PREDECESSOR_NAPS: u32 = 20;
/// The same for one that may raise SIGXFSZ: seconds. Not for ever: what it waits
/// for may be this thread's own, below a signal handler.
const LIMITED_NAPS: u32 = 20_000;

/// RLIMIT_FSIZE in one call of io_submit.
pub struct SizeLimit(Option<Option<u64>>);

impl SizeLimit {
    pub const UNKNOWN: Self = Self(None);

    /// None: there is none.
    fn get(&mut self) -> Option<u64> {
        *self.0.get_or_insert_with(sys::rlimit_fsize)
    }
}

/// A read or write on its way through io_submit.
pub struct Transfer {
    pub write: bool,
    pub iov: IoVecs,
    pub pos: i64,
    pub rw_flags: u32,
    pub done: u64,
}

pub enum Outcome {
    /// The event's result.
    Done(i64),
    /// For the engine; with its place among the file's buffered operations.
    Defer(Option<Class>),
    /// A write that RLIMIT_FSIZE may stop: SIGXFSZ has to hit the thread that
    /// calls io_submit. For `run_limited`, when all before it is on its way.
    Limited(Option<Class>),
}

impl Transfer {
    fn run(&mut self, file: &File, flags: u32) -> Result<usize, Errno> {
        if self.iov.total == 0 {
            let no_signal = flags & RWF_NOSIGNAL != 0;
            return sys::rw_nothing(self.write, file.fd, no_signal);
        }
        let n = self.iov.count as usize;
        let pos = match file.kind {
            FileType::Fifo | FileType::Socket => -1,
            _ => self.pos,
        };
        let iov = self.iov.as_mut_ptr();
        // SAFETY: the segments are the program's, given to us for this transfer.
        let r = unsafe { sys::rwv2(self.write, file.fd, iov, n, pos, flags) };
        if r == Err(Errno(libc::ESPIPE)) && !file.seekable() && pos != -1 {
            // SAFETY: as above.
            return unsafe { sys::rwv2(self.write, file.fd, iov, n, -1, flags) };
        }
        r
    }

    fn advance(&mut self, n: usize) {
        self.done += n as u64;
        self.pos += n as i64;
        self.iov.advance(n as u64);
    }

    /// The event's result after an error: what was moved before it counts.
    fn result(&self, e: Errno) -> Outcome {
        Outcome::Done(if self.done > 0 { self.done as i64 } else { e.neg() })
    }

    fn run_to_end(&mut self, file: &File) -> Outcome {
        let flags = self.rw_flags;
        match self.run(file, flags) {
            Ok(n) => Outcome::Done((self.done + n as u64) as i64),
            Err(e) => self.result(e),
        }
    }
}

/// Does the transfer if it need not wait for a device or a peer.
pub fn attempt(mm: &'static Mm, file: &File, t: &mut Transfer, limit: &mut SizeLimit) -> Outcome {
    if !file.seekable() {
        return attempt_stream(mm, file, t);
    }
    if t.iov.total == 0 {
        return Outcome::Done(if refuses_nothing(file, t) { Errno::EOPNOTSUPP.neg() } else { 0 });
    }
    let class = if t.write { Class::Exclusive } else { Class::Shared };
    if file.direct() && !file.in_memory() {
        return defer(file, t, appends(file, t).then_some(class), limit);
    }
    if mm.config.submit == SubmitMode::Kernel {
        return t.run_to_end(file);
    }
    // A small write would be done at once but for its predecessor; behind it in
    // the queue, every write of a busy file would have a predecessor for ever.
    let patience = if t.write && is_quick(file, t) { PREDECESSOR_NAPS } else { 0 };
    if in_the_way(mm, file, class, t.write) && !cleared(mm, file, class, t.write, patience) {
        return defer(file, t, Some(class), limit);
    }
    if t.rw_flags & RWF_NOWAIT != 0 {
        return t.run_to_end(file);
    }
    if t.write { attempt_write(mm, file, t, limit) } else { attempt_read(mm, file, t) }
}

/// A transfer that is not made here and now.
fn defer(file: &File, t: &Transfer, order: Option<Class>, limit: &mut SizeLimit) -> Outcome {
    if t.write && may_be_limited(file, t, limit) {
        return Outcome::Limited(order);
    }
    Outcome::Defer(order)
}

/// Makes a write that was `Limited`, as the kernel does: behind those before it.
pub fn run_limited(mm: &Mm, file: &File, t: &mut Transfer, order: Option<Class>) -> Outcome {
    match order {
        Some(class)
            if in_the_way(mm, file, class, true)
                && !cleared(mm, file, class, true, LIMITED_NAPS) =>
        {
            Outcome::Defer(order)
        }
        _ => t.run_to_end(file),
    }
}

/// The write goes to the end of the file, wherever that will be.
fn appends(file: &File, t: &Transfer) -> bool {
    let flag = file.flags & libc::O_APPEND != 0 && t.rw_flags & RWF_NOAPPEND == 0;
    t.write && (flag || t.rw_flags & RWF_APPEND != 0)
}

/// ext4 refuses NOWAIT of a buffered write before it looks at the length, which
/// pwritev2 does not let it see.
fn refuses_nothing(file: &File, t: &Transfer) -> bool {
    const EXT4: i64 = 0xef53;
    t.write
        && t.rw_flags & RWF_NOWAIT != 0
        && file.kind == FileType::Regular
        && !file.direct()
        && sys::fs_magic(file.fd) == Ok(EXT4)
        && ask(file, true, 1, RWF_NOWAIT) == Err(Errno::EOPNOTSUPP)
}

fn in_the_way(mm: &Mm, file: &File, class: Class, write: bool) -> bool {
    mm.order.may_conflict(class)
        && file.order_key(write).is_some_and(|key| {
            let _signals = sys::SignalsBlocked::new();
            mm.order.conflicts(key, class)
        })
}

/// Waits a little for the operations in the way to end: for a moment in any case,
/// as one whose event is there already may not have left yet.
fn cleared(mm: &Mm, file: &File, class: Class, write: bool, naps: u32) -> bool {
    const LOOKS: u32 = 4;
    (0..LOOKS).any(|_| !in_the_way(mm, file, class, write))
        || (0..naps).any(|_| {
            sys::nap();
            !in_the_way(mm, file, class, write)
        })
}

fn attempt_read(mm: &Mm, file: &File, t: &mut Transfer) -> Outcome {
    loop {
        let flags = t.rw_flags | RWF_NOWAIT;
        match t.run(file, flags) {
            Ok(0) => return Outcome::Done(t.done as i64),
            Ok(n) => t.advance(n),
            Err(Errno::EAGAIN) => return Outcome::Defer(Some(Class::Shared)),
            Err(Errno::EOPNOTSUPP) if file.in_memory() => {
                if !file.is_pseudo() {
                    mm.fds.learn_file(file.fd, file.flags, IN_MEMORY);
                }
                return t.run_to_end(file);
            }
            Err(Errno::EOPNOTSUPP) => return Outcome::Defer(Some(Class::Shared)),
            Err(e) => return t.result(e),
        }
        if file.kind == FileType::Regular {
            mm.fds.learn_file(file.fd, file.flags, BUFFERED);
        }
        if t.iov.total == 0 {
            return Outcome::Done(t.done as i64);
        }
    }
}

/// A small write that does not go to the device.
fn is_quick(file: &File, t: &Transfer) -> bool {
    let sync = file.flags & (libc::O_SYNC | libc::O_DSYNC) != 0
        || t.rw_flags & (RWF_SYNC | RWF_DSYNC) != 0;
    !sync && t.iov.total <= INLINE_WRITE_MAX
}

fn attempt_write(mm: &Mm, file: &File, t: &mut Transfer, limit: &mut SizeLimit) -> Outcome {
    if !is_quick(file, t) {
        return defer(file, t, Some(Class::Exclusive), limit);
    }
    if file.kind == FileType::Regular {
        mm.fds.learn_file(file.fd, file.flags, BUFFERED);
    }
    t.run_to_end(file)
}

fn may_be_limited(file: &File, t: &Transfer, limit: &mut SizeLimit) -> bool {
    limit.get().is_some_and(|max| appends(file, t) || t.pos as u64 + t.iov.total > max)
}

/// Pipes, sockets, terminals, eventfds...: whatever comes without waiting.
fn attempt_stream(mm: &Mm, file: &File, t: &mut Transfer) -> Outcome {
    if file.kind == FileType::Socket && t.pos != 0 {
        return Outcome::Done(Errno(libc::ESPIPE).neg());
    }
    let order = Some(Class::Exclusive);
    if in_the_way(mm, file, Class::Exclusive, t.write) && !file.nonblock() {
        return Outcome::Defer(order);
    }
    let flags = t.rw_flags | RWF_NOWAIT;
    let asked_nowait = t.rw_flags & RWF_NOWAIT != 0;
    match t.run(file, flags) {
        Ok(n) => {
            if t.write && (n as u64) < t.iov.total && !file.nonblock() && !asked_nowait {
                t.advance(n);
                return Outcome::Defer(order);
            }
            Outcome::Done(n as i64)
        }
        Err(Errno::EAGAIN) if !file.nonblock() && !asked_nowait => Outcome::Defer(order),
        // No NOWAIT for this kind of file: look whether it would wait.
        Err(Errno::EOPNOTSUPP) => {
            let event = if t.write { libc::POLLOUT } else { libc::POLLIN };
            if file.nonblock() || sys::poll_now(file.fd, event).is_ok_and(|r| r != 0) {
                t.run_to_end(file)
            } else {
                Outcome::Defer(order)
            }
        }
        Err(e) => Outcome::Done(e.neg()),
    }
}

/// How long a blocking transfer waits on this socket.
pub fn socket_timeout(file: &File, write: bool) -> Timeout {
    if file.kind != FileType::Socket {
        return Timeout::NONE;
    }
    let option = if write { libc::SO_SNDTIMEO } else { libc::SO_RCVTIMEO };
    sys::socket_timeval(file.fd, option)
        .map_or(Timeout::NONE, |t| Timeout { sec: t.tv_sec, nsec: t.tv_usec * 1000 })
}

/// Mirrors `block/ioprio.c:ioprio_check_cap()`.
///
/// # Errors
/// EPERM: the real-time class without CAP_SYS_ADMIN or CAP_SYS_NICE. EINVAL: no
/// such class, or a level in no class.
pub fn ioprio_check_cap(ioprio: u16) -> Result<(), Errno> {
    match (ioprio >> 13, ioprio & 7) {
        (1, _) if !sys::may_use_rt_ioprio() => Err(Errno::EPERM),
        (1..=3, _) | (0, 0) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Mirrors `include/linux/fs.h:kiocb_set_rw_flags()`. Returns the flags to use:
/// without HIPRI, which has no effect for AIO.
///
/// # Errors
/// EOPNOTSUPP: an unknown flag, or one that this file does not have. EINVAL:
/// APPEND together with NOAPPEND.
pub fn kiocb_set_rw_flags(file: &File, flags: u32, write: bool) -> Result<u32, Errno> {
    if flags == 0 {
        return Ok(0);
    }
    if flags & !RWF_SUPPORTED != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags & RWF_APPEND != 0 && flags & RWF_NOAPPEND != 0 {
        return Err(Errno::EINVAL);
    }
    let nowait = |file: &File| match file.kind {
        FileType::Directory => false,
        // A property of the file; asked by reading, which has no effect here.
        FileType::CharDevice | FileType::Anonymous | FileType::Fifo if file.readable() => {
            ask(file, false, 0, 0) != Err(Errno::EINVAL)
                && ask(file, false, 1, RWF_NOWAIT) != Err(Errno::EOPNOTSUPP)
        }
        FileType::CharDevice => ask(file, true, 1, RWF_NOWAIT) != Err(Errno::EOPNOTSUPP),
        _ => !file.in_memory(),
    };
    let unsupported = flags & RWF_NOWAIT != 0 && !nowait(file)
        || flags & RWF_ATOMIC != 0
            && !(write && file.direct() && sys::can_write_atomically(file.fd))
        || flags & RWF_DONTCACHE != 0 && (!file.seekable() || file.in_memory());
    if unsupported {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(flags & !RWF_HIPRI)
}

/// True when the file has `read_iter` or `write_iter`, which AIO needs: a file
/// with only `read` or `write` is refused.
pub fn has_rw_iter(file: &File, write: bool) -> bool {
    match file.kind {
        FileType::Directory => false,
        FileType::BlockDevice | FileType::Fifo | FileType::Socket => true,
        FileType::Regular => !file.is_pseudo() || takes_flags(file, write),
        FileType::CharDevice | FileType::Anonymous => {
            // No bytes: refused only if it cannot be read or written at all.
            if ask(file, write, 0, 0) == Err(Errno::EINVAL) {
                return false;
            }
            // Asking some others to read could take what there is to read; they
            // are believed. An eventfd or its kin says EINVAL to a single byte.
            match file.kind {
                _ if write => takes_flags(file, true),
                FileType::Anonymous => ask(file, false, 1, RWF_NOWAIT) != Err(Errno::EOPNOTSUPP),
                _ => !file.is_memory_device() || takes_flags(file, false),
            }
        }
    }
}

/// A file without the iterator knows no flags at all (EOPNOTSUPP); one with it
/// finds another fault: a write with a senseless pair of flags (since 6.9), a
/// read with the bad buffer.
fn takes_flags(file: &File, write: bool) -> bool {
    let flags = if write { RWF_APPEND | RWF_NOAPPEND } else { RWF_DSYNC };
    ask(file, write, 1, flags) != Err(Errno::EOPNOTSUPP) || write && !sys::has_rwf_noappend()
}

/// A transfer of `len` bytes with a bad buffer.
fn ask(file: &File, write: bool, len: usize, flags: u32) -> Result<usize, Errno> {
    let nowhere = libc::iovec { iov_base: 8 as *mut _, iov_len: len };
    // SAFETY: the first page is never mapped, so nothing is transferred.
    let call = |pos| unsafe { sys::rwv2(write, file.fd, &raw const nowhere, 1, pos, flags) };
    match call(0) {
        Err(Errno(libc::ESPIPE)) => call(-1),
        answer => answer,
    }
}

//! io_submit: `io_submit_one` and the preparation of each opcode, with the
//! kernel's order of checks.

use crate::abi::*;
use crate::aio_kiocb::{aio_complete, aio_get_req};
use crate::batch::Batch;
use crate::engine::caller::READS;
use crate::engine::op::{FileTraits, INLINE_IOVECS, IoVecs, Kind, OpArgs, Timeout};
use crate::errno::Errno;
use crate::file::{File, FileType};
use crate::iovec::{import_iovec, import_ubuf};
use crate::kioctx::Kioctx;
use crate::mm::Mm;
use crate::order::Class;
use crate::read_batch::{Read, ReadBatch};
use crate::rw::{self, Outcome, Transfer};
use crate::{eventfd, sys, uaccess};
use std::ffi::c_int;
use std::mem::{MaybeUninit, offset_of};

/// Segments of a vector that needs no memory.
const INLINE_VECTOR: u64 = INLINE_IOVECS as u64;

/// One call of io_submit.
pub struct Submit<'a> {
    pub mm: &'static Mm,
    pub ctx: &'a Kioctx,
    pub batch: Batch,
    /// Slots that were taken for the requests to come.
    slots: u32,
    /// What this call has looked at already: within one call a number means one
    /// file, and a limit is the same.
    file: Option<File>,
    resfd: Option<c_int>,
    limit: rw::SizeLimit,
    reads: ReadBatch<'a, Origin>,
    /// Requests that were accepted too early: one before them is refused.
    taken_back: u32,
    done: Done<'a>,
}

/// Where a request came from: its iocb's address, and `data` in it.
#[derive(Clone, Copy)]
struct Origin {
    obj: u64,
    data: u64,
    resfd: Option<c_int>,
}

/// Events of what is finished already: published together, when the call ends at
/// the latest.
struct Done<'a> {
    /// Apart, or it would be cleared and copied in each call.
    events: &'a mut [MaybeUninit<IoEvent>; MANY_DONE],
    count: usize,
    /// Whom they are for.
    resfd: Option<c_int>,
}

const MANY_DONE: usize = 32;

/// Mirrors `fs/aio.c:SYSCALL_DEFINE3(io_submit)` behind the look-up.
///
/// # Errors
/// What the first iocb was refused for; when a later one is, the number before it
/// is returned instead.
pub fn io_submit(mm: &'static Mm, ctx: &Kioctx, nr: i64, iocbpp: u64) -> Result<i64, Errno> {
    let nr = nr.min(i64::from(ctx.ring.nr_events));
    let mut events = [const { MaybeUninit::uninit() }; MANY_DONE];
    let mut reads = [const { MaybeUninit::uninit() }; READS];
    let mut s = Submit {
        mm,
        ctx,
        batch: Batch::new(),
        slots: 0,
        file: None,
        resfd: None,
        limit: rw::SizeLimit::UNKNOWN,
        reads: ReadBatch::new(&mut reads),
        taken_back: 0,
        done: Done { events: &mut events, count: 0, resfd: None },
    };
    let mut accepted = 0;
    let mut refused = None;
    while accepted < nr {
        let at = iocbpp.wrapping_add(accepted as u64 * size_of::<*const ()>() as u64);
        match uaccess::get_user::<usize>(at)
            .and_then(|iocb| s.io_submit_one(iocb as u64, nr - accepted))
        {
            Ok(()) => accepted += 1,
            Err(e) => {
                refused = Some(e);
                break;
            }
        }
    }
    if let Err(e) = s.make_reads() {
        refused = Some(e);
    }
    accepted -= i64::from(s.taken_back);
    s.slots += s.taken_back;
    s.publish();
    s.batch.flush(mm, ctx);
    if s.slots > 0 {
        ctx.reqs.put(s.slots);
    }
    match refused {
        Some(e) if accepted == 0 => Err(e),
        _ => Ok(accepted),
    }
}

impl Submit<'_> {
    /// Mirrors `fs/aio.c:io_submit_one()`; `left`: this one and those behind it.
    #[inline]
    fn io_submit_one(&mut self, user_iocb: u64, left: i64) -> Result<(), Errno> {
        let iocb = uaccess::get_user_by_words::<Iocb>(user_iocb)?;
        if iocb.reserved2 != 0 || (iocb.nbytes as i64) < 0 {
            return Err(Errno::EINVAL);
        }
        if self.slots == 0 && !self.get_slots(left as u32)? {
            return Err(Errno::EAGAIN);
        }
        self.submit_with_slot(user_iocb, &iocb, left as u32)?;
        self.slots -= 1;
        Ok(())
    }

    #[inline]
    fn get_slots(&mut self, wanted: u32) -> Result<bool, Errno> {
        self.slots = aio_get_req(self.ctx, wanted);
        if self.slots == 0 {
            // Its own events may have been taken out of the ring by now.
            self.make_reads()?;
            self.publish();
            self.ctx.sleeper.look();
            self.slots = aio_get_req(self.ctx, wanted);
        }
        Ok(self.slots > 0)
    }

    /// Mirrors `fs/aio.c:__io_submit_one()`.
    #[inline]
    fn submit_with_slot(&mut self, user_iocb: u64, iocb: &Iocb, left: u32) -> Result<(), Errno> {
        if self.reads.is_full() {
            self.make_reads()?;
        }
        let origin = Origin { obj: user_iocb, data: iocb.data, resfd: None };
        if self.rw_at_once(iocb, origin, left)? {
            return Ok(());
        }
        self.make_reads()?;
        self.submit_looking(iocb, origin)
    }

    /// The long way, which looks at the file.
    fn submit_looking(&mut self, iocb: &Iocb, mut origin: Origin) -> Result<(), Errno> {
        let file = match self.file {
            Some(file) if file.fd == iocb.fildes => file,
            _ => File::get(iocb.fildes)?,
        };
        self.file = Some(file);
        if iocb.flags & IOCB_FLAG_RESFD != 0 {
            self.eventfd_fdget(iocb.resfd)?;
            origin.resfd = Some(iocb.resfd);
        }
        uaccess::put_user(origin.obj + offset_of!(Iocb, key) as u64, KIOCB_KEY)?;
        if file.kind == FileType::Anonymous && self.done.resfd.is_some() {
            // It may be that eventfd, or an epoll set with it.
            self.publish();
        }
        match iocb.opcode {
            IOCB_CMD_PREAD => self.aio_rw(&file, iocb, origin, false, false),
            IOCB_CMD_PWRITE => self.aio_rw(&file, iocb, origin, true, false),
            IOCB_CMD_PREADV => self.aio_rw(&file, iocb, origin, false, true),
            IOCB_CMD_PWRITEV => self.aio_rw(&file, iocb, origin, true, true),
            IOCB_CMD_FSYNC => self.aio_fsync(&file, iocb, origin, false),
            IOCB_CMD_FDSYNC => self.aio_fsync(&file, iocb, origin, true),
            IOCB_CMD_POLL => self.aio_poll(&file, iocb, origin),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Mirrors `eventfd_ctx_fdget`, once for each eventfd in a row.
    fn eventfd_fdget(&mut self, fd: c_int) -> Result<(), Errno> {
        if self.resfd != Some(fd) {
            eventfd::check(fd, self.mm.fds.was_eventfd(fd))?;
            self.mm.fds.learn_eventfd(fd);
            self.resfd = Some(fd);
        }
        Ok(())
    }

    /// The common case, a plain read or small write of a buffered regular file,
    /// in one system call. Whatever is not as expected goes the long way.
    ///
    /// The call has a position, which pipes, sockets and their like refuse
    /// (ESPIPE): a number that names such a file by now costs only the try.
    #[inline]
    fn rw_at_once(&mut self, iocb: &Iocb, mut origin: Origin, left: u32) -> Result<bool, Errno> {
        let (write, class) = match iocb.opcode {
            IOCB_CMD_PREAD | IOCB_CMD_PREADV => (false, Class::Shared),
            IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV => (true, Class::Exclusive),
            _ => return Ok(false),
        };
        if iocb.flags & IOCB_FLAG_IOPRIO != 0
            || iocb.rw_flags != 0
            || iocb.key != KIOCB_KEY
            || iocb.offset < 0
            || self.mm.order.may_conflict(class)
            || !uaccess::writable(origin.obj + offset_of!(Iocb, key) as u64, 4)
        {
            return Ok(false);
        }
        let (fd, pos) = (iocb.fildes, iocb.offset);
        let Some(flags) = self.mm.fds.at_once(fd, write) else { return Ok(false) };
        let mut vector;
        let mut one;
        let (segments, n, total) = match (iocb.opcode, iocb.nbytes) {
            (IOCB_CMD_PREAD | IOCB_CMD_PWRITE, len) => {
                let len = len.min(MAX_RW_COUNT);
                if !uaccess::access_ok(iocb.buf, len) {
                    return Ok(false);
                }
                one = libc::iovec { iov_base: iocb.buf as *mut _, iov_len: len as usize };
                (&raw mut one, 1, len)
            }
            (_, 0..=INLINE_VECTOR) => {
                let Ok(iov) = import_iovec(iocb.buf, iocb.nbytes as u32) else { return Ok(false) };
                vector = iov;
                (vector.as_mut_ptr(), vector.count as usize, vector.total)
            }
            _ => return Ok(false),
        };
        let limit = if write { rw::INLINE_WRITE_MAX } else { MAX_RW_COUNT };
        if total == 0 || total > limit || pos.checked_add(total as i64).is_none() {
            return Ok(false);
        }
        if iocb.flags & IOCB_FLAG_RESFD != 0 {
            if self.eventfd_fdget(iocb.resfd).is_err() {
                return Ok(false);
            }
            origin.resfd = Some(iocb.resfd);
        }
        let nowait = !write && flags == RWF_NOWAIT;
        if nowait && iocb.opcode == IOCB_CMD_PREAD {
            let read = Read { whose: origin, fd, buf: iocb.buf, len: total, pos };
            // SAFETY: the buffer was given to us for this transfer.
            if unsafe { self.reads.add(self.mm, left, read) } {
                return Ok(true);
            }
        }
        self.make_reads()?;
        // SAFETY: the buffers were given to us for this transfer.
        match unsafe { sys::rwv2(write, fd, segments, n, pos, flags) } {
            // A part of a read is read again, from the start.
            Ok(n) if write || n as u64 == total => self.complete(origin, n as i64),
            // These have raised their signal; once is enough.
            Err(e @ (Errno::EFBIG | Errno::EINTR)) => self.complete(origin, e.neg()),
            _ => {
                self.mm.fds.forget(fd);
                return Ok(false);
            }
        }
        if nowait {
            self.reads.prove(fd);
        }
        Ok(true)
    }

    /// Makes the reads that were put off. One that would wait, or is not as
    /// expected, goes the long way.
    ///
    /// # Errors
    /// Why one was refused; those behind it were accepted too early.
    #[inline]
    fn make_reads(&mut self) -> Result<(), Errno> {
        if self.reads.is_empty() { Ok(()) } else { self.make_some_reads() }
    }

    #[inline(never)]
    fn make_some_reads(&mut self) -> Result<(), Errno> {
        let count = self.reads.run();
        for i in 0..count {
            // SAFETY: nothing is added before all were looked at.
            let (read, in_full) = unsafe { self.reads.made(i) };
            if in_full {
                self.complete(read.whose, read.len as i64);
                continue;
            }
            self.mm.fds.forget(read.fd);
            let again = uaccess::get_user_by_words::<Iocb>(read.whose.obj);
            if let Err(e) = again.and_then(|iocb| self.submit_looking(&iocb, read.whose)) {
                self.taken_back = (count - i) as u32;
                return Err(e);
            }
        }
        Ok(())
    }

    #[inline]
    fn complete(&mut self, origin: Origin, res: i64) {
        if self.done.count == MANY_DONE || self.done.resfd != origin.resfd {
            self.publish();
        }
        self.done.resfd = origin.resfd;
        let event = IoEvent { data: origin.data, obj: origin.obj, res, res2: 0 };
        self.done.events[self.done.count].write(event);
        self.done.count += 1;
    }

    /// Puts the events of what is finished into the ring.
    #[inline]
    fn publish(&mut self) {
        if self.done.count > 0 {
            // SAFETY: the first `count` events were written by `complete`.
            let events = unsafe { self.done.events[..self.done.count].assume_init_ref() };
            aio_complete(self.ctx, events, self.done.resfd);
            self.done.count = 0;
        }
    }

    /// Mirrors `fs/aio.c:aio_prep_rw()`, `aio_read()` and `aio_write()`.
    fn aio_rw(
        &mut self,
        file: &File,
        iocb: &Iocb,
        origin: Origin,
        write: bool,
        vectored: bool,
    ) -> Result<(), Errno> {
        let ioprio = if iocb.flags & IOCB_FLAG_IOPRIO != 0 {
            rw::ioprio_check_cap(iocb.reqprio as u16)?;
            iocb.reqprio as u16
        } else {
            0
        };
        let rw_flags = rw::kiocb_set_rw_flags(file, iocb.rw_flags, write)?;
        if !(if write { file.writable() } else { file.readable() }) {
            return Err(Errno::EBADF);
        }
        if !rw::has_rw_iter(file, write) {
            return Err(Errno::EINVAL);
        }
        let iov = if vectored {
            import_iovec(iocb.buf, iocb.nbytes as u32)?
        } else {
            import_ubuf(iocb.buf, iocb.nbytes)?
        };
        let pos = iocb.offset;
        if pos < 0 || pos.checked_add(iov.total as i64).is_none() {
            let mut iov = iov;
            crate::iovec::release(&mut iov);
            return Err(Errno::EINVAL);
        }
        let mut t = Transfer { write, iov, pos, rw_flags, done: 0 };
        let mut outcome = rw::attempt(self.mm, file, &mut t, &mut self.limit);
        if let Outcome::Limited(order) = outcome {
            // Events come in the order of the writes.
            self.publish();
            self.batch.flush(self.mm, self.ctx);
            outcome = rw::run_limited(self.mm, file, &mut t, order);
        }
        match outcome {
            Outcome::Done(res) => {
                crate::iovec::release(&mut t.iov);
                self.complete(origin, res);
                Ok(())
            }
            Outcome::Defer(order) | Outcome::Limited(order) => {
                let args = OpArgs {
                    kind: if write { Kind::Write } else { Kind::Read },
                    traits: traits(file),
                    fd: file.fd,
                    resfd: origin.resfd.unwrap_or(-1),
                    id: file.id(),
                    iov: t.iov,
                    // A stream has no position; -1 is how the calls are told.
                    pos: if file.seekable() { t.pos } else { -1 },
                    rw_flags: t.rw_flags,
                    ioprio,
                    poll_events: 0,
                    timeout: rw::socket_timeout(file, write),
                    done: t.done,
                    continued: 0,
                };
                self.defer(file, origin, args, order)
            }
        }
    }

    /// Mirrors `fs/aio.c:aio_fsync()`.
    fn aio_fsync(
        &mut self,
        file: &File,
        iocb: &Iocb,
        origin: Origin,
        data_only: bool,
    ) -> Result<(), Errno> {
        if iocb.buf != 0 || iocb.offset != 0 || iocb.nbytes != 0 || iocb.rw_flags != 0 {
            return Err(Errno::EINVAL);
        }
        let has_fsync =
            matches!(file.kind, FileType::Regular | FileType::Directory | FileType::BlockDevice);
        if !has_fsync || file.is_pseudo() {
            return Err(Errno::EINVAL);
        }
        let args = OpArgs { kind: Kind::Fsync { data_only }, ..bare(file, origin) };
        self.defer(file, origin, args, Some(Class::Behind))
    }

    /// Mirrors `fs/aio.c:aio_poll()`.
    fn aio_poll(&mut self, file: &File, iocb: &Iocb, origin: Origin) -> Result<(), Errno> {
        let events = iocb.buf as u16;
        if u64::from(events) != iocb.buf
            || iocb.offset != 0
            || iocb.nbytes != 0
            || iocb.rw_flags != 0
        {
            return Err(Errno::EINVAL);
        }
        // Without an answer (RLIMIT_NOFILE is 0) it is left to the engine.
        let ready = sys::poll_now(file.fd, events as i16).unwrap_or(0);
        if ready != 0 {
            self.complete(origin, i64::from(ready as u16));
            return Ok(());
        }
        // A file that is always ready has nothing to wait for.
        if file.never_waits() {
            return Err(Errno::EINVAL);
        }
        let events = events | companions(events);
        let args = OpArgs { kind: Kind::Poll, poll_events: events, ..bare(file, origin) };
        self.defer(file, origin, args, None)
    }

    fn defer(
        &mut self,
        file: &File,
        origin: Origin,
        args: OpArgs,
        order: Option<Class>,
    ) -> Result<(), Errno> {
        let write = args.kind == Kind::Write;
        let order = order.and_then(|class| Some((file.order_key(write)?, class)));
        self.batch.defer(self.mm, self.ctx, (origin.obj, origin.data), args, order)
    }
}

fn traits(file: &File) -> FileTraits {
    FileTraits { seekable: file.seekable(), nonblock: file.nonblock(), direct: file.direct() }
}

/// What wakers name along with what was asked for, which the kernel's event shows
/// and python-libaio, say, expects: `fs/pipe.c`, `net/core/sock.c`. No file has
/// the one without the other.
fn companions(events: u16) -> u16 {
    let with = |asked: i16, more: i16| if events & asked as u16 == 0 { 0 } else { more as u16 };
    with(libc::POLLIN, libc::POLLRDNORM | libc::POLLRDBAND)
        | with(libc::POLLOUT, libc::POLLWRNORM | libc::POLLWRBAND)
}

fn bare(file: &File, origin: Origin) -> OpArgs {
    OpArgs {
        kind: Kind::Poll,
        traits: traits(file),
        fd: file.fd,
        resfd: origin.resfd.unwrap_or(-1),
        id: file.id(),
        iov: IoVecs::EMPTY,
        pos: 0,
        rw_flags: 0,
        ioprio: 0,
        poll_events: 0,
        timeout: Timeout::NONE,
        done: 0,
        continued: 0,
    }
}

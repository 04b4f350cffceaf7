//! Takes out of a program what has no defined result.

use crate::fds;
use crate::layout::*;
use crate::program::*;

/// What the operations that may be in flight together use.
#[derive(Default)]
struct Window {
    iocbs: usize,
    /// (file, by an O_DIRECT transfer, written)
    files: Vec<(u8, bool, bool)>,
    /// Eventfds that are signalled at some time.
    signalled: Vec<u8>,
    /// Streams that something is done to while they are polled.
    streams: Vec<u8>,
    /// A transfer uses other windows' data.
    spread: bool,
}

pub fn fix(program: &mut Program) {
    // Files of which it is a matter of luck whether a page is cached.
    let mut cold: Vec<u8> = Vec::new();
    for step in &program.steps {
        if let Step::DropCache { file } = step {
            cold.push(*file);
        }
        cold.extend(step.iocbs().iter().filter(|iocb| past_cache(iocb)).filter_map(Iocb::disturbs));
    }
    // A poll may be pending on these.
    let polls = program.iocbs().filter(|iocb| iocb.opcode == POLL).map(|iocb| iocb.fd);
    let mut polled: Vec<u8> =
        polls.filter_map(|fd| if let Fd::Slot(slot) = fd { Some(slot) } else { None }).collect();
    if polled.contains(&fds::slot("epoll")) {
        polled.push(fds::slot("pipe_r"));
    }
    for step in &mut program.steps {
        if let Step::AddEventfd { fd, value: value @ 0 } = step
            && polled.contains(fd)
        {
            *value = 1;
        }
    }
    let mut window = Window::default();
    for i in 0..program.steps.len() {
        if let Some(s) = program.steps[i].submit_mut() {
            s.iocbs.truncate(WINDOWS as usize - window.iocbs.min(WINDOWS as usize));
            s.iocbs.retain_mut(|iocb| {
                if let Fd::Slot(slot) = iocb.fd
                    && fds::entry(slot).file().is_some_and(|file| cold.contains(&file))
                {
                    iocb.rw_flags &= !RWF_NOWAIT;
                }
                window.admits(iocb, &polled)
            });
            let at: Vec<_> = s.iocbs.iter().map(|iocb| iocb.at).collect();
            let mut k = 0..at.len();
            s.iocbs.retain(|iocb| {
                let before = &at[..k.next().unwrap_or(0)];
                !before.iter().any(|&other| overlap(iocb.at, other))
            });
            // A read that fills other windows has them for itself.
            if s.iocbs.iter().any(spreads) {
                let k = s.iocbs.iter().position(spreads).unwrap_or(0);
                s.iocbs.swap(0, k);
                s.iocbs.truncate(1);
                s.hurry = false;
            }
        }
        if program.hurries(i, window.iocbs) {
            window.iocbs += program.steps[i].iocbs().len();
        } else {
            window = Window::default();
        }
    }
}

/// Pages of its file may leave the page cache.
fn past_cache(iocb: &Iocb) -> bool {
    let direct = matches!(iocb.fd, Fd::Slot(slot) if fds::entry(slot).direct());
    direct || iocb.rw_flags & RWF_DONTCACHE != 0
}

/// It may read more than its own window takes.
fn spreads(iocb: &Iocb) -> bool {
    let over = |addr: &Addr, len: u64| matches!(addr, Addr::Data(off) if u64::from(*off).saturating_add(len) > WINDOW);
    match &iocb.buf {
        Buf::At(addr) => !matches!(iocb.opcode, PREADV | PWRITEV) && over(addr, iocb.nbytes),
        Buf::Vector(segs) | Buf::EdgeVector(segs) => segs.iter().any(|s| over(&s.base, s.len)),
        Buf::Many => true,
        Buf::Events(_) => false,
    }
}

/// One would be written over a part of the other.
fn overlap(a: IocbAt, b: IocbAt) -> bool {
    let (a, b) = (crate::submit::iocb_address(a), crate::submit::iocb_address(b));
    a != b && a.abs_diff(b) < IOCB
}

/// All of it lies in the iocb's own window.
fn good_memory(iocb: &Iocb) -> bool {
    let good = |addr: &Addr| matches!(addr, Addr::Data(_));
    !spreads(iocb)
        && match &iocb.buf {
            Buf::At(addr) => good(addr),
            Buf::Vector(segs) => {
                iocb.nbytes <= segs.len() as u64 && segs.iter().all(|s| good(&s.base))
            }
            _ => false,
        }
}

/// Memory that is no window's own.
fn shares_memory(iocb: &Iocb) -> bool {
    let edge = |addr: &Addr| matches!(addr, Addr::Edge(_));
    iocb.reads()
        && match &iocb.buf {
            Buf::At(addr) => edge(addr),
            Buf::Vector(segs) | Buf::EdgeVector(segs) => segs.iter().any(|s| edge(&s.base)),
            _ => false,
        }
}

impl Window {
    /// False: together with what is in flight the result is not defined.
    fn admits(&mut self, iocb: &mut Iocb, polled: &[u8]) -> bool {
        if self.spread {
            return false;
        }
        let Fd::Slot(slot) = iocb.fd else { return true };
        let entry = fds::entry(slot);
        // Whether its cached pages have been written out is a matter of luck.
        if entry.direct() {
            iocb.rw_flags &= !RWF_NOWAIT;
        }
        if iocb.opcode == POLL && two_queues(entry) {
            return false;
        }
        // What epoll wakes its pollers with is POLLIN alone: who asks only for its
        // kin sleeps on, though the file is ready.
        if let Buf::Events(bits) = &mut iocb.buf
            && matches!(entry.kind, fds::Kind::Epoll)
            && *bits & libc::POLLRDNORM as u64 != 0
        {
            *bits |= libc::POLLIN as u64;
        }
        // With any data a socket wakes those who ask for these alone.
        if let Buf::Events(bits) = &mut iocb.buf
            && matches!(entry.kind, fds::Kind::Socket(..))
            && *bits & (libc::POLLIN | libc::POLLRDNORM) as u64 == 0
        {
            *bits &= !(crate::differences::NAMED_BY_WAKER as u64);
        }
        // It has room at once; whether it has a count as well is a matter of luck.
        if let Buf::Events(bits) = &mut iocb.buf
            && entry.eventfd()
            && self.signalled.contains(&slot)
            && *bits & libc::POLLIN as u64 != 0
        {
            *bits &= !(libc::POLLOUT as u64);
        }
        if entry.eventfd() && iocb.reads() && self.signalled.contains(&slot) {
            return false;
        }
        // What wakes a poll must last until the poll is looked at.
        if entry.stream()
            && (iocb.reads() || iocb.writes())
            && polled.iter().any(|&p| entry.same_stream(fds::entry(p)))
        {
            // (An eventfd may be written a 0, which wakes and does not last.)
            if !good_memory(iocb)
                || entry.eventfd() && iocb.writes()
                || self.streams.iter().any(|&s| entry.same_stream(fds::entry(s)))
            {
                return false;
            }
            self.streams.push(slot);
        }
        if shares_memory(iocb) || spreads(iocb) && iocb.reads() {
            if self.iocbs > 0 || !self.files.is_empty() {
                return false;
            }
            self.spread = true;
        }
        if let Some(file) = entry.file()
            && (iocb.reads() || iocb.writes())
        {
            let (direct, writes) = (entry.direct(), iocb.writes());
            let clash = |&(f, d, w): &(u8, bool, bool)| f == file && (d || direct) && (w || writes);
            if self.files.iter().any(clash) {
                return false;
            }
            self.files.push((file, direct, writes));
        }
        if iocb.flags & RESFD != 0
            && let Fd::Slot(resfd) = iocb.resfd
            && (crate::submit::may_end_later(iocb) || polled.contains(&resfd))
        {
            self.signalled.push(resfd);
        }
        true
    }
}

/// The kernel cannot wait for these.
fn two_queues(entry: &fds::Entry) -> bool {
    matches!(entry.kind, fds::Kind::Fifo)
}

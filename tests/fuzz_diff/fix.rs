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
    /// A transfer uses other windows' data.
    spread: bool,
}

pub fn fix(program: &mut Program) {
    let append = |i: &Iocb| i.rw_flags & 0x10 != 0 || i.fd == Fd::Slot(fds::slot("direct_append"));
    // F12
    if program.steps.iter().any(|s| s.iocbs().iter().any(append)) || crate::known::no_limit(program)
    {
        program.fsize_limit = false;
    }
    let cold = program.steps.iter().any(|s| matches!(s, Step::DropCache { .. }));
    let mut window = Window::default();
    for i in 0..program.steps.len() {
        if let Step::Submit(s) = &mut program.steps[i] {
            s.iocbs.truncate(WINDOWS as usize - window.iocbs.min(WINDOWS as usize));
            s.iocbs.retain_mut(|iocb| {
                // Whether a page is cached is a matter of luck.
                if cold {
                    iocb.rw_flags &= !RWF_NOWAIT;
                }
                window.admits(iocb) && !crate::known::known(iocb)
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
    fn admits(&mut self, iocb: &mut Iocb) -> bool {
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
        if entry.eventfd() && iocb.reads() && self.signalled.contains(&slot) {
            return false;
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
            && crate::submit::may_end_later(iocb)
            && let Fd::Slot(resfd) = iocb.resfd
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

//! Differences that are known and not mended yet: such iocbs are taken out.

use crate::fds;
use crate::program::*;

pub fn known(iocb: &Iocb) -> bool {
    // F6
    if iocb.flags & RESFD != 0
        && matches!(iocb.resfd, Fd::Slot(s) if fds::entry(s).name == "inotify")
    {
        return true;
    }
    // F9
    if let Buf::Vector(segs) | Buf::EdgeVector(segs) = &iocb.buf
        && iocb.nbytes as u32 == 1
        && segs.first().is_some_and(|s| s.len > 0x7fff_f000)
    {
        return true;
    }
    let Fd::Slot(slot) = iocb.fd else { return false };
    let name = fds::entry(slot).name;
    // F1, F2, F8, F10, F11
    iocb.rw_flags & RWF_NOWAIT != 0
        && (iocb.wanted() == 0
            || !(fds::entry(slot).file().is_some()
                || name.starts_with("pipe")
                || name.contains("sock")
                || matches!(name, "null" | "zero")))
    // F3
    || iocb.rw_flags & 0x30 == 0x30
    // F7
    || fds::entry(slot).eventfd() && iocb.reads() && iocb.wanted() == 0
    // F4
    || iocb.opcode == POLL && matches!(name, "null" | "zero" | "full")
}

/// F13
pub fn no_limit(program: &Program) -> bool {
    let sync = [fds::slot("sync"), fds::slot("dsync")];
    let deferred = |i: &Iocb| i.rw_flags & 6 != 0 || sync.iter().any(|&s| i.fd == Fd::Slot(s));
    program.steps.iter().any(|s| s.iocbs().iter().any(deferred))
}

//! Differences that are known and not mended yet: such iocbs are taken out.

use crate::fds;
use crate::program::*;

pub fn known(iocb: &Iocb) -> bool {
    // F6
    if iocb.flags & RESFD != 0 && matches!(iocb.resfd, Fd::Slot(s) if fds::entry(s).name == "inotify") {
        return true;
    }
    let Fd::Slot(slot) = iocb.fd else { return false };
    let name = fds::entry(slot).name;
    // F1, F2
    iocb.rw_flags & RWF_NOWAIT != 0 && matches!(name, "full" | "dir")
    // F3
    || iocb.rw_flags & 0x30 == 0x30
    // F4
    || iocb.opcode == POLL && matches!(name, "null" | "zero" | "full")
}

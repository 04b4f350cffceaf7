//! Builds what io_submit gets to see.

use crate::fds::{self, CLOSED_FD, FIRST_FD};
use crate::layout::*;
use crate::mem;
use crate::program::*;

/// `struct iocb`, as numbers.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawIocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: i16,
    reqprio: i16,
    fd: i32,
    buf: u64,
    nbytes: u64,
    offset: i64,
    reserved2: u64,
    flags: u32,
    resfd: i32,
}

const _: () = assert!(size_of::<RawIocb>() as u64 == IOCB);

pub fn fd_number(fd: Fd) -> i32 {
    match fd {
        Fd::Slot(slot) => FIRST_FD + i32::from(slot),
        Fd::Closed => CLOSED_FD,
        Fd::Raw(n) => n,
    }
}

/// An address, with `edge` the page that ends where memory ends and `window` the
/// place for data.
pub fn resolve(addr: Addr, window: u64, edge: u64) -> u64 {
    match addr {
        Addr::Data(off) => window + u64::from(off),
        Addr::Edge(before) => edge + PAGE - u64::from(before).min(PAGE),
        Addr::ReadOnly(at) => READ_ONLY + u64::from(at),
        Addr::ProtNone => PROT_NONE,
        Addr::Unmapped => UNMAPPED,
        Addr::Null => 0,
        Addr::Low(at) => u64::from(at),
        Addr::Kernel => KERNEL,
        Addr::NonCanonical => NON_CANONICAL,
        Addr::Top(below) => TASK_SIZE - u64::from(below),
    }
}

/// Data of iocb `k` of a call.
pub fn window(k: usize) -> u64 {
    DATA + WINDOW * (k as u64 % WINDOWS)
}

pub fn iocb_address(at: IocbAt) -> u64 {
    match at {
        IocbAt::Pool(i) => IOCBS + IOCB * (u64::from(i) % IOCB_COUNT),
        IocbAt::Askew(i, by) => ASKEW_IOCBS + 2 * IOCB * u64::from(i % 16) + u64::from(by % 64),
        IocbAt::Edge(before) => EDGE_IOCB + PAGE - u64::from(before),
        IocbAt::ReadOnly => READ_ONLY + 512,
        IocbAt::Bad(addr) => resolve(addr, DATA, EDGE_IOCB),
    }
}

/// Where all 64 bytes are memory that can be written.
pub fn iocb_is_good(at: IocbAt) -> bool {
    match at {
        IocbAt::Pool(_) | IocbAt::Askew(..) => true,
        IocbAt::Edge(before) => u64::from(before) >= IOCB,
        IocbAt::ReadOnly | IocbAt::Bad(_) => false,
    }
}

/// `data` of iocb `k` of step `step`: what its event is known by.
pub fn data(program: &Program, step: usize, k: usize, upper: u32) -> u64 {
    let token = step as u64 * 16 + k as u64 + 1;
    if program.callbacks { CALLBACKS + 16 * token } else { token | u64::from(upper) << 32 }
}

fn write_segments(segs: &[Seg], at: u64, window: u64) -> u64 {
    for (i, seg) in segs.iter().enumerate() {
        mem::write(at + 16 * i as u64, [resolve(seg.base, window, EDGE_DATA), seg.len]);
    }
    at
}

/// Writes iocb `k` of a call and what it points to; returns its address.
pub fn write_iocb(iocb: &Iocb, data: u64, k: usize, window_nr: usize) -> u64 {
    let window = window(window_nr);
    let buf = match &iocb.buf {
        Buf::At(addr) => resolve(*addr, window, EDGE_DATA),
        Buf::Events(bits) => *bits,
        Buf::Vector(segs) => write_segments(segs, VECTORS + PAGE * k as u64, window),
        Buf::Many => MANY,
        Buf::EdgeVector(segs) => {
            write_segments(segs, EDGE_VECTOR + PAGE - 16 * segs.len() as u64, window)
        }
    };
    let raw = RawIocb {
        data,
        key: iocb.key,
        rw_flags: iocb.rw_flags,
        opcode: iocb.opcode,
        reqprio: iocb.reqprio,
        fd: fd_number(iocb.fd),
        buf,
        nbytes: iocb.nbytes,
        offset: iocb.offset,
        reserved2: iocb.reserved2,
        flags: iocb.flags,
        resfd: fd_number(iocb.resfd),
    };
    let at = iocb_address(iocb.at);
    // SAFETY: plain data.
    let bytes: [u8; IOCB as usize] = unsafe { std::mem::transmute(raw) };
    match iocb.at {
        IocbAt::ReadOnly => mem::write_read_only(512, &bytes),
        good if iocb_is_good(good) => mem::write(at, bytes),
        _ => {}
    }
    at
}

/// Writes the array of pointers; returns its address.
pub fn write_array(array: Array, iocbs: &[u64]) -> u64 {
    let at = match array {
        Array::Aligned => ARRAYS,
        Array::Askew(by) => ARRAYS + u64::from(by),
        Array::Edge => EDGE_ARRAY + PAGE - 8 * iocbs.len() as u64,
        Array::Bad(addr) => return resolve(addr, DATA, EDGE_ARRAY),
    };
    mem::fill(ARRAYS, ARRAYS_LEN, 0);
    for (i, iocb) in iocbs.iter().enumerate() {
        mem::write(at + 8 * i as u64, *iocb);
    }
    at
}

/// True for a transfer that would wait for somebody. At most one for each pipe,
/// socket... of a call: `used` collects them. `again`: the call has it twice.
pub fn would_block(iocb: &Iocb, again: bool, used: &mut Vec<u8>) -> bool {
    /// What surely fits when there is room at all.
    const PIPE_BUF: u64 = 4096;
    let Fd::Slot(slot) = iocb.fd else { return false };
    let entry = fds::entry(slot);
    if !entry.blocks() || !(iocb.reads() || iocb.writes()) {
        return false;
    }
    let both_ends = |a: u8| entry.same_stream(fds::entry(a));
    if again || used.iter().copied().any(both_ends) || iocb.writes() && iocb.wanted() > PIPE_BUF {
        return true;
    }
    used.push(slot);
    let events = if iocb.reads() { libc::POLLIN } else { libc::POLLOUT };
    let mut p = libc::pollfd { fd: fd_number(iocb.fd), events, revents: 0 };
    // SAFETY: one structure, which lives through the call.
    unsafe { libc::poll(&raw mut p, 1, 0) == 0 }
}

pub fn poll_events(iocb: &Iocb) -> i16 {
    match iocb.buf {
        Buf::Events(bits) => bits as i16,
        _ => 0,
    }
}

/// It need not be done when io_submit returns, on one side or the other.
pub fn may_end_later(iocb: &Iocb) -> bool {
    let file = matches!(iocb.fd, Fd::Slot(slot) if fds::entry(slot).file().is_some());
    file || matches!(iocb.opcode, POLL | FSYNC | FDSYNC)
}

/// Makes an iocb that does nothing, where no program has one; its address.
pub fn nothing(data: u64) -> u64 {
    let null = Fd::Slot(fds::slot("null"));
    let iocb = Iocb::read(IocbAt::Pool(IOCB_COUNT as u8 - 1), null);
    let from = write_iocb(&iocb, data, 0, 0);
    let bytes: [u8; IOCB as usize] = mem::read(from);
    mem::write_read_only(READ_ONLY_NOTHING, &bytes);
    READ_ONLY + READ_ONLY_NOTHING
}

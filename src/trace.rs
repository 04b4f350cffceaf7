//! Calls as strace(1) would show them, if they were system calls still:
//! AIO_RS_LOG=trace.

use crate::abi::*;
use crate::errno::Errno;
use crate::stats::page::{KINDS, Kind};
use crate::uaccess;
use std::fmt::{Display, Formatter, Result as Written, Write};

/// A call and its arguments, as they were when it was made.
#[allow(clippy::large_enum_variant)] // on the stack, and not moved
pub enum Call {
    Setup { nr_events: u32, ctxp: u64 },
    Destroy { ctx: u64 },
    Submit { ctx: u64, nr: i64, requests: Requests },
    Cancel { ctx: u64, iocb: u64 },
    GetEvents { ctx: u64, min_nr: i64, nr: i64, events: u64, timeout: u64 },
}

/// Requests or events of a call; of more only the number.
const SHOWN: usize = 4;

/// What io_submit was given, noted before the program can have it back.
pub struct Requests {
    ios: u64,
    nr: i64,
    first: [Option<Iocb>; SHOWN],
    /// Of each kind, all of them.
    kinds: [u64; KINDS],
}

impl Call {
    pub fn submit(ctx: u64, nr: i64, ios: u64) -> Self {
        let shown = |i: usize| (i as i64) < nr && log::log_enabled!(log::Level::Trace);
        let request = |i| shown(i).then(|| iocb(ios, i).ok()).flatten();
        let first = std::array::from_fn(request);
        Self::Submit { ctx, nr, requests: Requests { ios, nr, first, kinds: kinds(ios, 0, nr) } }
    }
}

impl Requests {
    /// The kinds of the first `taken`: of all, less those that are the program's
    /// still.
    pub fn kinds(&self, taken: i64) -> [u64; KINDS] {
        let left = kinds(self.ios, taken, self.nr);
        std::array::from_fn(|kind| self.kinds[kind].saturating_sub(left[kind]))
    }
}

fn kinds(ios: u64, from: i64, to: i64) -> [u64; KINDS] {
    let mut kinds = [0; KINDS];
    for i in from..to {
        let Ok(iocb) = iocb(ios, i as usize) else { break };
        let kind = match iocb.opcode {
            IOCB_CMD_PREAD | IOCB_CMD_PREADV => Kind::Read,
            IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV => Kind::Write,
            IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC => Kind::Fsync,
            IOCB_CMD_POLL => Kind::Poll,
            _ => continue,
        };
        kinds[kind as usize] += 1;
    }
    kinds
}

pub fn call(call: &Call, answer: Result<i64, Errno>, ns: i64) {
    let seconds = ns as f64 / 1e9;
    log::trace!("{} = {} <{seconds:.6}>", Shown { call, answer }, Answer(answer));
}

struct Answer(Result<i64, Errno>);

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter) -> Written {
        match self.0 {
            Ok(n) => write!(f, "{n}"),
            Err(e) => write!(f, "-1 ({e})"),
        }
    }
}

struct Shown<'a> {
    call: &'a Call,
    answer: Result<i64, Errno>,
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter) -> Written {
        match *self.call {
            Call::Setup { nr_events, ctxp } => {
                write!(f, "io_setup({nr_events}, ")?;
                match uaccess::get_user::<usize>(ctxp) {
                    Ok(ctx) => write!(f, "[{ctx:#x}])"),
                    Err(_) => write!(f, "{ctxp:#x})"),
                }
            }
            Call::Destroy { ctx } => write!(f, "io_destroy({ctx:#x})"),
            Call::Cancel { ctx, iocb } => write!(f, "io_cancel({ctx:#x}, {iocb:#x})"),
            Call::Submit { ctx, nr, ref requests } => {
                write!(f, "io_submit({ctx:#x}, {nr}, ")?;
                list(f, requests.first.iter().map_while(|r| *r).map(Request), nr)?;
                f.write_char(')')
            }
            Call::GetEvents { ctx, min_nr, nr, events, timeout } => {
                write!(f, "io_getevents({ctx:#x}, {min_nr}, {nr}, ")?;
                let taken = self.answer.unwrap_or(0);
                let event =
                    |i: usize| uaccess::get_user(events + (i * size_of::<IoEvent>()) as u64).ok();
                list(f, (0..SHOWN.min(taken as usize)).map_while(event).map(Event), taken)?;
                match uaccess::get_user::<libc::timespec>(timeout) {
                    Ok(ts) if timeout != 0 => write!(f, ", {{{}, {}}})", ts.tv_sec, ts.tv_nsec),
                    _ => write!(f, ", NULL)"),
                }
            }
        }
    }
}

fn list<T: Display>(f: &mut Formatter, items: impl Iterator<Item = T>, all: i64) -> Written {
    f.write_char('[')?;
    let mut shown = 0;
    for item in items {
        let comma = if shown > 0 { ", " } else { "" };
        write!(f, "{comma}{item}")?;
        shown += 1;
    }
    f.write_str(if shown < all { ", ...]" } else { "]" })
}

struct Request(Iocb);

impl Display for Request {
    fn fmt(&self, f: &mut Formatter) -> Written {
        let Iocb { data, opcode, fildes, buf, nbytes, offset, rw_flags, flags, resfd, .. } = self.0;
        let name = match opcode {
            IOCB_CMD_PREAD => "PREAD",
            IOCB_CMD_PWRITE => "PWRITE",
            IOCB_CMD_FSYNC => "FSYNC",
            IOCB_CMD_FDSYNC => "FDSYNC",
            IOCB_CMD_POLL => "POLL",
            IOCB_CMD_PREADV => "PREADV",
            IOCB_CMD_PWRITEV => "PWRITEV",
            _ => "",
        };
        match name {
            "" => write!(f, "{{opcode={opcode}, fd={fildes}")?,
            _ => write!(f, "{{{name}, fd={fildes}")?,
        }
        match opcode {
            IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC => {}
            IOCB_CMD_POLL => write!(f, ", events={buf:#x}")?,
            _ => write!(f, ", buf={buf:#x}, nbytes={nbytes}, offset={offset}")?,
        }
        if rw_flags != 0 {
            write!(f, ", rw_flags={rw_flags:#x}")?;
        }
        if flags & IOCB_FLAG_RESFD != 0 {
            write!(f, ", resfd={resfd}")?;
        }
        write!(f, ", data={data:#x}}}")
    }
}

struct Event(IoEvent);

impl Display for Event {
    fn fmt(&self, f: &mut Formatter) -> Written {
        let IoEvent { data, obj, res, .. } = self.0;
        write!(f, "{{data={data:#x}, obj={obj:#x}, res={res}}}")
    }
}

/// The request that an array's entry points to.
fn iocb(ios: u64, index: usize) -> Result<Iocb, Errno> {
    let at = ios.wrapping_add((index * size_of::<usize>()) as u64);
    uaccess::get_user::<usize>(at).and_then(|iocb| uaccess::get_user(iocb as u64))
}

//! An operation in the ring's language.

use crate::engine::op::{Kind, OpArgs};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::ffi::c_int;
use std::sync::atomic::AtomicU32;

/// Completes when all sleepers of `word` are woken, at once unless it has `value`.
pub fn futex_wait(word: &AtomicU32, value: u32) -> squeue::Entry {
    const FUTEX2_SIZE_U32: u32 = 2;
    const FUTEX2_PRIVATE: u32 = 128;
    let flags = FUTEX2_SIZE_U32 | FUTEX2_PRIVATE;
    let bits = u64::from(sys::FUTEX_TOGETHER);
    opcode::FutexWait::new(word.as_ptr(), u64::from(value), bits, flags).build()
}

/// How the ring is told the file.
#[derive(Clone, Copy)]
pub enum Target {
    /// A slot of its table.
    Slot(u32),
    /// A descriptor of the thread that enters the ring.
    Fd(c_int),
}

/// The entry points to the request's own vector and to the program's buffers:
/// both live until its completion.
pub fn build(args: &mut OpArgs, file: Target) -> squeue::Entry {
    let (pos, n) = (args.pos as u64, args.iov.count);
    let (rw_flags, ioprio) = (args.rw_flags as i32, args.ioprio);
    macro_rules! entry {
        ($op:ident($($arg:expr),*) $(.$set:ident($value:expr))*) => {
            match file {
                Target::Slot(slot) => {
                    opcode::$op::new(types::Fixed(slot), $($arg),*)$(.$set($value))*.build()
                }
                Target::Fd(fd) => {
                    opcode::$op::new(types::Fd(fd), $($arg),*)$(.$set($value))*.build()
                }
            }
        };
    }
    macro_rules! transfer {
        ($op:ident($($arg:expr),*)) => {
            entry!($op($($arg),*).offset(pos).rw_flags(rw_flags).ioprio(ioprio))
        };
    }
    let first = args.iov.as_slice_mut().first().copied();
    match (args.kind, first) {
        (Kind::Read, Some(seg)) if n == 1 => {
            transfer!(Read(seg.iov_base.cast(), seg.iov_len as u32))
        }
        (Kind::Write, Some(seg)) if n == 1 => {
            transfer!(Write(seg.iov_base.cast(), seg.iov_len as u32))
        }
        (Kind::Read, _) => transfer!(Readv(args.iov.as_mut_ptr(), n)),
        (Kind::Write, _) => transfer!(Writev(args.iov.as_mut_ptr(), n)),
        (Kind::Fsync { data_only }, _) => {
            let flags =
                if data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
            entry!(Fsync().flags(flags))
        }
        (Kind::Poll, _) => entry!(PollAdd(u32::from(args.poll_events))),
    }
}

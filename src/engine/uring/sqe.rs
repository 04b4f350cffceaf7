//! An operation in the ring's language.

use crate::engine::op::{Kind, OpArgs};
use io_uring::{opcode, squeue, types};

/// The entry points to the request's own vector and to the program's buffers:
/// both live until its completion.
pub fn build(args: &mut OpArgs, file: types::Fixed) -> squeue::Entry {
    let (pos, n) = (args.pos as u64, args.iov.count);
    let rw_flags = args.rw_flags as i32;
    match args.kind {
        Kind::Read if n == 1 => {
            let seg = args.iov.as_slice_mut()[0];
            opcode::Read::new(file, seg.iov_base.cast(), seg.iov_len as u32)
                .offset(pos)
                .rw_flags(rw_flags)
                .ioprio(args.ioprio)
                .build()
        }
        Kind::Write if n == 1 => {
            let seg = args.iov.as_slice_mut()[0];
            opcode::Write::new(file, seg.iov_base.cast(), seg.iov_len as u32)
                .offset(pos)
                .rw_flags(rw_flags)
                .ioprio(args.ioprio)
                .build()
        }
        Kind::Read => opcode::Readv::new(file, args.iov.as_mut_ptr(), n)
            .offset(pos)
            .rw_flags(rw_flags)
            .ioprio(args.ioprio)
            .build(),
        Kind::Write => opcode::Writev::new(file, args.iov.as_mut_ptr(), n)
            .offset(pos)
            .rw_flags(rw_flags)
            .ioprio(args.ioprio)
            .build(),
        Kind::Fsync { data_only } => {
            let flags =
                if data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
            opcode::Fsync::new(file).flags(flags).build()
        }
        Kind::Poll => opcode::PollAdd::new(file, u32::from(args.poll_events)).build(),
    }
}

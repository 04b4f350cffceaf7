//! The types of `include/libaio.h`, as a C program sees them.
//!
//! The header is made from this file and from the functions beside it
//! (`make header`), so the names and the field order are libaio's. The library
//! itself works on `crate::abi`, the kernel's view of the same bytes: there a
//! pointer or a `long` always fills 64 bits, which here takes a pad on 32-bit
//! machines. The assertions at the end hold the two together.
#![forbid(unsafe_code)]
#![allow(non_camel_case_types)] // libaio's names
#![allow(dead_code)] // some are only for the header

use std::ffi::{c_int, c_long, c_longlong, c_short, c_uint, c_ulong, c_void};

/// A context. Opaque; its address is that of the completion ring.
pub struct io_context {
    _opaque: [u8; 0],
}

/// A handle to a context; set it to 0 before io_setup.
pub type io_context_t = *mut io_context;

/// Operations, for `iocb.aio_lio_opcode`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum io_iocb_cmd {
    IO_CMD_PREAD = 0,
    IO_CMD_PWRITE = 1,
    IO_CMD_FSYNC = 2,
    IO_CMD_FDSYNC = 3,
    IO_CMD_POLL = 5,
    IO_CMD_NOOP = 6,
    IO_CMD_PREADV = 7,
    IO_CMD_PWRITEV = 8,
}
pub type io_iocb_cmd_t = io_iocb_cmd;

/// Arguments of IO_CMD_POLL. The result is the set of events, or -errno.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct io_iocb_poll {
    #[cfg(target_endian = "big")]
    pub __pad1: c_uint,
    pub events: c_int,
    #[cfg(target_endian = "little")]
    pub __pad1: c_uint,
}

/// Not used by any operation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct io_iocb_sockaddr {
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad1: c_uint,
    pub addr: *mut libc::sockaddr,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad1: c_uint,
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad2: c_uint,
    pub len: c_ulong,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad2: c_uint,
}

/// Arguments of the reads and writes; with IO_CMD_PREADV and IO_CMD_PWRITEV
/// `buf` is the iovec array and `nbytes` its length. The result is the number
/// of bytes moved, or -errno.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct io_iocb_common {
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad1: c_uint,
    pub buf: *mut c_void,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad1: c_uint,
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad2: c_uint,
    pub nbytes: c_ulong,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad2: c_uint,
    pub offset: c_longlong,
    pub __pad3: c_longlong,
    pub flags: c_uint,
    pub resfd: c_uint,
}

/// The same for a vector, with its own names.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct io_iocb_vector {
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad1: c_uint,
    pub vec: *const libc::iovec,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad1: c_uint,
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad2: c_uint,
    pub nr: c_ulong,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad2: c_uint,
    pub offset: c_longlong,
}

/// The arguments of a request, by kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub union io_iocb_args {
    pub c: io_iocb_common,
    pub v: io_iocb_vector,
    pub poll: io_iocb_poll,
    pub saddr: io_iocb_sockaddr,
}

/// One request. `data` comes back in the event; `aio_rw_flags` takes RWF_*.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iocb {
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad1: c_uint,
    pub data: *mut c_void,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad1: c_uint,
    #[cfg(target_endian = "big")]
    pub aio_rw_flags: c_uint,
    pub key: c_uint,
    #[cfg(target_endian = "little")]
    pub aio_rw_flags: c_uint,
    pub aio_lio_opcode: c_short,
    pub aio_reqprio: c_short,
    pub aio_fildes: c_int,
    pub u: io_iocb_args,
}

/// One completion. `res` and `res2` are signed: cast them to long.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct io_event {
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad1: c_uint,
    pub data: *mut c_void,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad1: c_uint,
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad2: c_uint,
    pub obj: *mut iocb,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad2: c_uint,
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad3: c_uint,
    pub res: c_ulong,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad3: c_uint,
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __pad4: c_uint,
    pub res2: c_ulong,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __pad4: c_uint,
}

/// The signal mask as the system call takes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct io_sigset {
    pub ss: c_ulong,
    pub ss_len: c_ulong,
}

/// The same for a 32-bit program on a 64-bit kernel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct io_sigset_compat {
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    pub __ss_pad: c_uint,
    pub ss: c_ulong,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    pub __ss_pad: c_uint,
    pub ss_len: c_ulong,
}

/// What io_queue_run calls for a completion; kept in `iocb.data`.
pub type io_callback_t =
    Option<unsafe extern "C" fn(ctx: io_context_t, iocb: *mut iocb, res: c_long, res2: c_long)>;

const _: () = {
    use crate::abi::{self, IoEvent, Iocb};
    use std::mem::{offset_of, size_of};

    /// Where a pointer or a long lies in the 64 bits at `slot`.
    const fn low(slot: usize) -> usize {
        if cfg!(all(target_pointer_width = "32", target_endian = "big")) { slot + 4 } else { slot }
    }
    const U: usize = offset_of!(iocb, u);

    assert!(size_of::<iocb>() == size_of::<Iocb>());
    assert!(offset_of!(iocb, data) == low(offset_of!(Iocb, data)));
    assert!(offset_of!(iocb, key) == offset_of!(Iocb, key));
    assert!(offset_of!(iocb, aio_rw_flags) == offset_of!(Iocb, rw_flags));
    assert!(offset_of!(iocb, aio_lio_opcode) == offset_of!(Iocb, opcode));
    assert!(offset_of!(iocb, aio_reqprio) == offset_of!(Iocb, reqprio));
    assert!(offset_of!(iocb, aio_fildes) == offset_of!(Iocb, fildes));
    assert!(U + offset_of!(io_iocb_common, buf) == low(offset_of!(Iocb, buf)));
    assert!(U + offset_of!(io_iocb_common, nbytes) == low(offset_of!(Iocb, nbytes)));
    assert!(U + offset_of!(io_iocb_common, offset) == offset_of!(Iocb, offset));
    assert!(U + offset_of!(io_iocb_common, __pad3) == offset_of!(Iocb, reserved2));
    assert!(U + offset_of!(io_iocb_common, flags) == offset_of!(Iocb, flags));
    assert!(U + offset_of!(io_iocb_common, resfd) == offset_of!(Iocb, resfd));
    assert!(offset_of!(io_iocb_vector, vec) == offset_of!(io_iocb_common, buf));
    assert!(offset_of!(io_iocb_vector, nr) == offset_of!(io_iocb_common, nbytes));
    assert!(offset_of!(io_iocb_vector, offset) == offset_of!(io_iocb_common, offset));
    // The kernel takes the poll mask from the low half of `buf`.
    let big = if cfg!(target_endian = "big") { 4 } else { 0 };
    assert!(U + offset_of!(io_iocb_poll, events) == offset_of!(Iocb, buf) + big);

    assert!(size_of::<io_event>() == size_of::<IoEvent>());
    assert!(offset_of!(io_event, data) == low(offset_of!(IoEvent, data)));
    assert!(offset_of!(io_event, obj) == low(offset_of!(IoEvent, obj)));
    assert!(offset_of!(io_event, res) == low(offset_of!(IoEvent, res)));
    assert!(offset_of!(io_event, res2) == low(offset_of!(IoEvent, res2)));

    assert!(io_iocb_cmd::IO_CMD_PREAD as u16 == abi::IOCB_CMD_PREAD);
    assert!(io_iocb_cmd::IO_CMD_PWRITE as u16 == abi::IOCB_CMD_PWRITE);
    assert!(io_iocb_cmd::IO_CMD_FSYNC as u16 == abi::IOCB_CMD_FSYNC);
    assert!(io_iocb_cmd::IO_CMD_FDSYNC as u16 == abi::IOCB_CMD_FDSYNC);
    assert!(io_iocb_cmd::IO_CMD_POLL as u16 == abi::IOCB_CMD_POLL);
    assert!(io_iocb_cmd::IO_CMD_PREADV as u16 == abi::IOCB_CMD_PREADV);
    assert!(io_iocb_cmd::IO_CMD_PWRITEV as u16 == abi::IOCB_CMD_PWRITEV);
};

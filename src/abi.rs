//! The kernel's structures, as `include/uapi/linux/aio_abi.h` lays them out.

/// `IOCB_CMD_*`: the operations of a request.
pub const IOCB_CMD_PREAD: u16 = 0;
pub const IOCB_CMD_PWRITE: u16 = 1;
pub const IOCB_CMD_FSYNC: u16 = 2;
pub const IOCB_CMD_FDSYNC: u16 = 3;
pub const IOCB_CMD_POLL: u16 = 5;
pub const IOCB_CMD_PREADV: u16 = 7;
pub const IOCB_CMD_PWRITEV: u16 = 8;

/// `IOCB_FLAG_*`: what else the request asks for.
pub const IOCB_FLAG_RESFD: u32 = 1 << 0;
pub const IOCB_FLAG_IOPRIO: u32 = 1 << 1;

/// `RWF_*` of Linux 6.18 (uapi/linux/fs.h); any bit that is not among the
/// supported is EOPNOTSUPP.
pub const RWF_HIPRI: u32 = 0x1;
pub const RWF_DSYNC: u32 = 0x2;
pub const RWF_SYNC: u32 = 0x4;
pub const RWF_NOWAIT: u32 = 0x8;
pub const RWF_APPEND: u32 = 0x10;
pub const RWF_NOAPPEND: u32 = 0x20;
pub const RWF_ATOMIC: u32 = 0x40;
pub const RWF_DONTCACHE: u32 = 0x80;
pub const RWF_NOSIGNAL: u32 = 0x100;
pub const RWF_SUPPORTED: u32 = 0x1ff;

/// fs.h: the most one read or write moves; longer requests are cut to it.
pub const MAX_RW_COUNT: u64 = 0x7fff_f000;
/// uapi/linux/uio.h
pub const UIO_MAXIOV: u32 = 1024;

/// The key of every request (`KIOCB_KEY` in fs/aio.c).
pub const KIOCB_KEY: u32 = 0;

/// A request as the program wrote it, 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Iocb {
    pub data: u64,
    #[cfg(target_endian = "little")]
    pub key: u32,
    pub rw_flags: u32,
    #[cfg(target_endian = "big")]
    pub key: u32,
    pub opcode: u16,
    pub reqprio: i16,
    pub fildes: i32,
    pub buf: u64,
    pub nbytes: u64,
    pub offset: i64,
    pub reserved2: u64,
    pub flags: u32,
    pub resfd: i32,
}

/// One completion, 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct IoEvent {
    pub data: u64,
    pub obj: u64,
    pub res: i64,
    pub res2: i64,
}

/// `struct aio_ring`: the header at the context's address; the events follow.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AioRing {
    pub id: u32,
    pub nr: u32,
    pub head: u32,
    pub tail: u32,
    pub magic: u32,
    pub compat_features: u32,
    pub incompat_features: u32,
    pub header_length: u32,
}

/// `struct __aio_sigset`: the mask of io_pgetevents.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct AioSigset {
    pub sigmask: usize,
    pub sigsetsize: usize,
}

pub const AIO_RING_MAGIC: u32 = 0xa10a_10a1;
pub const AIO_RING_COMPAT_FEATURES: u32 = 1;
pub const AIO_RING_INCOMPAT_FEATURES: u32 = 0;

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Iocb>() == 64 && offset_of!(Iocb, opcode) == 16);
    assert!(offset_of!(Iocb, buf) == 24 && offset_of!(Iocb, resfd) == 60);
    assert!(size_of::<IoEvent>() == 32);
    assert!(size_of::<AioRing>() == 32 && offset_of!(AioRing, head) == 8);
};

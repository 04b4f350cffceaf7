//! What is done in a loop: requests of one kind on one file.

use crate::library::{self, Iocb};
use crate::memory::Memory;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read,
    Write,
    Fsync,
}

pub struct Job {
    pub op: Op,
    /// Bytes of a request.
    pub size: usize,
    /// Into how many vectors it is cut; 0: none.
    pub vecs: usize,
    /// Slots: requests in flight at a time.
    pub depth: usize,
    /// Bytes of the file that it goes over.
    pub span: u64,
    file: OwnedFd,
    buffers: Memory,
    iovecs: Vec<libc::iovec>,
}

// SAFETY: the iovecs point into `buffers`, which the job owns.
unsafe impl Send for Job {}
// SAFETY: as above; the buffers are only touched through raw pointers.
unsafe impl Sync for Job {}

impl Job {
    pub fn new(file: OwnedFd, op: Op, size: usize, vecs: usize, depth: usize, span: u64) -> Self {
        let buffers = Memory::new(size * depth);
        let part = size.checked_div(vecs).unwrap_or(0);
        let iovec = |i: usize| {
            // SAFETY: inside the buffers: they are depth * vecs * part long.
            let base = unsafe { buffers.start().add(i * part) };
            libc::iovec { iov_base: base.cast(), iov_len: part }
        };
        let iovecs = (0..depth * vecs).map(iovec).collect();
        Self { op, size, vecs, depth, span, file, buffers, iovecs }
    }

    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    pub fn buffer(&self, slot: usize) -> *mut u8 {
        assert!(slot < self.depth);
        // SAFETY: inside the buffers.
        unsafe { self.buffers.start().add(slot * self.size) }
    }

    pub fn iovec(&self, slot: usize) -> *const libc::iovec {
        &raw const self.iovecs[slot * self.vecs]
    }

    pub fn iocb(&self, slot: usize) -> Iocb {
        let opcode = match (self.op, self.vecs) {
            (Op::Read, 0) => library::PREAD,
            (Op::Write, 0) => library::PWRITE,
            (Op::Read, _) => library::PREADV,
            (Op::Write, _) => library::PWRITEV,
            (Op::Fsync, _) => library::FSYNC,
        };
        let (buf, nbytes) = match (self.op, self.vecs) {
            (Op::Fsync, _) => (0, 0),
            (_, 0) => (self.buffer(slot) as u64, self.size),
            (_, n) => (self.iovec(slot) as u64, n),
        };
        Iocb {
            data: slot as u64,
            opcode,
            fd: self.fd(),
            buf,
            nbytes: nbytes as u64,
            ..Iocb::default()
        }
    }

    /// The result of each request.
    #[inline]
    pub fn result(&self) -> i64 {
        if self.op == Op::Fsync { 0 } else { self.size as i64 }
    }

    /// Random whole blocks of the span, the same for all sides.
    pub fn offsets(&self) -> Offsets {
        Offsets {
            state: 0x9e37_79b9_7f4a_7c15,
            blocks: self.span / self.size as u64,
            size: self.size,
        }
    }
}

pub struct Offsets {
    state: u64,
    blocks: u64,
    size: usize,
}

impl Offsets {
    #[inline]
    pub fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (((self.state >> 32) * self.blocks) >> 32) * self.size as u64
    }
}

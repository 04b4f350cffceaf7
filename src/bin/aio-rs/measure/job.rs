//! What is done in a loop: requests of one kind on one file.

use super::library::{self, Iocb};
use super::memory::Memory;
use std::io;
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
    /// What the span holds, if writes are to leave it as it is.
    held: Option<Memory>,
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
        Self { op, size, vecs, depth, span, file, buffers, iovecs, held: None }
    }

    /// Writes put back what is there now.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn keeping(mut self) -> io::Result<Self> {
        assert!(self.op == Op::Write && self.vecs == 0);
        let held = Memory::new(self.span as usize);
        let mut at = 0;
        while at < self.span as usize {
            let len = (self.span as usize - at).min(1 << 20);
            // SAFETY: inside the memory.
            let n = unsafe {
                libc::pread(self.fd(), held.start().add(at).cast(), len, at as libc::off_t)
            };
            match n {
                1.. => at += n as usize,
                0 => return Err(io::Error::other("it has become shorter meanwhile")),
                _ => return Err(io::Error::last_os_error()),
            }
        }
        self.held = Some(held);
        Ok(self)
    }

    /// Where a write at `offset` finds what is there.
    #[inline]
    pub fn there(&self, offset: u64) -> Option<*mut u8> {
        // SAFETY: offsets lie inside the span.
        self.held.as_ref().map(|held| unsafe { held.start().add(offset as usize) })
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

    /// # Errors
    /// What a request with another result met.
    #[inline]
    pub fn check(&self, result: i64) -> io::Result<()> {
        match result {
            _ if result == self.result() => Ok(()),
            ..0 => Err(io::Error::from_raw_os_error(-result as i32)),
            _ => Err(io::Error::other(format!("{result} bytes in place of {}", self.size))),
        }
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

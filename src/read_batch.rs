//! Cached reads of one io_submit that go into the kernel together.

use crate::engine::caller::{NowaitReads, READS};
use crate::mm::Mm;
use std::ffi::c_int;
use std::mem::MaybeUninit;

/// For fewer it is not worth while.
const LEAST: u32 = 6;

/// One that was put off; `R`: whose it is.
#[derive(Clone, Copy)]
pub struct Read<R> {
    pub whose: R,
    pub fd: c_int,
    pub buf: u64,
    pub len: u64,
    pub pos: i64,
}

pub struct ReadBatch<'a, R> {
    ring: Option<NowaitReads<'a>>,
    asked: bool,
    /// A read of this file was made alone and in full: it is no stream, from which
    /// a read takes away what it reads.
    proven: c_int,
    reads: &'a mut [MaybeUninit<(Read<R>, i32)>; READS],
    count: usize,
}

impl<'a, R: Copy> ReadBatch<'a, R> {
    pub fn new(reads: &'a mut [MaybeUninit<(Read<R>, i32)>; READS]) -> Self {
        Self { ring: None, asked: false, proven: -1, reads, count: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn is_full(&self) -> bool {
        self.count == READS
    }

    /// Within this call of io_submit.
    #[inline]
    pub fn prove(&mut self, fd: c_int) {
        self.proven = fd;
    }

    /// Puts a read off, if it can be made with others; `left`: this one and those
    /// behind it.
    ///
    /// # Safety
    /// The buffer was given to us for this transfer.
    #[inline]
    pub unsafe fn add(&mut self, mm: &'static Mm, left: u32, read: Read<R>) -> bool {
        if read.fd != self.proven || self.is_full() {
            return false;
        }
        if !self.asked && left >= LEAST {
            self.asked = true;
            self.ring = mm.nowait_reads(left);
        }
        let Some(ring) = &mut self.ring else { return false };
        // SAFETY: by the caller's word.
        let added = unsafe { ring.push(read.fd, read.buf, read.len as u32, read.pos) };
        if added {
            self.reads[self.count].write((read, i32::MIN));
            self.count += 1;
        }
        added
    }

    /// Makes the reads; afterwards there are none. Returns how many there were.
    pub fn run(&mut self) -> usize {
        let count = std::mem::take(&mut self.count);
        // SAFETY: `add` wrote the first `count`.
        let reads = unsafe { self.reads[..count].assume_init_mut() };
        if let Some(ring) = &mut self.ring {
            ring.run(|number, res| {
                if let Some(read) = reads.get_mut(number) {
                    read.1 = res;
                }
            });
        }
        count
    }

    /// One of those that `run` made, and whether it was made in full.
    ///
    /// # Safety
    /// `number` is below what `run` returned, and nothing was added since.
    #[inline]
    pub unsafe fn made(&self, number: usize) -> (Read<R>, bool) {
        // SAFETY: by the caller's word.
        let (read, res) = unsafe { self.reads[number].assume_init() };
        (read, i64::from(res) == read.len as i64)
    }
}

//! Page-aligned memory for buffers, and what is written into files: each word
//! tells its own offset.

use std::ptr::null_mut;

pub struct Memory {
    start: *mut u8,
    len: usize,
}

impl Memory {
    /// Touched, so that no page fault is measured.
    pub fn new(len: usize) -> Self {
        let len = len.next_multiple_of(4096);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new mapping.
        let start = unsafe {
            libc::mmap(null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        assert_ne!(start, libc::MAP_FAILED, "no memory for {len} bytes");
        Self { start: start.cast(), len }
    }

    pub fn start(&self) -> *mut u8 {
        self.start
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// Fills `bytes` with what belongs at `offset` of a file, in version `seed`.
pub fn fill(bytes: &mut [u8], offset: u64, seed: u64) {
    for (i, word) in bytes.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&(offset + i as u64 * 8 + (seed << 48)).to_le_bytes());
    }
}

/// Whether that is there.
pub fn is_filled(bytes: &[u8], offset: u64, seed: u64) -> bool {
    bytes
        .chunks_exact(8)
        .enumerate()
        .all(|(i, word)| word == (offset + i as u64 * 8 + (seed << 48)).to_le_bytes())
}

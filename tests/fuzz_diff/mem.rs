//! An executor's memory at the addresses of `layout`.

use crate::layout::*;
use std::ffi::c_int;

/// # Panics
/// Not in memory that is mapped for good.
fn check(addr: u64, len: u64) {
    let inside = |at, size| addr >= at && addr + len <= at + size;
    let known = COMPARED.iter().any(|&(_, at, size)| inside(at, size))
        || UNCOMPARED.iter().any(|&(at, size)| inside(at, size));
    assert!(known, "{addr:#x} + {len} is not the executor's");
}

pub fn read<T: Copy>(addr: u64) -> T {
    check(addr, size_of::<T>() as u64);
    // SAFETY: mapped by `map`; T is plain data by the callers' choice.
    unsafe { std::ptr::read_unaligned(addr as *const T) }
}

pub fn write<T: Copy>(addr: u64, value: T) {
    check(addr, size_of::<T>() as u64);
    // SAFETY: as for read.
    unsafe { std::ptr::write_unaligned(addr as *mut T, value) };
}

pub fn fill(addr: u64, len: u64, byte: u8) {
    check(addr, len);
    // SAFETY: as for read.
    unsafe { std::ptr::write_bytes(addr as *mut u8, byte, len as usize) };
}

/// What is there now; nobody else writes while the slice lives.
pub fn bytes<'a>(addr: u64, len: u64) -> &'a [u8] {
    check(addr, len);
    // SAFETY: as for read; operations in flight have settled.
    unsafe { std::slice::from_raw_parts(addr as *const u8, len as usize) }
}

fn map_at(addr: u64, len: u64, prot: c_int, flags: c_int, fd: c_int) {
    // SAFETY: MAP_FIXED_NOREPLACE takes no place of others.
    let at = unsafe {
        let flags = flags | libc::MAP_FIXED_NOREPLACE;
        libc::mmap(addr as *mut _, len as usize, prot, flags, fd, 0)
    };
    assert_eq!(at as u64, addr, "mmap: {}", std::io::Error::last_os_error());
}

const RW: c_int = libc::PROT_READ | libc::PROT_WRITE;
const ANON: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// Another view of the read-only page, to write to.
const READ_ONLY_ALIAS: u64 = READ_ONLY + 8 * PAGE;

pub fn map() {
    let compared = COMPARED.iter().map(|&(_, at, len)| (at, len));
    for (at, len) in compared.chain(UNCOMPARED) {
        map_at(at, len, RW, ANON, -1);
    }
    map_at(PROT_NONE, PAGE, libc::PROT_NONE, ANON, -1);
    // SAFETY: the name is NUL-terminated.
    let fd = unsafe { libc::memfd_create(c"fuzz-read-only".as_ptr(), libc::MFD_CLOEXEC) };
    // SAFETY: a descriptor of ours.
    assert_eq!(unsafe { libc::ftruncate(fd, PAGE as i64) }, 0);
    map_at(READ_ONLY, PAGE, libc::PROT_READ, libc::MAP_SHARED, fd);
    map_at(READ_ONLY_ALIAS, PAGE, RW, libc::MAP_SHARED, fd);
    // SAFETY: a descriptor of ours.
    unsafe { libc::close(fd) };
}

/// Maps `len` bytes of code at CALLBACKS.
pub fn map_code(code: &[u8]) {
    map_at(CALLBACKS, CALLBACKS_LEN, RW, ANON, -1);
    assert!(code.len() as u64 <= CALLBACKS_LEN);
    // SAFETY: just mapped, and large enough.
    unsafe {
        std::ptr::copy_nonoverlapping(code.as_ptr(), CALLBACKS as *mut u8, code.len());
        let prot = libc::PROT_READ | libc::PROT_EXEC;
        assert_eq!(libc::mprotect(CALLBACKS as *mut _, CALLBACKS_LEN as usize, prot), 0);
    }
}

/// Writes to the page that can only be read.
pub fn write_read_only(at: u64, bytes: &[u8]) {
    assert!(at + bytes.len() as u64 <= PAGE);
    // SAFETY: mapped by `map`.
    unsafe {
        let to = (READ_ONLY_ALIAS + at) as *mut u8;
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
    }
}

/// Whether `len` bytes can be read at any address at all.
pub fn readable(addr: u64, len: usize) -> bool {
    let mut buf = [0u8; 64];
    assert!(len <= buf.len());
    let to = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: len };
    let from = libc::iovec { iov_base: addr as *mut _, iov_len: len };
    // SAFETY: copies into `buf`; a bad `from` is an error.
    let n =
        unsafe { libc::process_vm_readv(libc::getpid(), &raw const to, 1, &raw const from, 1, 0) };
    n == len as isize
}

/// Everything as it is at the start of a program.
pub fn reset() {
    let compared = COMPARED.iter().map(|&(_, at, len)| (at, len));
    for (at, len) in compared.chain(UNCOMPARED) {
        fill(at, len, 0);
    }
    for (at, len) in [(DATA, DATA_LEN), (EDGE_DATA, PAGE)] {
        for i in (0..len).step_by(8) {
            write(at + i, (at + i).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
    }
    for i in 0..MANY_COUNT {
        let base = DATA + (i * 16) % WINDOW;
        write(MANY + 16 * i, [base, 16]);
    }
    write_read_only(0, &[0x5a; READ_ONLY_NOTHING as usize]);
    let timeout = [0u64, 300_000].map(u64::to_ne_bytes);
    write_read_only(READ_ONLY_TIMEOUT, timeout.as_flattened());
}

/// FNV, eight bytes at a time.
pub fn hash(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|c| {
        let mut w = [0; 8];
        w[..c.len()].copy_from_slice(c);
        u64::from_ne_bytes(w)
    });
    words.fold(0xcbf2_9ce4_8422_2325, |h: u64, w| {
        (h ^ w).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
    })
}

/// A copy of the compared memory, to find what a step changed.
pub struct Shadow(Vec<Vec<u8>>);

impl Shadow {
    pub fn new() -> Self {
        Self(COMPARED.iter().map(|&(_, at, len)| bytes(at, len).to_vec()).collect())
    }

    /// The pages that changed since the last call: region, page, hash.
    pub fn changes(&mut self) -> Vec<(u8, u16, u64)> {
        let mut changes = Vec::new();
        for (r, (&(_, at, len), old)) in COMPARED.iter().zip(&mut self.0).enumerate() {
            for page in 0..len / PAGE {
                let old = &mut old[(page * PAGE) as usize..][..PAGE as usize];
                let now = bytes(at + page * PAGE, PAGE);
                if old != now {
                    old.copy_from_slice(now);
                    changes.push((r as u8, page as u16, hash(now)));
                }
            }
        }
        changes
    }
}

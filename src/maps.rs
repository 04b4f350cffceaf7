//! /proc/self/maps, read without allocating: where a program has moved its view
//! of a ring to.

use crate::sys;
use std::ffi::c_int;

/// One mapping: where, and of what.
struct Mapping<'a> {
    start: u64,
    end: u64,
    offset: u64,
    /// Device and inode, as printed.
    file: &'a str,
}

fn parse(line: &str) -> Option<Mapping<'_>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (_perms, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let inode_at = rest.find(' ')? + 1;
    let file_len = inode_at + rest[inode_at..].find(' ').unwrap_or(rest.len() - inode_at);
    let hex = |s| u64::from_str_radix(s, 16).ok();
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        file: &rest[..file_len],
    })
}

/// Calls `f` for each mapping until it says Some.
fn find<T>(mut f: impl FnMut(&Mapping) -> Option<T>) -> Option<T> {
    let path = c"/proc/self/maps";
    // SAFETY: the path is NUL-terminated.
    let fd = unsafe {
        crate::sys!(openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
    }
    .ok()?;
    let mut buf = [0u8; 4096];
    let mut held = 0;
    let mut found = None;
    while found.is_none() {
        // SAFETY: the rest of the buffer is writable.
        let read = unsafe { crate::sys!(read, fd, buf.as_mut_ptr().add(held), buf.len() - held) };
        let Ok(n @ 1..) = read else { break };
        held += n;
        let mut at = 0;
        while let Some(len) = buf[at..held].iter().position(|&b| b == b'\n') {
            let line = std::str::from_utf8(&buf[at..at + len]).ok().and_then(parse);
            found = found.or_else(|| f(&line?));
            at += len + 1;
        }
        // A line longer than the buffer has a long path: not one of ours.
        let rest = if at == 0 && held == buf.len() { held } else { at };
        buf.copy_within(rest..held, 0);
        held -= rest;
    }
    sys::close(fd as c_int);
    found
}

/// Another mapping of the beginning of what is mapped at `addr`. None also
/// without /proc.
pub fn other_view(addr: u64) -> Option<u64> {
    let mut file = [0u8; 64];
    let len = find(|m| {
        (m.start <= addr && addr < m.end && m.file.len() <= file.len()).then(|| {
            file[..m.file.len()].copy_from_slice(m.file.as_bytes());
            m.file.len()
        })
    })?;
    find(|m| {
        (m.offset == 0 && m.start != addr && m.file.as_bytes() == &file[..len]).then_some(m.start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_second_view_of_shared_memory() {
        let a = sys::mmap_anon(8192, libc::MAP_SHARED).unwrap() as u64;
        assert_eq!(other_view(a), None);
        // SAFETY: a second mapping at an address that the kernel chooses.
        let b = unsafe { crate::sys!(mremap, a, 0usize, 8192usize, libc::MREMAP_MAYMOVE) }.unwrap()
            as u64;
        assert_eq!(other_view(a), Some(b));
        assert_eq!(other_view(b), Some(a));
        assert_eq!(sys::same_page(a, b), sys::SamePage::Yes);
        assert_eq!(sys::same_page(a + 4096, b), sys::SamePage::No);
        assert_eq!(sys::same_page(4096, b), sys::SamePage::Fault);
    }
}

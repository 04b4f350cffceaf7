//! What the file systems are, and what they are told of a file.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

/// As stat(1) calls it.
pub fn kind_of(path: &Path) -> String {
    let out = Command::new("stat").args(["-f", "-c", "%T"]).arg(path).output();
    let kind = out.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    kind.unwrap_or_default().replace("ext2/ext3", "ext4")
}

/// Drops what the page cache has of the first `len` bytes, 0: of all; they must be
/// clean.
pub fn evict(file: &impl AsRawFd, len: u64) {
    advise(file, len, libc::POSIX_FADV_DONTNEED);
}

/// Each read by this descriptor is cold then.
pub fn no_read_ahead(file: &impl AsRawFd) {
    advise(file, 0, libc::POSIX_FADV_RANDOM);
}

fn advise(file: &impl AsRawFd, len: u64, advice: i32) {
    // SAFETY: advice only.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, len as libc::off_t, advice) };
}

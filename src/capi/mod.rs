//! Every C function: check, call, convert. Nothing else is `extern "C"` for
//! programs.
//!
//! libaio's promise, kept here and nowhere else: a function returns -errno and
//! leaves `errno` as it was.

mod compat_0_1;
mod exit;
pub mod header;
// Test programs keep libc's.
#[cfg(all(feature = "syscall", not(test), any(target_arch = "x86_64", target_arch = "aarch64")))]
mod libc_exit;
#[cfg(all(feature = "syscall", not(test), any(target_arch = "x86_64", target_arch = "aarch64")))]
mod libc_syscall;
mod queue;
mod syscalls;

use crate::errno::Errno;
use std::ffi::c_int;

/// The body of an entry: -errno or the value, `errno` untouched.
#[inline]
fn entry(body: impl FnOnce() -> Result<i64, Errno>) -> c_int {
    // SAFETY: the calling thread's own errno.
    let errno = unsafe { &mut *libc::__errno_location() };
    let saved = *errno;
    let r = match body() {
        Ok(n) => n,
        Err(e) => e.neg(),
    };
    *errno = saved;
    r as c_int
}

/// Gives a function its name and version in the shared library, and takes the
/// unversioned name away. It has to stand in the function's own module.
macro_rules! symver {
    ($function:literal, $versioned:literal) => {
        // Test programs are not shared libraries and have no versions.
        #[cfg(not(test))]
        std::arch::global_asm!(concat!(".symver ", $function, ", ", $versioned, ", remove"));
    };
}
use symver;

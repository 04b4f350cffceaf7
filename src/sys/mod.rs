//! Raw system calls: no `errno`, no cancellation point, callable from signal
//! handlers and in a forked child.

mod file;
mod host;
mod memory;
mod wait;

pub use file::*;
pub use host::*;
pub use memory::*;
pub use syscalls::Sysno;
pub use wait::*;

use crate::errno::Errno;

/// A system call of the program's own, as it made it.
///
/// # Errors
/// The kernel's.
pub fn pass_on(nr: Sysno, a: [u64; 6]) -> Result<i64, Errno> {
    let [a, b, c, d, e, f] = a.map(|arg| arg as usize);
    // SAFETY: what it does is what the program asked for.
    unsafe { syscalls::syscall6(nr, a, b, c, d, e, f) }
        .map(|n| n as i64)
        .map_err(|e| Errno(e.into_raw()))
}

/// A raw system call; up to six arguments, each castable to `usize`.
#[macro_export]
macro_rules! sys {
    ($nr:ident $(, $arg:expr)* $(,)?) => {
        ::syscalls::syscall!($crate::sys::Sysno::$nr $(, $arg)*)
            .map_err(|e| $crate::errno::Errno(e.into_raw()))
    };
}

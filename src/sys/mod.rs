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

/// A raw system call; up to six arguments, each castable to `usize`.
#[macro_export]
macro_rules! sys {
    ($nr:ident $(, $arg:expr)* $(,)?) => {
        ::syscalls::syscall!($crate::sys::Sysno::$nr $(, $arg)*)
            .map_err(|e| $crate::errno::Errno(e.into_raw()))
    };
}

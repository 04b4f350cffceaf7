//! libc's `_exit`, and its functions of exec(3): they end the process, or its
//! program, without exit(3), of which alone a library learns. The kernel finishes
//! what was submitted before it lets go of the memory, and so do these. As
//! `syscall`, only in the files that stand in front of libc.
//!
//! All may be called in signal handlers and in the children of fork and vfork.

use super::exit::{finish, tell_statistics};
use crate::sys;
use std::arch::naked_asm;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

/// A thread that has no place in `hazard` is not known to be interrupted in a call.
const PATIENCE_NS: i64 = 10_000_000_000;

/// _exit(2)
#[unsafe(no_mangle)]
extern "C" fn _exit(status: c_int) -> ! {
    finish(PATIENCE_NS);
    tell_statistics();
    loop {
        // SAFETY: passes no memory, and does not return.
        let _ = unsafe { sys!(exit_group, status) };
    }
}

/// The same by its name in ISO C.
#[unsafe(no_mangle)]
extern "C" fn _Exit(status: c_int) -> ! {
    _exit(status)
}

/// What all of exec(3) do first; then libc's own function has its turn, with the
/// arguments and the stack as they were.
extern "C" fn before_exec(libc_s: &AtomicPtr<c_void>, name: *const c_char) -> *mut c_void {
    finish(PATIENCE_NS);
    let mut function = libc_s.load(Relaxed);
    if function.is_null() {
        // SAFETY: a string. Nothing is allocated for a symbol that is there.
        function = unsafe { libc::dlsym(libc::RTLD_NEXT, name) };
        libc_s.store(function, Relaxed);
    }
    if function.is_null() { refused as *mut c_void } else { function }
}

extern "C" fn refused() -> c_int {
    // SAFETY: the calling thread's own errno.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

macro_rules! exec {
    ($($name:ident $libc_s:ident $string:literal)*) => {$(
        static $libc_s: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

        /// exec(3)
        ///
        /// # Safety
        /// As libc's.
        #[cfg(target_arch = "x86_64")]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "push r9",
                "push rax",
                "lea rdi, [rip + {libc_s}]",
                "lea rsi, [rip + {name}]",
                "call {before}",
                "mov r11, rax",
                "pop rax",
                "pop r9",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "jmp r11",
                libc_s = sym $libc_s,
                name = sym names::$name,
                before = sym before_exec,
            )
        }

        /// exec(3)
        ///
        /// # Safety
        /// As libc's.
        #[cfg(target_arch = "aarch64")]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "stp x29, x30, [sp, #-80]!",
                "stp x0, x1, [sp, #16]",
                "stp x2, x3, [sp, #32]",
                "stp x4, x5, [sp, #48]",
                "stp x6, x7, [sp, #64]",
                "adrp x0, {libc_s}",
                "add x0, x0, :lo12:{libc_s}",
                "adrp x1, {name}",
                "add x1, x1, :lo12:{name}",
                "bl {before}",
                "mov x16, x0",
                "ldp x0, x1, [sp, #16]",
                "ldp x2, x3, [sp, #32]",
                "ldp x4, x5, [sp, #48]",
                "ldp x6, x7, [sp, #64]",
                "ldp x29, x30, [sp], #80",
                "br x16",
                libc_s = sym $libc_s,
                name = sym names::$name,
                before = sym before_exec,
            )
        }
    )*

    /// Their names, for dlsym.
    #[allow(non_upper_case_globals)]
    mod names {
        $(pub static $name: [u8; $string.len()] = *$string;)*
    }};
}

exec! {
    execl LIBC_EXECL b"execl\0"
    execle LIBC_EXECLE b"execle\0"
    execlp LIBC_EXECLP b"execlp\0"
    execv LIBC_EXECV b"execv\0"
    execve LIBC_EXECVE b"execve\0"
    execvp LIBC_EXECVP b"execvp\0"
    execvpe LIBC_EXECVPE b"execvpe\0"
    fexecve LIBC_FEXECVE b"fexecve\0"
}

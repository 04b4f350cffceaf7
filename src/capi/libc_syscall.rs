//! libc's `syscall`, for programs that call the kernel's AIO by number: nginx,
//! stress-ng, Seastar, Python's caio, libaio itself; MariaDB reaps the events of
//! libaio's contexts so. Only the files that stand in front of libc have it
//! (feature `syscall`), not the one that programs are linked with.
//!
//! AIO's numbers come to us. All others go to the kernel as from libc: by the
//! same instructions, on the caller's stack and in the caller's registers, so
//! that signal handlers, asynchronous cancellation, clone(2) and ptrace find
//! what they would find there. It needs no relocation, and may be called before
//! any constructor has run.

use super::syscalls::{SHORTCUT, cancel, destroy, getevents, pgetevents, setup, submit};
use crate::abi::AioSigset;
use crate::errno::Errno;
use crate::sys::Sysno;
use crate::uaccess;
use std::arch::naked_asm;
use std::ffi::{c_int, c_long};

// The five older calls have numbers in a row.
const FIRST: c_long = Sysno::io_setup as c_long;
const PGETEVENTS: c_long = Sysno::io_pgetevents as c_long;
const _: () = {
    let all = 0b11111;
    let four =
        [Sysno::io_destroy, Sysno::io_submit, Sysno::io_cancel, Sysno::io_getevents].as_slice();
    let mut seen = 1;
    let mut i = 0;
    while i < four.len() {
        seen |= 1 << (four[i] as c_long - FIRST);
        i += 1;
    }
    assert!(seen == all);
};

/// syscall(2): what the kernel returns, or -1 and `errno`. As in the kernel, the
/// low 32 bits of the number count.
///
/// # Safety
/// As the system call.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall() {
    naked_asm!(
        ".cfi_startproc",
        "lea eax, [rdi - {first}]",
        "cmp eax, 4",
        "jbe 2f",
        "cmp edi, {pgetevents}",
        "je 2f",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 3f",
        "ret",
        "2:",
        "jmp {aio}",
        "3:",
        "mov rdi, rax",
        "jmp {failed}",
        ".cfi_endproc",
        first = const FIRST,
        pgetevents = const PGETEVENTS,
        aio = sym aio,
        failed = sym failed,
    )
}

/// As above.
///
/// # Safety
/// As the system call.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall() {
    naked_asm!(
        ".cfi_startproc",
        "sub w9, w0, #{first}",
        "cmp w9, #4",
        "b.ls 2f",
        "cmp w0, #{pgetevents}",
        "b.eq 2f",
        "uxtw x8, w0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "mov x3, x4",
        "mov x4, x5",
        "mov x5, x6",
        "svc 0",
        "cmn x0, #4095",
        "b.hs 3f",
        "ret",
        "2:",
        "b {aio}",
        "3:",
        "b {failed}",
        ".cfi_endproc",
        first = const FIRST,
        pgetevents = const PGETEVENTS,
        aio = sym aio,
        failed = sym failed,
    )
}

/// An AIO call by its number, with the arguments where `syscall` had them.
extern "C" fn aio(nr: c_long, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> c_long {
    // SAFETY: the calling thread's own errno.
    let errno = unsafe { &mut *libc::__errno_location() };
    let saved = *errno;
    let (answer, said) = match call(nr, [a, b, c, d, e, f]) {
        Ok(n) => (n, saved),
        Err(e) => (-1, e.0),
    };
    *errno = said;
    answer as c_long
}

fn call(nr: c_long, [a, b, c, d, e, f]: [u64; 6]) -> Result<i64, Errno> {
    match Sysno::new(nr as u32 as usize) {
        Some(Sysno::io_setup) => setup(a as u32, b),
        Some(Sysno::io_destroy) => destroy(a),
        Some(Sysno::io_submit) => submit(a, b as c_long, c),
        Some(Sysno::io_cancel) => cancel(a, b, c),
        Some(Sysno::io_getevents) => getevents(a, b as c_long, c as c_long, d, e, !SHORTCUT),
        _ => {
            let usig = match f {
                0 => AioSigset::default(),
                at => uaccess::get_user_probed(at)?,
            };
            pgetevents(a, b as c_long, c as c_long, d, e, usig, !SHORTCUT)
        }
    }
}

/// What the kernel refused: `error` is -errno.
#[cold]
extern "C" fn failed(error: c_long) -> c_long {
    // SAFETY: the calling thread's own errno.
    unsafe { *libc::__errno_location() = -error as c_int };
    -1
}

//! Signals that a program may get: counted.

use crate::world::signal_set;
use std::ffi::c_int;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

const COUNTED: [c_int; 3] = [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGUSR1];
static COUNTS: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];

pub const FSIZE_LIMIT: u64 = 40960;

extern "C" fn count(signal: c_int) {
    for (s, n) in COUNTED.iter().zip(&COUNTS) {
        if *s == signal {
            n.fetch_add(1, Relaxed);
        }
    }
}

pub fn install() {
    for signal in COUNTED {
        // SAFETY: the handler only counts.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = count as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
        }
    }
    let set = signal_set(&[libc::SIGUSR1]);
    // SAFETY: blocks a signal in this thread.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// The start of a program: nothing counted, nothing pending.
pub fn reset(fsize_limit: bool) {
    COUNTS.iter().for_each(|n| n.store(0, Relaxed));
    let set = signal_set(&[libc::SIGUSR1]);
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let cur = if fsize_limit { FSIZE_LIMIT } else { libc::RLIM_INFINITY };
    let limit = libc::rlimit { rlim_cur: cur, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: all structures live through the calls.
    unsafe {
        while libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const zero) > 0 {}
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

/// Since the last call.
pub fn counts() -> [u32; 3] {
    std::array::from_fn(|i| COUNTS[i].swap(0, Relaxed))
}

/// For this thread.
pub fn raise_usr1() {
    // SAFETY: the signal has a handler.
    unsafe { libc::raise(libc::SIGUSR1) };
}

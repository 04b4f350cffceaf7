//! The ways in which a call can be made.

use crate::rings::Live;
use std::ffi::c_int;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Plain,
    Thread,
    Child,
    Handler,
    /// With these pages under this protection.
    Protected {
        at: u64,
        len: usize,
        prot: c_int,
    },
}

/// errno before each call.
pub const ERRNO: i32 = 12345;

impl Way {
    /// With a context's ring under `prot`.
    pub fn protected(live: &Live, prot: c_int) -> Self {
        Self::Protected { at: live.address, len: live.len(), prot }
    }

    /// Runs `call` in this way: what it returned, and errno behind it.
    pub fn run(self, call: &(dyn Fn() -> i32 + Sync)) -> (i32, i32) {
        let plainly = || {
            // SAFETY: this thread's errno.
            unsafe { *libc::__errno_location() = ERRNO };
            let ret = call();
            // SAFETY: as above.
            (ret, unsafe { *libc::__errno_location() })
        };
        match self {
            Self::Plain => plainly(),
            Self::Thread => {
                std::thread::scope(|s| s.spawn(plainly).join().expect("the call does not panic"))
            }
            Self::Child => in_child(&plainly),
            Self::Handler => in_handler(&plainly),
            Self::Protected { .. } => self.while_so(plainly),
        }
    }

    /// Runs `f` while the pages are protected, if that is the way.
    pub fn while_so<T>(self, f: impl FnOnce() -> T) -> T {
        let Self::Protected { at, len, prot } = self else { return f() };
        // (Afterwards they may be gone: io_destroy.)
        // SAFETY: a ring's pages; nobody here touches them meanwhile.
        let protect = |prot| unsafe { libc::mprotect(at as *mut _, len, prot) };
        protect(prot);
        let r = f();
        protect(libc::PROT_READ | libc::PROT_WRITE);
        r
    }
}

type Call<'a> = &'a (dyn Fn() -> (i32, i32) + Sync);

fn in_child(call: Call) -> (i32, i32) {
    let mut pipe = [0; 2];
    let mut answer = [0i32; 2];
    // SAFETY: the child makes the call, writes its answer and ends; all memory
    // passed lives through the calls.
    unsafe {
        assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC), 0);
        let child = libc::fork();
        if child == 0 {
            let (ret, errno) = call();
            answer = [ret, errno];
            libc::write(pipe[1], answer.as_ptr().cast(), 8);
            libc::_exit(0);
        }
        assert!(child > 0);
        libc::close(pipe[1]);
        let n = libc::read(pipe[0], answer.as_mut_ptr().cast(), 8);
        libc::close(pipe[0]);
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        // A child that dies has its signal for an answer.
        if n == 8 { (answer[0], answer[1]) } else { (-100_000 - status, 0) }
    }
}

/// What the handler of SIGALRM calls: the address of a `Call`.
static CALL: AtomicUsize = AtomicUsize::new(0);
static RET: AtomicUsize = AtomicUsize::new(0);
static ERR: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_signal: c_int) {
    // SAFETY: `in_handler` waits for the handler and keeps the call alive.
    let call = unsafe { &*(CALL.load(Relaxed) as *const Call) };
    let (ret, errno) = call();
    RET.store(ret as usize, Relaxed);
    ERR.store(errno as usize, Relaxed);
}

fn in_handler(call: Call) -> (i32, i32) {
    CALL.store(&raw const call as usize, Relaxed);
    // SAFETY: the handler runs before raise returns.
    unsafe {
        libc::signal(libc::SIGALRM, handler as *const () as libc::sighandler_t);
        libc::raise(libc::SIGALRM);
    }
    (RET.load(Relaxed) as i32, ERR.load(Relaxed) as i32)
}

//! The AIO_RS_* variables.
//!
//! They are noted, unparsed, by the library's one constructor: nginx clears its
//! environment before io_setup. Nothing is allocated there. A call that comes
//! before any constructor ran reads the environment as it then is.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    Auto,
    Uring,
    Threads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitMode {
    /// io_submit does not block: what could is deferred.
    Adaptive,
    /// Buffered I/O runs inside io_submit, as the kernel does it.
    Kernel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxNr {
    Number(u64),
    /// The host's fs.aio-max-nr.
    Kernel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    Off,
    /// Counted where aio-rs top can see it.
    On,
    /// And told when the process exits.
    Exit,
}

/// The settings, parsed.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub engine: EngineChoice,
    pub submit: SubmitMode,
    pub max_nr: MaxNr,
    pub max_workers: u32,
    /// O_DIRECT requests may go to rings of their callers' own.
    pub caller_ring: bool,
    pub log_level: log::LevelFilter,
    pub stats: Stats,
}

const DEFAULT_MAX_NR: u64 = 1_048_576;
const DEFAULT_WORKERS: u32 = 64;

const VALUE: usize = 256;

/// A variable's value, kept in the library's own memory. Written once, before
/// `NOTED` is set.
struct Noted {
    name: &'static [u8],
    value: std::cell::UnsafeCell<[u8; VALUE]>,
    len: AtomicU32,
}

// SAFETY: `value` is written before NOTED is released and only read afterwards.
unsafe impl Sync for Noted {}

const UNSET: u32 = u32::MAX;

impl Noted {
    const fn new(name: &'static [u8]) -> Self {
        Self { name, value: std::cell::UnsafeCell::new([0; VALUE]), len: AtomicU32::new(UNSET) }
    }

    fn bytes(&self) -> Option<&[u8]> {
        let len = self.len.load(Relaxed);
        // SAFETY: called after NOTED was acquired; nobody writes any more.
        (len != UNSET).then(|| unsafe { &(&*self.value.get())[..len as usize] })
    }

    fn text(&self) -> Option<&str> {
        self.bytes().map(|b| std::str::from_utf8(b).unwrap_or("?"))
    }
}

static ENGINE: Noted = Noted::new(b"AIO_RS_ENGINE");
static SUBMIT: Noted = Noted::new(b"AIO_RS_SUBMIT");
static MAX_NR: Noted = Noted::new(b"AIO_RS_MAX_NR");
static THREADS: Noted = Noted::new(b"AIO_RS_THREADS");
static CALLER_RING: Noted = Noted::new(b"AIO_RS_CALLER_RING");
static LOG: Noted = Noted::new(b"AIO_RS_LOG");
static LOG_FILE: Noted = Noted::new(b"AIO_RS_LOG_FILE");
static STATS: Noted = Noted::new(b"AIO_RS_STATS");
static STATS_FILE: Noted = Noted::new(b"AIO_RS_STATS_FILE");
static ALL: [&Noted; 9] =
    [&ENGINE, &SUBMIT, &MAX_NR, &THREADS, &CALLER_RING, &LOG, &LOG_FILE, &STATS, &STATS_FILE];

const IDLE: u8 = 0;
const BUSY: u8 = 1;
const DONE: u8 = 2;
static NOTED: AtomicU8 = AtomicU8::new(IDLE);

// The one thing that runs when the library is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = constructor;

extern "C" fn constructor(_argc: c_int, _argv: *const *const c_char, envp: *const *const c_char) {
    // SAFETY: the loader passes the process's environment.
    unsafe { note(envp) };
}

/// Copies what concerns us out of `envp`, once.
///
/// # Safety
/// `envp` is null or an environment block.
unsafe fn note(envp: *const *const c_char) {
    if NOTED.compare_exchange(IDLE, BUSY, Acquire, Acquire).is_err() {
        return;
    }
    // SAFETY: getauxval only reads what the kernel passed at exec.
    let raised = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let mut at = envp;
    // SAFETY: the block ends with a null pointer; strings end with NUL; this
    // thread alone writes the values (NOTED is BUSY).
    unsafe {
        while !raised && !at.is_null() && !(*at).is_null() {
            let entry = CStr::from_ptr(*at).to_bytes();
            if entry.starts_with(b"AIO_RS_") {
                for var in ALL {
                    if let Some(b"=") = entry.strip_prefix(var.name).and_then(|r| r.get(..1)) {
                        let value = &entry[var.name.len() + 1..];
                        let len = value.len().min(VALUE - 1);
                        (&mut *var.value.get())[..len].copy_from_slice(&value[..len]);
                        var.len.store(len as u32, Relaxed);
                    }
                }
            }
            at = at.add(1);
        }
    }
    NOTED.store(DONE, Release);
}

fn ensure_noted() {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    if NOTED.load(Acquire) != DONE {
        // SAFETY: the C library's environment, as getenv reads it.
        unsafe { note(environ) };
    }
}

/// Where log lines go; None: stderr. NUL-terminated.
pub fn log_file() -> Option<&'static CStr> {
    path(&LOG_FILE)
}

/// Where the statistics go at exit; None: stderr.
pub fn stats_file() -> Option<&'static CStr> {
    path(&STATS_FILE)
}

fn path(var: &'static Noted) -> Option<&'static CStr> {
    ensure_noted();
    let len = var.len.load(Relaxed);
    // SAFETY: noted before; the byte behind the value is 0.
    (len != UNSET && len > 0).then(|| unsafe { CStr::from_ptr(var.value.get().cast::<c_char>()) })
}

/// Reads the settings; `warn` is called for each value that is not understood,
/// with the variable's name, the value and what is used instead.
pub fn load(warn: &mut dyn FnMut(&str, &str, &str)) -> Config {
    ensure_noted();
    let mut choose = |var: &Noted, default: &str, known: &mut dyn FnMut(&str) -> bool| {
        if let Some(v) = var.text()
            && !known(v)
        {
            warn(std::str::from_utf8(var.name).unwrap_or("?"), v, default);
        }
    };
    let mut c = Config {
        engine: EngineChoice::Auto,
        submit: SubmitMode::Adaptive,
        max_nr: MaxNr::Number(DEFAULT_MAX_NR),
        max_workers: DEFAULT_WORKERS,
        caller_ring: false,
        log_level: log::LevelFilter::Off,
        stats: Stats::Off,
    };
    choose(&LOG, "no log", &mut |v| v.parse().map(|l| c.log_level = l).is_ok());
    choose(&ENGINE, "auto", &mut |v| {
        c.engine = match v {
            "auto" | "" => EngineChoice::Auto,
            "uring" => EngineChoice::Uring,
            "threads" => EngineChoice::Threads,
            _ => return false,
        };
        true
    });
    choose(&SUBMIT, "adaptive", &mut |v| {
        c.submit = match v {
            "adaptive" | "" => SubmitMode::Adaptive,
            "kernel" => SubmitMode::Kernel,
            _ => return false,
        };
        true
    });
    choose(&MAX_NR, "1048576", &mut |v| {
        c.max_nr = match (v, v.parse()) {
            ("kernel", _) => MaxNr::Kernel,
            (_, Ok(n)) => MaxNr::Number(n),
            _ => return false,
        };
        true
    });
    choose(&STATS, "0", &mut |v| {
        c.stats = match v {
            "0" | "" => Stats::Off,
            "1" => Stats::On,
            "exit" => Stats::Exit,
            _ => return false,
        };
        true
    });
    choose(&CALLER_RING, "0", &mut |v| {
        c.caller_ring = v == "1";
        matches!(v, "0" | "1" | "")
    });
    choose(&THREADS, "64", &mut |v| match v.parse() {
        Ok(n) if n > 0 && n <= 4096 => {
            c.max_workers = n;
            true
        }
        _ => false,
    });
    WATCHED.store(c.stats != Stats::Off || c.log_level == log::LevelFilter::Trace, Relaxed);
    c
}

static WATCHED: AtomicBool = AtomicBool::new(false);

/// Whether each call is to be looked at, by the statistics or by the log.
#[inline]
pub fn watched() -> bool {
    WATCHED.load(Relaxed)
}

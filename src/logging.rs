//! The sink of the `log` crate's macros: one write(2) a line, formatted on the
//! stack. Off unless AIO_RS_LOG is set; one line of warning about a setting that
//! is not understood is written in any case.

use crate::{config, sys};
use std::ffi::CStr;
use std::fmt::Write;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Text on the stack; what does not fit is cut.
pub struct Line<const ROOM: usize> {
    text: [u8; ROOM],
    len: usize,
}

impl<const ROOM: usize> Line<ROOM> {
    pub fn new() -> Self {
        Self { text: [0; ROOM], len: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

impl<const ROOM: usize> Write for Line<ROOM> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        // One byte is kept for the newline.
        let n = s.len().min(ROOM - 1 - self.len);
        self.text[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

struct Sink;

impl log::Log for Sink {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        emit(record.level().as_str(), record.args());
    }

    fn flush(&self) {}
}

fn emit(level: &str, args: &std::fmt::Arguments) {
    let mut line = Line::<512>::new();
    // SAFETY: getpid passes no memory.
    let pid = unsafe { crate::sys!(getpid) }.unwrap_or(0);
    let _ = write!(line, "aio-rs[{pid}] {}: {args}", level);
    line.text[line.len] = b'\n';
    line.len += 1;
    write_out(config::log_file(), line.bytes());
}

/// Appends to the file, or writes to stderr.
pub fn write_out(file: Option<&CStr>, bytes: &[u8]) {
    match file {
        None => {
            let _ = sys::write(2, bytes);
        }
        // Opened for each line: no descriptor of ours stays in the program.
        Some(path) => {
            let flags =
                libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC | libc::O_NOCTTY;
            // SAFETY: the path is NUL-terminated.
            let opened =
                unsafe { crate::sys!(openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600) };
            if let Ok(fd) = opened {
                let _ = sys::write(fd as i32, bytes);
                sys::close(fd as i32);
            }
        }
    }
}

/// Reads the settings and turns logging on, at the first io_setup.
pub fn load_config() -> config::Config {
    static ONCE: AtomicI32 = AtomicI32::new(0);
    let first = ONCE.compare_exchange(0, 1, Release, Acquire).is_ok();
    let c = config::load(&mut |name, value, default| {
        if first {
            emit("WARN", &format_args!("{name}={value} is not understood, {default} is used"));
        }
    });
    if first {
        static SINK: Sink = Sink;
        let _ = log::set_logger(&SINK);
        log::set_max_level(c.log_level);
        log::info!("aio-rs {} is in: {}", env!("CARGO_PKG_VERSION"), sys::own_path());
    }
    c
}

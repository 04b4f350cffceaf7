//! One of the two libraries, by its default symbols.

use libloading::Library;
use std::ffi::{c_int, c_long};
use std::path::Path;

#[allow(dead_code)]
pub type Callback = unsafe extern "C" fn(u64, u64, c_long, c_long);

/// libaio's calls; pointers are passed as numbers.
pub struct Libaio {
    pub io_setup: unsafe extern "C" fn(c_int, u64) -> c_int,
    pub io_destroy: unsafe extern "C" fn(u64) -> c_int,
    pub io_submit: unsafe extern "C" fn(u64, c_long, u64) -> c_int,
    pub io_cancel: unsafe extern "C" fn(u64, u64, u64) -> c_int,
    pub io_getevents: unsafe extern "C" fn(u64, c_long, c_long, u64, u64) -> c_int,
    pub io_pgetevents: unsafe extern "C" fn(u64, c_long, c_long, u64, u64, u64) -> c_int,
    pub io_queue_init: unsafe extern "C" fn(c_int, u64) -> c_int,
    pub io_queue_release: unsafe extern "C" fn(u64) -> c_int,
    pub io_queue_run: unsafe extern "C" fn(u64) -> c_int,
    pub io_queue_wait: unsafe extern "C" fn(u64, u64) -> c_int,
}

impl Libaio {
    /// # Errors
    /// It cannot be loaded, or lacks a symbol.
    pub fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: both libraries may be loaded; the signatures are libaio.h's. It
        // is never unloaded.
        unsafe {
            let lib: &'static Library = Box::leak(Box::new(Library::new(path)?));
            Ok(Self {
                io_setup: *lib.get(b"io_setup")?,
                io_destroy: *lib.get(b"io_destroy")?,
                io_submit: *lib.get(b"io_submit")?,
                io_cancel: *lib.get(b"io_cancel")?,
                io_getevents: *lib.get(b"io_getevents")?,
                io_pgetevents: *lib.get(b"io_pgetevents")?,
                io_queue_init: *lib.get(b"io_queue_init")?,
                io_queue_release: *lib.get(b"io_queue_release")?,
                io_queue_run: *lib.get(b"io_queue_run")?,
                io_queue_wait: *lib.get(b"io_queue_wait")?,
            })
        }
    }
}

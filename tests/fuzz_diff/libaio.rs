//! One of the two libraries, by its default symbols and the old ones.

use libloading::os::unix::Library;
use std::ffi::{CStr, c_int, c_long, c_void};
use std::path::Path;

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
    /// io_cancel@LIBAIO_0.1
    pub old_cancel: unsafe extern "C" fn(u64, u64) -> c_int,
    /// io_getevents@LIBAIO_0.1
    pub old_getevents: unsafe extern "C" fn(u64, c_long, u64, u64) -> c_int,
    /// io_queue_wait@LIBAIO_0.1
    pub old_queue_wait: unsafe extern "C" fn(u64, u64) -> c_int,
}

impl Libaio {
    /// # Errors
    /// It cannot be loaded, or lacks a symbol.
    pub fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: both libraries may be loaded, and neither is ever unloaded; the
        // signatures are libaio.h's.
        unsafe {
            let lib: &'static Library = Box::leak(Box::new(Library::new(path)?));
            // libloading asks for no versions.
            let handle = Library::new(path)?.into_raw();
            let old = |name: &CStr| -> *mut c_void {
                let at = libc::dlvsym(handle, name.as_ptr(), c"LIBAIO_0.1".as_ptr());
                assert!(!at.is_null(), "{name:?}@LIBAIO_0.1");
                at
            };
            type Old2 = unsafe extern "C" fn(u64, u64) -> c_int;
            type Old4 = unsafe extern "C" fn(u64, c_long, u64, u64) -> c_int;
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
                old_cancel: std::mem::transmute::<*mut c_void, Old2>(old(c"io_cancel")),
                old_getevents: std::mem::transmute::<*mut c_void, Old4>(old(c"io_getevents")),
                old_queue_wait: std::mem::transmute::<*mut c_void, Old2>(old(c"io_queue_wait")),
            })
        }
    }
}

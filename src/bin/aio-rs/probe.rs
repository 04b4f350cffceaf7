//! aio-rs probe: loads a library and makes a context with it. The library's log
//! tells the parent which engine it chose.

use crate::fail;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::c_int;
use std::path::Path;
use std::process::ExitCode;

type Setup = unsafe extern "C" fn(c_int, *mut usize) -> c_int;

pub fn run(path: &Path) -> ExitCode {
    // SAFETY: the library may be loaded at any time; the type is libaio.h's.
    let loaded = unsafe {
        Library::open(Some(path), RTLD_NOW | RTLD_LOCAL)
            .and_then(|library| library.get::<Setup>(b"io_setup\0").map(|f| (*f, library)))
    };
    let (setup, library) = match loaded {
        Ok(loaded) => loaded,
        Err(e) => return fail(1, e),
    };
    let mut context = 0;
    // SAFETY: the context outlives the call.
    let result = unsafe { setup(1, &raw mut context) };
    std::mem::forget(library);
    match result {
        0 => ExitCode::SUCCESS,
        error => fail(1, format_args!("io_setup: {}", std::io::Error::from_raw_os_error(-error))),
    }
}

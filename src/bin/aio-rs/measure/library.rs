//! The two libraries, side by side: the same calls through function pointers.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, OsStr, c_int, c_long};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub const PREAD: u16 = 0;
pub const PWRITE: u16 = 1;
pub const FSYNC: u16 = 2;
pub const POLL: u16 = 5;
pub const PREADV: u16 = 7;
pub const PWRITEV: u16 = 8;
pub const RESFD: u32 = 1;

/// `struct iocb` of a little-endian machine.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Iocb {
    pub data: u64,
    pub key: u32,
    pub rw_flags: u32,
    pub opcode: u16,
    pub reqprio: i16,
    pub fd: i32,
    pub buf: u64,
    pub nbytes: u64,
    pub offset: i64,
    pub reserved2: u64,
    pub flags: u32,
    pub resfd: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    pub data: u64,
    pub obj: u64,
    pub res: i64,
    pub res2: i64,
}

type Setup = unsafe extern "C" fn(c_int, *mut usize) -> c_int;
type Destroy = unsafe extern "C" fn(usize) -> c_int;
type Submit = unsafe extern "C" fn(usize, c_long, *mut *mut Iocb) -> c_int;
type GetEvents =
    unsafe extern "C" fn(usize, c_long, c_long, *mut Event, *mut libc::timespec) -> c_int;

pub struct Aio {
    setup: Setup,
    destroy: Destroy,
    submit: Submit,
    getevents: GetEvents,
}

impl Aio {
    /// Never unloaded.
    ///
    /// # Errors
    /// What the loader says.
    pub fn load(path: &Path) -> Result<&'static Self, libloading::Error> {
        // SAFETY: both libraries may be loaded at any time; the types of the
        // functions are libaio.h's, in the newest version of each.
        unsafe {
            let library = Library::open(Some(path), RTLD_NOW | RTLD_LOCAL)?;
            let aio = Self {
                setup: *library.get::<Setup>(b"io_setup\0")?,
                destroy: *library.get::<Destroy>(b"io_destroy\0")?,
                submit: *library.get::<Submit>(b"io_submit\0")?,
                getevents: *library.get::<GetEvents>(b"io_getevents\0")?,
            };
            std::mem::forget(library);
            Ok(Box::leak(Box::new(aio)))
        }
    }

    /// The file that the loader took it from.
    pub fn path(&self) -> PathBuf {
        let function = self.submit as *const _;
        // SAFETY: the structure outlives the call, its name the library.
        let name = unsafe {
            let mut found: libc::Dl_info = std::mem::zeroed();
            assert_ne!(libc::dladdr(function, &raw mut found), 0, "a function of the library");
            CStr::from_ptr(found.dli_fname)
        };
        let path = Path::new(OsStr::from_bytes(name.to_bytes()));
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

/// A context; destroyed when dropped.
pub struct Context {
    aio: &'static Aio,
    id: usize,
}

impl Context {
    /// # Errors
    /// What io_setup returns.
    pub fn new(aio: &'static Aio, nr: usize) -> io::Result<Self> {
        let mut id = 0;
        // SAFETY: `id` outlives the call.
        match unsafe { (aio.setup)(nr as c_int, &raw mut id) } {
            0 => Ok(Self { aio, id }),
            error => Err(failed(error)),
        }
    }

    /// As `new`; waits up to ten seconds for others to give back what
    /// fs.aio-max-nr allows.
    ///
    /// # Errors
    /// What io_setup returns.
    pub fn patient(aio: &'static Aio, nr: usize) -> io::Result<Self> {
        for _ in 0..100 {
            match Self::new(aio, nr) {
                Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
                other => return other,
            }
        }
        Self::new(aio, nr)
    }

    /// The ring's address.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Submits them all, in as many calls as it takes.
    ///
    /// # Errors
    /// What io_submit returns.
    ///
    /// # Safety
    /// The requests, and what they point to, stay until they are complete.
    #[inline]
    pub unsafe fn submit_all(&self, batch: &mut [*mut Iocb]) -> io::Result<()> {
        let mut rest = batch;
        while !rest.is_empty() {
            let nr = rest.len() as c_long;
            // SAFETY: the array is as long as it says; its requests: the caller's promise.
            let n = unsafe { (self.aio.submit)(self.id, nr, rest.as_mut_ptr()) };
            if n <= 0 {
                return Err(failed(n));
            }
            rest = &mut rest[n as usize..];
        }
        Ok(())
    }

    /// `timeout`: none waits for ever.
    #[inline]
    pub fn getevents(
        &self,
        min: usize,
        events: &mut [Event],
        timeout: Option<&mut libc::timespec>,
    ) -> c_int {
        let timeout = timeout.map_or(std::ptr::null_mut(), std::ptr::from_mut);
        let room = events.len() as c_long;
        // SAFETY: the array has as much room as it says.
        unsafe { (self.aio.getevents)(self.id, min as c_long, room, events.as_mut_ptr(), timeout) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: a context of this library; a second destroy would only fail.
        unsafe { (self.aio.destroy)(self.id) };
    }
}

/// What a negative result means.
pub fn failed(result: c_int) -> io::Error {
    io::Error::from_raw_os_error(-result)
}

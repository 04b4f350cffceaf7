//! Error numbers, and the promise that libaio's callers keep their `errno`.

use std::ffi::c_int;

/// A kernel error number, positive (`EINVAL` is 22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub c_int);

impl Errno {
    pub const EPERM: Self = Self(libc::EPERM);
    pub const EINTR: Self = Self(libc::EINTR);
    pub const EBADF: Self = Self(libc::EBADF);
    pub const EAGAIN: Self = Self(libc::EAGAIN);
    pub const ENOMEM: Self = Self(libc::ENOMEM);
    pub const EFAULT: Self = Self(libc::EFAULT);
    pub const EINVAL: Self = Self(libc::EINVAL);
    pub const EFBIG: Self = Self(libc::EFBIG);
    pub const EMFILE: Self = Self(libc::EMFILE);
    pub const ENOSYS: Self = Self(libc::ENOSYS);
    pub const EOPNOTSUPP: Self = Self(libc::EOPNOTSUPP);
    pub const ETIMEDOUT: Self = Self(libc::ETIMEDOUT);
    pub const ECANCELED: Self = Self(libc::ECANCELED);
    pub const EINPROGRESS: Self = Self(libc::EINPROGRESS);

    /// As an event's `res` and as libaio's functions return it.
    #[must_use]
    pub fn neg(self) -> i64 {
        -i64::from(self.0)
    }

    /// What an operating-system call of the standard library or of a crate said.
    #[must_use]
    pub fn from_io(e: &std::io::Error) -> Self {
        Self(e.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

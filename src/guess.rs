//! What io_submit expects of a descriptor before it asks. A wrong guess costs
//! time, nothing else.

use crate::abi::RWF_NOWAIT;
use crate::sys;
use std::ffi::c_int;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

const FDS: usize = 4096;
/// After that many uses a guess is checked against the file.
const GUESS_USES: u64 = 1000;
/// The descriptor's flags are looked at in the first uses, and now and again.
const EVERY_TIME: u64 = 8;
const NOW_AND_AGAIN: u64 = 32;

/// What descriptor numbers named when last looked at. With the descriptor's flags
/// of then, which are compared: a number that names an O_DIRECT file now would
/// wait for the device. An entry is the flags << 32 | what it was << 16 | how
/// often that was used; 0: nothing known.
pub struct FdCache([AtomicU64; FDS]);

/// A regular file: cached reads and small writes do not wait.
pub const BUFFERED: u64 = 1 << 16;
/// A file of tmpfs or its kin: nothing waits, though there is no RWF_NOWAIT.
pub const IN_MEMORY: u64 = 2 << 16;
const EVENTFD: u64 = 3 << 16;
const WHAT: u64 = 0xff << 16;
const USES: u64 = 0xffff;

impl FdCache {
    fn slot(&self, fd: c_int) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(fd).ok()?)
    }

    /// The RWF flags with which a transfer will not wait for a device; None: not
    /// known, or there are none.
    #[inline]
    pub fn at_once(&self, fd: c_int, write: bool) -> Option<u32> {
        let slot = self.slot(fd)?;
        let e = slot.load(Relaxed);
        let (what, uses, flags) = (e & WHAT, e & USES, (e >> 32) as c_int);
        let look = uses < EVERY_TIME || uses.is_multiple_of(NOW_AND_AGAIN);
        let known = what == BUFFERED || what == IN_MEMORY;
        if !known
            // O_SYNC has that bit, too.
            || write && flags & libc::O_DSYNC != 0
            || uses >= GUESS_USES
            || look && sys::getfl(fd) != Ok(flags)
        {
            return None;
        }
        slot.store(e + 1, Relaxed);
        Some(if write || what == IN_MEMORY { 0 } else { RWF_NOWAIT })
    }

    /// `what`: BUFFERED or IN_MEMORY.
    pub fn learn_file(&self, fd: c_int, flags: c_int, what: u64) {
        if let Some(slot) = self.slot(fd) {
            slot.store(u64::from(flags as u32) << 32 | what, Relaxed);
        }
    }

    /// Only a hint: whoever writes to it looks at the file again.
    pub fn was_eventfd(&self, fd: c_int) -> bool {
        self.slot(fd).is_some_and(|s| s.load(Relaxed) == EVENTFD)
    }

    pub fn learn_eventfd(&self, fd: c_int) {
        if let Some(slot) = self.slot(fd) {
            slot.store(EVENTFD, Relaxed);
        }
    }

    pub fn forget(&self, fd: c_int) {
        if let Some(slot) = self.slot(fd) {
            slot.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn synchronous_writes_and_other_files_are_never_at_once() {
        let fds = FdCache([const { AtomicU64::new(0) }; FDS]);
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let (fd, flags) = (file.as_raw_fd(), sys::getfl(file.as_raw_fd()).unwrap());
        assert_eq!(fds.at_once(fd, false), None);
        fds.learn_file(fd, flags, BUFFERED);
        assert_eq!((fds.at_once(fd, false), fds.at_once(fd, true)), (Some(RWF_NOWAIT), Some(0)));
        fds.learn_file(fd, flags, IN_MEMORY);
        assert_eq!((fds.at_once(fd, false), fds.at_once(fd, true)), (Some(0), Some(0)));
        // What the number names is seen to have changed.
        fds.learn_file(fd, flags | libc::O_DIRECT, BUFFERED);
        assert_eq!(fds.at_once(fd, false), None);
        fds.learn_eventfd(fd);
        assert_eq!((fds.was_eventfd(fd), fds.at_once(fd, false)), (true, None));
        fds.learn_file(fd, flags | libc::O_DSYNC, BUFFERED);
        assert_eq!(fds.at_once(fd, true), None);
        for bad in [-1, c_int::MIN, c_int::MAX] {
            assert_eq!(fds.at_once(bad, false), None);
        }
    }
}

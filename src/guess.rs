//! What io_submit expects of a descriptor before it asks. A wrong guess costs
//! time, nothing else.

use crate::sys;
use std::ffi::c_int;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

const FDS: usize = 4096;
/// After that many uses a guess is checked against the file.
const GUESS_USES: u32 = 120;
/// The descriptor's flags are looked at in the first uses, and now and again.
const EVERY_TIME: u32 = 8;

/// Descriptor numbers that named a buffered regular file when last looked at.
/// With the descriptor's flags of then, which are compared: a number that names
/// an O_DIRECT file now would wait for the device. An entry is the
/// flags << 7 | how often it was used, + 1; 0: nothing known.
pub struct FdCache([AtomicU32; FDS]);

/// In place of the flags << 7: the number named an eventfd.
const EVENTFD: u32 = u32::MAX;

impl FdCache {
    fn slot(&self, fd: c_int) -> Option<&AtomicU32> {
        self.0.get(usize::try_from(fd).ok()?)
    }

    #[inline]
    pub fn is_buffered_file(&self, fd: c_int) -> bool {
        let Some(slot) = self.slot(fd) else { return false };
        let e = slot.load(Relaxed);
        let uses = e & 127;
        let look = uses <= EVERY_TIME || uses.is_multiple_of(EVERY_TIME);
        if e == 0 || uses >= GUESS_USES || look && sys::getfl(fd) != Ok((e >> 7) as c_int) {
            return false;
        }
        slot.store(e + 1, Relaxed);
        true
    }

    pub fn learn_buffered_file(&self, fd: c_int, flags: c_int) {
        if let Some(slot) = self.slot(fd) {
            slot.store((flags as u32) << 7 | 1, Relaxed);
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

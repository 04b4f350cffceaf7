//! The ring's table of registered files: what pins a program's file from
//! io_submit to the completion, whatever happens to the descriptor meanwhile.

use super::ring::Ring;
use crate::engine::op::Op;
use crate::errno::Errno;
use crate::slab::Slab;
use crate::sys;
use std::ffi::c_int;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicI32, AtomicU32};

const IORING_REGISTER_FILES_UPDATE: u32 = 6;

/// One entry of the table. It keeps the number that `Slab` gave it.
pub struct Slot {
    /// Operations that use it.
    users: AtomicU32,
    /// The engine thread's own descriptor of the file, for eventfds; NONE before
    /// it is installed.
    installed: AtomicI32,
}

const NONE: i32 = -1;
const COMING: i32 = -2;

pub type Slots = Slab<Slot>;

#[repr(C)]
struct FilesUpdate {
    offset: u32,
    resv: u32,
    fds: u64,
}

/// The descriptors that one call of `pin` has met, with their slots: the same
/// number means the same file for the length of the call.
pub struct Met {
    entries: [(c_int, u32); Met::MANY],
    count: usize,
}

impl Met {
    const MANY: usize = 16;

    pub fn new() -> Self {
        Self { entries: [(0, 0); Self::MANY], count: 0 }
    }

    fn find(&self, fd: c_int) -> Option<u32> {
        let known = &self.entries[..self.count.min(Self::MANY)];
        known.iter().find(|e| e.0 == fd).map(|e| e.1)
    }

    fn add(&mut self, fd: c_int, slot: u32) {
        self.entries[self.count % Self::MANY] = (fd, slot);
        self.count += 1;
    }
}

impl Ring {
    /// # Errors
    /// EMFILE: no slot free. Others: what io_uring_register said.
    pub(super) fn pin_fd(&self, fd: c_int, met: &mut Met) -> Result<u32, Errno> {
        if let Some(slot) = met.find(fd) {
            self.slot(slot).users.fetch_add(1, Relaxed);
            return Ok(slot);
        }
        let (index, slot) = self.slots.alloc().ok_or(Errno::EMFILE)?;
        if let Err(e) = self.files_update(self.program_fd, index, fd) {
            self.slots.free(index);
            return Err(e);
        }
        // SAFETY: slots live as long as the ring.
        let slot = unsafe { slot.as_ref() };
        slot.users.store(1, Relaxed);
        slot.installed.store(NONE, Relaxed);
        met.add(fd, index);
        Ok(index)
    }

    fn slot(&self, index: u32) -> &Slot {
        self.slots.get(index)
    }

    /// One user less; the last one lets go of the file. `ring_fd` names the ring
    /// in the calling thread's table.
    pub(super) fn unpin(&self, ring_fd: c_int, index: u32) {
        self.unpin_many(ring_fd, index, 1);
    }

    /// The same for some users.
    pub(super) fn unpin_many(&self, ring_fd: c_int, index: u32, users: u32) {
        if index == Op::NO_PIN {
            return;
        }
        let slot = self.slot(index);
        // AcqRel: the last user comes after all others.
        if slot.users.fetch_sub(users, AcqRel) != users {
            return;
        }
        let installed = slot.installed.swap(NONE, Relaxed);
        if installed >= 0 {
            sys::close(installed);
        }
        // Before the event is seen: who closes the file then has closed it.
        let _ = self.files_update(ring_fd, index, -1);
        self.slots.free(index);
    }

    /// Whether the slot has, or is about to get, the engine's own descriptor.
    pub(super) fn needs_install(&self, index: u32) -> bool {
        self.slot(index).installed.compare_exchange(NONE, COMING, Relaxed, Relaxed).is_ok()
    }

    pub(super) fn set_installed(&self, index: u32, fd: c_int) {
        self.slot(index).installed.store(fd, Relaxed);
    }

    pub(super) fn installed(&self, index: u32) -> Option<c_int> {
        let fd = self.slot(index).installed.load(Relaxed);
        (fd >= 0).then_some(fd)
    }

    fn files_update(&self, ring_fd: c_int, slot: u32, fd: c_int) -> Result<(), Errno> {
        let fds = [fd];
        let update = FilesUpdate { offset: slot, resv: 0, fds: fds.as_ptr() as u64 };
        // SAFETY: both structures live through the call.
        unsafe {
            crate::sys!(
                io_uring_register,
                ring_fd,
                IORING_REGISTER_FILES_UPDATE,
                &raw const update,
                1u32
            )
        }
        .map(|_| ())
    }
}

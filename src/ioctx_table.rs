//! `mm->ioctx_table`: contexts by id. Looking one up takes no lock; slots hold
//! pointers to memory that is never unmapped.

use crate::errno::Errno;
use crate::sys;
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

const CHUNK: usize = 512;
const CHUNKS: usize = 8192;

/// Ids 0 to CHUNK * CHUNKS - 1; the table grows by a page at a time.
pub struct IoctxTable<T> {
    chunks: [AtomicPtr<[AtomicPtr<T>; CHUNK]>; CHUNKS],
}

impl<T> IoctxTable<T> {
    fn chunk(&self, index: usize) -> Option<&[AtomicPtr<T>; CHUNK]> {
        // Acquire: pairs with the release in `add`.
        let p = self.chunks.get(index)?.load(Acquire);
        // SAFETY: chunks are never freed; zeroed memory is a valid one.
        unsafe { p.as_ref() }
    }

    /// The pointer in slot `id`, null when there is none.
    #[inline]
    pub fn get(&self, id: u32) -> *mut T {
        let id = id as usize;
        match self.chunk(id / CHUNK) {
            // Acquire: pairs with the release in `add`.
            Some(c) => c[id % CHUNK].load(Acquire),
            None => null_mut(),
        }
    }

    /// Mirrors `fs/aio.c:ioctx_add_table()`: the lowest free id. One caller at a
    /// time; `at_id` makes the entry once the id is known.
    ///
    /// # Errors
    /// ENOMEM, or what `at_id` says.
    pub fn add(&self, at_id: impl FnOnce(u32) -> Result<*mut T, Errno>) -> Result<*mut T, Errno> {
        for (i, chunk) in self.chunks.iter().enumerate() {
            if chunk.load(Acquire).is_null() {
                let fresh = sys::mmap_anon(size_of::<[AtomicPtr<T>; CHUNK]>(), libc::MAP_PRIVATE);
                chunk.store(fresh.map_err(|_| Errno::ENOMEM)?.cast(), Release);
            }
            let slots = self.chunk(i).ok_or(Errno::ENOMEM)?;
            if let Some(free) = slots.iter().position(|s| s.load(Acquire).is_null()) {
                let entry = at_id((i * CHUNK + free) as u32)?;
                slots[free].store(entry, Release);
                return Ok(entry);
            }
        }
        Err(Errno::ENOMEM)
    }

    /// Empties slot `id`.
    pub fn remove(&self, id: u32) {
        if let Some(c) = self.chunk(id as usize / CHUNK) {
            c[id as usize % CHUNK].store(null_mut(), Release);
        }
    }

    /// Every entry, lowest id first.
    pub fn iter(&self) -> impl Iterator<Item = *mut T> {
        (0..CHUNKS)
            .map_while(|i| self.chunk(i))
            .flat_map(|c| c.iter().map(|s| s.load(Acquire)))
            .filter(|p| !p.is_null())
    }
}

//! The requests of one context: memory sized at io_setup, touched as it is used,
//! taken and given back without a lock.

use crate::errno::Errno;
use memmap2::{MmapMut, MmapOptions};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64};

struct Node<T> {
    /// 1 + the index of the next free node, 0 at the end of the list.
    next: AtomicU32,
    value: T,
}

/// `T` must be valid when all its bytes are zero; values are never dropped.
pub struct Slab<T> {
    memory: Option<MmapMut>,
    nodes: *mut Node<T>,
    capacity: u32,
    /// A counter against ABA << 32 | 1 + the index of the first free node.
    free: AtomicU64,
    /// Nodes from here on were never used.
    fresh: AtomicU32,
}

// SAFETY: values are handed out by atomic operations, to one holder at a time.
unsafe impl<T: Sync> Sync for Slab<T> {}

impl<T> Slab<T> {
    pub const fn empty() -> Self {
        Self {
            memory: None,
            nodes: std::ptr::null_mut(),
            capacity: 0,
            free: AtomicU64::new(0),
            fresh: AtomicU32::new(0),
        }
    }

    /// # Errors
    /// ENOMEM.
    pub fn new(capacity: u32) -> Result<Self, Errno> {
        let mut memory = MmapOptions::new()
            .len(size_of::<Node<T>>() * capacity as usize)
            .no_reserve_swap()
            .map_anon()
            .map_err(|_| Errno::ENOMEM)?;
        let nodes = memory.as_mut_ptr().cast();
        Ok(Self { memory: Some(memory), nodes, capacity, ..Self::empty() })
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// Nobody uses a value any more.
    pub unsafe fn destroy(&mut self) {
        *self = Self::empty();
        debug_assert!(self.memory.is_none());
    }

    fn node(&self, index: u32) -> &Node<T> {
        debug_assert!(index < self.capacity);
        // SAFETY: inside the memory; zeroed or used before, valid either way.
        unsafe { &*self.nodes.add(index as usize) }
    }

    /// A value that nobody else holds, with its index; its contents are what the
    /// last holder left, or zeroes. None: all are taken.
    pub fn alloc(&self) -> Option<(u32, NonNull<T>)> {
        let mut seen = self.free.load(Acquire);
        while seen as u32 != 0 {
            let index = seen as u32 - 1;
            let next = u64::from(self.node(index).next.load(Relaxed));
            let tag = (seen >> 32).wrapping_add(1) << 32;
            match self.free.compare_exchange_weak(seen, tag | next, AcqRel, Acquire) {
                Ok(_) => return Some((index, NonNull::from(&self.node(index).value))),
                Err(now) => seen = now,
            }
        }
        let one_more = |n: u32| (n < self.capacity).then_some(n + 1);
        let index = self.fresh.fetch_update(AcqRel, Acquire, one_more).ok()?;
        Some((index, NonNull::from(&self.node(index).value)))
    }

    /// Takes back what `alloc` gave.
    pub fn free(&self, index: u32) {
        let mut seen = self.free.load(Relaxed);
        loop {
            self.node(index).next.store(seen as u32, Relaxed);
            let tag = (seen >> 32).wrapping_add(1) << 32;
            // Release: pairs with the acquire in `alloc`.
            match self.free.compare_exchange_weak(seen, tag | u64::from(index + 1), AcqRel, Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// The value with this index, which `alloc` gave out.
    pub fn get(&self, index: u32) -> &T {
        &self.node(index).value
    }

    /// Every value that was ever given out, whoever holds it now.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.fresh.load(Acquire)).map(|i| &self.node(i).value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_value_once() {
        let slab = Slab::<AtomicU64>::new(100).unwrap();
        let all: Vec<_> = std::iter::from_fn(|| slab.alloc()).collect();
        assert_eq!(all.len(), 100);
        let mut seen: Vec<_> = all.iter().map(|(i, _)| *i).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        slab.free(42);
        slab.free(7);
        assert_eq!(slab.alloc().map(|(i, _)| i), Some(7));
        assert_eq!(slab.alloc().map(|(i, _)| i), Some(42));
        assert!(slab.alloc().is_none());
    }

    #[test]
    fn threads_never_hold_the_same_value() {
        let slab = &Slab::<AtomicU64>::new(8).unwrap();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(move || {
                    for _ in 0..20_000 {
                        if let Some((i, v)) = slab.alloc() {
                            // SAFETY: lives as long as the slab.
                            let v = unsafe { v.as_ref() };
                            assert_eq!(v.fetch_add(1, Relaxed), 0);
                            v.fetch_sub(1, Relaxed);
                            slab.free(i);
                        }
                    }
                });
            }
        });
    }
}

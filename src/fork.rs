//! State that a forked child starts without.
//!
//! fork copies our memory, but not our threads, and the kernel gives the child
//! an empty context table. So everything hangs off a page that the kernel wipes
//! in the child (MADV_WIPEONFORK): no handler has to run, whoever forks and
//! however. vfork and CLONE_VM children share the page, as they share contexts.

use crate::errno::Errno;
use crate::sys;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32};

struct Wiped<T> {
    value: AtomicPtr<T>,
    /// 1 while some thread makes the value.
    making: AtomicU32,
}

/// A value that lives until the process ends or forks.
pub struct ForkCell<T> {
    page: AtomicPtr<Wiped<T>>,
}

impl<T> ForkCell<T> {
    pub const fn new() -> Self {
        Self { page: AtomicPtr::new(null_mut()) }
    }

    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        // Acquire: pairs with the releases in `get_or_init`.
        // SAFETY: the page and the value are never unmapped.
        unsafe { self.page.load(Acquire).as_ref()?.value.load(Acquire).as_ref() }
    }

    /// `init` is given zeroed memory for the value and fills it in. Signals are
    /// blocked: a handler must not find its own thread in here.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn get_or_init(&self, init: impl FnOnce(*mut T)) -> Result<&'static T, Errno> {
        let page = self.page()?;
        while page.making.swap(1, AcqRel) != 0 {
            let _ = sys::futex_wait(&page.making, 1, None);
        }
        let mut value = page.value.load(Acquire);
        let made = if value.is_null() {
            sys::mmap_anon(size_of::<T>(), libc::MAP_PRIVATE).map_err(|_| Errno::ENOMEM).map(|p| {
                value = p.cast();
                init(value);
                page.value.store(value, Release);
            })
        } else {
            Ok(())
        };
        page.making.store(0, Release);
        sys::futex_wake(&page.making, i32::MAX as u32);
        // SAFETY: filled in by `init`, never unmapped.
        made.map(|()| unsafe { &*value })
    }

    fn page(&self) -> Result<&'static Wiped<T>, Errno> {
        let mut page = self.page.load(Acquire);
        if page.is_null() {
            let fresh = sys::mmap_anon(size_of::<Wiped<T>>(), libc::MAP_PRIVATE)
                .map_err(|_| Errno::ENOMEM)?;
            // SAFETY: a mapping of ours. Since Linux 4.14, which both engines need.
            unsafe { crate::sys!(madvise, fresh, size_of::<Wiped<T>>(), libc::MADV_WIPEONFORK) }?;
            let fresh = fresh.cast();
            match self.page.compare_exchange(null_mut(), fresh, AcqRel, Acquire) {
                Ok(_) => page = fresh,
                Err(theirs) => {
                    // SAFETY: nobody has seen ours.
                    unsafe { sys::munmap(fresh as usize, size_of::<Wiped<T>>()) };
                    page = theirs;
                }
            }
        }
        // SAFETY: never unmapped; zeroes are a valid `Wiped`.
        Ok(unsafe { &*page })
    }
}

/// Has `f` run in every child that is made by fork(3): an engine closes its
/// copies of descriptors there. `f` must be async-signal-safe.
pub fn on_child(f: extern "C" fn()) {
    static KNOWN: [AtomicPtr<()>; 4] = [const { AtomicPtr::new(null_mut()) }; 4];
    let f = f as *mut ();
    // Handlers cannot be taken back and are inherited: each is set once.
    for known in &KNOWN {
        match known.compare_exchange(null_mut(), f, AcqRel, Acquire) {
            Ok(_) => break,
            Err(other) if other == f => return,
            Err(_) => {}
        }
    }
    // SAFETY: `f` was a function of this type, in a library that is never
    // unloaded (-z nodelete).
    unsafe {
        let f = std::mem::transmute::<*mut (), unsafe extern "C" fn()>(f);
        libc::pthread_atfork(None, None, Some(f));
    }
}

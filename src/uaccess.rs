//! The program's memory: EFAULT, never SIGSEGV.
//!
//! Asking the kernel about each address would cost a system call per access. So
//! pages that were seen to be good are remembered: a page is trusted after
//! `TRUST_AFTER` good probes in a row and is probed again every `RECHECK` uses.
//! Only a program that unmaps memory it has used with us dozens of times and
//! then passes it again without a pause can still fault; the kernel would have
//! answered EFAULT.

use crate::errno::Errno;
use crate::sys;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

const PAGE_SHIFT: u32 = 12;
/// TASK_SIZE of 47-bit x86_64 and 48-bit arm64 user space lies at or above this;
/// `access_ok` refuses all that lies above the highest.
#[cfg(target_arch = "x86_64")]
const TASK_SIZE: u64 = 0x7fff_ffff_f000;
#[cfg(not(target_arch = "x86_64"))]
const TASK_SIZE: u64 = usize::MAX as u64 / 2;

const SLOTS: usize = 1024;
const TRUST_AFTER: u64 = 32;
const RECHECK: u64 = 255;

/// An entry: page number << 16 | writable << 15 | score (7 bits) | uses (8 bits).
/// A page is trusted when its score has reached TRUST_AFTER, where it stays.
static TRUSTED: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

const WRITABLE: u64 = 1 << 15;
const SCORE: u64 = 1 << 8;
const SCORE_MASK: u64 = 0x7f << 8;

/// `access_ok`: the range lies in user space.
pub fn access_ok(addr: u64, len: u64) -> bool {
    len <= TASK_SIZE && addr <= TASK_SIZE - len
}

fn slot_of(page: u64) -> &'static AtomicU64 {
    &TRUSTED[page as usize % SLOTS]
}

#[inline]
fn is_trusted(page: u64, write: bool) -> bool {
    let slot = slot_of(page);
    let e = slot.load(Relaxed);
    let trusted = (page << 16) | WRITABLE | (TRUST_AFTER * SCORE);
    // What is left is the number of uses, if all else is as it should be.
    let ok = (e | if write { 0 } else { WRITABLE }) ^ trusted < RECHECK;
    if ok {
        // Two threads may lose a count to each other; it only has to grow.
        slot.store(e + 1, Relaxed);
    }
    ok
}

#[inline]
fn page_ok(page: u64, write: bool) -> bool {
    is_trusted(page, write) || probe_page(page, write)
}

#[cold]
#[inline(never)]
fn probe_page(page: u64, write: bool) -> bool {
    let slot = slot_of(page);
    let e = slot.load(Relaxed);
    let addr = (page << PAGE_SHIFT) as usize;
    let known = e >> 16 == page;
    // A page that is used for writing is probed for that, whatever it is now
    // wanted for: readable follows from it.
    let was_writable = known && e & WRITABLE != 0;
    let writable = (write || was_writable) && sys::probe_write(addr);
    let good = writable || !write && sys::probe_read(addr);
    if !good {
        if known {
            slot.store(0, Relaxed);
        }
        return false;
    }
    let same = known && was_writable == writable;
    let score = if same { (e & SCORE_MASK) / SCORE + 1 } else { 1 };
    let flag = if writable { WRITABLE } else { 0 };
    slot.store((page << 16) | flag | (score.min(TRUST_AFTER) * SCORE), Relaxed);
    true
}

#[inline]
fn range_ok(addr: u64, len: u64, write: bool) -> bool {
    if !access_ok(addr, len) {
        return false;
    }
    let (first, last) = (addr >> PAGE_SHIFT, (addr + len - 1) >> PAGE_SHIFT);
    page_ok(first, write) && (first == last || pages_ok(first + 1, last, write))
}

#[cold]
fn pages_ok(first: u64, last: u64, write: bool) -> bool {
    (first..=last).all(|page| page_ok(page, write))
}

/// `get_user`, `copy_from_user` of one value.
///
/// # Errors
/// EFAULT: not in user space, not mapped or not readable.
#[inline]
pub fn get_user<T: Copy>(addr: u64) -> Result<T, Errno> {
    if !range_ok(addr, size_of::<T>() as u64, false) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the pages are readable (module comment); T is plain data of any
    // bits (private callers use integers and ABI structures of integers).
    Ok(unsafe { std::ptr::read_unaligned(addr as *const T) })
}

/// As `get_user`, if that is known to be good without asking: inside a page that
/// is trusted, or the one that the stack has come to.
#[inline(always)]
pub fn get_user_at_once<T: Copy>(addr: u64) -> Option<T> {
    const PAGE: u64 = 1 << PAGE_SHIFT;
    let mut here = std::mem::MaybeUninit::<u8>::uninit();
    // SAFETY: a variable of ours; it has to be there, not only to have a place.
    unsafe { here.as_mut_ptr().write_volatile(0) };
    let on_stack = (addr ^ here.as_ptr() as u64) < PAGE;
    if addr % PAGE > PAGE - size_of::<T>() as u64
        || !(on_stack || is_trusted(addr >> PAGE_SHIFT, false))
    {
        return None;
    }
    // SAFETY: as in `get_user`.
    Some(unsafe { std::ptr::read_unaligned(addr as *const T) })
}

/// As `get_user`, without trust in what was seen before: for calls that are not
/// hot, where memory that has gone is part of the contract (io_cancel).
///
/// # Errors
/// As `get_user`.
pub fn get_user_probed<T: Copy>(addr: u64) -> Result<T, Errno> {
    forget(addr, size_of::<T>() as u64);
    get_user(addr)
}

/// True when `len` bytes at `addr` can be written; nothing is changed.
#[inline]
pub fn writable(addr: u64, len: u64) -> bool {
    range_ok(addr, len, true)
}

/// `put_user`, `copy_to_user` of one value.
///
/// # Errors
/// EFAULT: not in user space, not mapped or not writable.
#[inline]
pub fn put_user<T: Copy>(addr: u64, value: T) -> Result<(), Errno> {
    if !writable(addr, size_of::<T>() as u64) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the pages are writable (module comment).
    unsafe { std::ptr::write_unaligned(addr as *mut T, value) };
    Ok(())
}

/// As `put_user`, without trust in what was seen before.
///
/// # Errors
/// As `put_user`.
pub fn put_user_probed<T: Copy>(addr: u64, value: T) -> Result<(), Errno> {
    forget(addr, size_of::<T>() as u64);
    put_user(addr, value)
}

/// Drops what is known of these pages: they are about to go.
pub fn forget(addr: u64, len: u64) {
    if access_ok(addr, len) {
        let last = (addr + len - 1) >> PAGE_SHIFT;
        for page in addr >> PAGE_SHIFT..=last {
            TRUSTED[page as usize % SLOTS].store(0, Relaxed);
        }
    }
}

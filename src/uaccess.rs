//! The program's memory: EFAULT, never SIGSEGV.
//!
//! Asking the kernel about each address would cost a system call per access. So
//! a page that is in constant use is trusted: once it was good `TRUST_AFTER` times
//! within a second, until the clock's next tick, a few milliseconds later. Only a
//! program that unmaps a page in the very tick in which it uses it with us, and
//! passes it again in that tick, can still fault; the kernel would have answered
//! EFAULT.

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

/// An entry: page number << 24 | writable << 23 | score << 17 | tick: when the page
/// was last asked about, and how often in a row it was good.
static TRUSTED: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

const PAGE: u32 = 24;
const WRITABLE: u64 = 1 << 23;
const SCORE: u64 = 1 << 17;
const SCORE_MASK: u64 = 0x3f << 17;
const TICK_MASK: u64 = SCORE - 1;

/// A tick is 2^22 nanoseconds; a second has fewer than 2^8 of them.
const TICK_SHIFT: u32 = 22;
const SECOND_SHIFT: u32 = 8;

/// The tick, as far as anybody has looked.
static TICK: AtomicU64 = AtomicU64::new(0);

/// Each call that is given memory looks before it uses it, and again when it has
/// slept.
#[inline]
pub fn look_at_clock() {
    let now = sys::monotonic_coarse();
    let tick = (now.tv_sec as u64) << SECOND_SHIFT | now.tv_nsec as u64 >> TICK_SHIFT;
    // Read by all, so written only when it has to be; and never backwards, by one
    // who was held up since he looked.
    let seen = TICK.load(Relaxed);
    if tick > seen {
        let _ = TICK.compare_exchange(seen, tick, Relaxed, Relaxed);
    }
}

/// As much of it as an entry has room for.
#[inline]
fn tick() -> u64 {
    TICK.load(Relaxed) & TICK_MASK
}

/// `access_ok`: the range lies in user space.
pub fn access_ok(addr: u64, len: u64) -> bool {
    len <= TASK_SIZE && addr <= TASK_SIZE - len
}

fn slot_of(page: u64) -> &'static AtomicU64 {
    &TRUSTED[page as usize % SLOTS]
}

#[inline]
fn is_trusted(page: u64, write: bool) -> bool {
    let e = slot_of(page).load(Relaxed) | if write { 0 } else { WRITABLE };
    e == (page << PAGE) | WRITABLE | (TRUST_AFTER * SCORE) | tick()
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
    let known = e >> PAGE == page;
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
    let tick = tick();
    let this_second = (e & TICK_MASK ^ tick) >> SECOND_SHIFT == 0;
    let in_a_row = known && was_writable == writable && this_second;
    let score = if in_a_row { (e & SCORE_MASK) / SCORE + 1 } else { 1 };
    let flag = if writable { WRITABLE } else { 0 };
    slot.store((page << PAGE) | flag | (score.min(TRUST_AFTER) * SCORE) | tick, Relaxed);
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

/// The same word by word: what the program has just stored field by field holds up
/// wider loads.
///
/// # Errors
/// As `get_user`.
#[inline(always)]
pub fn get_user_by_words<T: Copy>(addr: u64) -> Result<T, Errno> {
    const { assert!(size_of::<T>().is_multiple_of(size_of::<u64>())) };
    if !addr.is_multiple_of(size_of::<u64>() as u64) {
        return get_user(addr);
    }
    if !range_ok(addr, size_of::<T>() as u64, false) {
        return Err(Errno::EFAULT);
    }
    let mut value = std::mem::MaybeUninit::<T>::uninit();
    let (from, to) = (addr as *const u64, value.as_mut_ptr().cast::<u64>());
    for i in 0..size_of::<T>() / size_of::<u64>() {
        // SAFETY: as in `get_user`; aligned.
        unsafe { to.add(i).write(from.add(i).read_volatile()) };
    }
    // SAFETY: each word was written.
    Ok(unsafe { value.assume_init() })
}

/// True when a value at `addr` is known to be readable without asking: inside a
/// page that is trusted.
pub fn is_known<T>(addr: u64) -> bool {
    const BYTES: u64 = 1 << PAGE_SHIFT;
    addr % BYTES <= BYTES - size_of::<T>() as u64 && is_trusted(addr >> PAGE_SHIFT, false)
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

//! The end of a process by pthread_exit of its last thread.
//!
//! libc calls exit when the last thread it knows of leaves, and it knows of ours:
//! a program whose main thread has left by pthread_exit would never end. So each
//! thread of the program that has used AIO looks round when it leaves, and does
//! itself what libc would have done if only our threads are left.

use crate::{sys, worker};
use std::ffi::c_void;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32};

/// 1 + the key whose destructor runs when a thread leaves; 0: none yet.
static KEY: AtomicU32 = AtomicU32::new(0);

/// Threads that are on their way out.
static LEAVING: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];

/// Makes the key, once. Keys are inherited by a forked child.
pub fn init() {
    if KEY.load(Acquire) != 0 {
        return;
    }
    let mut key = 0;
    // SAFETY: the destructor is code of a library that is never unloaded.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(leaves)) } == 0 {
        let _ = KEY.compare_exchange(0, key + 1, AcqRel, Acquire);
    }
}

/// The calling thread has used AIO.
pub fn note_user() {
    let key = KEY.load(Relaxed);
    if key != 0 {
        // SAFETY: the key exists; the value only has to be not null.
        unsafe { libc::pthread_setspecific(key - 1, (&raw const KEY).cast()) };
    }
}

extern "C" fn leaves(_: *mut c_void) {
    static EXITING: AtomicBool = AtomicBool::new(false);
    if crate::mm::mm().is_none() {
        return;
    }
    let me = sys::gettid();
    let _ = LEAVING.iter().find(|s| s.compare_exchange(0, me, AcqRel, Acquire).is_ok());
    let last = loop {
        let (made, all_known) = worker::made();
        if only_ours_left() {
            break true;
        }
        // One of ours, just made, may have been taken for another.
        if all_known && worker::made() == (made, true) {
            break false;
        }
        sys::nap();
    };
    if last && !EXITING.swap(true, AcqRel) {
        // SAFETY: what libc does in the last thread's place.
        unsafe { libc::exit(0) };
    }
}

/// Of two threads that leave at a time at least the second sees both here.
fn only_ours_left() -> bool {
    let mut seen = [false; LEAVING.len()];
    let mut others = false;
    let looked = sys::each_task(|tid| {
        if let Some(i) = LEAVING.iter().position(|s| s.load(Acquire) == tid) {
            seen[i] = true;
        } else if !others && !worker::is_ours(tid) {
            // One is enough: to ask reads a file.
            others = !sys::is_no_thread_of_libc(tid);
        }
    });
    // Who has gone for good makes room, and its number may come again.
    for (slot, seen) in LEAVING.iter().zip(seen) {
        let tid = slot.load(Acquire);
        if !seen && tid != 0 {
            let _ = slot.compare_exchange(tid, 0, AcqRel, Relaxed);
        }
    }
    looked && !others
}

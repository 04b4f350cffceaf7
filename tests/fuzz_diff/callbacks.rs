//! The callbacks of io_queue_run, at addresses that are the same in both executors.

use crate::layout::*;
use crate::libaio::Libaio;
use crate::mem;
use crate::trace::Event;
use std::ffi::c_long;
use std::sync::Mutex;
use std::sync::OnceLock;

/// What io_queue_run called back with.
static CALLED: Mutex<Vec<(u64, Event)>> = Mutex::new(vec![]);
/// For callbacks that submit: the library, and an iocb that does nothing.
static AGAIN: OnceLock<(Libaio, u64)> = OnceLock::new();

/// `data` of what callbacks submit.
pub const OF_CALLBACK: u64 = CALLBACKS + CALLBACKS_LEN - 16;

extern "C" fn called(ctx: u64, obj: u64, res: c_long, res2: c_long, data: u64) {
    let mut called = CALLED.lock().expect("one thread");
    called.push((ctx, Event { data, obj, res, res2 }));
    // One in three submits again, within the same io_queue_run; by their number, for
    // their order may differ.
    if called.len() % 4 == 1
        && let Some((lib, iocb)) = AGAIN.get()
    {
        mem::write(MISC + 512, *iocb);
        // SAFETY: the context is being run; the iocb reads nothing of /dev/null.
        let n = unsafe { (lib.io_submit)(ctx, 1, MISC + 512) };
        called.push((ctx, Event { data: 0, obj: 0, res: c_long::from(n), res2: 0 }));
    }
}

pub fn take() -> Vec<(u64, Event)> {
    std::mem::take(&mut *CALLED.lock().expect("one thread"))
}

pub fn is_callback(data: u64) -> bool {
    data > CALLBACKS && data < CALLBACKS + CALLBACKS_LEN && data.is_multiple_of(16)
}

/// Code at CALLBACKS: first a jump to `called`, then, 16 bytes each, callbacks
/// that tell it which one they are (by the fifth argument).
pub fn install(lib: Libaio, iocb: u64) {
    let _ = AGAIN.set((lib, iocb));
    let mut code = vec![0u8; CALLBACKS_LEN as usize];
    if cfg!(target_arch = "x86_64") {
        // mov rax, called; jmp rax
        code[..2].copy_from_slice(&[0x48, 0xb8]);
        code[2..10].copy_from_slice(&(called as *const () as u64).to_le_bytes());
        code[10..12].copy_from_slice(&[0xff, 0xe0]);
        for at in (16..code.len()).step_by(16) {
            // mov r8, this callback's address; jmp to the start
            code[at..at + 2].copy_from_slice(&[0x49, 0xb8]);
            code[at + 2..at + 10].copy_from_slice(&(CALLBACKS + at as u64).to_le_bytes());
            code[at + 10] = 0xe9;
            let back = -((at + 15) as i32);
            code[at + 11..at + 15].copy_from_slice(&back.to_le_bytes());
        }
    }
    mem::map_code(&code);
}

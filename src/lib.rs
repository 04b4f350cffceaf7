//! aio-rs: Linux native AIO in user space, behind libaio's C ABI.
//!
//! The kernel's fs/aio.c, part by part:
//!
//! | fs/aio.c | here |
//! |---|---|
//! | `struct kioctx`, `struct aio_kiocb` | `kioctx` |
//! | `ioctx_alloc`, `lookup_ioctx`, `kill_ioctx`, `exit_aio` | `mm` |
//! | `ioctx_add_table`, `mm->ioctx_table` | `ioctx_table` |
//! | `aio_setup_ring`, `aio_read_events_ring` | `aio_ring` |
//! | `get_reqs_available`, `put_reqs_available`, `refill_reqs_available` | `reqs_available` |
//! | `aio_get_req`, `aio_complete`, cancel | `aio_kiocb`, `batch` |
//! | `io_submit_one`, `aio_fsync`, `aio_poll` | `submit` |
//! | `aio_prep_rw`, `aio_read`, `aio_write` | `rw` |
//! | `read_events` | `read_events`, `wait`, `sigwait` |
//! | the system calls | `capi` |
//!
//! What the kernel does not need: `engine` (who runs a deferred request),
//! `kernel_ctx` (contexts that are the kernel's), `order` (in which order),
//! `uaccess` (EFAULT without a trap), `task_lock` (signal handlers), `hazard` (uses
//! of a context), `late` (who expects that io_submit waited), `fork`, `last_thread`,
//! `guess`, `read_batch`, `sleeper` (whether a context gets a ring of its submitter's own),
//! `polled` (the poll that finds nothing), `watch`, `stats` and `trace` (who wants to see
//! what is done).

// Cargo builds for its own tests with unwinding, whatever the profile says.
#[cfg(not(any(panic = "abort", debug_assertions)))]
compile_error!("aio-rs lives inside other programs: build it with panic = \"abort\"");

mod abi;
mod advice;
mod aio_kiocb;
mod aio_ring;
mod batch;
mod capi;
mod config;
mod engine;
mod errno;
mod eventfd;
mod file;
mod fork;
mod guess;
mod hazard;
mod ioctx_table;
mod iovec;
mod kernel_ctx;
mod kioctx;
mod last_thread;
mod late;
mod logging;
mod maps;
mod mm;
mod order;
mod polled;
mod read_batch;
mod read_events;
mod reqs_available;
mod run_here;
mod rw;
mod sigwait;
mod slab;
mod sleeper;
mod stats;
mod submit;
mod sys;
mod task_lock;
mod trace;
mod uaccess;
mod wait;
mod watch;
mod worker;

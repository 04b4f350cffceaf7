//! The edge of the library as a user can watch it: each call with its result and
//! its time, counted and traced.
//!
//! While nobody watches, io_submit and io_getevents do not come here: what their
//! look-up finds at once (`mm::lookup_at_once`) is not watched.

use crate::config::watched;
use crate::errno::Errno;
use crate::trace::{self, Call};
use crate::{mm, sys};

type Answer = Result<i64, Errno>;

/// A call; `seen`: how it is shown, noted before it is made.
pub fn call(seen: impl FnOnce() -> Call, body: impl FnOnce() -> Answer) -> Answer {
    if !watched() {
        return body();
    }
    let (seen, start) = (seen(), sys::monotonic_now());
    let answer = body();
    tell(&seen, start, answer);
    answer
}

/// io_setup: the first begins to watch, so it is looked at afterwards.
pub fn setup(nr_events: u32, ctxp: u64, body: impl FnOnce() -> Answer) -> Answer {
    let start = sys::monotonic_now();
    let answer = body();
    if watched() {
        tell(&Call::Setup { nr_events, ctxp }, start, answer);
    }
    answer
}

fn tell(call: &Call, start: libc::timespec, answer: Answer) {
    let ns = sys::ns_between(start, sys::monotonic_now());
    if let Some(stats) = mm::mm().and_then(|mm| mm.stats) {
        match call {
            Call::Setup { .. } => stats.setup(answer.is_ok()),
            Call::GetEvents { .. } => stats.getevents(answer.unwrap_or(0)),
            Call::Submit { requests, .. } => stats.submit(requests, answer, ns),
            Call::Destroy { .. } | Call::Cancel { .. } => {}
        }
    }
    trace::call(call, answer, ns);
}

//! What may differ between the kernel and aio-rs: all of it, and nothing else.
//! Each `Row` is a line of docs/differences.md.
//!
//! Not generated at all, because one side could not go on:
//! - reads of empty and writes to full blocking pipes, sockets, eventfds: the
//!   kernel blocks in io_submit (`submit::would_block` leaves them out),
//! - io_cancel of transfers and fsyncs in flight: ours cancels some (the steps
//!   before an io_cancel are settled, only polls are left),
//! - calls on a ring made inaccessible, or by its address before it was moved,
//!   once ours trusts it (`rings::Live::trusted`),
//! - what wakes a poll and does not last: data read away at once, a 0 written to
//!   an eventfd,
//! - polls on files with two wait queues that are not ready: the kernel refuses,
//! - what two operations in flight at once do to the same buffer, and O_DIRECT
//!   transfers to the same file: no order is defined (`generate::fix`).

use crate::fds;
use crate::program::*;
use crate::submit;
use crate::trace::{Answer, Event, Ring, StepTrace};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)]
pub enum Row {
    /// libaio dies of a context or timeout that it reads in user space; ours
    /// answers.
    NoFault,
    /// A poll's result: the kernel gives the waker's mask, ours what was asked for.
    PollMasked,
    /// Two writes of one io_submit that raise a signal: the kernel's handler runs
    /// once, at the end of the call, ours after each.
    SignalsMerged,
    /// Events of operations that run side by side: the order is not defined.
    CompletionOrder,
}

/// What may be asked for or comes unasked.
const UNASKED: i64 = (libc::POLLERR | libc::POLLHUP) as i64;

/// What sockets name when there is data, whatever data it is.
pub const NAMED_BY_WAKER: i64 = (libc::POLLPRI | libc::POLLRDBAND) as i64;

/// In which order an operation's event has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// As it was submitted, among all such.
    Inline,
    /// As it was submitted, among the writes of this file.
    OfFile(u8),
    Free,
}

/// The iocb that an event tells of.
fn iocb_of(program: &Program, data: u64) -> Option<&Iocb> {
    let token = if program.callbacks {
        data.checked_sub(crate::layout::CALLBACKS)? / 16
    } else {
        data & 0xffff_ffff
    };
    let (step, k) = (token.checked_sub(1)? / 16, (token - 1) % 16);
    let iocb = program.steps.get(step as usize)?.iocbs().get(k as usize)?;
    (submit::data(program, step as usize, k as usize, iocb.data) == data).then_some(iocb)
}

fn order_of(program: &Program, data: u64) -> Order {
    let Some(iocb) = iocb_of(program, data) else { return Order::Inline };
    let entry = match iocb.fd {
        Fd::Slot(slot) => fds::entry(slot),
        _ => return Order::Inline,
    };
    match (iocb.opcode, entry.file()) {
        (POLL | FSYNC | FDSYNC, _) => Order::Free,
        (_, Some(_)) if entry.direct() || iocb.wanted() == 0 => Order::Free,
        (_, Some(file)) if iocb.writes() => Order::OfFile(file),
        (_, Some(_)) => Order::Free,
        (_, None) => Order::Inline,
    }
}

/// The event with what must be equal in it.
fn normal(program: &Program, mut event: Event) -> Event {
    if let Some(iocb) = iocb_of(program, event.data)
        && iocb.opcode == POLL
        && event.res > 0
    {
        let mut asked = i64::from(submit::poll_events(iocb) as u16) & !NAMED_BY_WAKER;
        // An epoll set wakes with POLLIN alone.
        if iocb.fd == Fd::Slot(fds::slot("epoll")) {
            asked &= !i64::from(libc::POLLRDNORM);
        }
        event.res &= asked | UNASKED;
    }
    event
}

/// Events that were completed in one step.
fn same_events(program: &Program, kernel: &[Event], ours: &[Event]) -> bool {
    let all =
        |events: &[Event]| -> Vec<Event> { events.iter().map(|&e| normal(program, e)).collect() };
    let sorted = |mut events: Vec<Event>| {
        events.sort_unstable();
        events
    };
    let (k, o) = (all(kernel), all(ours));
    if k == o {
        return true;
    }
    let keyed = |events: &[Event], order: Order| -> Vec<Event> {
        let of = |e: &&Event| order_of(program, e.data) == order;
        events.iter().filter(of).copied().collect()
    };
    let orders = (0..fds::FILES.len() as u8).map(Order::OfFile).chain([Order::Inline]);
    sorted(k.clone()) == sorted(o.clone())
        && orders.into_iter().all(|order| keyed(&k, order) == keyed(&o, order))
}

fn same_answer(kernel: Answer, ours: Answer) -> bool {
    const EINVAL: i64 = -libc::EINVAL as i64;
    const EFAULT: i64 = -libc::EFAULT as i64;
    kernel == ours
        || kernel == Answer::WouldDie && matches!(ours, Answer::Returned(EINVAL | EFAULT))
}

fn ring_difference(
    program: &Program,
    slot: usize,
    kernel: Option<&Ring>,
    ours: Option<&Ring>,
) -> Option<String> {
    let (k, o) = match (kernel, ours) {
        (None, None) => return None,
        (Some(k), Some(o)) => (k, o),
        _ => return Some(format!("context {slot}: kernel {kernel:?}, ours {ours:?}")),
    };
    if !same_events(program, &k.new, &o.new) {
        return Some(format!(
            "context {slot}: completed\n  kernel {:x?}\n  ours   {:x?}",
            k.new, o.new
        ));
    }
    if k.header != o.header {
        return Some(format!(
            "context {slot}: header\n  kernel {:x?}\n  ours   {:x?}",
            k.header, o.header
        ));
    }
    (k.in_flight != o.in_flight)
        .then(|| format!("context {slot}: in flight: kernel {}, ours {}", k.in_flight, o.in_flight))
}

/// Whether a page was not cached that should have been: what an earlier program did
/// with RWF_DONTCACHE drops it when it has been written, some time later. A read with
/// RWF_NOWAIT tells.
pub fn unlucky(program: &Program, sides: [&StepTrace; 2]) -> bool {
    const RWF_NOWAIT: u32 = 8;
    let refused = |e: &Event| {
        e.res == -i64::from(libc::EAGAIN)
            && iocb_of(program, e.data).is_some_and(|iocb| {
                let of_file =
                    matches!(iocb.fd, Fd::Slot(slot) if fds::entry(slot).file().is_some());
                of_file && iocb.reads() && iocb.rw_flags & RWF_NOWAIT != 0
            })
    };
    sides.iter().flat_map(|side| side.rings.iter().flatten()).any(|r| r.new.iter().any(refused))
}

/// SIGPIPE and SIGXFSZ: whether they came.
fn merged([pipe, fsize, usr1]: [u32; 3]) -> [u32; 3] {
    [pipe.min(1), fsize.min(1), usr1]
}

/// None: equal, but for what may differ.
pub fn difference(program: &Program, kernel: &StepTrace, ours: &StepTrace) -> Option<String> {
    fn plain<T: PartialEq + std::fmt::Debug>(what: &str, k: &T, o: &T) -> Option<String> {
        (k != o).then(|| format!("{what}: kernel {k:x?}, ours {o:x?}"))
    }
    if !same_answer(kernel.answer, ours.answer) {
        return Some(format!("answer: kernel {:?}, ours {:?}", kernel.answer, ours.answer));
    }
    plain("errno", &kernel.errno, &ours.errno)
        .or_else(|| plain("iocbs left out", &kernel.left_out, &ours.left_out))
        .or_else(|| plain("keys", &kernel.keys, &ours.keys))
        .or_else(|| plain("events handed out", &kernel.events.len(), &ours.events.len()))
        .or_else(|| plain("events as in the ring", &kernel.as_in_ring, &ours.as_in_ring))
        .or_else(|| plain("records spoilt", &kernel.spoilt, &ours.spoilt))
        .or_else(|| {
            let pairs = kernel.rings.iter().zip(&ours.rings).enumerate();
            pairs
                .into_iter()
                .find_map(|(slot, (k, o))| ring_difference(program, slot, k.as_ref(), o.as_ref()))
        })
        .or_else(|| plain("descriptors", &kernel.fds, &ours.fds))
        .or_else(|| plain("signals", &merged(kernel.signals), &merged(ours.signals)))
        .or_else(|| plain("memory", &kernel.memory, &ours.memory))
        .or_else(|| plain("files", &kernel.files, &ours.files))
        .or_else(|| plain("stuck", &kernel.stuck, &ours.stuck))
}

//! One message through the socket: operations, and the files that they use.

use crate::engine::op::{Op, OpList};
use crate::errno::Errno;
use std::ffi::c_int;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::null_mut;

/// Operations in a message, and descriptors: a file and an eventfd for each. Few
/// enough to be kept on any thread's stack (the kernel's limit is 253).
pub(super) const MAX_OPS: usize = 32;
pub(super) const MAX_FDS: usize = 2 * MAX_OPS;

/// `Entry::event` of an operation without eventfd.
pub(super) const NONE: u32 = u32::MAX;

/// An operation, with the places of its descriptors in the message.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) op: *mut Op,
    pub(super) file: u32,
    pub(super) event: u32,
}

/// SCM_RIGHTS, as the kernel lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    header: libc::cmsghdr,
    fds: [c_int; MAX_FDS],
}

// SAFETY: CMSG_LEN only computes.
const _: () = assert!(offset_of!(Control, fds) == unsafe { libc::CMSG_LEN(0) } as usize);

pub(super) struct Message {
    entries: [Entry; MAX_OPS],
    nr_ops: usize,
    control: Control,
    nr_fds: usize,
    /// The kernel could not give us all descriptors.
    pub(super) truncated: bool,
}

/// What `Message::receive` found.
pub(super) enum Received {
    Message,
    Nothing,
    /// The other end is closed, and nothing is left.
    End,
}

impl Message {
    pub(super) fn new() -> Self {
        // SAFETY: integers and pointers; zeroes are valid.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    /// The front of the batch, as much of it as fits into a message with at most
    /// `max_ops` operations and (unless one alone has more) `max_fds` descriptors.
    pub(super) fn gather(batch: &OpList, max_ops: usize, max_fds: usize) -> Self {
        let mut m = Self::new();
        for op in batch.iter().take(max_ops.min(MAX_OPS)) {
            // SAFETY: the submitter lent us the operations.
            let (fd, resfd) = unsafe { (op.args().fd, op.args().resfd) };
            let before = m.nr_fds;
            let file = m.place_of(fd);
            let event = if resfd >= 0 { m.place_of(resfd) } else { NONE };
            if m.nr_fds > max_fds && m.nr_ops > 0 {
                m.nr_fds = before;
                break;
            }
            m.entries[m.nr_ops] = Entry { op: std::ptr::from_ref(op).cast_mut(), file, event };
            m.nr_ops += 1;
        }
        m
    }

    /// The same number means the same file within one io_submit: it is sent once.
    fn place_of(&mut self, fd: c_int) -> u32 {
        let known = self.fds().iter().position(|&f| f == fd);
        known.unwrap_or_else(|| {
            self.control.fds[self.nr_fds] = fd;
            self.nr_fds += 1;
            self.nr_fds - 1
        }) as u32
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries[..self.nr_ops]
    }

    pub(super) fn fds(&self) -> &[c_int] {
        &self.control.fds[..self.nr_fds]
    }

    pub(super) fn forget_fds(&mut self) {
        self.nr_fds = 0;
    }

    /// # Errors
    /// EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS: not now. Else: the socket or one of
    /// the descriptors is no good.
    pub(super) fn send(&mut self, socket: c_int) -> Result<(), Errno> {
        let rights = self.nr_fds * size_of::<c_int>();
        self.control.header.cmsg_level = libc::SOL_SOCKET;
        self.control.header.cmsg_type = libc::SCM_RIGHTS;
        self.control.header.cmsg_len = (offset_of!(Control, fds) + rights) as _;
        let len = self.nr_ops * size_of::<Entry>();
        let mut payload = libc::iovec { iov_base: self.entries.as_mut_ptr().cast(), iov_len: len };
        let control_len = self.control.header.cmsg_len;
        let header = self.header(&mut payload, control_len);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the header points to memory that lives through the call.
        unsafe { crate::sys!(sendmsg, socket, &raw const header, flags) }.map(|_| ())
    }

    /// Takes the next message, or with `peek` a copy of it, which leaves the
    /// message in the queue.
    pub(super) fn receive(&mut self, socket: c_int, peek: bool) -> Received {
        self.nr_ops = 0;
        self.nr_fds = 0;
        let mut payload = libc::iovec {
            iov_base: self.entries.as_mut_ptr().cast(),
            iov_len: size_of_val(&self.entries),
        };
        let mut header = self.header(&mut payload, size_of::<Control>());
        let flags =
            libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | if peek { libc::MSG_PEEK } else { 0 };
        // SAFETY: the header points to memory that lives through the call.
        match unsafe { crate::sys!(recvmsg, socket, &raw mut header, flags) } {
            Err(_) => Received::Nothing,
            // Ours are never empty.
            Ok(0) => Received::End,
            Ok(n) => {
                self.nr_ops = n / size_of::<Entry>();
                let got = header.msg_controllen as usize;
                if got >= offset_of!(Control, fds) {
                    let rights = self.control.header.cmsg_len - offset_of!(Control, fds);
                    self.nr_fds = rights / size_of::<c_int>();
                }
                self.truncated = header.msg_flags & libc::MSG_CTRUNC != 0;
                Received::Message
            }
        }
    }

    fn header(&mut self, payload: &mut libc::iovec, control_len: usize) -> libc::msghdr {
        // SAFETY: integers and pointers; zeroes are valid.
        let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        header.msg_iov = payload;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut self.control).cast();
        header.msg_controllen = control_len as _;
        header
    }
}

/// Drops the message at the head of the queue, with its descriptors.
pub(super) fn discard(socket: c_int) {
    // SAFETY: no memory is passed.
    let _ = unsafe {
        crate::sys!(recvfrom, socket, null_mut::<u8>(), 0usize, libc::MSG_DONTWAIT, 0usize, 0usize)
    };
}

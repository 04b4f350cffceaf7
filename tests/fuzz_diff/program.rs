//! The language of the fuzzer: a program is a list of typed steps.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// RLIMIT_FSIZE while it runs.
    pub fsize_limit: bool,
    /// `data` of each iocb is a callback, so that io_queue_run can be called.
    pub callbacks: bool,
    pub steps: Vec<Step>,
}

/// Index of a context variable.
pub type Slot = u8;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Setup {
        nr: u32,
        ctxp: CtxPtr,
    },
    QueueInit {
        nr: i32,
        slot: Slot,
    },
    Destroy {
        ctx: Ctx,
        release: bool,
    },
    Submit(Submit),
    /// `count` no-ops (reads of /dev/null) in one call.
    Fill {
        slot: Slot,
        count: u16,
    },
    GetEvents(GetEvents),
    /// io_getevents for all that is there or in flight, without a time limit.
    Drain {
        slot: Slot,
    },
    /// The program takes events out of the ring itself.
    Reap {
        slot: Slot,
        most: u16,
    },
    /// `old`: by its first symbol version, here and below.
    Cancel {
        ctx: Ctx,
        iocb: IocbAt,
        result: Addr,
        old: bool,
    },
    QueueRun {
        ctx: Ctx,
    },
    QueueWait {
        ctx: Ctx,
        timeout: Timeout,
        old: bool,
    },
    /// A call made in another way than plainly.
    Via(Via, Box<Step>),
    /// mremap of the whole ring.
    MoveRing {
        slot: Slot,
    },
    /// The program writes to the ring's header.
    Header {
        slot: Slot,
        field: Field,
        value: Value,
    },
    /// The program writes to an event record of the ring.
    Scribble {
        slot: Slot,
        index: u16,
        byte: u8,
    },
    Write {
        fd: u8,
        len: u16,
    },
    Read {
        fd: u8,
        len: u16,
    },
    /// write(2) of this value to an eventfd.
    AddEventfd {
        fd: u8,
        value: u64,
    },
    Close {
        fd: u8,
    },
    /// fcntl(F_SETFL): O_APPEND comes or goes.
    SetAppend {
        fd: u8,
        on: bool,
    },
    Truncate {
        file: u8,
        len: u32,
    },
    /// Out of the page cache.
    DropCache {
        file: u8,
    },
    /// shutdown(2).
    Shutdown {
        fd: u8,
        how: u8,
    },
    /// The timerfd is set, and expires.
    Timer,
    /// SIGUSR1, which is blocked, is raised.
    Raise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    Thread,
    /// In a forked child, which has no contexts.
    Child,
    /// In a signal handler.
    Handler,
    /// While the ring of this variable has this protection.
    Protected(Slot, Protection),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protection {
    ReadOnly,
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CtxPtr {
    Var(Slot),
    Bad(Addr),
}

/// What is passed as the context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ctx {
    Var(Slot),
    /// The value that the variable had before io_destroy.
    Stale(Slot),
    /// So many bytes behind the context.
    Off(Slot, u16),
    Bad(Addr),
}

/// An address: of the iocb's own window of data, or a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Addr {
    Data(u16),
    /// So many bytes before unmapped memory.
    Edge(u16),
    ReadOnly(u16),
    ProtNone,
    Unmapped,
    Null,
    /// In the first page, which is never mapped.
    Low(u16),
    Kernel,
    NonCanonical,
    /// So many bytes below the end of user space.
    Top(u16),
}

/// Where an iocb lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IocbAt {
    Pool(u8),
    /// Not aligned: so many bytes behind the start of an iocb of the pool.
    Askew(u8, u8),
    /// So many bytes before unmapped memory.
    Edge(u8),
    ReadOnly,
    Bad(Addr),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    pub ctx: Ctx,
    pub nr: Nr,
    pub array: Array,
    pub iocbs: Vec<Iocb>,
    /// The next step does not wait until this one's operations are done.
    pub hurry: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nr {
    All,
    Exactly(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Array {
    Aligned,
    Askew(u8),
    /// Ends where memory ends.
    Edge,
    Bad(Addr),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iocb {
    pub at: IocbAt,
    pub opcode: i16,
    pub fd: Fd,
    pub buf: Buf,
    pub nbytes: u64,
    pub offset: i64,
    pub rw_flags: u32,
    pub flags: u32,
    pub resfd: Fd,
    pub reqprio: i16,
    pub reserved2: u64,
    /// The upper half of `data`.
    pub data: u32,
    /// What `key` holds before.
    pub key: u32,
}

pub const PREAD: i16 = 0;
pub const PWRITE: i16 = 1;
pub const FSYNC: i16 = 2;
pub const FDSYNC: i16 = 3;
pub const POLL: i16 = 5;
pub const PREADV: i16 = 7;
pub const PWRITEV: i16 = 8;

pub const RESFD: u32 = 1;
pub const IOPRIO: u32 = 2;

pub const RWF_NOWAIT: u32 = 8;
pub const RWF_DONTCACHE: u32 = 0x80;

impl Iocb {
    /// A read of nothing.
    pub fn read(at: IocbAt, fd: Fd) -> Self {
        Self {
            at,
            opcode: PREAD,
            fd,
            buf: Buf::At(Addr::Null),
            nbytes: 0,
            offset: 0,
            rw_flags: 0,
            flags: 0,
            resfd: Fd::Raw(0),
            reqprio: 0,
            reserved2: 0,
            data: 0,
            key: 0,
        }
    }

    pub fn reads(&self) -> bool {
        matches!(self.opcode, PREAD | PREADV)
    }

    pub fn writes(&self) -> bool {
        matches!(self.opcode, PWRITE | PWRITEV)
    }

    /// The regular file that it leaves otherwise than it was, if only in the page
    /// cache.
    pub fn disturbs(&self) -> Option<u8> {
        let Fd::Slot(slot) = self.fd else { return None };
        let changes = self.writes() || self.reads() && self.rw_flags & RWF_DONTCACHE != 0;
        crate::fds::entry(slot).file().filter(|_| changes)
    }

    /// How many bytes it asks for.
    pub fn wanted(&self) -> u64 {
        match &self.buf {
            _ if !matches!(self.opcode, PREADV | PWRITEV) => self.nbytes,
            Buf::Vector(segs) | Buf::EdgeVector(segs) => {
                segs.iter().fold(0, |n: u64, s| n.saturating_add(s.len))
            }
            Buf::Many => 16 * self.nbytes,
            _ => 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fd {
    /// Of the table in `fds`.
    Slot(u8),
    /// A number that is not open.
    Closed,
    Raw(i32),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Buf {
    At(Addr),
    /// POLL's events.
    Events(u64),
    /// An I/O vector with these segments; `nbytes` says how many count.
    Vector(Vec<Seg>),
    /// One of 1100 segments of 16 bytes.
    Many,
    /// One that ends where memory ends.
    EdgeVector(Vec<Seg>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seg {
    pub base: Addr,
    pub len: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetEvents {
    pub ctx: Ctx,
    pub min: i64,
    pub nr: i64,
    pub events: Dest,
    pub timeout: Timeout,
    /// io_pgetevents with this mask.
    pub mask: Option<Mask>,
    /// By its first symbol version, which has no minimum (1).
    pub old: bool,
}

/// Where events are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dest {
    Good,
    /// Room for so many events, then unmapped memory.
    Edge(u8),
    Bad(Addr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timeout {
    Zero,
    /// In nanoseconds, at most some milliseconds.
    Short(u32),
    /// Only where enough events are there; otherwise like `Short`.
    Null,
    Negative(i64, i64),
    /// It straddles unmapped memory.
    Edge,
    Bad(Addr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mask {
    /// SIGUSR1 stays blocked.
    Blocked,
    /// SIGUSR1 is let through.
    Open,
    Bad(Addr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    Id,
    Nr,
    Head,
    Tail,
    Magic,
    Compat,
    Incompat,
    Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// The value of a new ring; for head and tail: as the other one is.
    Right,
    /// So much more than it is now.
    Plus(u32),
    Is(u32),
}

impl Step {
    /// What is called, however.
    pub fn inner(&self) -> &Self {
        match self {
            Self::Via(_, step) => step.inner(),
            step => step,
        }
    }

    pub fn submit_mut(&mut self) -> Option<&mut Submit> {
        match self {
            Self::Via(_, step) => step.submit_mut(),
            Self::Submit(submit) => Some(submit),
            _ => None,
        }
    }

    pub fn iocbs(&self) -> &[Iocb] {
        match self.inner() {
            Self::Submit(s) => &s.iocbs,
            _ => &[],
        }
    }

    pub fn may_write_files(&self) -> bool {
        matches!(self, Self::Truncate { .. }) || self.iocbs().iter().any(Iocb::writes)
    }
}

impl Program {
    pub fn iocbs(&self) -> impl Iterator<Item = &Iocb> {
        self.steps.iter().flat_map(Step::iocbs)
    }

    /// Step `i` goes over into the next without waiting for its operations; those
    /// of `before` iocbs may be in flight already.
    pub fn hurries(&self, i: usize, before: usize) -> bool {
        let windows = crate::layout::WINDOWS as usize;
        let here = before + self.steps[i].iocbs().len();
        matches!(&self.steps[i], Step::Submit(s) if s.hurry)
            && match self.steps.get(i + 1) {
                Some(Step::Submit(next)) => here + next.iocbs.len() <= windows,
                Some(Step::Drain { .. } | Step::Destroy { .. } | Step::Close { .. }) => true,
                _ => false,
            }
    }
}

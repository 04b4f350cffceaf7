//! The descriptors that a program finds open: the same numbers in both executors.

/// Descriptor `i` of the table has the number `FIRST_FD + i`.
pub const FIRST_FD: i32 = 300;
/// Never open.
pub const CLOSED_FD: i32 = 290;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file (index) with these flags for open.
    File(u8, i32),
    /// An end (0: for reading) of a pipe.
    Pipe(u8, usize, i32),
    /// An end of a unix stream socket pair.
    Socket(u8, usize, i32),
    Eventfd(i32),
    Open(&'static str, i32),
    Epoll,
    Timerfd,
    Signalfd,
    Inotify,
    /// Not connected.
    Udp,
    Listening,
    /// Pipe 0 opened for reading and writing.
    Fifo,
}

pub struct Entry {
    pub name: &'static str,
    pub kind: Kind,
}

const fn e(name: &'static str, kind: Kind) -> Entry {
    Entry { name, kind }
}

const RW: i32 = libc::O_RDWR;
const NB: i32 = libc::O_NONBLOCK;

pub const FDS: [Entry; 42] = [
    e("rw", Kind::File(0, RW)),
    e("direct", Kind::File(0, RW | libc::O_DIRECT)),
    e("ro", Kind::File(0, libc::O_RDONLY)),
    e("wo", Kind::File(0, libc::O_WRONLY)),
    e("other", Kind::File(1, RW)),
    e("append", Kind::File(1, RW | libc::O_APPEND)),
    e("sync", Kind::File(1, RW | libc::O_SYNC)),
    e("dsync", Kind::File(1, RW | libc::O_DSYNC)),
    e("direct_only", Kind::File(2, RW | libc::O_DIRECT)),
    e("direct_append", Kind::File(2, RW | libc::O_DIRECT | libc::O_APPEND)),
    e("direct_ro", Kind::File(2, libc::O_DIRECT)),
    e("direct_sync", Kind::File(2, RW | libc::O_DIRECT | libc::O_DSYNC)),
    e("nonblock_file", Kind::File(3, RW | NB)),
    e("tmpfs", Kind::File(4, RW)),
    e("tmpfs_direct", Kind::File(4, RW | libc::O_DIRECT)),
    e("tmpfs_append", Kind::File(5, RW | libc::O_APPEND)),
    e("memfd", Kind::File(6, RW)),
    e("pipe_r", Kind::Pipe(0, 0, NB)),
    e("pipe_w", Kind::Pipe(0, 1, NB)),
    e("bpipe_r", Kind::Pipe(1, 0, 0)),
    e("bpipe_w", Kind::Pipe(1, 1, 0)),
    e("sock_a", Kind::Socket(0, 0, NB)),
    e("sock_b", Kind::Socket(0, 1, NB)),
    e("bsock_a", Kind::Socket(1, 0, 0)),
    e("bsock_b", Kind::Socket(1, 1, 0)),
    e("efd", Kind::Eventfd(libc::EFD_NONBLOCK)),
    e("sem_efd", Kind::Eventfd(libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE)),
    e("block_efd", Kind::Eventfd(0)),
    e("epoll", Kind::Epoll),
    e("timerfd", Kind::Timerfd),
    e("signalfd", Kind::Signalfd),
    e("inotify", Kind::Inotify),
    e("udp", Kind::Udp),
    e("listening", Kind::Listening),
    e("fifo", Kind::Fifo),
    e("null", Kind::Open("/dev/null", RW)),
    e("zero", Kind::Open("/dev/zero", RW)),
    e("full", Kind::Open("/dev/full", RW)),
    e("dir", Kind::Open("/", libc::O_DIRECTORY)),
    e("path", Kind::Open("/dev/null", libc::O_PATH)),
    e("proc_version", Kind::Open("/proc/version", libc::O_RDONLY)),
    e("proc_status", Kind::Open("/proc/self/status", libc::O_RDONLY)),
];

pub fn entry(slot: u8) -> &'static Entry {
    &FDS[slot as usize]
}

/// The slot with this name.
pub fn slot(name: &str) -> u8 {
    FDS.iter().position(|e| e.name == name).expect("a descriptor of the table") as u8
}

/// Regular files: name, size, and whether they are in memory.
pub struct FileInfo {
    pub name: &'static str,
    pub size: u64,
    pub in_memory: bool,
}

pub const FILES: [FileInfo; 7] = [
    FileInfo { name: "a", size: 65536 + 100, in_memory: false },
    FileInfo { name: "b", size: 32768, in_memory: false },
    FileInfo { name: "c", size: 65536, in_memory: false },
    FileInfo { name: "d", size: 5000, in_memory: false },
    FileInfo { name: "t", size: 65536, in_memory: true },
    FileInfo { name: "u", size: 100, in_memory: true },
    FileInfo { name: "memfd", size: 10000, in_memory: true },
];
pub const MEMFD: u8 = 6;

impl Entry {
    /// The regular file that it names.
    pub fn file(&self) -> Option<u8> {
        match self.kind {
            Kind::File(file, _) => Some(file),
            _ => None,
        }
    }

    /// I/O goes past the page cache and is asynchronous.
    pub fn direct(&self) -> bool {
        matches!(self.kind, Kind::File(f, flags)
            if flags & libc::O_DIRECT != 0 && !FILES[f as usize].in_memory)
    }

    /// A read or write may wait for ever.
    pub fn blocks(&self) -> bool {
        match self.kind {
            Kind::Pipe(_, _, flags) | Kind::Socket(_, _, flags) => flags & NB == 0,
            Kind::Eventfd(flags) => flags & libc::EFD_NONBLOCK == 0,
            Kind::Fifo => true,
            _ => false,
        }
    }

    /// A read or write changes what others find there.
    #[allow(dead_code)]
    pub fn stream(&self) -> bool {
        matches!(self.kind, Kind::Pipe(..) | Kind::Socket(..) | Kind::Fifo | Kind::Eventfd(_))
    }

    pub fn eventfd(&self) -> bool {
        matches!(self.kind, Kind::Eventfd(_))
    }
}

impl Entry {
    /// What is done to one of them is felt at the other.
    pub fn same_stream(&self, other: &Self) -> bool {
        match (self.kind, other.kind) {
            (Kind::Pipe(a, ..), Kind::Pipe(b, ..)) | (Kind::Socket(a, ..), Kind::Socket(b, ..)) => {
                a == b
            }
            (Kind::Pipe(0, ..), Kind::Fifo) | (Kind::Fifo, Kind::Pipe(0, ..)) => true,
            _ => self.name == other.name,
        }
    }
}

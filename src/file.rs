//! What a descriptor of the program names, as far as io_submit must know.

use crate::errno::Errno;
use crate::order::Key;
use crate::sys::{self, FileId};
use std::ffi::c_int;

/// The kind of file, by st_mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    Regular,
    Directory,
    BlockDevice,
    CharDevice,
    Fifo,
    Socket,
    /// eventfd, timerfd, epoll...: no type in st_mode.
    Anonymous,
}

/// A descriptor looked at: it is open and not O_PATH.
#[derive(Clone, Copy)]
pub struct File {
    pub fd: c_int,
    pub flags: c_int,
    pub kind: FileType,
    id: FileId,
    rdev: u64,
}

impl File {
    /// `fget`.
    ///
    /// # Errors
    /// EBADF: not open, or opened with O_PATH.
    pub fn get(fd: c_int) -> Result<Self, Errno> {
        let flags = sys::getfl(fd)?;
        if flags & libc::O_PATH != 0 {
            return Err(Errno::EBADF);
        }
        let st = sys::stat(fd)?;
        let kind = match st.file_type() {
            libc::S_IFREG => FileType::Regular,
            libc::S_IFDIR => FileType::Directory,
            libc::S_IFBLK => FileType::BlockDevice,
            libc::S_IFCHR => FileType::CharDevice,
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            _ => FileType::Anonymous,
        };
        Ok(Self { fd, flags, kind, id: st.id(), rdev: st.rdev })
    }

    pub fn id(&self) -> FileId {
        self.id
    }

    pub fn readable(&self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_WRONLY
    }

    pub fn writable(&self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_RDONLY
    }

    pub fn direct(&self) -> bool {
        self.flags & libc::O_DIRECT != 0
    }

    pub fn nonblock(&self) -> bool {
        self.flags & libc::O_NONBLOCK != 0
    }

    /// Data has a position and transfers are full: not a stream.
    pub fn seekable(&self) -> bool {
        matches!(self.kind, FileType::Regular | FileType::BlockDevice)
    }

    /// Whose order its buffered operations keep. None: the inode does not tell
    /// one such file from another.
    pub fn order_key(&self, write: bool) -> Option<Key> {
        let writes_of_stream = write && !self.seekable();
        (self.kind != FileType::Anonymous).then_some(Key {
            dev: self.id.dev,
            ino: self.id.ino,
            writes_of_stream,
        })
    }

    /// True for a file whose data is in memory for good, or made up when read:
    /// I/O does not wait for a device, though the file system refuses NOWAIT.
    pub fn in_memory(&self) -> bool {
        const TMPFS: i64 = 0x0102_1994;
        const RAMFS: i64 = 0x8584_58f6;
        const HUGETLBFS: i64 = 0x9584_58f6;
        self.without_device() && matches!(sys::fs_magic(self.fd), Ok(TMPFS | RAMFS | HUGETLBFS))
            || self.is_pseudo()
    }

    /// A file of proc, sysfs or their kin: content without data, nothing to sync.
    pub fn is_pseudo(&self) -> bool {
        const PROC: i64 = 0x9fa0;
        const SYSFS: i64 = 0x6265_6572;
        const DEBUGFS: i64 = 0x6462_6720;
        const TRACEFS: i64 = 0x7472_6163;
        const CGROUP: i64 = 0x0027_e0eb;
        const CGROUP2: i64 = 0x6367_7270;
        const SECURITYFS: i64 = 0x7363_6673;
        const CONFIGFS: i64 = 0x6265_6570;
        self.without_device()
            && matches!(
                sys::fs_magic(self.fd),
                Ok(PROC | SYSFS | DEBUGFS | TRACEFS | CGROUP | CGROUP2 | SECURITYFS | CONFIGFS)
            )
    }

    /// Has no wait queue: polling it says at once all that it will ever say.
    pub fn never_waits(&self) -> bool {
        const KMSG_MINOR: u32 = 11;
        match self.kind {
            FileType::Regular | FileType::Directory | FileType::BlockDevice => true,
            FileType::CharDevice => self.is_memory_device() && libc::minor(self.rdev) != KMSG_MINOR,
            _ => false,
        }
    }

    /// /dev/null, /dev/zero, /dev/kmsg and their neighbours.
    pub fn is_memory_device(&self) -> bool {
        const MEM_MAJOR: u32 = 1;
        self.kind == FileType::CharDevice && libc::major(self.rdev) == MEM_MAJOR
    }

    /// A regular file on a file system of no block device: only such a one needs
    /// to be asked for its kind.
    fn without_device(&self) -> bool {
        self.kind == FileType::Regular && libc::major(self.id.dev) == 0
    }
}

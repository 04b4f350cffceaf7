//! What is measured on, and what may be done to it: a file of ours without a name
//! is written to, a file of the user's is given what it holds if he says so, and a
//! block device is only read.

use crate::measure::{file_system, memory};
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;
/// Of the file that is made in a directory.
const MADE: u64 = 64 * MIB;
const LEAST: u64 = MIB;
const DEVICE: &str = "block device";
/// Of a larger one, the beginning.
const MOST: u64 = 1 << 40;

pub struct Target {
    pub path: PathBuf,
    /// A directory, a file, a block device.
    pub kind: &'static str,
    /// None: a block device has none.
    pub file_system: Option<String>,
    pub len: u64,
    pub may_write: bool,
    file: File,
}

impl Target {
    /// `spared`: what will be written later, and so cannot be the target.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn open(path: &Path, write: bool, spared: Option<&Path>) -> Result<Self, String> {
        let named = |e: io::Error| format!("{}: {e}", path.display());
        let about = fs::metadata(path).map_err(named)?;
        let same = |other: fs::Metadata| (other.dev(), other.ino()) == (about.dev(), about.ino());
        if spared.and_then(|path| path.metadata().ok()).is_some_and(same) {
            return Err(format!("{} cannot be measured and drawn into", path.display()));
        }
        let kind = about.file_type();
        let (kind, may_write, file) = if kind.is_dir() {
            ("directory", true, make(path).map_err(named)?)
        } else if kind.is_file() {
            let file = OpenOptions::new().read(true).write(write).open(path).map_err(named)?;
            if write && used_by_others(&file) {
                return Err(format!(
                    "{} is open in another process, whose writes --write would undo",
                    path.display()
                ));
            }
            ("file", write, file)
        } else if kind.is_block_device() {
            if write {
                return Err(format!(
                    "{} is a block device, which is only read: leave out --write",
                    path.display()
                ));
            }
            (DEVICE, false, File::open(path).map_err(named)?)
        } else {
            return Err(format!(
                "{} is neither a directory nor a file nor a block device",
                path.display()
            ));
        };
        // A block device has no other length.
        let len = (&file).seek(SeekFrom::End(0)).map_err(named)?.min(MOST);
        if len < LEAST {
            return Err(format!(
                "{} has {len} bytes and 1 MiB is the least; a directory will do, too",
                path.display()
            ));
        }
        let file_system = (kind != DEVICE).then(|| file_system::kind_of(path));
        Ok(Self { path: path.to_owned(), kind, file_system, len, may_write, file })
    }

    /// With other flags of open(2).
    pub fn open_again(&self, write: bool, flags: OFlags) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let mut options = OpenOptions::new();
        options.read(true).write(write).custom_flags(flags.bits() as i32);
        Ok(options.open(path)?.into())
    }

    /// On disk; and the beginning in the page cache, too.
    pub fn settle(&self, cached: u64) -> io::Result<()> {
        if self.may_write {
            self.file.sync_data()?;
        }
        (&self.file).rewind()?;
        io::copy(&mut (&self.file).take(cached), &mut io::sink())?;
        Ok(())
    }

    /// Drops the beginning from the page cache.
    pub fn evict(&self, len: u64) {
        file_system::evict(&self.file, len);
    }

    /// The page cache is all that there is.
    pub fn is_memory(&self) -> bool {
        matches!(self.file_system.as_deref(), Some("tmpfs" | "ramfs"))
    }
}

/// A file without a name: it ends with this process, however that ends.
fn make(dir: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(dir)?;
    let mut chunk = vec![0; MIB as usize];
    for offset in (0..MADE).step_by(chunk.len()) {
        memory::fill(&mut chunk, offset, 0);
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Only who alone has a file open can have a lease for writing.
fn used_by_others(file: &File) -> bool {
    let fd = file.as_raw_fd();
    // SAFETY: no pointers.
    let refused = unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) } != 0;
    let why = io::Error::last_os_error();
    if !refused {
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
    }
    // Otherwise the file system has no leases, or they are not this user's.
    refused && why.raw_os_error() == Some(libc::EAGAIN)
}

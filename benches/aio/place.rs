//! Where the files are.

use crate::file_system::kind_of;
use crate::memory;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the cached rows go over: little enough for the processor's caches, so
/// that the rows compare the code and not the memory.
pub const HOT: u64 = 4 << 20;
/// What the O_DIRECT rows go over, and the "wide" cached ones.
pub const WIDE: u64 = 64 << 20;

/// A directory of ours, which goes when this is dropped; or a block device, which
/// is then every file.
pub struct Place {
    at: PathBuf,
    is_device: bool,
    /// As stat(1) calls the file system.
    pub kind: String,
}

impl Place {
    pub fn new(at: &Path) -> io::Result<Self> {
        if fs::metadata(at).is_ok_and(|m| m.file_type().is_block_device()) {
            return Ok(Self { at: at.to_owned(), is_device: true, kind: "block device".into() });
        }
        let at = at.join(format!("aio-bench-{}", std::process::id()));
        fs::create_dir_all(&at)?;
        let kind = kind_of(&at);
        Ok(Self { at, is_device: false, kind })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        if self.is_device { self.at.clone() } else { self.at.join(name) }
    }

    /// A file whose words tell their offsets, `len` bytes long, in the cache and
    /// on disk. `flags`: of open(2), beside O_RDWR.
    pub fn file(&self, name: &str, len: u64, flags: i32) -> io::Result<OwnedFd> {
        let path = self.path(name);
        if self.is_device || fs::metadata(&path).map_or(0, |m| m.len()) != len {
            let mut file = OpenOptions::new()
                .write(true)
                .create(!self.is_device)
                .truncate(!self.is_device)
                .open(&path)?;
            let mut chunk = vec![0; 1 << 20];
            for offset in (0..len).step_by(chunk.len()) {
                memory::fill(&mut chunk, offset, 0);
                file.write_all(&chunk)?;
            }
            file.sync_all()?;
        }
        Ok(self.open(name, flags)?.into())
    }

    fn open(&self, name: &str, flags: i32) -> io::Result<File> {
        let create = !self.is_device;
        let path = self.path(name);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .custom_flags(flags)
            .open(path)
    }

    /// Reads it once, so that it is in the page cache; and writes back what is
    /// dirty, so that no row pays for the one before it.
    pub fn settle(&self, name: &str) -> io::Result<()> {
        let file = self.open(name, 0)?;
        file.sync_data()?;
        io::copy(&mut file.take(WIDE), &mut io::sink())?;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_device {
            let _ = fs::remove_dir_all(&self.at);
        }
    }
}

//! The pages of counters of other processes.

use crate::stats::histogram::{BUCKETS, Histogram};
use crate::stats::page::{DIRECTORY, MAGIC, PREFIX, Page, SIZE, VERSION};
use procfs::process::{MMapPath, Process, all_processes};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a process had counted at one time.
pub struct Sample {
    pub pid: i32,
    pub name: String,
    pub page: Box<Page<u64>>,
    /// Since it began to count.
    pub seconds: f64,
}

/// # Errors
/// Why there is none.
pub fn of(pid: i32) -> Result<Sample, String> {
    let process = Process::new(pid).map_err(|e| format!("process {pid}: {e}"))?;
    look(&process).ok_or_else(|| {
        format!(
            "process {pid} has no page of counters for you: start it by aio-rs run --stats, or \
             with AIO_RS_STATS=1; it counts from its first io_setup"
        )
    })
}

/// All that can be seen, by number.
pub fn all() -> Vec<Sample> {
    let mut samples: Vec<Sample> =
        all_processes().into_iter().flatten().flatten().filter_map(|p| look(&p)).collect();
    samples.sort_by_key(|sample| sample.pid);
    samples
}

fn look(process: &Process) -> Option<Sample> {
    let start_time = process.stat().ok()?.starttime;
    // As the process knows itself; the last of its numbers.
    let inner = *process.status().ok()?.nspid?.last()?;
    let suffix = format!(".{inner}.{start_time}");
    // Its own root may be another, and may hide the directory it once had.
    let roots = [format!("/proc/{}/root{DIRECTORY}", process.pid), DIRECTORY.to_owned()];
    let found = roots.iter().find_map(|dir| {
        files(Path::new(dir))
            .find_map(|path| path.to_str()?.ends_with(&suffix).then(|| read(&path)).flatten())
    });
    let page = found.filter(|p| p.pid == inner as u64 && p.start_time == start_time)?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    let seconds = (now - page.since as f64 / 1e9).max(0.0);
    let name = process.stat().ok()?.comm;
    Some(Sample { pid: process.pid, name, page, seconds })
}

fn files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()))
        .map(|e| e.path())
}

fn read(path: &Path) -> Option<Box<Page<u64>>> {
    from_bytes(&fs::read(path).ok()?)
}

/// None: not a page, or of another version.
fn from_bytes(bytes: &[u8]) -> Option<Box<Page<u64>>> {
    let mut page = Box::<Page<u64>>::new_uninit();
    if bytes.len() != SIZE {
        return None;
    }
    // SAFETY: as many bytes as it takes, and any bytes are numbers.
    let page = unsafe {
        page.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), SIZE);
        page.assume_init()
    };
    (page.magic == MAGIC && page.version == VERSION).then_some(page)
}

/// Removes the pages of processes that ended without a chance to do so, or went
/// on as another program. Only those of this pid namespace can be told.
pub fn sweep() {
    let namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino());
    for path in files(Path::new(DIRECTORY)) {
        if let Some(page) = read(&path)
            && page.pid_namespace == namespace
            && !is_mapped(&page, &path)
        {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Whether the process is there and has it; in doubt, yes.
fn is_mapped(page: &Page<u64>, path: &Path) -> bool {
    let Ok(process) = Process::new(page.pid as i32) else { return false };
    if process.stat().is_ok_and(|stat| stat.starttime != page.start_time) {
        return false;
    }
    let maps = process.maps();
    maps.map_or(true, |maps| {
        maps.iter().any(|map| matches!(&map.pathname, MMapPath::Path(p) if p == path))
    })
}

impl Histogram<u64> {
    /// What came after `before`.
    pub fn since(&self, before: &Self) -> Self {
        let of = |i: usize| self.buckets[i].saturating_sub(before.buckets[i]);
        Self { buckets: std::array::from_fn::<_, BUCKETS, _>(of) }
    }
}

//! Who is measured: the system's libaio, and ours on each engine that can be had.

use crate::args::Bench;
use crate::doctor::engine;
use crate::library;
use crate::measure::library::{Aio, Context};
use rustix::fs::MemfdFlags;
use std::env;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

pub struct Side {
    /// libaio, uring, threads; plain: a system call for each request.
    pub name: &'static str,
    pub aio: Option<&'static Aio>,
}

pub struct Sides {
    /// What the ratios are to comes first.
    pub all: Vec<Side>,
    pub library: PathBuf,
    pub system: Option<PathBuf>,
    /// What is left out, and why.
    pub notes: Vec<String>,
}

pub const PLAIN: &str = "plain";
pub const LIBAIO: &str = "libaio";

impl Sides {
    /// # Errors
    /// Why there is nothing to measure.
    pub fn load(args: &Bench) -> Result<Self, String> {
        let preloaded = env::var_os("LD_PRELOAD").unwrap_or_default();
        if env::split_paths(&preloaded).any(|path| library::is_ours(&path)) {
            return Err("aio-rs is preloaded into this command, too, so that the system's \
                        libaio would run on it: unset LD_PRELOAD"
                .into());
        }
        let library = library::find(args.library.as_deref())?;
        let mut sides = Self { all: Vec::new(), library, system: None, notes: Vec::new() };
        match system(args.system.as_deref()) {
            Ok(aio) => {
                sides.system = Some(aio.path());
                sides.all.push(Side { name: LIBAIO, aio: Some(aio) });
            }
            Err(e) => sides.notes.push(format!("libaio is left out: {e}")),
        }
        let plain = Side { name: PLAIN, aio: None };
        let to_plain = sides.all.is_empty();
        if to_plain {
            sides.all.push(plain);
            sides.ours()?;
        } else {
            sides.ours()?;
            sides.all.push(plain);
        }
        Ok(sides)
    }

    fn ours(&mut self) -> Result<(), String> {
        let before = self.all.len();
        for engine in ["uring", "threads"] {
            let (chosen, why) = engine::ask(&self.library, Some(engine))?;
            if chosen != engine {
                let why = why.rsplit_once("refused: ").map_or(&*why, |(_, why)| why);
                self.notes.push(format!("{engine} is left out: {why}; see aio-rs doctor"));
                continue;
            }
            // Two libraries in a process cannot both have its page of statistics.
            // SAFETY: this process has no other thread yet.
            unsafe {
                env::set_var("AIO_RS_ENGINE", engine);
                env::remove_var("AIO_RS_STATS");
            }
            // The library reads that when it is loaded, so each engine needs one.
            let first = self.all.len() == before;
            let aio = if first { load(&self.library) } else { load_copy(&self.library) };
            self.all.push(Side { name: engine, aio: Some(aio?) });
        }
        if self.all.len() == before {
            return Err("no engine can be had here: see aio-rs doctor".into());
        }
        Ok(())
    }
}

fn load(path: &Path) -> Result<&'static Aio, String> {
    Aio::load(path).map_err(|e| e.to_string())
}

/// Another file to the loader.
fn load_copy(path: &Path) -> Result<&'static Aio, String> {
    let copy = || -> io::Result<File> {
        let memory = rustix::fs::memfd_create("aio-rs", MemfdFlags::CLOEXEC)?;
        let mut memory = File::from(memory);
        io::copy(&mut File::open(path)?, &mut memory)?;
        Ok(memory)
    };
    let copy = copy().map_err(|e| format!("a copy of {}: {e}", path.display()))?;
    load(Path::new(&format!("/proc/self/fd/{}", copy.as_raw_fd())))
}

/// The first that the loader finds and that is not ours; it has to work.
fn system(asked: Option<&Path>) -> Result<&'static Aio, String> {
    let aio = match asked {
        Some(path) => load(path)?,
        None => {
            let found = candidates().into_iter().filter_map(|path| Aio::load(&path).ok());
            let mut others = found.filter(|aio| !library::is_ours(&aio.path()));
            others.next().ok_or("it is not installed (Debian's package: libaio1, or libaio1t64)")?
        }
    };
    let path = aio.path();
    if library::is_ours(&path) {
        return Err(format!("{} is aio-rs itself", path.display()));
    }
    match Context::new(aio, 128) {
        Ok(_) => Ok(aio),
        Err(e) => Err(format!("io_setup: {e}; see aio-rs doctor")),
    }
}

/// By name, then where Debian, and then where others have it: with the package
/// aio-rs-libaio, the name leads to ours.
fn candidates() -> Vec<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let dirs = ["", &multiarch, "/usr/lib64", "/usr/lib"];
    // The second name is that of newer Debian and Ubuntu.
    let names = ["libaio.so.1", "libaio.so.1t64"];
    dirs.iter().flat_map(|dir| names.map(|name| Path::new(dir).join(name))).collect()
}

//! What is kept of a run, as JSON.

use crate::row::Row;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::process::Command;

#[derive(Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub runs: Vec<Run>,
}

#[derive(Serialize, Deserialize)]
pub struct Machine {
    pub date: String,
    pub kernel: String,
    pub processor: String,
    pub processors: usize,
    pub memory_gib: u64,
    pub version: String,
    pub slices: usize,
    pub slice_ms: u64,
}

/// One engine on one file system.
#[derive(Serialize, Deserialize)]
pub struct Run {
    pub file_system: String,
    pub engine: String,
    pub rows: Vec<Row>,
}

impl Results {
    pub fn new(slices: usize, slice_ms: u64) -> Self {
        Self { machine: Machine::this(slices, slice_ms), runs: Vec::new() }
    }

    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }
}

impl Machine {
    fn this(slices: usize, slice_ms: u64) -> Self {
        let says = |program: &str, args: &[&str]| {
            let out = Command::new(program).args(args).output();
            out.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
        };
        let after = |file: &str, word: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(word));
            line.and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned())
        };
        let kib = after("/proc/meminfo", "MemTotal").unwrap_or_default();
        let kib: u64 = kib.trim_end_matches(" kB").parse().unwrap_or(0);
        Self {
            date: says("date", &["-u", "+%Y-%m-%d"]),
            kernel: says("uname", &["-srm"]),
            processor: after("/proc/cpuinfo", "model name").unwrap_or_default(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib + (1 << 19)) >> 20,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slices,
            slice_ms,
        }
    }
}

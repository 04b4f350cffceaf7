//! The command line.

use crate::measure::Plan;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Measures aio-rs beside the kernel's AIO: all rows, or those that are named")]
pub struct Args {
    /// Only rows whose name begins with one of these
    pub filter: Vec<String>,
    /// Slices of each side; many short ones, so that the pairs are neighbours
    #[arg(long, default_value_t = 31)]
    pub slices: usize,
    /// Milliseconds of a slice
    #[arg(long, default_value_t = 30)]
    pub length: u64,
    /// Where the files are made, or a block device that may be overwritten
    #[arg(long, default_value = "target")]
    pub dir: PathBuf,
    /// What the file system is called in the results [default: what it is]
    #[arg(long)]
    pub label: Option<String>,
    /// Engine of ours: uring or threads
    #[arg(long, default_value = "uring")]
    pub engine: String,
    /// The system's library [default: what the loader finds]
    #[arg(long)]
    pub system: Option<PathBuf>,
    /// Ours
    #[arg(long, default_value = "build/lib/libaio-rs.so.1")]
    pub library: PathBuf,
    /// Only name the rows
    #[arg(long)]
    pub list: bool,
    /// Write the results to this file
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Both engines, and ext4, XFS, tmpfs and a loop device, one after another
    #[arg(long)]
    pub all: bool,
    /// Draw the results of --json into this directory, measure nothing
    #[arg(long)]
    pub draw: Option<PathBuf>,
    /// A child of the memory rows
    #[arg(long, hide = true)]
    pub probe: Option<usize>,
    /// cargo bench says so
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Args {
    pub fn wants(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|f| name.starts_with(f.as_str()))
    }

    pub fn plan(&self) -> Plan {
        Plan { slices: self.slices.max(1), length: Duration::from_millis(self.length) }
    }
}

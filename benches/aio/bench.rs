//! What all rows need.

use crate::library::Aio;
use crate::measure::Plan;
use crate::place::Place;
use std::path::PathBuf;

pub struct Bench {
    /// The system's libaio.
    pub kernel: &'static Aio,
    pub ours: &'static Aio,
    pub our_path: PathBuf,
    pub kernel_path: PathBuf,
    pub has_uring: bool,
    pub place: Place,
    /// The file system's name in the results.
    pub label: String,
    pub plan: Plan,
}

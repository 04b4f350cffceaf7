//! What the gates and the runners share.
#![allow(dead_code)] // no test uses all of it

pub mod artefacts;
pub mod c_programs;
pub mod contract;
pub mod daemon;
pub mod disks;
pub mod fio;
pub mod ours;
pub mod report;
pub mod run;
pub mod strace;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The C compiler, as make knows it.
pub fn compiler() -> OsString {
    env::var_os("CC").unwrap_or_else(|| "cc".into())
}

/// The distribution's libaio.so, where the compiler finds it.
pub fn system_libaio() -> Option<PathBuf> {
    let out = Command::new(compiler()).arg("-print-file-name=libaio.so").output().ok()?;
    let path = PathBuf::from(String::from_utf8(out.stdout).ok()?.trim());
    // Not found, it prints the bare name.
    path.is_absolute().then_some(path)
}

/// What changed from `old` to `new`, as `diff -u` shows it; at most 60 lines.
pub fn diff(old: &str, new: &str) -> String {
    let diff = similar::TextDiff::from_lines(old, new);
    let text = diff.unified_diff().context_radius(2).to_string();
    text.lines().take(60).map(|line| format!("{line}\n")).collect()
}

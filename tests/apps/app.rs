//! What is said of a program: a row of docs/apps.md, and its test.

use crate::job::Job;
use crate::support::artefacts::Artefacts;
use crate::support::ours::Way;
use std::env;
use std::ffi::OsString;
use std::time::Duration;

/// What the test measured, in a few words.
pub type Figure = String;

pub struct App {
    pub name: &'static str,
    /// Debian's packages, each with a program of it that must be there.
    pub needs: &'static [(&'static str, &'static str)],
    /// How it uses AIO.
    pub uses: &'static str,
    /// What is to be set in the program, or beside LD_PRELOAD or LD_LIBRARY_PATH.
    pub set: &'static str,
    /// What the test does, and what it verifies.
    pub verified: &'static str,
    /// How our library can be brought into it.
    pub ways: &'static [Way],
    /// Does it need root?
    pub root: bool,
    /// Does `make check` have the time for it?
    pub in_check: bool,
    /// For each library.
    pub limit: Duration,
    pub run: fn(&Job) -> Result<Figure, String>,
}

pub const BOTH: &[Way] = &[Way::Preload, Way::DropIn];

impl App {
    /// The packages that are not installed.
    pub fn missing(&self) -> Vec<&'static str> {
        let path = search_path();
        let there = |program: &str| env::split_paths(&path).any(|dir| dir.join(program).is_file());
        self.needs.iter().filter(|(_, program)| !there(program)).map(|(p, _)| *p).collect()
    }
}

/// Where programs are: also those for root, and what scripts/deps.sh unpacked.
pub fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin:");
    path.push(Artefacts::get().dir().join("unpacked/usr/bin"));
    path
}

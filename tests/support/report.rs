//! What a runner prints: a line for each thing tried, and one at the end.

use super::root;
use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

#[derive(Default)]
pub struct Report {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Report {
    pub fn pass(&mut self, line: &str) {
        self.passed += 1;
        println!("ok    {line}");
    }

    /// `detail` is shown below, indented.
    pub fn fail(&mut self, line: &str, detail: &str) {
        self.failed += 1;
        println!("FAIL  {line}");
        for line in detail.lines() {
            println!("      {line}");
        }
    }

    pub fn skip(&mut self, line: &str) {
        self.skipped += 1;
        println!("skip  {line}");
    }

    /// The closing line, and what `main` returns.
    pub fn finish(self) -> ExitCode {
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        if self.failed == 0 && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Reasons by name.
pub type List = BTreeMap<String, Vec<String>>;

/// "name...: reason" lines of a list in `c-tests`.
pub fn list(name: &str) -> List {
    let text = fs::read_to_string(root().join("c-tests").join(name)).unwrap_or_default();
    let mut reasons = List::new();
    for (names, why) in
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'))
    {
        for name in names.split_whitespace() {
            reasons.entry(name.to_owned()).or_default().push(why.trim().to_owned());
        }
    }
    reasons
}

/// Why this may be skipped where it cannot run, by `c-tests/skips.list`.
pub fn skip_reason(name: &str) -> Option<String> {
    list("skips.list").remove(name)?.pop()
}

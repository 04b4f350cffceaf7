//! docs/conformance.md: each line of the contract (`c-tests/contract.txt`), the
//! programs of `c-tests` that check it, and what they said on ours. It is made
//! from the results of real runs; a line that nothing checks, a check of no line,
//! and a row of docs/differences.md that nothing shows fail here.
//!
//! `AIO_RS_WRITE_CONFORMANCE=1` (`make conformance`) writes the file.

#![forbid(unsafe_code)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use support::c_programs::{self, Record, Results, lines_named, programs, read_results, source};
use support::contract::{self, Difference, Section};
use support::report::list;
use support::{diff, root};

/// The columns: names of modes in `tests/c_tests.rs`.
const COLUMNS: [(&str, &[&str]); 4] = [
    ("io_uring", &["uring", "drop-in", "linked"]),
    ("threads", &["threads", "drop-in-threads", "linked-threads"]),
    ("io_uring refused", &["no-uring"]),
    ("AIO_RS_SUBMIT=kernel", &["submit-kernel"]),
];

const PREFACE: &str = "\
# What the kernel does, and what aio-rs does

Written by `make conformance` from a run of the C tests; do not edit. `make check`
fails if it is not what its own run says.

Each line is one of [c-tests/contract.txt](../c-tests/contract.txt): what the
kernel's AIO does, as it was measured. The programs of `c-tests` beside it check
it. They are run on the system's libaio first, that is on the kernel itself: the
line is then known to be true. After that they are run on aio-rs, in these ways:

- io_uring and threads: by LD_PRELOAD, as libaio.so.1, and linked with -laio-rs,
  on the engine named;
- io_uring refused: by LD_PRELOAD, behind a seccomp filter that lets no io_uring
  system call through;
- AIO_RS_SUBMIT=kernel: by LD_PRELOAD, on io_uring, with this variable set.

`same`: every check of these programs wants what the kernel does, and finds it.
`differs`: but for what the row of [differences.md](differences.md) says. Some of
these checks want that, some take either, where it depends on time.
";

fn known_lines() -> BTreeMap<String, String> {
    contract::sections().into_iter().flat_map(|s| s.lines).collect()
}

/// Everything that is wrong, in one failure.
fn none_of(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn checks_name_lines_of_the_contract() {
    let known = known_lines();
    let mut wrong = Vec::new();
    for path in c_programs::headers() {
        let text = fs::read_to_string(&path).expect("a header");
        for id in lines_named(&text).into_iter().filter(|id| !known.contains_key(id)) {
            wrong.push(format!("{}: the contract has no line {id}", path.display()));
        }
    }
    for program in programs() {
        let named = lines_named(&source(&program));
        for id in named.into_iter().filter(|id| !known.contains_key(id)) {
            wrong.push(format!("{program}: the contract has no line {id}"));
        }
    }
    none_of(&wrong);
}

#[test]
fn differences_name_lines_and_programs() {
    let known = known_lines();
    let programs: BTreeSet<String> = programs().into_iter().collect();
    let mut wrong = Vec::new();
    let mut anchors = BTreeSet::new();
    for row in contract::differences() {
        if !anchors.insert(row.anchor.clone()) {
            wrong.push(format!("{}: twice", row.anchor));
        }
        if row.lines.is_empty() || row.programs.is_empty() {
            wrong.push(format!("{}: no line of the contract, or no test", row.anchor));
        }
        for id in row.lines.iter().filter(|id| !known.contains_key(*id)) {
            wrong.push(format!("{}: the contract has no line {id}", row.anchor));
        }
        for program in row.programs.iter().filter(|name| !programs.contains(*name)) {
            wrong.push(format!("{}: no program {program}", row.anchor));
        }
    }
    none_of(&wrong);
}

/// What the last run of each program said, in each of the ways.
fn results() -> Results {
    let results = read_results();
    let not_linked = list("not-linked.list");
    let mut missing = Vec::new();
    for program in programs() {
        let modes = results.get(&program).map(|record| &record.modes);
        for mode in COLUMNS.iter().flat_map(|(_, modes)| *modes) {
            let runs = !mode.starts_with("linked") || !not_linked.contains_key(&program);
            if runs && !modes.is_some_and(|known| known.contains_key(*mode)) {
                missing.push(format!("{program}: no result ({mode}); `make c-tests` first"));
            }
        }
    }
    none_of(&missing);
    results
}

/// The lines that a program checks: those it printed. One that cannot run here
/// is believed.
fn checked(program: &str, record: &Record) -> BTreeSet<String> {
    if record.skipped() { lines_named(&source(program)) } else { record.lines.clone() }
}

struct Table {
    results: Results,
    /// The lines that each program checks.
    checks: BTreeMap<String, BTreeSet<String>>,
    differences: Vec<Difference>,
}

impl Table {
    fn new() -> Self {
        let results = results();
        let checks = results.iter().map(|(name, record)| (name.clone(), checked(name, record)));
        Self { checks: checks.collect(), results, differences: contract::differences() }
    }

    fn rows_of(&self, id: &str) -> Vec<&Difference> {
        self.differences.iter().filter(|row| row.lines.contains(id)).collect()
    }

    fn programs_of(&self, id: &str) -> Vec<&str> {
        let checks = self.checks.iter().filter(|(_, lines)| lines.contains(id));
        checks.map(|(name, _)| name.as_str()).collect()
    }

    /// Failures; lines without a test; differences without one, or without a row.
    fn gaps(&self) -> Vec<String> {
        let known = known_lines();
        let mut wrong = Vec::new();
        for (program, record) in &self.results {
            for (mode, _) in record.modes.iter().filter(|(_, in_mode)| in_mode.said == "fail") {
                wrong.push(format!("{program} fails ({mode})"));
            }
        }
        for id in known.keys().filter(|id| self.programs_of(id).is_empty()) {
            wrong.push(format!("{id}: no program checks it"));
        }
        for (program, lines) in &self.checks {
            for id in lines.iter().filter(|id| !known.contains_key(*id)) {
                wrong.push(format!("{program}: the contract has no line {id}"));
            }
        }
        for row in &self.differences {
            // What cannot run here is believed.
            let shows = |name: &String, id: &String| {
                let record = &self.results[name];
                record.differs().contains(id) || record.skipped() && self.checks[name].contains(id)
            };
            for id in row.lines.iter().filter(|id| !row.programs.iter().any(|p| shows(p, id))) {
                wrong.push(format!("{}: no program of it shows how {id} differs", row.anchor));
            }
            for name in row.programs.iter().filter(|p| self.checks[*p].is_disjoint(&row.lines)) {
                wrong.push(format!("{}: {name} checks no line of it", row.anchor));
            }
        }
        for (program, record) in &self.results {
            for id in record.differs() {
                if !self.rows_of(id).iter().any(|row| row.programs.contains(program)) {
                    wrong.push(format!("{program}: a difference in {id} that no row names"));
                }
            }
        }
        wrong
    }

    fn cell(&self, id: &str, modes: &[&str]) -> &'static str {
        let mut runs = self.programs_of(id).into_iter().flat_map(|program| {
            modes.iter().filter_map(|mode| self.results[program].modes.get(*mode))
        });
        if runs.any(|run| run.differs.contains(id)) { "differs" } else { "same" }
    }

    /// A row of the table, and whether all of its programs could run here.
    fn line(&self, id: &str, text: &str) -> (String, bool) {
        let programs = self.programs_of(id);
        let rows: Vec<String> = self
            .rows_of(id)
            .iter()
            .map(|row| format!("[{0}](differences.md#{0})", row.anchor))
            .collect();
        let cells = COLUMNS.map(|(_, modes)| self.cell(id, modes)).join(" | ");
        let line = format!(
            "| {id} | {} | {cells} | {} | {} |",
            text.replace('*', "\\*"),
            rows.join(", "),
            programs.join(" ")
        );
        (line, !programs.iter().any(|program| self.results[*program].skipped()))
    }

    /// The file's lines; of each, whether this machine can tell.
    fn document(&self) -> Vec<(String, bool)> {
        let sections = contract::sections();
        let ids = sections.iter().flat_map(|s| &s.lines).map(|(id, _)| id);
        let differing = ids.clone().filter(|id| !self.rows_of(id).is_empty()).count();
        let told = |text: String| -> Vec<(String, bool)> {
            text.lines().map(|line| (line.to_owned(), true)).collect()
        };
        let mut lines = told(format!(
            "{PREFACE}\n{} lines, of which {differing} differ in something.\n",
            ids.count(),
        ));
        for Section { title, lines: of_section } in &sections {
            lines.extend(told(format!(
                "\n## {title}\n\n| line | the kernel | {} | difference | programs |\n|{}\n",
                COLUMNS.map(|(name, _)| name).join(" | "),
                "---|".repeat(COLUMNS.len() + 4),
            )));
            lines.extend(of_section.iter().map(|(id, text)| self.line(id, text)));
        }
        lines
    }
}

#[test]
fn every_line_is_checked_and_the_file_is_current() {
    let table = Table::new();
    none_of(&table.gaps());
    let path = root().join("docs/conformance.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    let old: Vec<&str> = written.lines().collect();
    // What this machine cannot run stays as it was found elsewhere.
    let text: String = table
        .document()
        .into_iter()
        .map(|(line, told)| {
            let id = line.split(" | ").next().unwrap_or_default();
            let before = old.iter().find(|l| !told && l.split(" | ").next() == Some(id));
            before.map_or(line.clone(), |l| (*l).to_owned()) + "\n"
        })
        .collect();
    if env::var_os("AIO_RS_WRITE_CONFORMANCE").is_some() {
        fs::write(&path, &text).expect("docs/conformance.md");
    } else {
        assert!(
            text == written,
            "docs/conformance.md is not what the tests say: `make conformance`\n{}",
            diff(&written, &text)
        );
    }
}

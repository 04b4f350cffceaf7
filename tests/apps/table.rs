//! docs/apps.md: what is said of the programs, and what their last whole run
//! (docs/apps.tsv) measured.

use crate::app::App;
use crate::job::Library;
use crate::support::{diff, root};
use std::collections::BTreeMap;
use std::fs;

const TABLE: &str = "docs/apps.md";
const RESULTS: &str = "docs/apps.tsv";

const HEAD: &str = "\
# Real programs on aio-rs

`make check-apps` runs them, as Debian 12 packages them: each on the system's
libaio first, then on this library by `LD_PRELOAD` and as its `libaio.so.1`, on
both engines. Data is verified, not only exit codes. On this library each runs
under a seccomp filter that kills it at any AIO system call, and the library's
log must name the engine. `make check` runs a part of it. This page is written
by `make apps-table`.

For all of them one of these is to be set, after `make install`, or `aio-rs run`
does it:

```ini
LD_PRELOAD=/usr/local/lib/aio-rs/libaio-rs-preload.so
LD_LIBRARY_PATH=/usr/local/lib/aio-rs
```

";

const TAIL: &str = "
Left out: blktrace's btreplay. What it replays is recorded by blktrace, through
debugfs, which containers do not have. And no comparison can rest on it: when all
requests are reaped before its last one is announced as the last, its reaper waits
for a signal that nobody sends, on the kernel's AIO too.
";

pub struct Measured {
    pub figure: String,
    pub seconds: f64,
}

/// By program and library.
pub type Results = BTreeMap<(String, String), Measured>;

fn read_results() -> Results {
    let text = fs::read_to_string(root().join(RESULTS)).unwrap_or_default();
    let fields = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let key = (fields.next()?, fields.next()?);
        let seconds = fields.next()?.parse().ok()?;
        Some((key, Measured { seconds, figure: fields.next()? }))
    };
    text.lines().filter_map(fields).collect()
}

/// The libraries that a program is to run on.
pub fn libraries(app: &App) -> impl Iterator<Item = Library> {
    Library::ALL.into_iter().filter(|library| match library {
        Library::Kernel => true,
        Library::Ours(way, _) => app.ways.contains(way),
    })
}

/// Replaces what was known of the programs that were run.
pub fn write(apps: &[&App], new: Results) {
    let mut results = read_results();
    results.extend(new);
    results.retain(|(name, _), _| apps.iter().any(|app| app.name == name));
    let lines: String = results
        .iter()
        .map(|((app, library), m)| format!("{app}\t{library}\t{:.1}\t{}\n", m.seconds, m.figure))
        .collect();
    fs::write(root().join(RESULTS), lines).expect(RESULTS);
    // As `check` will read them: rounded.
    fs::write(root().join(TABLE), table(apps, &read_results())).expect(TABLE);
}

fn table(apps: &[&App], results: &Results) -> String {
    let mut text = HEAD.to_owned();
    text += "| program | how it uses AIO | set besides | works |\n|---|---|---|---|\n";
    for app in apps {
        let ran = |library: &Library| results.contains_key(&(app.name.to_owned(), library.name()));
        let wanted: Vec<Library> = libraries(app).collect();
        let works = match wanted.iter().filter(|library| !ran(library)).count() {
            0 if wanted.len() == Library::ALL.len() => "yes".to_owned(),
            0 => {
                let names: Vec<_> = wanted[1..].iter().map(|library| library.name()).collect();
                names.join(", ")
            }
            _ => "not run".to_owned(),
        };
        text += &format!("| {} | {} | {} | {works} |\n", app.name, app.uses, app.set);
    }
    text += "\n## What is verified, and what it measured\n\n";
    text +=
        "One run, with the seconds that it took; for telling orders of magnitude, not speed.\n\n";
    let names: Vec<String> = Library::ALL.iter().map(|library| library.name()).collect();
    text += &format!("| program | what is verified | {} |\n", names.join(" | "));
    text += &format!("|---|---|{}\n", "---|".repeat(names.len()));
    let mut all = 0.0;
    for app in apps {
        text += &format!("| {} | {} |", app.name, app.verified);
        for name in &names {
            match results.get(&(app.name.to_owned(), name.clone())) {
                Some(m) => {
                    text += &format!(" {} ({:.1} s) |", m.figure, m.seconds);
                    all += m.seconds;
                }
                None => text += " |",
            }
        }
        text += "\n";
    }
    text + &format!("\nIn all: {all:.0} s.\n") + TAIL
}

/// # Errors
/// The page is not what would be written, or a program's results are missing.
pub fn check(apps: &[&App]) -> Result<(), String> {
    let results = read_results();
    for app in apps {
        for library in libraries(app) {
            if !results.contains_key(&(app.name.to_owned(), library.name())) {
                let which = library.name();
                return Err(format!("{} was not run on {which}: `make apps-table`", app.name));
            }
        }
    }
    let there = fs::read_to_string(root().join(TABLE)).unwrap_or_default();
    let wanted = table(apps, &results);
    if there == wanted { Ok(()) } else { Err(diff(&there, &wanted)) }
}

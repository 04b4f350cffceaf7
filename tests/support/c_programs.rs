//! The programs of `c-tests`: which there are, which lines of the contract they
//! check, and what their last runs said.

use super::root;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

pub fn sources() -> PathBuf {
    root().join("c-tests")
}

/// The programs: all but the example and the assertions that only compile.
pub fn programs() -> Vec<String> {
    let mut names: Vec<String> = files("c")
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != "example" && name != "abi_layout")
        .collect();
    names.sort_unstable();
    names
}

/// The headers that they share.
pub fn headers() -> Vec<PathBuf> {
    files("h")
}

fn files(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(sources()).expect("c-tests").flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    paths.sort_unstable();
    paths
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn source(program: &str) -> String {
    read(&sources().join(format!("{program}.c")))
}

/// Is this the name of a line: "3.2/7", "pin/1", "life/10"?
pub fn is_line(word: &str) -> bool {
    let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    word.split_once('/').is_some_and(|(section, n)| {
        let named = ["pin", "life", "sleep", "steady"].contains(&section);
        number(n) && (named || section.split('.').all(number))
    })
}

/// The lines that a piece of C names in its strings.
pub fn lines_named(text: &str) -> BTreeSet<String> {
    text.split('"').filter(|word| is_line(word)).map(str::to_owned).collect()
}

/// Changes with the program and with every header.
pub fn fingerprint(program: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    source(program).hash(&mut hasher);
    for path in headers() {
        read(&path).hash(&mut hasher);
    }
    hasher.finish()
}

/// What became of a program in one mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InMode {
    /// "pass", "fail" or "skip".
    pub said: String,
    /// The lines with a check that wanted something else than the kernel does.
    pub differs: BTreeSet<String>,
}

/// "ID same" or "ID differs", of a check that may want something else than the
/// kernel does (`note_same` in check.h).
pub fn note(line: &str) -> Option<(&str, bool)> {
    match line.split_once(' ')? {
        (id, "same") if is_line(id) => Some((id, false)),
        (id, "differs") if is_line(id) => Some((id, true)),
        _ => None,
    }
}

impl InMode {
    pub fn new(said: &str, stderr: &str) -> Self {
        let notes = stderr.lines().filter_map(note);
        let differs = notes.filter(|(_, differs)| *differs).map(|(id, _)| id.to_owned()).collect();
        Self { said: said.to_owned(), differs }
    }
}

/// What the last runs of a program said.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Record {
    pub fingerprint: u64,
    /// The lines of which it has printed a check.
    pub lines: BTreeSet<String>,
    pub modes: BTreeMap<String, InMode>,
}

fn ids(text: &str) -> BTreeSet<String> {
    text.split(' ').filter(|id| is_line(id)).map(str::to_owned).collect()
}

impl Record {
    /// Of what a program printed on the system's library.
    pub fn new(program: &str, stdout: &str) -> Self {
        let lines = stdout.lines().filter_map(|line| line.split(' ').next());
        Self {
            fingerprint: fingerprint(program),
            lines: lines.filter(|id| is_line(id)).map(str::to_owned).collect(),
            modes: BTreeMap::new(),
        }
    }

    pub fn skipped(&self) -> bool {
        self.modes.values().any(|mode| mode.said == "skip")
    }

    /// The lines with a difference, in any mode.
    pub fn differs(&self) -> BTreeSet<&String> {
        self.modes.values().flat_map(|mode| &mode.differs).collect()
    }
}

pub type Results = BTreeMap<String, Record>;

/// Beside the libraries that the programs were run on.
fn results_file() -> PathBuf {
    root()
        .join(env::var_os("AIO_TEST_OURS").unwrap_or_else(|| "build".into()))
        .join("c-tests.results")
}

/// Results of programs that have not changed since.
pub fn read_results() -> Results {
    let text = fs::read_to_string(results_file()).unwrap_or_default();
    let mut results = Results::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let name = next().to_owned();
        let mut record = Record {
            fingerprint: next().parse().unwrap_or(0),
            lines: ids(next()),
            modes: BTreeMap::new(),
        };
        for (mode, told) in fields.filter_map(|field| field.split_once('=')) {
            let (said, differs) = told.split_once(' ').unwrap_or((told, ""));
            let in_mode = InMode { said: said.to_owned(), differs: ids(differs) };
            record.modes.insert(mode.to_owned(), in_mode);
        }
        if sources().join(format!("{name}.c")).exists() && record.fingerprint == fingerprint(&name)
        {
            results.insert(name, record);
        }
    }
    results
}

/// Adds to what is known of unchanged programs.
pub fn write_results(new: Results) {
    let mut results = read_results();
    for (name, record) in new {
        let old = results.entry(name).or_default();
        let modes = std::mem::take(&mut old.modes);
        *old = record;
        for (mode, said) in modes {
            old.modes.entry(mode).or_insert(said);
        }
    }
    let joined = |ids: &BTreeSet<String>| ids.iter().cloned().collect::<Vec<_>>().join(" ");
    let mut text = String::new();
    for (name, record) in &results {
        text += &format!("{name}\t{}\t{}", record.fingerprint, joined(&record.lines));
        for (mode, InMode { said, differs }) in &record.modes {
            text += &format!("\t{mode}={said} {}", joined(differs));
        }
        text.push('\n');
    }
    let _ = fs::write(results_file(), text);
}

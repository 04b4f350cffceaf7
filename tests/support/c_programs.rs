//! The programs of `c-tests`: which there are, which lines of the contract they
//! check, and what their last runs said.

use super::root;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
        number(n) && (section == "pin" || section == "life" || section.split('.').all(number))
    })
}

/// The lines that a piece of C names in its strings.
pub fn lines_named(text: &str) -> BTreeSet<String> {
    text.split('"').filter(|word| is_line(word)).map(str::to_owned).collect()
}

/// The functions of the shared headers, by name: their text.
fn header_functions() -> HashMap<String, String> {
    let mut functions = HashMap::new();
    for path in headers() {
        let text = read(&path);
        let mut current: Option<(String, String)> = None;
        for line in text.lines() {
            if line.starts_with("static ")
                && let Some((before, _)) = line.split_once('(')
            {
                let name = before.rsplit([' ', '*']).next().unwrap_or_default();
                current = Some((name.to_owned(), String::new()));
            }
            if let Some((_, body)) = &mut current {
                body.push_str(line);
                body.push('\n');
            }
            if line == "}"
                && let Some((name, body)) = current.take()
            {
                functions.entry(name).or_insert_with(String::new).push_str(&body);
            }
        }
    }
    functions
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// For each program, its own text and that of the shared functions it reaches.
pub fn texts() -> BTreeMap<String, String> {
    let functions = header_functions();
    let reach = |program: &str| {
        let mut text = source(program);
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut at = 0;
        while at < text.len() {
            let found: BTreeSet<&str> = words(&text[at..])
                .filter_map(|word| functions.get_key_value(word).map(|(name, _)| name.as_str()))
                .filter(|name| !seen.contains(name))
                .collect();
            at = text.len();
            for name in found {
                seen.insert(name);
                text.push_str(&functions[name]);
            }
        }
        text
    };
    programs().into_iter().map(|name| (name.clone(), reach(&name))).collect()
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

/// What the last runs of a program said.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Record {
    pub fingerprint: u64,
    /// The lines of which it has printed a check.
    pub lines: BTreeSet<String>,
    /// Those among them with a check that passed "as documented".
    pub documented: BTreeSet<String>,
    /// "pass", "fail" or "skip" by mode.
    pub modes: BTreeMap<String, String>,
}

impl Record {
    /// Of what a program printed on the system's library.
    pub fn new(program: &str, stdout: &str) -> Self {
        let mut record = Self { fingerprint: fingerprint(program), ..Self::default() };
        for line in stdout.lines() {
            let Some((id, rest)) = line.split_once(' ') else { continue };
            if is_line(id) {
                record.lines.insert(id.to_owned());
                if rest.ends_with(": as documented") {
                    record.documented.insert(id.to_owned());
                }
            }
        }
        record
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
        let mut record = Record { fingerprint: next().parse().unwrap_or(0), ..Record::default() };
        for id in next().split(' ').filter(|id| !id.is_empty()) {
            let plain = id.trim_end_matches('*');
            record.lines.insert(plain.to_owned());
            if plain != id {
                record.documented.insert(plain.to_owned());
            }
        }
        for (mode, said) in next().split(' ').filter_map(|pair| pair.split_once('=')) {
            record.modes.insert(mode.to_owned(), said.to_owned());
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
    let mut text = String::new();
    for (name, record) in &results {
        let star = |id: &String| if record.documented.contains(id) { "*" } else { "" };
        let lines: Vec<String> =
            record.lines.iter().map(|id| format!("{id}{}", star(id))).collect();
        let modes: Vec<String> =
            record.modes.iter().map(|(m, said)| format!("{m}={said}")).collect();
        text +=
            &format!("{name}\t{}\t{}\t{}\n", record.fingerprint, lines.join(" "), modes.join(" "));
    }
    let _ = fs::write(results_file(), text);
}

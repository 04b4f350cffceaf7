//! The contract's lines, and the rows of docs/differences.md.

use super::root;
use std::collections::BTreeSet;
use std::fs;

pub struct Section {
    pub title: String,
    /// Name and text.
    pub lines: Vec<(String, String)>,
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// # Panics
/// When a line is neither comment, title nor "ID text", or comes twice.
pub fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut seen = BTreeSet::new();
    for line in read("c-tests/contract.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("= ") {
            sections.push(Section { title: title.to_owned(), lines: Vec::new() });
            continue;
        }
        let (id, text) = line.split_once(' ').unwrap_or_else(|| panic!("contract.txt: {line}"));
        assert!(super::c_programs::is_line(id) && seen.insert(id.to_owned()), "contract.txt: {id}");
        let section = sections.last_mut().expect("a title first");
        section.lines.push((id.to_owned(), text.to_owned()));
    }
    sections
}

/// A row of docs/differences.md.
pub struct Difference {
    pub anchor: String,
    pub lines: BTreeSet<String>,
    pub programs: Vec<String>,
}

/// # Panics
/// When a row has no anchor, or not the six cells.
pub fn differences() -> Vec<Difference> {
    let text = read("docs/differences.md");
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("| contract |") {
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && !line.starts_with("|---") {
            rows.push(difference(line).unwrap_or_else(|| panic!("differences.md: {line}")));
        }
    }
    rows
}

fn difference(line: &str) -> Option<Difference> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    let [contract, _, _, _, _, tests] = cells[..] else { return None };
    let (anchor, lines) = contract.strip_prefix("<a id=\"")?.split_once("\"></a>")?;
    Some(Difference {
        anchor: anchor.to_owned(),
        lines: lines.split(", ").map(str::to_owned).collect(),
        programs: tests.split_whitespace().map(str::to_owned).collect(),
    })
}

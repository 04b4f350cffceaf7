//! The manual pages: well formed, complete, and of one mind with the header and
//! the settings.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::run::run;
use support::{compiler, root};

fn pages() -> Vec<PathBuf> {
    let dir = fs::read_dir(root().join("docs/man")).expect("docs/man");
    let mut pages: Vec<_> = dir.map(|entry| entry.expect("an entry").path()).collect();
    pages.sort();
    pages
}

fn section_3() -> impl Iterator<Item = PathBuf> {
    pages().into_iter().filter(|page| page.extension().is_some_and(|e| e == "3aio"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn lint(page: &Path) -> Result<(), String> {
    let mut mandoc = Command::new("mandoc");
    // What clap makes of the command has no date, and paragraphs too many.
    let made = page.extension().is_some_and(|e| e == "1");
    let level = if made { "error" } else { "warning" };
    let out = run(mandoc.args(["-T", "lint", "-W", level]).arg(page), Duration::from_secs(20));
    if out.success() { Ok(()) } else { Err(format!("{}: {}{}", out.end, out.stdout, out.stderr)) }
}

/// The page as a reader sees it, without the overstriking.
fn rendered(page: &Path) -> String {
    let out = run(
        Command::new("mandoc").args(["-T", "ascii", "-O", "width=200"]).arg(page),
        Duration::from_secs(20),
    );
    assert!(out.success(), "{}: {}", page.display(), out.stderr);
    let mut plain = String::new();
    let mut letters = out.stdout.chars().peekable();
    while let Some(letter) = letters.next() {
        if letters.next_if_eq(&'\u{8}').is_none() {
            plain.push(letter);
        }
    }
    plain
}

/// The lines below a heading, up to the next.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("\n{heading}\n")).map(|at| at + heading.len() + 2);
    let rest = &page[start.unwrap_or_else(|| panic!("no {heading}:\n{page}"))..];
    let end = rest
        .match_indices('\n')
        .find(|(at, _)| rest[at + 1..].starts_with(|c: char| c.is_ascii_uppercase()));
    &rest[..end.map_or(rest.len(), |(at, _)| at)]
}

/// The names before the dash.
fn names(page: &Path) -> Vec<String> {
    let page = rendered(page);
    let line = section(&page, "NAME").split_whitespace().collect::<Vec<_>>().join(" ");
    let (names, _) = line.split_once(" - ").expect("a NAME section has a dash");
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn mandoc_has_no_complaint() {
    for page in pages() {
        if let Err(said) = lint(&page) {
            panic!("{}: {said}", page.display());
        }
    }
}

#[test]
fn mandoc_complains_of_a_bad_page() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let page = text(&root().join("docs/man/io_cancel.3aio")).replace(".Sh NAME", ".Sh NAMES");
    fs::write(file.path(), page).expect("a page");
    assert!(lint(file.path()).is_err());
}

/// Functions of the header, as it declares or defines them.
fn functions() -> BTreeSet<String> {
    let header = text(&root().join("include/libaio.h"));
    let lines = header.lines().map(|line| line.trim_start_matches("static __inline__ "));
    lines
        .filter(|line| line.starts_with("int io_") || line.starts_with("void io_"))
        .filter_map(|line| Some(line.split_once(' ')?.1.split_once('(')?.0.to_owned()))
        .collect()
}

#[test]
fn every_function_has_a_page_and_every_page_a_function() {
    let mut wanted = functions();
    wanted.insert("io_queue_wait".into()); // exported, but in no header
    assert!(wanted.len() > 20, "the header is not understood: {wanted:?}");
    let found: Vec<String> = section_3().flat_map(|page| names(&page)).collect();
    let set: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(set.len(), found.len(), "a name stands in two pages");
    assert_eq!(set, wanted);
}

/// A C compiler takes the SYNOPSIS of every page beside the header.
#[test]
fn the_prototypes_are_those_of_the_header() {
    let check = |synopses: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("synopsis.c");
        fs::write(&file, synopses).expect("a program");
        let mut cc = Command::new(compiler());
        cc.args(["-fsyntax-only", "-Wall", "-Werror", "-Wno-unused-function", "-D_GNU_SOURCE"])
            .arg("-I")
            .arg(root().join("include"));
        run(cc.arg(&file), Duration::from_secs(60))
    };
    let synopses: String =
        section_3().map(|page| section(&rendered(&page), "SYNOPSIS").to_owned() + "\n").collect();
    for name in functions() {
        assert!(synopses.contains(&format!("{name}(")), "no SYNOPSIS has {name}");
    }
    let good = check(&synopses);
    assert!(good.success(), "{}", good.stderr);
    assert!(!check(&synopses.replace("long min_nr", "int min_nr")).success());
}

#[test]
fn references_lead_to_pages() {
    let mut known: BTreeSet<String> =
        section_3().flat_map(|page| names(&page)).map(|name| name + " 3aio").collect();
    for page in pages() {
        let name = page.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
        known.insert(name.replacen('.', " ", 1));
    }
    for page in pages() {
        for line in text(&page).lines().filter_map(|line| line.strip_prefix(".Xr ")) {
            let target: Vec<&str> = line.split(' ').take(2).collect();
            let target = target.join(" ");
            if target.ends_with("3aio") || target.starts_with("aio-rs ") {
                assert!(known.contains(&target), "{}: {target}", page.display());
            }
        }
    }
}

/// The variables that the library reads, from the source.
fn variables() -> BTreeSet<String> {
    let source = text(&root().join("src/config.rs"));
    source
        .split("b\"AIO_RS_")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, _)| format!("AIO_RS_{name}"))
        .collect()
}

#[test]
fn settings_are_documented() {
    let wanted = variables();
    assert!(wanted.contains("AIO_RS_ENGINE"), "src/config.rs is not understood: {wanted:?}");
    let page: BTreeSet<String> = text(&root().join("docs/man/aio-rs.7"))
        .lines()
        .filter_map(|line| line.strip_prefix(".It Ev "))
        .map(str::to_owned)
        .collect();
    assert_eq!(page, wanted, "docs/man/aio-rs.7");
    let readme: BTreeSet<String> = text(&root().join("README.md"))
        .lines()
        .filter_map(|line| line.strip_prefix("| `AIO_RS_")?.split_once('`'))
        .map(|(name, _)| format!("AIO_RS_{name}"))
        .collect();
    assert_eq!(readme, wanted, "README.md");
}

//! The manual pages of the aio-rs command and the completions of the shells are what
//! clap makes of its definition. `make command-pages` writes them anew.

mod support;

#[allow(dead_code)] // the command reads the fields, the pages do not
#[path = "../src/bin/aio-rs/args.rs"]
mod args;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::root;

const COMPLETIONS: &str = "packaging/completions";
const PAGES: &str = "docs/man";

fn read(dir: &Path, of_interest: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .filter(|(name, _)| of_interest(name))
        .map(|(name, path)| (name, fs::read_to_string(path).expect("text")))
        .collect()
}

fn compare(dir: &str, made: &BTreeMap<String, String>, of_interest: impl Fn(&str) -> bool) {
    let dir = root().join(dir);
    if std::env::var_os("AIO_RS_WRITE_PAGES").is_some() {
        fs::create_dir_all(&dir).expect("mkdir");
        for name in read(&dir, &of_interest).keys().filter(|name| !made.contains_key(*name)) {
            fs::remove_file(dir.join(name)).expect("rm");
        }
        for (name, text) in made {
            fs::write(dir.join(name), text).expect("the file can be written");
        }
    }
    let found = read(&dir, &of_interest);
    assert_eq!(found.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
    for (name, text) in made {
        assert!(
            found[name] == *text,
            "{name} is not what the command says; `make command-pages` writes it anew:\n{}",
            support::diff(&found[name], text)
        );
    }
}

#[test]
fn manual_pages() {
    let dir = tempfile::tempdir().expect("a directory");
    clap_mangen::generate_to(args::Cli::command(), dir.path()).expect("clap_mangen");
    let made = read(dir.path(), |_| true);
    assert!(made.contains_key("aio-rs.1"), "{:?}", made.keys());
    compare(PAGES, &made, |name| name.ends_with(".1"));
}

#[test]
fn completions() {
    let dir = tempfile::tempdir().expect("a directory");
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut args::Cli::command(), "aio-rs", dir.path()).expect("clap_complete");
    }
    compare(COMPLETIONS, &read(dir.path(), |_| true), |_| true);
}

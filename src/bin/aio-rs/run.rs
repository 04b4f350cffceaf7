//! aio-rs run: puts the library in front of LD_PRELOAD and becomes the program.

use crate::args::{Engine, Log, Run};
use crate::doctor::program;
use crate::{fail, library, pages};
use clap::ValueEnum;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

const NO_LIBRARY: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

pub fn run(args: &Run) -> ExitCode {
    let library = match library::find(args.library.as_deref()) {
        Ok(library) => library,
        Err(e) => return fail(NO_LIBRARY, e),
    };
    let Some(preload) = preload(&library, env::var_os("LD_PRELOAD")) else {
        let library = library.display();
        return fail(NO_LIBRARY, format_args!("LD_PRELOAD has no way to write {library}"));
    };
    let (name, rest) = args.command.split_first().expect("clap asks for one");
    for obstacle in program::obstacles(name) {
        anstream::eprintln!("aio-rs: {}", obstacle.what);
        anstream::eprintln!("aio-rs: {}", obstacle.advice);
    }
    let mut command = Command::new(name);
    command.args(rest).env("LD_PRELOAD", preload);
    command.envs(settings(args));
    // Only comes back when it failed.
    let e = command.exec();
    let status = if e.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    fail(status, format_args!("{}: {e}", name.display()))
}

/// What the options mean to the library.
fn settings(args: &Run) -> Vec<(&'static str, OsString)> {
    let mut settings: Vec<(&'static str, OsString)> = Vec::new();
    if let Some(engine) = args.engine {
        settings.push(("AIO_RS_ENGINE", word::<Engine>(engine)));
    }
    if let Some(max_nr) = &args.max_nr {
        settings.push(("AIO_RS_MAX_NR", max_nr.to_string().into()));
    }
    if let Some(file) = &args.stats {
        pages::sweep();
        settings.push(("AIO_RS_STATS", "exit".into()));
        if file.as_os_str() != "-" {
            settings.push(("AIO_RS_STATS_FILE", absolute(file)));
        }
    }
    if let Some(log) = args.log {
        settings.push(("AIO_RS_LOG", word::<Log>(log)));
    }
    if let Some(file) = &args.log_file {
        settings.push(("AIO_RS_LOG_FILE", absolute(file)));
    }
    settings
}

fn word<T: ValueEnum>(value: T) -> OsString {
    value.to_possible_value().expect("none is skipped").get_name().into()
}

/// The program may change its directory before the file is opened.
fn absolute(path: &Path) -> OsString {
    std::path::absolute(path).map_or_else(|_| path.into(), Into::into)
}

/// LD_PRELOAD with the library in front; None: its path cannot stand there.
fn preload(library: &Path, before: Option<OsString>) -> Option<OsString> {
    let is_separator = |b: &u8| matches!(*b, b' ' | b':');
    let library = library.as_os_str();
    if library.as_bytes().iter().any(is_separator) {
        return None;
    }
    let mut value = library.to_owned();
    for other in before.unwrap_or_default().as_bytes().split(|b| is_separator(b)) {
        if !other.is_empty() && other != library.as_bytes() {
            value.push(":");
            value.push(OsStr::from_bytes(other));
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_in_front_and_only_once() {
        let preload = |before: &str| preload(Path::new("/l/ours.so"), Some(before.into()));
        assert_eq!(preload("").unwrap(), "/l/ours.so");
        assert_eq!(preload("a.so:/b.so").unwrap(), "/l/ours.so:a.so:/b.so");
        assert_eq!(preload("a.so /l/ours.so").unwrap(), "/l/ours.so:a.so");
        assert_eq!(super::preload(Path::new("/a b/ours.so"), None), None);
    }
}

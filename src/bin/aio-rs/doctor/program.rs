//! A program: how it calls AIO, and whether it can be preloaded.

use super::calls;
use super::elf::{self, Elf};
use super::report::{Finding, Level, Report};
use crate::library;
use lddtree::DependencyAnalyzer;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// # Errors
/// There is no such program, or it cannot be read.
pub fn examine(report: &mut Report, name: &OsStr) -> Result<(), String> {
    let path = which(name).ok_or_else(|| format!("{}: not found", name.display()))?;
    examine_file(report, &path)
}

/// # Errors
/// It cannot be read.
pub fn examine_file(report: &mut Report, path: &Path) -> Result<(), String> {
    let (path, is_script) = behind_script(path);
    report.fact("program", path.display().to_string());
    if is_script {
        let what = format!("a script, run by {}", path.display());
        let advice = "What the script starts is on aio-rs too; ask for those programs.";
        report.add(Finding::new(Level::Note, "script", what, advice));
    }
    let elf = elf::read(&path).ok_or_else(|| format!("{}: no ELF program", path.display()))?;
    let obstacles = obstacles_of(&path, Some(&elf));
    if obstacles.is_empty() {
        report.good("preload", format!("{} can be preloaded", path.display()));
    }
    report.fact("preload", obstacles.is_empty());
    obstacles.into_iter().for_each(|o| report.add(o));
    ways_to_aio(report, &path, &elf);
    Ok(())
}

/// Why a program that was named on the command line cannot be preloaded.
pub fn obstacles(name: &OsStr) -> Vec<Finding> {
    let Some(path) = which(name) else { return Vec::new() };
    let (path, _) = behind_script(&path);
    obstacles_of(&path, elf::read(&path).as_ref())
}

fn obstacles_of(path: &Path, elf: Option<&Elf>) -> Vec<Finding> {
    let mut found = Vec::new();
    let shown = path.display();
    if elf.is_some_and(|elf| !elf.has_loader) {
        found.push(Finding::new(
            Level::Problem,
            "static",
            format!("{shown} is linked statically: nothing can be preloaded into it"),
            "Link it with -laio-rs, or use a build of it that is linked dynamically.",
        ));
    }
    if let Some(how) = raises_privileges(path) {
        found.push(Finding::new(
            Level::Problem,
            "privileges",
            format!("{shown} {how}: the loader ignores LD_PRELOAD for it"),
            "Start it as the user it changes to, or put aio-rs in the place of libaio.so.1 in a \
             directory that /etc/ld.so.conf names.",
        ));
    }
    found
}

/// Whether starting it makes the loader careful (AT_SECURE); not for root, who
/// gains nothing.
fn raises_privileges(path: &Path) -> Option<String> {
    const SET_UID: u32 = 0o4000;
    const SET_GID: u32 = 0o2010;
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).ok()?;
    let mode = meta.permissions().mode();
    if mode & SET_UID != 0 && meta.uid() != rustix::process::getuid().as_raw() {
        return Some(format!("is set-user-ID (of user {})", meta.uid()));
    }
    if mode & SET_GID == SET_GID && meta.gid() != rustix::process::getgid().as_raw() {
        return Some(format!("is set-group-ID (of group {})", meta.gid()));
    }
    let has_capabilities =
        rustix::fs::getxattr(path, "security.capability", &mut [0u8; 64][..]).is_ok();
    (has_capabilities && !rustix::process::getuid().is_root())
        .then(|| "has file capabilities".to_owned())
}

/// All the ways the program and its libraries come to AIO.
fn ways_to_aio(report: &mut Report, path: &Path, elf: &Elf) {
    let mut linked = Vec::new();
    let mut by_name = Vec::new();
    let mut raw = Vec::new();
    let mut look = |who: &str, elf: &Elf| {
        if !elf.libaio_calls.is_empty() {
            linked.push(format!("{who}: {}", elf.libaio_calls.join(" ")));
        }
        if elf.names_libaio {
            by_name.push(who.to_owned());
        }
        let found = calls::find(&elf.code, elf.syscall);
        if found.instructions > 0 {
            raw.push((format!("{who} by the instruction"), false));
        } else if found.calls > 0 {
            raw.push((format!("{who} by syscall(2)"), true));
        }
    };
    look(&path.display().to_string(), elf);
    for library in libraries(path) {
        if let Some(elf) = elf::read(&library).filter(|_| !provides_aio(&library)) {
            look(&library.display().to_string(), &elf);
        }
    }
    report.fact("libaio", linked.clone());
    report.fact("dlopen", by_name.clone());
    report.fact("raw", raw.iter().map(|(who, _)| who.clone()).collect::<Vec<_>>());
    if !linked.is_empty() {
        report.good("libaio", format!("linked to libaio: {}", linked.join("; ")));
    }
    if !by_name.is_empty() {
        let who = by_name.join(", ");
        report.good("dlopen", format!("names libaio.so.1 and may load it itself: {who}"));
    }
    for (who, by_function) in &raw {
        let what = format!("makes AIO system calls itself: {who}");
        report.add(if *by_function {
            Finding::new(
                Level::Note,
                "raw",
                what,
                "aio-rs run takes over what goes through syscall(2), too.",
            )
        } else {
            Finding::new(
                Level::Warning,
                "raw",
                what,
                "These stay with the kernel: preloading cannot reach them.",
            )
        });
    }
    if linked.is_empty() && by_name.is_empty() && raw.is_empty() {
        let what = "no sign of AIO in it or in the libraries it is linked to";
        let advice = "It may load a library with AIO later; while it runs, ask for its number.";
        report.add(Finding::new(Level::Note, "no-aio", what, advice));
    }
}

/// All libraries that the loader would load.
fn libraries(path: &Path) -> Vec<PathBuf> {
    let tree = DependencyAnalyzer::new(PathBuf::from("/")).analyze(path);
    let found = tree.map(|tree| tree.libraries.into_values().filter_map(|l| l.realpath).collect());
    let mut found: Vec<PathBuf> = found.unwrap_or_default();
    found.sort();
    found.dedup();
    found
}

/// libaio or aio-rs themselves; and the C library, which has every number.
fn provides_aio(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.starts_with(b"libaio") || name.starts_with(b"libc.so") || library::is_ours(path)
}

/// As execvp(3) finds it.
fn which(name: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(is_program);
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    env::split_paths(&path).map(|dir| dir.join(name)).find(is_program)
}

/// What runs the file; whether the file is a script.
fn behind_script(path: &Path) -> (PathBuf, bool) {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let first_line = || {
        let mut line = Vec::new();
        let mut start = BufReader::new(fs::File::open(&path).ok()?).take(256);
        start.read_until(b'\n', &mut line).ok()?;
        let line = line.strip_prefix(b"#!")?;
        let words: Vec<OsString> = line
            .split(u8::is_ascii_whitespace)
            .filter(|w| !w.is_empty())
            .map(|w| OsStr::from_bytes(w).to_owned())
            .collect();
        // env(1) looks the program up.
        let by_env = words.first()?.as_bytes().ends_with(b"/env");
        which(words.get(usize::from(by_env))?)
    };
    match first_line() {
        Some(interpreter) => (interpreter.canonicalize().unwrap_or(interpreter), true),
        None => (path, false),
    }
}

//! What is fetched or built once, outside the checkout.

use crate::job::Job;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `$XDG_CACHE_HOME/aio-rs-apps`, or below /var/cache or ~/.cache.
fn dir() -> PathBuf {
    let root = rustix::process::geteuid().is_root();
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    let base = match env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => dir.into(),
        None if root => "/var/cache".into(),
        None => home(),
    };
    base.join("aio-rs-apps")
}

/// The directory `name` of the cache; `make` fills it once. What it is made of
/// belongs into its name.
///
/// # Errors
/// What `make` says.
pub fn made(name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let there = dir().join(name);
    let complete = there.join(".complete");
    if !complete.exists() {
        let _ = fs::remove_dir_all(&there);
        fs::create_dir_all(&there).map_err(|e| format!("{}: {e}", there.display()))?;
        make(&there)?;
        fs::write(&complete, "").map_err(|e| e.to_string())?;
    }
    Ok(there)
}

/// The distribution's source package, unpacked as `dir`/source. Nothing of the
/// system's apt is changed.
///
/// # Errors
/// What apt-get said.
pub fn source_package(job: &Job, name: &str, dir: &Path) -> Result<PathBuf, String> {
    let sources = dir.join("sources");
    fs::create_dir_all(dir.join("lists/partial")).map_err(|e| e.to_string())?;
    fs::create_dir_all(&sources).map_err(|e| e.to_string())?;
    let listed = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let files = listed.map(|entry| entry.path()).chain(["/etc/apt/sources.list".into()]);
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        // Others than the distribution's have nothing for us.
        if !text.contains("/debian") && !text.contains("/ubuntu") {
            continue;
        }
        let text = for_sources(&text);
        let to = sources.join(file.file_name().expect("a file"));
        fs::write(to, text).map_err(|e| e.to_string())?;
    }
    let apt = |args: &[&str]| {
        let mut command = job.plain("apt-get");
        command.current_dir(dir).args(["-q", "-o", "Dir::Etc::sourcelist=/dev/null"]);
        command.arg("-o").arg(format!("Dir::Etc::sourceparts={}", sources.display()));
        command.arg("-o").arg(format!("Dir::State::lists={}", dir.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", dir.display()));
        job.must(command.args(args))
    };
    apt(&["update"])?;
    apt(&["source", "--download-only", name])?;
    let description = fs::read_dir(dir).map_err(|e| e.to_string())?.flatten();
    let description = description.map(|e| e.path()).find(|p| p.extension() == Some("dsc".as_ref()));
    let description = description.ok_or("apt-get source fetched nothing")?;
    let mut unpack: Command = job.plain("dpkg-source");
    // apt-get has checked it against the signed list.
    unpack.current_dir(dir).args(["--no-check", "-x"]).arg(description).arg("source");
    job.must(&mut unpack)?;
    Ok(dir.join("source"))
}

/// A list of sources, in either format, about source packages. Without those of
/// security updates, which not every mirror keeps, and nobody attacks a test.
fn for_sources(text: &str) -> String {
    let is_security = |text: &str| text.contains("-security");
    let stanzas = text.split("\n\n").filter(|s| !(s.contains("Types:") && is_security(s)));
    let lines = stanzas.flat_map(|stanza| stanza.lines().chain([""]));
    lines
        .filter(|line| !(line.starts_with("deb ") && is_security(line)))
        .map(|line| match line.strip_prefix("deb ") {
            Some(rest) => format!("deb-src {rest}\n"),
            None if line.starts_with("Types:") => "Types: deb-src\n".into(),
            None => format!("{line}\n"),
        })
        .collect()
}

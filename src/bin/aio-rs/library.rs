//! Where the library is.

use std::env;
use std::path::{Path, PathBuf};

/// What is preloaded.
const NAME: &str = "libaio-rs-preload.so";

/// The library that was asked for; else the one beside this command: in its
/// directory or below that of the libraries next to it, or where make builds it;
/// else the installed one.
///
/// # Errors
/// Where it was looked for in vain.
pub fn find(asked: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = asked {
        return path.canonicalize().map_err(|e| format!("{}: {e}", path.display()));
    }
    let dirs = directories();
    let found = dirs.iter().map(|dir| dir.join(NAME)).find(|p| p.is_file());
    found.and_then(|path| path.canonicalize().ok()).ok_or_else(|| {
        let dirs: Vec<_> = dirs.iter().map(|d| d.display().to_string()).collect();
        format!("there is no {NAME} in {}; name it with --library", dirs.join(", "))
    })
}

fn directories() -> Vec<PathBuf> {
    let multiarch = format!("{}-linux-gnu", env::consts::ARCH);
    let below = |prefix: &Path| {
        ["lib", &format!("lib/{multiarch}"), "lib64"]
            .map(|dir| prefix.join(dir).join("aio-rs"))
            .to_vec()
    };
    let mut dirs = Vec::new();
    if let Some(here) = env::current_exe().ok().and_then(|p| Some(p.parent()?.to_owned())) {
        dirs.push(here.clone());
        if let Some(prefix) = here.parent() {
            dirs.push(prefix.join("preload"));
            dirs.extend(below(prefix));
        }
    }
    dirs.extend(["/usr/local", "/usr"].iter().flat_map(|prefix| below(Path::new(prefix))));
    let mut seen = Vec::new();
    dirs.retain(|dir| {
        !seen.contains(dir) && {
            seen.push(dir.clone());
            true
        }
    });
    dirs
}

/// A word that no other library has: settings are named by it.
const MARK: &[u8] = b"AIO_RS_ENGINE";

/// Whether this file is our library, whatever it is called.
pub fn is_ours(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.windows(MARK.len()).any(|w| w == MARK))
}

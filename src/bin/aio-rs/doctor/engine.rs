//! The engine that the library chooses here: asked of the library itself.

use super::report::{Finding, Level, Report};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn examine(report: &mut Report, library: Result<PathBuf, String>) {
    let library = match library {
        Ok(library) => library,
        Err(e) => {
            let advice = "Install it (make install), or give --library FILE.";
            return report.add(Finding::new(Level::Problem, "library", e, advice));
        }
    };
    report.fact("library", library.display().to_string());
    match ask(&library, None) {
        Ok((engine, why)) => {
            report.fact("engine", engine.as_str());
            let what = format!("engine: {engine} ({why}); library: {}", library.display());
            match engine.as_str() {
                "none" => report.add(Finding::new(
                    Level::Problem,
                    "engine",
                    what,
                    "All I/O would be done inside io_submit. Allow io_uring or threads \
                     (RLIMIT_NPROC, the pids cgroup).",
                )),
                "threads" if env::var("AIO_RS_ENGINE").as_deref() != Ok("threads") => {
                    report.add(Finding::new(
                        Level::Note,
                        "engine",
                        what,
                        "It works; to have io_uring, see above.",
                    ));
                }
                _ => report.good("engine", what),
            }
        }
        Err(e) => report.add(Finding::new(
            Level::Problem,
            "library",
            format!("{} cannot be used: {e}", library.display()),
            "Build it for this machine and its C library, or give --library FILE.",
        )),
    }
}

/// The engine, and why the library chose it, when it is asked for this one.
pub fn ask(library: &Path, asked: Option<&str>) -> Result<(String, String), String> {
    let me = env::current_exe().map_err(|e| e.to_string())?;
    let out = Command::new(me)
        .arg("probe")
        .arg(library)
        .env_remove("LD_PRELOAD")
        .env_remove("AIO_RS_LOG_FILE")
        .env("AIO_RS_LOG", "info")
        .envs(asked.map(|engine| ("AIO_RS_ENGINE", engine)))
        .output()
        .map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&out.stderr);
    let chosen = said.lines().find_map(|line| line.split_once("engine: "));
    match chosen {
        Some((_, chosen)) if out.status.success() => {
            let (engine, why) = chosen.split_once(" (").unwrap_or((chosen, ")"));
            Ok((engine.to_owned(), why.strip_suffix(')').unwrap_or(why).to_owned()))
        }
        _ => Err(said.trim().to_owned()),
    }
}

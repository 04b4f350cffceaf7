//! Other people's programs on our library.

use super::artefacts::Artefacts;
use std::fs;
use std::process::Command;
use tempfile::NamedTempFile;

pub const ENGINES: [&str; 2] = ["uring", "threads"];

/// Preloads the library with one of its engines, and afterwards asks its log
/// whether that is the engine which did the work.
pub struct Ours {
    engine: &'static str,
    log: NamedTempFile,
}

impl Ours {
    pub fn new(engine: &'static str) -> Self {
        Self { engine, log: NamedTempFile::new().expect("a file for the log") }
    }

    pub fn preload<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_remove("LD_LIBRARY_PATH")
            .env("LD_PRELOAD", Artefacts::get().preload())
            .env("AIO_RS_ENGINE", self.engine)
            .env("AIO_RS_LOG", "info")
            .env("AIO_RS_LOG_FILE", self.log.path())
    }

    /// # Errors
    /// Another engine was chosen, or none: the library was not used.
    pub fn check_engine(&self) -> Result<(), String> {
        let log = fs::read_to_string(self.log.path()).unwrap_or_default();
        let chosen: Vec<&str> = log.lines().filter(|line| line.contains("engine: ")).collect();
        let wanted = format!("engine: {}", self.engine);
        if !chosen.is_empty() && chosen.iter().all(|line| line.contains(&wanted)) {
            Ok(())
        } else {
            Err(format!("the library's log does not say \"{wanted}\":\n{log}"))
        }
    }
}

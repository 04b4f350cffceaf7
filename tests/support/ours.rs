//! Other people's programs on our library.

use super::artefacts::Artefacts;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tempfile::NamedTempFile;

pub const ENGINES: [&str; 2] = ["uring", "threads"];

/// How an unmodified program is brought to use the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Preload,
    /// As the libaio.so.1 of its library path.
    DropIn,
}

/// Loads the library with one of its engines, and afterwards asks its log
/// whether that is the engine which did the work.
pub struct Ours {
    way: Way,
    engine: &'static str,
    log: NamedTempFile,
}

impl Ours {
    pub fn new(way: Way, engine: &'static str) -> Self {
        let log = NamedTempFile::new().expect("a file for the log");
        // Also for programs that become another user.
        log.as_file().set_permissions(fs::Permissions::from_mode(0o666)).expect("chmod");
        Self { way, engine, log }
    }

    pub fn load<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let artefacts = Artefacts::get();
        match self.way {
            Way::Preload => {
                command.env_remove("LD_LIBRARY_PATH").env("LD_PRELOAD", artefacts.preload())
            }
            Way::DropIn => {
                command.env_remove("LD_PRELOAD").env("LD_LIBRARY_PATH", artefacts.drop_in_dir())
            }
        }
        .env("AIO_RS_ENGINE", self.engine)
        .env("AIO_RS_LOG", "info")
        .env("AIO_RS_LOG_FILE", self.log.path())
    }

    /// # Errors
    /// Another engine was chosen, or none: the library was not used.
    pub fn check_engine(&self) -> Result<(), String> {
        self.check_engine_is(self.engine)
    }

    /// # Errors
    /// As above, where the one that was asked for cannot be had.
    pub fn check_engine_is(&self, engine: &str) -> Result<(), String> {
        let log = fs::read_to_string(self.log.path()).unwrap_or_default();
        let chosen: Vec<&str> = log.lines().filter(|line| line.contains("engine: ")).collect();
        let wanted = format!("engine: {engine}");
        if !chosen.is_empty() && chosen.iter().all(|line| line.contains(&wanted)) {
            Ok(())
        } else {
            Err(format!("the library's log does not say \"{wanted}\":\n{log}"))
        }
    }
}

//! The libraries under test.

use super::root;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A directory laid out as `make all` does it: `lib/libaio-rs.so.1`,
/// `preload/libaio-rs-preload.so`, the drop-in as `dropin/libaio.so.1`, and
/// `bin/aio-rs`.
pub struct Artefacts {
    dir: PathBuf,
}

impl Artefacts {
    /// Built when first asked for. `AIO_TEST_OURS` names a directory to take as
    /// it is (`make check` has built it; another library can stand in for ours).
    pub fn get() -> &'static Self {
        static THEM: OnceLock<Artefacts> = OnceLock::new();
        THEM.get_or_init(|| {
            let dir = match env::var_os("AIO_TEST_OURS") {
                Some(dir) => root().join(dir),
                None => {
                    let made =
                        Command::new("make").args(["-s", "all"]).current_dir(root()).status();
                    assert!(made.is_ok_and(|status| status.success()), "`make all` failed");
                    root().join("build")
                }
            };
            Self { dir }
        })
    }

    /// What the Makefile calls BUILD.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// For `-L`, and for `LD_LIBRARY_PATH` of programs linked with `-laio-rs`.
    pub fn lib_dir(&self) -> PathBuf {
        self.dir.join("lib")
    }

    /// What `-laio-rs` gives a program.
    pub fn library(&self) -> PathBuf {
        self.lib_dir().join("libaio-rs.so.1")
    }

    /// For `LD_PRELOAD`.
    pub fn preload(&self) -> PathBuf {
        self.dir.join("preload/libaio-rs-preload.so")
    }

    /// The aio-rs command.
    pub fn command(&self) -> PathBuf {
        self.dir.join("bin/aio-rs")
    }

    /// For `LD_LIBRARY_PATH` of programs linked with the system's libaio.
    pub fn drop_in_dir(&self) -> PathBuf {
        self.dir.join("dropin")
    }
}

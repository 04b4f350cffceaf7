//! `make install` puts there what its manifest says and what a program needs to be
//! built; `make uninstall` leaves nothing.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::artefacts::Artefacts;
use support::run::run;
use support::{compiler, root};

const LIBDIR: &str = "/opt/aio rs/lib/x86_64-any";

/// A DESTDIR of its own.
struct Staging(tempfile::TempDir);

impl Staging {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    /// Without building: the libraries are there.
    fn make(&self, target: &str) {
        let mut make = Command::new("make");
        make.args(["-s", "-o", "all", target, "PREFIX=/opt/aio rs"])
            .arg(format!("LIBDIR={LIBDIR}"))
            .arg(format!("BUILD={}", Artefacts::get().dir().display()))
            .arg(format!("DESTDIR={}", self.0.path().display()))
            .current_dir(root());
        let out = run(&mut make, Duration::from_secs(60));
        assert!(out.success(), "make {target}: {}\n{}{}", out.end, out.stdout, out.stderr);
    }

    fn manifest_file(&self) -> PathBuf {
        self.at(LIBDIR).join("aio-rs/manifest")
    }

    fn manifest(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(self.manifest_file()).expect("a manifest");
        text.lines().map(str::to_owned).collect()
    }

    /// All that is there, as the manifest writes it.
    fn tree(&self) -> BTreeSet<String> {
        fn walk(top: &Path, dir: &Path, found: &mut BTreeSet<String>) {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                let name = format!("/{}", path.strip_prefix(top).expect("below").display());
                if path.is_dir() && !path.is_symlink() {
                    found.insert(name + "/");
                    walk(top, &path, found);
                } else {
                    found.insert(name);
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(self.0.path(), self.0.path(), &mut found);
        found
    }
}

#[test]
fn the_manifest_names_all_that_is_there_and_uninstall_removes_it() {
    let staging = Staging::new();
    staging.make("install");
    assert_eq!(staging.manifest(), staging.tree());
    for path in staging.tree() {
        let path = staging.at(&path);
        // No link leads out or nowhere.
        let real = path.canonicalize().expect("no dangling link");
        assert!(real.starts_with(staging.0.path().canonicalize().expect("the staging")));
        let mode = real.metadata().expect("a file").permissions().mode() & 0o777;
        assert!(matches!(mode, 0o755 | 0o644), "{} has mode {mode:o}", path.display());
    }
    staging.make("uninstall");
    assert_eq!(staging.tree(), BTreeSet::new());
}

#[test]
fn installing_again_removes_what_the_new_version_has_no_more() {
    let staging = Staging::new();
    staging.make("install");
    let first = staging.tree();

    let gone = staging.at(LIBDIR).join("aio-rs/old/gone");
    fs::create_dir_all(gone.parent().expect("a directory")).expect("mkdir");
    fs::write(&gone, "").expect("a file");
    let mut manifest = fs::read_to_string(staging.manifest_file()).expect("a manifest");
    manifest += &format!("{LIBDIR}/aio-rs/old/\n{LIBDIR}/aio-rs/old/gone\n");
    fs::write(staging.manifest_file(), manifest).expect("a manifest");

    staging.make("install");
    assert!(!gone.exists());
    // Its directory waits for uninstall: somebody else may have put a file there.
    assert_eq!(staging.tree().difference(&first).count(), 1);
    staging.make("uninstall");
    assert_eq!(staging.tree(), BTreeSet::new());
}

#[test]
fn uninstall_leaves_what_others_put_there() {
    let staging = Staging::new();
    let before = staging.at(LIBDIR).join("pkgconfig");
    fs::create_dir_all(&before).expect("mkdir");
    staging.make("install");
    let foreign = staging.at("/opt/aio rs/include/aio-rs/mine.h");
    fs::write(&foreign, "").expect("a file");
    staging.make("uninstall");
    assert!(foreign.exists() && before.exists());
    let files: Vec<_> = staging.tree().into_iter().filter(|path| !path.ends_with('/')).collect();
    assert_eq!(files, ["/opt/aio rs/include/aio-rs/mine.h"]);
}

#[test]
fn a_program_is_built_with_pkg_config() {
    let staging = Staging::new();
    staging.make("install");
    let lib = staging.at(LIBDIR);
    let pkg_config = |args: &[&str]| {
        let out = Command::new("pkg-config")
            .args(args)
            .arg("aio-rs")
            .env("PKG_CONFIG_LIBDIR", lib.join("pkgconfig"))
            .env("PKG_CONFIG_SYSROOT_DIR", staging.0.path())
            .output()
            .expect("pkg-config");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("text").trim().to_owned()
    };
    assert_eq!(pkg_config(&["--modversion"]), env!("CARGO_PKG_VERSION"));
    assert!(pkg_config(&["--variable=dropindir"]).ends_with("/lib/x86_64-any/aio-rs"));

    let flags = pkg_config(&["--cflags", "--libs"]);
    let program = staging.0.path().join("example");
    let build = format!(
        "{} '{}' {flags} -o '{}'",
        compiler().display(),
        root().join("c-tests/example.c").display(),
        program.display()
    );
    let built = run(Command::new("sh").args(["-c", &build]), Duration::from_secs(60));
    assert!(built.success(), "{build}:\n{}", built.stderr);
    let ran = run(
        Command::new(&program).arg(staging.0.path().join("data")).env("LD_LIBRARY_PATH", &lib),
        Duration::from_secs(60),
    );
    assert!(ran.success(), "{}\n{}{}", ran.end, ran.stdout, ran.stderr);
}

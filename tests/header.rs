//! `include/libaio.h` is what cbindgen makes of `src/capi`, byte for byte.
//! `make header` writes it anew.

mod support;

use std::fs;
use std::path::PathBuf;
use support::root;

/// The types, then the functions in the order in which the header shows them.
/// The LIBAIO_0.1 forms with other signatures are no part of the header.
const SOURCES: [&str; 3] = ["src/capi/header.rs", "src/capi/syscalls.rs", "src/capi/queue.rs"];

/// What libaio's header declares.
const FUNCTIONS: [&str; 9] = [
    "io_setup",
    "io_destroy",
    "io_submit",
    "io_cancel",
    "io_getevents",
    "io_pgetevents",
    "io_queue_init",
    "io_queue_release",
    "io_queue_run",
];

fn header_file() -> PathBuf {
    root().join("include/libaio.h")
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(root().join("include/cbindgen.toml"))
        .expect("include/cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(root().join(source));
    }
    let mut text = Vec::new();
    builder.generate().expect("cbindgen reads src/capi").write(&mut text);
    tidy(&String::from_utf8(text).expect("a header is text"))
}

/// What cbindgen writes is put into the header's own words:
/// - the semicolon of a field under `#if` stands behind the `#endif`, where it is
///   an empty member without the field;
/// - its own remarks are not C89;
/// - `_evt` is an argument that the library has no use for, but the caller has;
/// - of a function's documentation, what it mirrors and Rust's headings are for
///   readers of the source.
fn tidy(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim() == ";" {
            let field = lines.len() - 2;
            lines[field].push(';');
        } else if line.starts_with(" * Mirrors ") || line.starts_with(" * # ") {
            // Nor the empty line before it.
            lines.pop();
        } else if let Some((code, remark)) = line.split_once("// ") {
            lines.push(format!("{} /* {remark} */", code.trim_end()));
        } else {
            lines.push(line.replace(" *_", " *"));
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn header_is_what_the_definitions_say() {
    let wanted = generate();
    if std::env::var_os("AIO_RS_WRITE_HEADER").is_some() {
        fs::write(header_file(), &wanted).expect("include/libaio.h can be written");
    }
    let found = fs::read_to_string(header_file()).unwrap_or_default();
    assert!(
        found == wanted,
        "include/libaio.h is not what src/capi says; `make header` writes it anew:\n{}",
        support::diff(&found, &wanted)
    );
}

#[test]
fn header_declares_every_function_of_libaio_and_no_other() {
    let text = generate();
    let mut declared: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("int "))
        .filter_map(|line| line["int ".len()..].split('(').next())
        .collect();
    declared.sort_unstable();
    let mut wanted = FUNCTIONS;
    wanted.sort_unstable();
    assert_eq!(declared, wanted);
}

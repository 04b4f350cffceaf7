//! `include/libaio.h` lays memory out as the system's header does, and compiles
//! wherever that does: `c-tests/abi_layout.c` asserts it, this compiles it.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{compiler, root};

/// Standards a program may ask for. libaio's own header is not strict C89
/// either: `long long`, `inline`.
const C: [&str; 5] = ["gnu89", "gnu99", "gnu11", "gnu17", "c2x"];
const CXX: [&str; 3] = ["gnu++11", "gnu++17", "gnu++20"];

/// Both headers ask for these three; a 32-bit program can be compiled, if not
/// linked, on a machine that has only the 64-bit C library.
const STUBS: [(&str, &str); 3] = [
    ("sys/types.h", "typedef __SIZE_TYPE__ size_t;\n"),
    ("signal.h", "typedef unsigned long sigset_t;\n"),
    (
        "string.h",
        "#ifdef __cplusplus\nextern \"C\"\n#endif\nvoid *memset(void *, int, __SIZE_TYPE__);\n",
    ),
];

/// The compiler's verdict on `abi_layout.c`: `Err` is what it said.
fn compile(include: &Path, standard: &str, flags: &[&str]) -> Result<(), String> {
    let language = if standard.contains("++") { "c++" } else { "c" };
    let out = Command::new(compiler())
        .args(["-x", language, &format!("-std={standard}"), "-fsyntax-only"])
        .args(["-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"])
        .args(flags)
        .arg("-I")
        .arg(include)
        .arg(root().join("c-tests/abi_layout.c"))
        .output()
        .map_err(|e| format!("the C compiler does not start: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("{standard} {flags:?}:\n{}", String::from_utf8_lossy(&out.stderr)))
}

/// A directory with `libaio.h` alone, and one with the stubs beside it.
fn with_stubs(dir: &Path, header: &Path) -> PathBuf {
    for (name, text) in STUBS {
        let file = dir.join(name);
        fs::create_dir_all(file.parent().expect("a file has a directory")).expect("mkdir");
        fs::write(file, text).expect("a stub");
    }
    fs::copy(header, dir.join("libaio.h")).expect("the header");
    dir.to_path_buf()
}

fn every_standard(include: &Path, flags: &[&str]) {
    for standard in C.iter().chain(&CXX) {
        if let Err(e) = compile(include, standard, flags) {
            panic!("{} {e}", include.display());
        }
    }
}

fn ours() -> PathBuf {
    root().join("include")
}

/// The system's header where ours cannot be in the way.
fn system() -> PathBuf {
    let header = Path::new("/usr/include/libaio.h");
    assert!(header.exists(), "libaio's header is not installed (`make deps`)");
    header.to_path_buf()
}

#[test]
fn our_header() {
    every_standard(&ours(), &[]);
}

#[test]
fn the_systems_header() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::copy(system(), dir.path().join("libaio.h")).expect("the system's header");
    every_standard(dir.path(), &[]);
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "this compiler has no -m32")]
fn both_headers_for_32_bits() {
    for header in [ours().join("libaio.h"), system()] {
        let dir = tempfile::tempdir().expect("a directory");
        every_standard(&with_stubs(dir.path(), &header), &["-m32"]);
    }
}

/// Our header takes the byte order from the compiler's macro, and the layout is
/// the same arithmetic on any machine.
#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "this compiler has no -m32")]
fn our_header_on_a_big_endian_machine() {
    let big = ["-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__", "-m64"];
    let dir = tempfile::tempdir().expect("a directory");
    let include = with_stubs(dir.path(), &ours().join("libaio.h"));
    every_standard(&include, &big);
    every_standard(&include, &[big[0], big[1], "-m32"]);
}

#[test]
fn a_wrong_layout_is_seen() {
    let text = fs::read_to_string(ours().join("libaio.h")).expect("the header");
    let wrong = [
        text.replace("unsigned int flags;", "unsigned long flags;"),
        text.replace("IO_CMD_POLL = 5", "IO_CMD_POLL = 4"),
        text.replace("int io_destroy(io_context_t ctx)", "int io_destroy(int ctx)"),
    ];
    for header in wrong {
        assert_ne!(header, text, "the text to spoil is not in the header any more");
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("libaio.h"), header).expect("a header");
        assert!(compile(dir.path(), "gnu11", &[]).is_err());
    }
}

//! Link arguments of the shared library, and nothing else.
//!
//! The symbol versions themselves stand beside each function (`.symver`, in
//! `src/capi`); rustc passes an anonymous version script of its own, which GNU
//! ld refuses to combine with ours, so the linker has to be lld.

use std::env;
use std::path::Path;

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let map = Path::new(&root).join("src/libaio.map");
    println!("cargo:rerun-if-changed={}", map.display());
    println!("cargo:rerun-if-env-changed=AIO_RS_SONAME");

    // The same library is made three times: to be linked with -laio-rs, to be
    // preloaded, and to take the place of libaio.so.1.
    let soname = env::var("AIO_RS_SONAME").unwrap_or_else(|_| "libaio-rs.so.1".into());
    for arg in [
        format!("-Wl,-soname,{soname}"),
        format!("-Wl,--version-script={}", map.display()),
        // The nodes of the map are filled by .symver, so it names no symbol.
        "-Wl,--undefined-version".into(),
        // Threads and atfork handlers point into the library for ever.
        "-Wl,-z,nodelete".into(),
        "-Wl,-z,relro,-z,now".into(),
        "-fuse-ld=lld".into(),
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
}

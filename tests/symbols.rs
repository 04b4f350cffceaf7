//! The built libraries against `c-tests/libaio.symbols`, the list of what the
//! distribution's libaio exports, and `c-tests/libc.symbols`, what those that
//! stand in front of libc export besides: nothing missing, nothing more, the same
//! versions; and what the loader is told about them.

mod support;

use object::elf::{self, FileHeader64};
use object::read::elf::{Dynamic, ElfFile, ProgramHeader, Sym, SymbolTable};
use object::{Endianness, Object};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::artefacts::Artefacts;
use support::root;

type Elf = FileHeader64<Endianness>;

/// What a library may need; `ld-linux` is there for `__tls_get_addr`.
const NEEDED: [&str; 3] = ["libc.so.6", "libgcc_s.so.1", "ld-linux"];
/// Constructors that come with the C start-up code and with Rust's std (which
/// notes argc and argv).
const FOREIGN_CONSTRUCTORS: [&str; 2] = ["frame_dummy", "ARGV_INIT_ARRAY"];
/// std asks for it weakly, to run destructors of its own thread-locals. A strong
/// reference would be one of ours.
const TLS_DESTRUCTORS: &str = "__cxa_thread_atexit_impl";
/// What a panic calls unless it aborts.
const UNWINDING: &str = "_Unwind_RaiseException";

/// A shared library as the loader sees it.
struct Library {
    soname: String,
    needed: Vec<String>,
    /// `name@@VERSION` (the default) or `name@VERSION`.
    exports: BTreeSet<String>,
    /// Imported names; true when the reference is weak.
    imports: BTreeMap<String, bool>,
    flags: elf::DynamicFlags,
    flags_1: elf::DynamicFlags1,
    segments: Vec<(elf::ProgramType, elf::ProgramFlags)>,
    /// Symbols of the functions that run at load time.
    constructors: Vec<String>,
}

impl Library {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::parse(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn parse(bytes: &[u8]) -> object::Result<Self> {
        let file = ElfFile::<Elf>::parse(bytes)?;
        let endian = file.endian();
        let table = file.elf_dynamic_table()?;
        let value = |tag| table.iter().find(|d| d.tag == tag).map_or(0, |d| d.val);
        let text = |d: Dynamic| Ok(String::from_utf8_lossy(table.string(d)?).into_owned());
        let strings = |tag| -> object::Result<Vec<String>> {
            table.iter().filter(|d| d.tag == tag).map(text).collect()
        };
        let (exports, imports) = symbols(&file)?;
        Ok(Self {
            soname: strings(elf::DT_SONAME)?.concat(),
            needed: strings(elf::DT_NEEDED)?,
            exports,
            imports,
            flags: elf::DynamicFlags(value(elf::DT_FLAGS)),
            flags_1: elf::DynamicFlags1(value(elf::DT_FLAGS_1)),
            segments: file
                .elf_program_headers()
                .iter()
                .map(|p| (p.p_type(endian), p.p_flags(endian)))
                .collect(),
            constructors: constructors(
                &file,
                value(elf::DT_INIT_ARRAY),
                value(elf::DT_INIT_ARRAYSZ),
            )?,
        })
    }

    /// Everything that is not as it must be.
    fn faults(&self, golden: &BTreeSet<String>, soname: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        for name in golden.difference(&self.exports) {
            must(false, format!("missing: {name}"));
        }
        for name in self.exports.difference(golden) {
            must(false, format!("not libaio's: {name}"));
        }
        must(self.soname == soname, format!("SONAME {}, not {soname}", self.soname));
        for needed in &self.needed {
            must(NEEDED.iter().any(|n| needed.starts_with(n)), format!("NEEDED {needed}"));
        }
        must(self.flags.contains(elf::DF_BIND_NOW), "no BIND_NOW".into());
        must(self.flags_1.contains(elf::DF_1_NODELETE), "no NODELETE".into());
        let segment = |wanted| self.segments.iter().find(|(kind, _)| *kind == wanted);
        must(segment(elf::PT_GNU_RELRO).is_some(), "no RELRO".into());
        must(
            segment(elf::PT_GNU_STACK).is_some_and(|(_, flags)| !flags.contains(elf::PF_X)),
            "the stack is executable".into(),
        );
        must(
            self.imports.get(TLS_DESTRUCTORS) != Some(&false),
            format!("{TLS_DESTRUCTORS} is needed: a thread-local of ours has a destructor"),
        );
        must(!self.imports.contains_key(UNWINDING), "panics unwind, they do not abort".into());
        let ours = self.constructors.iter().filter(|name| is_ours(name)).count();
        must(ours == 1, format!("{ours} constructors of ours: {:?}", self.constructors));
        for name in &self.constructors {
            let foreign = FOREIGN_CONSTRUCTORS.iter().any(|f| name.contains(f));
            must(is_ours(name) || foreign, format!("an unknown constructor: {name}"));
        }
        faults
    }
}

fn is_ours(symbol: &str) -> bool {
    symbol.contains("aio_rs")
}

fn name(
    table: &SymbolTable<'_, Elf>,
    symbol: &elf::Sym64<Endianness>,
    endian: Endianness,
) -> String {
    let bytes = symbol.name(endian, table.strings()).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

type Symbols = (BTreeSet<String>, BTreeMap<String, bool>);

/// Exports and imports. GNU ld also lists the version nodes themselves, as
/// absolute symbols; lld does not.
fn symbols(file: &ElfFile<'_, Elf>) -> object::Result<Symbols> {
    let endian = file.endian();
    let versions = file.elf_section_table().versions(endian, file.data())?.unwrap_or_default();
    let table = file.elf_dynamic_symbol_table();
    let (mut exports, mut imports) = Symbols::default();
    for (index, symbol) in table.enumerate() {
        let name = name(table, symbol, endian);
        if symbol.st_shndx(endian) == elf::SHN_UNDEF {
            imports.insert(name, symbol.st_bind() == elf::STB_WEAK);
            continue;
        }
        if symbol.st_shndx(endian) == elf::SHN_ABS || symbol.st_bind() == elf::STB_LOCAL {
            continue;
        }
        let at = versions.version_index(endian, index);
        let mark = if at.is_hidden() { "@" } else { "@@" };
        exports.insert(match versions.version(at.index())? {
            Some(version) => format!("{name}{mark}{}", String::from_utf8_lossy(version.name())),
            None => name,
        });
    }
    Ok((exports, imports))
}

/// The names of the functions in `.init_array`, by way of the relocations that
/// fill it.
fn constructors(file: &ElfFile<'_, Elf>, start: u64, size: u64) -> object::Result<Vec<String>> {
    let endian = file.endian();
    let table = file.elf_symbol_table();
    // A constructor is known by the static that holds its address, or by itself.
    let at = |address: u64| {
        table
            .iter()
            .filter(|s| s.st_value(endian) == address && s.st_shndx(endian) != elf::SHN_UNDEF)
            .map(|s| name(table, s, endian))
            .filter(|name| !name.is_empty() && !name.starts_with('.'))
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for (place, relocation) in file.dynamic_relocations().into_iter().flatten() {
        if (start..start + size).contains(&place) {
            let target = u64::try_from(relocation.addend()).unwrap_or_default();
            found.push([at(place), at(target)].concat().join(" "));
        }
    }
    Ok(found)
}

fn list(name: &str) -> BTreeSet<String> {
    let file = root().join("c-tests").join(name);
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    text.lines().map(str::to_owned).collect()
}

fn golden() -> BTreeSet<String> {
    list("libaio.symbols")
}

/// What the preloaded file and the drop-in have.
fn golden_in_front() -> BTreeSet<String> {
    &golden() | &list("libc.symbols")
}

/// The distribution's library, where the compiler finds it.
fn system() -> PathBuf {
    support::system_libaio().expect("libaio is not installed (`make deps`)")
}

fn assert_faultless(path: &Path, golden: &BTreeSet<String>, soname: &str) {
    let faults = Library::read(path).faults(golden, soname);
    assert!(faults.is_empty(), "{}:\n  {}", path.display(), faults.join("\n  "));
}

#[test]
fn the_list_is_what_the_systems_libaio_exports() {
    assert_eq!(Library::read(&system()).exports, golden());
}

#[test]
fn the_library() {
    assert_faultless(&Artefacts::get().library(), &golden(), "libaio-rs.so.1");
}

#[test]
fn the_preload() {
    let preload = Artefacts::get().preload();
    assert_faultless(&preload, &golden_in_front(), "libaio-rs-preload.so");
}

/// What bpftrace and perf find, as `readelf -n` shows it.
#[test]
fn the_probes() {
    let ours = Artefacts::get();
    for library in [ours.library(), ours.preload(), ours.drop_in_dir().join("libaio.so.1")] {
        let out = Command::new("readelf").arg("-nW").arg(&library).output().expect("readelf");
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("Provider: aio_rs"), "{text}");
        for name in ["submit", "complete", "fallback"] {
            assert!(text.contains(&format!("Name: {name}\n")), "{name}: {text}");
        }
    }
}

#[test]
fn the_drop_in() {
    for name in ["libaio.so.1", "libaio.so.1t64"] {
        let drop_in = Artefacts::get().drop_in_dir().join(name);
        assert_faultless(&drop_in, &golden_in_front(), "libaio.so.1");
    }
}

#[test]
fn faults_are_seen() {
    let ours = Library::read(&Artefacts::get().library());
    let faults = |golden| ours.faults(golden, "libaio-rs.so.1");

    let mut shorter = golden();
    shorter.pop_first();
    assert_eq!(faults(&shorter), ["not libaio's: io_cancel@@LIBAIO_0.4"]);

    let mut longer = golden();
    longer.insert("io_grow@@LIBAIO_0.4".into());
    assert_eq!(faults(&longer), ["missing: io_grow@@LIBAIO_0.4"]);

    let preload = Library::read(&Artefacts::get().preload());
    let libc_s = |fault: &str| -> Vec<String> {
        list("libc.symbols").iter().map(|name| format!("{fault}: {name}")).collect()
    };
    assert_eq!(preload.faults(&golden(), "libaio-rs-preload.so"), libc_s("not libaio's"));
    let in_front = golden_in_front();
    assert_eq!(faults(&in_front), libc_s("missing"));

    let mut other = golden();
    other.remove("io_getevents@LIBAIO_0.1");
    other.insert("io_getevents@@LIBAIO_0.1".into());
    assert_eq!(faults(&other).len(), 2, "the default mark counts");

    assert_eq!(ours.faults(&golden(), "libaio.so.1").len(), 1, "so does the SONAME");

    // The system's library is right in its symbols, and in nothing of ours.
    let system = Library::read(&system()).faults(&golden(), "libaio.so.1");
    assert!(system.iter().any(|f| f.contains("NODELETE")), "{system:?}");
    assert!(system.iter().any(|f| f.starts_with("0 constructors of ours")), "{system:?}");

    // A library with everything wrong that can be put into one.
    let mut spoilt = Library::read(&Artefacts::get().library());
    spoilt.needed.push("libpthread.so.0".into());
    spoilt.imports.insert(TLS_DESTRUCTORS.into(), false);
    spoilt.imports.insert(UNWINDING.into(), false);
    spoilt.flags = elf::DynamicFlags(0);
    spoilt.constructors.push("aio_rs::again".into());
    spoilt.segments = vec![(elf::PT_GNU_STACK, elf::PF_R | elf::PF_W | elf::PF_X)];
    assert_eq!(spoilt.faults(&golden(), "libaio-rs.so.1").len(), 7);
}

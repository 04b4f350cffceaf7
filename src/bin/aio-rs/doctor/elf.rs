//! What the doctor reads in a program or library.

use super::calls::Code;
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{
    Architecture, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationTarget,
    SectionKind,
};
use object::{Endianness, elf};
use std::path::Path;

pub struct Elf {
    /// It names a loader: something can be preloaded.
    pub has_loader: bool,
    /// "io_setup@LIBAIO_0.4" and so on: what it wants of libaio.
    pub libaio_calls: Vec<String>,
    /// It has the name of libaio among its data.
    pub names_libaio: bool,
    /// Where the loader puts the address of syscall(2), if it wants that.
    pub syscall: Option<u64>,
    /// Its code, where we can read it.
    pub code: Vec<Code>,
}

pub const CALLS: [&str; 6] =
    ["io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents"];

/// None: not an ELF file that can be read.
pub fn read(path: &Path) -> Option<Elf> {
    let data = std::fs::read(path).ok()?;
    match object::FileKind::parse(&*data).ok()? {
        object::FileKind::Elf64 => of::<elf::FileHeader64<Endianness>>(&data),
        object::FileKind::Elf32 => of::<elf::FileHeader32<Endianness>>(&data),
        _ => None,
    }
}

fn of<H: FileHeader<Endian = Endianness>>(data: &[u8]) -> Option<Elf> {
    let file = ElfFile::<H>::parse(data).ok()?;
    let endian = file.endian();
    let headers = file.elf_program_headers();
    let has_loader = headers.iter().any(|h| h.p_type(endian) == elf::PT_INTERP);
    let versions = file.elf_section_table().versions(endian, data).ok().flatten();
    let mut libaio_calls = Vec::new();
    for symbol in file.dynamic_symbols().filter(|s| s.is_undefined()) {
        let Ok(name) = symbol.name() else { continue };
        if CALLS.contains(&name) || name == "io_queue_init" {
            let version = versions.as_ref().and_then(|versions| {
                let index = versions.version_index(endian, symbol.index());
                let version = versions.version(index.into()).ok().flatten()?;
                Some(format!("@{}", String::from_utf8_lossy(version.name())))
            });
            libaio_calls.push(format!("{name}{}", version.unwrap_or_default()));
        }
    }
    libaio_calls.sort();
    let readable = file.architecture() == Architecture::X86_64;
    let text = file.sections().filter(|s| s.kind() == SectionKind::Text && readable);
    let code =
        text.filter_map(|s| Some(Code { address: s.address(), bytes: s.data().ok()?.to_vec() }));
    let code = code.collect();
    let syscall = file.dynamic_relocations().into_iter().flatten().find_map(|(at, relocation)| {
        let RelocationTarget::Symbol(index) = relocation.target() else { return None };
        let symbol = file.dynamic_symbol_table()?.symbol_by_index(index).ok()?;
        (symbol.name() == Ok("syscall")).then_some(at)
    });
    let name = b"libaio.so.1";
    let in_data = |s: &[u8]| s.windows(name.len()).any(|w| w == name);
    let mut data_sections = file.sections().filter(|s| {
        matches!(
            s.kind(),
            SectionKind::ReadOnlyString | SectionKind::ReadOnlyData | SectionKind::Data
        )
    });
    let names_libaio = data_sections.any(|s| s.data().is_ok_and(in_data));
    Some(Elf { has_loader, libaio_calls, names_libaio, syscall, code })
}

//! Files whose every block says where it belongs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

const MIB: usize = 1 << 20;
const BLOCK: usize = 4096;

/// Bytes with no period in a block, stamped with the place of each block.
fn chunk(base: &[u8], first_block: u64, seed: u64) -> Vec<u8> {
    let mut data = base.to_vec();
    for (n, block) in data.chunks_mut(BLOCK).enumerate() {
        block[..8].copy_from_slice(&(first_block + n as u64).to_le_bytes());
        block[BLOCK - 8..].copy_from_slice(&seed.to_le_bytes());
    }
    data
}

fn base(seed: u64) -> Vec<u8> {
    let mut x = seed | 1;
    let mut data = Vec::with_capacity(MIB);
    while data.len() < MIB {
        // xorshift64
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data.extend(x.to_le_bytes());
    }
    data
}

/// A file of so many MiB.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, mib: u64, seed: u64) -> Result<(), String> {
    let base = base(seed);
    let mut file = File::create(path).map_err(|e| e.to_string())?;
    for n in 0..mib {
        let data = chunk(&base, n * (MIB / BLOCK) as u64, seed);
        file.write_all(&data).map_err(|e| e.to_string())?;
    }
    file.sync_all().map_err(|e| e.to_string())
}

/// # Errors
/// It is not what `write` wrote.
pub fn check(path: &Path, mib: u64, seed: u64) -> Result<(), String> {
    check_from(path, 0, mib, seed)
}

/// The same, but for the first MiB.
///
/// # Errors
/// It is not what `write` wrote.
pub fn check_from(path: &Path, first: u64, mib: u64, seed: u64) -> Result<(), String> {
    let base = base(seed);
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    file.seek(SeekFrom::Start(first << 20)).map_err(|e| e.to_string())?;
    let mut data = vec![0; MIB];
    for n in first..mib {
        file.read_exact(&mut data).map_err(|e| format!("at {n} MiB: {e}"))?;
        let wanted = chunk(&base, n * (MIB / BLOCK) as u64, seed);
        if data != wanted {
            let at = n as usize * MIB + (0..MIB).find(|i| data[*i] != wanted[*i]).unwrap_or(0);
            return Err(format!("{}: byte {at} is wrong", path.display()));
        }
    }
    Ok(())
}

/// `at..end` of the file holds nothing but `byte`.
///
/// # Errors
/// Which byte is another.
pub fn holds(path: &Path, at: usize, end: usize, byte: u8) -> Result<(), String> {
    let data = std::fs::read(path).map_err(|e| e.to_string())?;
    match data[at..end].iter().position(|b| *b != byte) {
        None => Ok(()),
        Some(wrong) => {
            Err(format!("byte {} is {:#x}, not {byte:#x}", at + wrong, data[at + wrong]))
        }
    }
}

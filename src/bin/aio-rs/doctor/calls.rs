//! System calls of AIO in x86-64 code: the number is put into a register just
//! before the instruction, or before the call of syscall(2).

/// io_setup, io_destroy, io_getevents, io_submit, io_cancel; io_pgetevents.
const NUMBERS: [u32; 6] = [206, 207, 208, 209, 210, 333];
const MOV_EAX: u8 = 0xb8;
const MOV_EDI: u8 = 0xbf;
const CALL: u8 = 0xe8;
const JMP: u8 = 0xe9;
const CALL_INDIRECT: [u8; 2] = [0xff, 0x15];
const JMP_INDIRECT: [u8; 2] = [0xff, 0x25];
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Bytes between the number and the call: other arguments are put in place.
const NEAR: usize = 48;

/// A piece of code and where it is.
pub struct Code {
    pub address: u64,
    pub bytes: Vec<u8>,
}

/// How code makes AIO system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// By the instruction.
    pub instructions: usize,
    /// By syscall(2).
    pub calls: usize,
}

/// `got`: where the loader puts the address of syscall(2).
pub fn find(sections: &[Code], got: Option<u64>) -> Found {
    let mut found = Found::default();
    for code in sections {
        for at in 0..code.bytes.len() {
            let register = code.bytes[at];
            if !matches!(register, MOV_EAX | MOV_EDI)
                || !code.word(at + 1).is_some_and(|n| NUMBERS.contains(&(n as u32)))
            {
                continue;
            }
            let near = at + 5..code.bytes.len().min(at + 5 + NEAR);
            if register == MOV_EAX {
                let is_there = code.bytes[near].windows(2).any(|w| w == SYSCALL);
                found.instructions += usize::from(is_there);
            } else if let Some(got) = got {
                let is_there = near.into_iter().any(|at| is_call_of(sections, code, at, got));
                found.calls += usize::from(is_there);
            }
        }
    }
    found
}

impl Code {
    fn word(&self, at: usize) -> Option<i32> {
        Some(i32::from_le_bytes(self.bytes.get(at..at + 4)?.try_into().ok()?))
    }

    /// What the four bytes at `at`, the last of an instruction, point to.
    fn target(&self, at: usize) -> Option<u64> {
        let next = self.address + at as u64 + 4;
        Some(next.wrapping_add_signed(i64::from(self.word(at)?)))
    }

    fn is_indirect(&self, at: usize, opcode: [u8; 2], got: u64) -> bool {
        self.bytes.get(at..at + 2) == Some(&opcode[..]) && self.target(at + 2) == Some(got)
    }
}

/// A call through `got`, or of a stub that jumps through it.
fn is_call_of(sections: &[Code], code: &Code, at: usize, got: u64) -> bool {
    const STUB: usize = 16;
    if code.is_indirect(at, CALL_INDIRECT, got) || code.is_indirect(at, JMP_INDIRECT, got) {
        return true;
    }
    let is_direct = matches!(code.bytes[at], CALL | JMP);
    let Some(target) = code.target(at + 1).filter(|_| is_direct) else { return false };
    sections.iter().any(|section| {
        let start = target.wrapping_sub(section.address) as usize;
        start < section.bytes.len()
            && (start..start + STUB).any(|at| section.is_indirect(at, JMP_INDIRECT, got))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_before_a_call_are_found() {
        let one = |bytes: &[u8]| [Code { address: 0x1000, bytes: bytes.to_vec() }];
        // mov $209,%eax; syscall
        let code = one(&[0xb8, 209, 0, 0, 0, 0x0f, 0x05, 0xc3]);
        assert_eq!(find(&code, None).instructions, 1);
        // mov $206,%edi; call the stub behind it, which jumps through 0x3000.
        let mut bytes = vec![0xbf, 206, 0, 0, 0, CALL, 2, 0, 0, 0, 0xc3, 0x90, 0xff, 0x25];
        bytes.extend((0x3000u32 - 0x1012).to_le_bytes());
        assert_eq!(find(&one(&bytes), Some(0x3000)).calls, 1);
        assert_eq!(find(&one(&bytes), Some(0x3008)).calls, 0);
        bytes[1] = 1;
        assert_eq!(find(&one(&bytes), Some(0x3000)), Found::default());
    }
}

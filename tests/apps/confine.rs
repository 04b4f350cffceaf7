//! What a program under test may not do: the hidden side of this runner installs
//! a seccomp filter and becomes the program.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

pub const MARK: &str = "--confined";

const AIO: [i64; 6] = [
    libc::SYS_io_setup,
    libc::SYS_io_destroy,
    libc::SYS_io_submit,
    libc::SYS_io_cancel,
    libc::SYS_io_getevents,
    333, // io_pgetevents
];
const URING: [i64; 3] =
    [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Confinement {
    /// A system call of the kernel's AIO is death by SIGSYS: the proof that there
    /// is none.
    pub kill_at_aio: bool,
    /// EPERM, as by Docker's default profile.
    pub refuse_uring: bool,
}

impl Confinement {
    /// `program`, under these rules.
    pub fn command(self, program: &str) -> Command {
        if self == Self::default() {
            return Command::new(program);
        }
        let mut command = Command::new("/proc/self/exe");
        command.arg(MARK).arg(format!(
            "{}{}",
            if self.kill_at_aio { "a" } else { "" },
            if self.refuse_uring { "u" } else { "" }
        ));
        command.arg(program);
        command
    }

    fn install(self) -> Result<(), seccompiler::Error> {
        let filters = [
            (self.kill_at_aio, &AIO[..], SeccompAction::KillProcess),
            (self.refuse_uring, &URING[..], SeccompAction::Errno(libc::EPERM as u32)),
        ];
        for (wanted, calls, action) in filters {
            if wanted {
                let rules: BTreeMap<_, _> = calls.iter().map(|call| (*call, vec![])).collect();
                let arch = TargetArch::try_from(env::consts::ARCH)?;
                let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?;
                let program: BpfProgram = filter.try_into()?;
                seccompiler::apply_filter(&program)?;
            }
        }
        Ok(())
    }
}

/// Becomes the program; `args`: what stands behind the mark.
pub fn become_confined(args: &[OsString]) -> ! {
    let rules = args[0].to_string_lossy();
    let confinement =
        Confinement { kill_at_aio: rules.contains('a'), refuse_uring: rules.contains('u') };
    confinement.install().expect("a seccomp filter");
    let failed = Command::new(&args[1]).args(&args[2..]).exec();
    panic!("{}: {failed}", args[1].display());
}

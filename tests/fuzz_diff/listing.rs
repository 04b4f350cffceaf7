//! A program as text: C but for the declarations of its memory (`data[k]` is the
//! k-th iocb's own, `edge` ends where memory ends), to be kept as a regression.

use crate::fds::{self, FILES, FileInfo, Kind};
use crate::program::*;
use crate::signals;
use std::collections::BTreeSet;
use std::fmt::Write;

pub fn listing(program: &Program) -> String {
    let mut text = declarations(program);
    for (i, step) in program.steps.iter().enumerate() {
        let _ = write!(text, "\t/* {i} */\n{}", statements(program, i, step));
    }
    text
}

/// The descriptors that the program uses, and what holds from the start.
fn declarations(program: &Program) -> String {
    let mut used = BTreeSet::new();
    for step in &program.steps {
        match step.inner() {
            Step::Write { fd, .. }
            | Step::Read { fd, .. }
            | Step::AddEventfd { fd, .. }
            | Step::Close { fd }
            | Step::SetAppend { fd, .. }
            | Step::Shutdown { fd, .. } => drop(used.insert(*fd)),
            step => used.extend(
                step.iocbs()
                    .iter()
                    .flat_map(|i| [i.fd, i.resfd])
                    .filter_map(|fd| if let Fd::Slot(slot) = fd { Some(slot) } else { None }),
            ),
        }
    }
    let mut text = String::new();
    for entry in used.into_iter().map(fds::entry) {
        let name = entry.name;
        let _ = match entry.kind {
            Kind::File(file, flags) => {
                let FileInfo { name: path, size, in_memory } = &FILES[file as usize];
                let at = if *in_memory { "tmpfs" } else { "ext4" };
                writeln!(
                    text,
                    "\tint {name} = open({path:?}, {flags:#o}); /* {size} bytes, {at} */"
                )
            }
            Kind::Pipe(n, end, flags) => {
                writeln!(text, "\tint {name}; /* pipe {n}, end {end}, {flags:#o} */")
            }
            Kind::Socket(n, end, flags) => {
                writeln!(text, "\tint {name}; /* unix stream pair {n}, end {end}, {flags:#o} */")
            }
            Kind::Eventfd(flags) => writeln!(text, "\tint {name} = eventfd(0, {flags:#o});"),
            Kind::Open(path, flags) => writeln!(text, "\tint {name} = open({path:?}, {flags:#o});"),
            other => writeln!(text, "\tint {name}; /* {other:?} */"),
        };
    }
    if program.fsize_limit {
        let _ = writeln!(text, "\tsetrlimit(RLIMIT_FSIZE, {});", signals::FSIZE_LIMIT);
    }
    text
}

fn statements(program: &Program, i: usize, step: &Step) -> String {
    let line = match step {
        Step::Via(via, inner) => {
            let how = match via {
                Via::Thread => "in a thread".into(),
                Via::Child => "in a forked child".into(),
                Via::Handler => "in a signal handler".into(),
                Via::Protected(slot, how) => format!("with ctx[{slot}] under mprotect({how:?})"),
            };
            return format!("\t/* {how}: */\n{}", statements(program, i, inner));
        }
        Step::Submit(s) => return submit(program, i, s),
        Step::Setup { nr, ctxp: CtxPtr::Var(slot) } => format!("io_setup({nr}, &ctx[{slot}])"),
        Step::Setup { nr, ctxp: CtxPtr::Bad(at) } => format!("io_setup({nr}, {})", addr(*at, 0)),
        Step::QueueInit { nr, slot } => format!("io_queue_init({nr}, &ctx[{slot}])"),
        Step::Destroy { ctx: c, release: false } => format!("io_destroy({})", ctx(c)),
        Step::Destroy { ctx: c, release: true } => format!("io_queue_release({})", ctx(c)),
        Step::Fill { slot, count } => {
            format!("submit_reads_of_dev_null(ctx[{slot}], {count}) /* 32 in a call */")
        }
        Step::GetEvents(g) => get_events(g),
        Step::Drain { slot } => {
            format!("io_getevents(ctx[{slot}], all, all, events, NULL) /* all but pending polls */")
        }
        Step::Reap { slot, most } => format!("reap_in_user_space(ctx[{slot}], {most})"),
        Step::Cancel { ctx: c, iocb, result, old } => {
            let version = if *old { "@LIBAIO_0.1" } else { "" };
            format!("io_cancel{version}({}, {}, {})", ctx(c), place(*iocb), addr(*result, 0))
        }
        Step::QueueRun { ctx: c } => format!("io_queue_run({})", ctx(c)),
        Step::QueueWait { ctx: c, timeout: t, old } => {
            let version = if *old { "@LIBAIO_0.1" } else { "" };
            format!("io_queue_wait{version}({}, {})", ctx(c), timeout(*t))
        }
        Step::MoveRing { slot } => format!("ctx[{slot}] = mremap(ctx[{slot}], ...)"),
        Step::Header { slot, field, value } => {
            let field = format!("{field:?}").to_lowercase();
            let ring = format!("((struct aio_ring *)ctx[{slot}])->{field}");
            match value {
                Value::Right => format!("{ring} = /* as it belongs */"),
                Value::Plus(n) => format!("{ring} += {n}"),
                Value::Is(n) => format!("{ring} = {n}"),
            }
        }
        Step::Scribble { slot, index, byte } => {
            format!("memset(&((struct aio_ring *)ctx[{slot}])->events[{index}], {byte:#x}, 32)")
        }
        Step::Write { fd, len } => format!("write({}, bytes, {len})", name(*fd)),
        Step::Read { fd, len } => format!("read({}, bytes, {len})", name(*fd)),
        Step::AddEventfd { fd, value } => format!("eventfd_write({}, {value:#x})", name(*fd)),
        Step::Close { fd } => format!("close({})", name(*fd)),
        Step::SetAppend { fd, on } => {
            format!("fcntl({}, F_SETFL, {})", name(*fd), if *on { "O_APPEND" } else { "0" })
        }
        Step::Truncate { file, len } => {
            format!("truncate({:?}, {len})", FILES[*file as usize].name)
        }
        Step::DropCache { file } => {
            format!("posix_fadvise({:?}, POSIX_FADV_DONTNEED)", FILES[*file as usize].name)
        }
        Step::Shutdown { fd, how } => format!("shutdown({}, {how})", name(*fd)),
        Step::Timer => "timerfd_settime(timerfd, ...) /* and it expires */".into(),
        Step::Raise => "raise(SIGUSR1) /* which is blocked */".into(),
    };
    format!("\t{line};\n")
}

fn submit(program: &Program, i: usize, s: &Submit) -> String {
    let mut text = String::new();
    for (k, iocb) in s.iocbs.iter().enumerate() {
        let data = crate::submit::data(program, i, k, iocb.data);
        let target = match place(iocb.at) {
            at if at.starts_with('&') => at[1..].to_string(),
            at => format!("*(struct iocb *)({at})"),
        };
        let _ = writeln!(text, "\t{target} = {};", fields(iocb, data, k));
    }
    let list: Vec<_> = s.iocbs.iter().map(|iocb| place(iocb.at)).collect();
    let array = match s.array {
        Array::Bad(at) => addr(at, 0),
        how => format!("(struct iocb *[]){{ {} }} /* {how:?} */", list.join(", ")),
    };
    let nr = match s.nr {
        Nr::All => list.len() as i64,
        Nr::Exactly(n) => n,
    };
    let then = if s.hurry { " /* and at once: */" } else { "" };
    let _ = writeln!(text, "\tio_submit({}, {nr}, {array});{then}", ctx(&s.ctx));
    text
}

fn fields(iocb: &Iocb, data: u64, k: usize) -> String {
    let opcode = match iocb.opcode {
        PREAD => "IO_CMD_PREAD".into(),
        PWRITE => "IO_CMD_PWRITE".into(),
        FSYNC => "IO_CMD_FSYNC".into(),
        FDSYNC => "IO_CMD_FDSYNC".into(),
        POLL => "IO_CMD_POLL".into(),
        PREADV => "IO_CMD_PREADV".into(),
        PWRITEV => "IO_CMD_PWRITEV".into(),
        n => n.to_string(),
    };
    let segments = |segs: &[Seg]| -> String {
        let each = segs.iter().map(|s| format!("{{ {}, {} }}", addr(s.base, k), s.len));
        format!("(struct iovec[]){{ {} }}", each.collect::<Vec<_>>().join(", "))
    };
    let buf = match &iocb.buf {
        Buf::At(at) => addr(*at, k),
        Buf::Events(bits) => format!("(void *){bits:#x}"),
        Buf::Vector(segs) => segments(segs),
        Buf::EdgeVector(segs) => format!("{} /* up to the edge */", segments(segs)),
        Buf::Many => "many_iovecs_of_16_bytes".into(),
    };
    let mut text = format!(
        "(struct iocb){{ .data = (void *){data:#x}, .aio_lio_opcode = {opcode}, .aio_fildes = {}, \
         .u.c.buf = {buf}, .u.c.nbytes = {}, .u.c.offset = {}",
        descriptor(iocb.fd),
        iocb.nbytes,
        iocb.offset
    );
    for (field, value) in [
        ("key", u64::from(iocb.key)),
        ("aio_rw_flags", u64::from(iocb.rw_flags)),
        ("aio_reqprio", u64::from(iocb.reqprio as u16)),
        ("u.c.flags", u64::from(iocb.flags)),
        ("u.c.__pad3", iocb.reserved2),
    ] {
        if value != 0 {
            let _ = write!(text, ", .{field} = {value:#x}");
        }
    }
    if iocb.flags & RESFD != 0 {
        let _ = write!(text, ", .u.c.resfd = {}", descriptor(iocb.resfd));
    }
    text + " }"
}

fn get_events(g: &GetEvents) -> String {
    let events = match g.events {
        Dest::Good => "events".into(),
        Dest::Edge(room) => format!("edge - {room} * sizeof(struct io_event)"),
        Dest::Bad(at) => addr(at, 0),
    };
    let (c, t) = (ctx(&g.ctx), timeout(g.timeout));
    match g.mask {
        _ if g.old => format!("io_getevents@LIBAIO_0.1({c}, {}, {events}, {t})", g.nr),
        None => format!("io_getevents({c}, {}, {}, {events}, {t})", g.min, g.nr),
        Some(mask) => {
            let mask = match mask {
                Mask::Blocked => "&sigusr1".into(),
                Mask::Open => "&no_signals".into(),
                Mask::Bad(at) => addr(at, 0),
            };
            format!("io_pgetevents({c}, {}, {}, {events}, {t}, {mask})", g.min, g.nr)
        }
    }
}

fn timeout(t: Timeout) -> String {
    match t {
        Timeout::Zero => "&(struct timespec){ 0, 0 }".into(),
        Timeout::Short(ns) => format!("&(struct timespec){{ 0, {ns} }}"),
        Timeout::Null => "NULL /* or short */".into(),
        Timeout::Negative(s, ns) => format!("&(struct timespec){{ {s}, {ns} }}"),
        Timeout::Edge => "edge - 8".into(),
        Timeout::Bad(at) => addr(at, 0),
    }
}

fn ctx(ctx: &Ctx) -> String {
    match ctx {
        Ctx::Var(slot) => format!("ctx[{slot}]"),
        Ctx::Stale(slot) => format!("old_ctx[{slot}]"),
        Ctx::Off(slot, by) => format!("(char *)ctx[{slot}] + {by}"),
        Ctx::Bad(at) => addr(*at, 0),
    }
}

fn place(at: IocbAt) -> String {
    match at {
        IocbAt::Pool(i) => format!("&iocb[{i}]"),
        IocbAt::Askew(i, by) => format!("((char *)&askew_iocb[{i}] + {by})"),
        IocbAt::Edge(before) => format!("(edge - {before})"),
        IocbAt::ReadOnly => "read_only_iocb".into(),
        IocbAt::Bad(at) => addr(at, 0),
    }
}

fn addr(at: Addr, k: usize) -> String {
    match at {
        Addr::Data(off) => format!("data[{k}] + {off}"),
        Addr::Edge(before) => format!("edge - {before}"),
        Addr::ReadOnly(off) => format!("read_only + {off}"),
        Addr::ProtNone => "prot_none".into(),
        Addr::Unmapped => "unmapped".into(),
        Addr::Null => "NULL".into(),
        Addr::Low(at) => format!("(void *){at}"),
        Addr::Kernel => format!("(void *){:#x}", crate::layout::KERNEL),
        Addr::NonCanonical => format!("(void *){:#x}", crate::layout::NON_CANONICAL),
        Addr::Top(below) => format!("(void *)({:#x} - {below})", crate::layout::TASK_SIZE),
    }
}

fn descriptor(fd: Fd) -> String {
    match fd {
        Fd::Slot(slot) => name(slot).into(),
        Fd::Closed => "closed".into(),
        Fd::Raw(n) => n.to_string(),
    }
}

fn name(slot: u8) -> &'static str {
    fds::entry(slot).name
}

//! Random programs, with proptest's strategies.

use crate::fds::{self, FDS, FILES, Kind};
use crate::layout::*;
use crate::program::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

pub fn program() -> impl Strategy<Value = Program> {
    let first = setup_size().prop_map(|nr| Step::Setup { nr, ctxp: CtxPtr::Var(0) });
    (prop::bool::weighted(0.15), prop::bool::weighted(0.2), first, vec(step(), 1..40)).prop_map(
        |(fsize_limit, callbacks, first, mut steps)| {
            steps.insert(0, first);
            let mut program = Program { fsize_limit, callbacks, steps };
            crate::fix::fix(&mut program);
            program
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => submit().prop_map(Step::Submit),
        12 => get_events().prop_map(Step::GetEvents),
        3 => setup(),
        3 => destroy(),
        5 => slot().prop_map(|slot| Step::Drain { slot }),
        3 => (slot(), prop_oneof![1..4u16, Just(u16::MAX)]).prop_map(|(slot, most)| Step::Reap { slot, most }),
        1 => (select(files()), any::<bool>()).prop_map(|(fd, on)| Step::SetAppend { fd, on }),
        5 => cancel(),
        5 => (via(), call()).prop_map(|(via, step)| Step::Via(via, Box::new(step))),
        1 => slot().prop_map(|slot| Step::MoveRing { slot }),
        1 => (select(sockets()), 0..3u8).prop_map(|(fd, how)| Step::Shutdown { fd, how }),
        1 => Just(Step::Timer),
        2 => (slot(), fill_count()).prop_map(|(slot, count)| Step::Fill { slot, count }),
        3 => ctx().prop_map(|ctx| Step::QueueRun { ctx }),
        1 => (ctx(), timeout(), any::<bool>())
            .prop_map(|(ctx, timeout, old)| Step::QueueWait { ctx, timeout, old }),
        5 => header(),
        1 => (slot(), 0..200u16, any::<u8>()).prop_map(|(slot, index, byte)| Step::Scribble { slot, index, byte }),
        10 => (select(streams()), lens()).prop_map(|(fd, len)| Step::Write { fd, len }),
        6 => (select(streams()), lens()).prop_map(|(fd, len)| Step::Read { fd, len }),
        4 => (select(eventfds()), eventfd_value()).prop_map(|(fd, value)| Step::AddEventfd { fd, value }),
        2 => any_fd().prop_map(|fd| Step::Close { fd }),
        2 => (0..FILES.len() as u8, 0..140_000u32).prop_map(|(file, len)| Step::Truncate { file, len }),
        2 => (0..FILES.len() as u8).prop_map(|file| Step::DropCache { file }),
        2 => Just(Step::Raise),
    ]
}

fn destroy() -> impl Strategy<Value = Step> {
    (ctx(), any::<bool>()).prop_map(|(ctx, release)| Step::Destroy { ctx, release })
}

fn cancel() -> impl Strategy<Value = Step> {
    (ctx(), iocb_at(), addr(), prop::bool::weighted(0.2))
        .prop_map(|(ctx, iocb, result, old)| Step::Cancel { ctx, iocb, result, old })
}

fn via() -> impl Strategy<Value = Via> {
    prop_oneof![
        Just(Via::Thread),
        Just(Via::Child),
        Just(Via::Handler),
        slot().prop_map(|slot| Via::Protected(slot, Protection::ReadOnly)),
        slot().prop_map(|slot| Via::Protected(slot, Protection::None)),
    ]
}

/// A call that can be made in any way.
fn call() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => submit().prop_map(Step::Submit),
        3 => get_events().prop_map(Step::GetEvents),
        2 => cancel(),
        1 => destroy(),
    ]
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![8 => Just(0u8), 2 => Just(1u8), 1 => Just(2u8), 1 => Just(3u8)]
}

fn ctx() -> impl Strategy<Value = Ctx> {
    prop_oneof![
        30 => slot().prop_map(Ctx::Var),
        1 => slot().prop_map(Ctx::Stale),
        1 => (slot(), select(vec![1u16, 8, 64, 2048])).prop_map(|(s, by)| Ctx::Off(s, by)),
        1 => bad_addr().prop_map(Ctx::Bad),
    ]
}

fn setup_size() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 1..64u32,
        2 => select(vec![63, 64, 65, 127, 128, 300]),
        1 => 1..1000u32,
    ]
}

fn setup() -> impl Strategy<Value = Step> {
    let nr = prop_oneof![
        12 => setup_size(),
        1 => select(vec![0, 65537, 131_072, 4_194_303, 4_194_304, 4_194_305, 0x7fff_ffff,
            0x8000_0000, 0x8000_0001, 0xffff_fff0, 0xffff_ffff]),
    ];
    let ctxp =
        prop_oneof![12 => slot().prop_map(CtxPtr::Var), 1 => bad_addr().prop_map(CtxPtr::Bad)];
    prop_oneof![
        6 => (nr, ctxp).prop_map(|(nr, ctxp)| Step::Setup { nr, ctxp }),
        1 => (prop_oneof![4 => 1..100i32, 1 => select(vec![0, -1, i32::MIN, i32::MAX, 70000])], slot())
            .prop_map(|(nr, slot)| Step::QueueInit { nr, slot }),
    ]
}

fn fill_count() -> impl Strategy<Value = u16> {
    prop_oneof![1..40u16, 80..512u16]
}

/// Addresses that are refused, sooner or later.
fn bad_addr() -> impl Strategy<Value = Addr> {
    prop_oneof![
        4 => Just(Addr::Unmapped),
        4 => Just(Addr::Null),
        3 => Just(Addr::Kernel),
        3 => (0..64u16).prop_map(|n| Addr::ReadOnly(n * 8)),
        2 => Just(Addr::ProtNone),
        2 => (0..300u16).prop_map(Addr::Edge),
        1 => Just(Addr::NonCanonical),
        1 => (1..4096u16).prop_map(Addr::Low),
        1 => (0..100u16).prop_map(Addr::Top),
    ]
}

fn addr() -> impl Strategy<Value = Addr> {
    prop_oneof![
        12 => select(vec![0u16, 512, 1024, 4096, 8192]).prop_map(Addr::Data),
        3 => (0..8192u16).prop_map(Addr::Data),
        1 => bad_addr(),
        1 => (0..4096u16).prop_map(Addr::Edge),
    ]
}

fn iocb_at() -> impl Strategy<Value = IocbAt> {
    prop_oneof![
        24 => (0..IOCB_COUNT as u8).prop_map(IocbAt::Pool),
        2 => (0..16u8, 1..64u8).prop_map(|(i, by)| IocbAt::Askew(i, by)),
        1 => select(vec![64u8, 8, 32, 63, 16]).prop_map(IocbAt::Edge),
        1 => Just(IocbAt::ReadOnly),
        1 => bad_addr().prop_map(IocbAt::Bad),
    ]
}

fn submit() -> impl Strategy<Value = Submit> {
    let nr = prop_oneof![
        30 => Just(Nr::All),
        1 => select(vec![0, -1, 1, 2, 5, i64::MAX, i64::MIN, 1 << 32, 0x7fff_ffff]).prop_map(Nr::Exactly),
    ];
    let array = prop_oneof![
        20 => Just(Array::Aligned),
        1 => (1..8u8).prop_map(Array::Askew),
        2 => Just(Array::Edge),
        1 => bad_addr().prop_map(Array::Bad),
    ];
    (ctx(), nr, array, vec(iocb(), 1..7), prop::bool::weighted(0.2))
        .prop_map(|(ctx, nr, array, iocbs, hurry)| Submit { ctx, nr, array, iocbs, hurry })
}

fn of_kind(f: impl Fn(&Kind) -> bool) -> Vec<u8> {
    (0..FDS.len() as u8).filter(|&i| f(&fds::entry(i).kind)).collect()
}

fn streams() -> Vec<u8> {
    of_kind(|k| matches!(k, Kind::Pipe(..) | Kind::Socket(..) | Kind::Fifo))
}

fn files() -> Vec<u8> {
    of_kind(|k| matches!(k, Kind::File(..)))
}

fn sockets() -> Vec<u8> {
    of_kind(|k| matches!(k, Kind::Socket(..)))
}

fn eventfds() -> Vec<u8> {
    of_kind(|k| matches!(k, Kind::Eventfd(_)))
}

fn any_fd() -> impl Strategy<Value = u8> {
    0..FDS.len() as u8
}

fn fd() -> impl Strategy<Value = Fd> {
    prop_oneof![
        14 => select(files()).prop_map(Fd::Slot),
        8 => select(streams()).prop_map(Fd::Slot),
        8 => any_fd().prop_map(Fd::Slot),
        1 => Just(Fd::Closed),
        1 => select(vec![-1, i32::MIN, i32::MAX]).prop_map(Fd::Raw),
    ]
}

fn lens() -> impl Strategy<Value = u16> {
    prop_oneof![1..20u16, 1..5000u16, Just(u16::MAX)]
}

fn eventfd_value() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1..5u64,
        1 => select(vec![0, u64::MAX, u64::MAX - 100_000, 1 << 32]),
    ]
}

fn nbytes() -> impl Strategy<Value = u64> {
    prop_oneof![
        10 => select(vec![512u64, 1024, 4096, 8192, 16384]),
        6 => 0..600u64,
        4 => 0..8192u64,
        1 => select(vec![65536u64, 200_000, 0x7fff_f000, 0x8000_0000, 1 << 40, 1 << 47,
            i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX]),
    ]
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => Just(0i64),
        8 => (0..136i64).prop_map(|n| n * 512),
        4 => 0..70_000i64,
        1 => select(vec![-1, i64::MIN, i64::MAX, i64::MAX - 15, 1 << 60, 1 << 40, 0x7fff_ffff]),
    ]
}

fn rw_flags() -> impl Strategy<Value = u32> {
    prop_oneof![
        16 => Just(0u32),
        4 => (0..9u32).prop_map(|bit| 1 << bit),
        1 => (0..32u32).prop_map(|bit| 1 << bit),
        1 => any::<u32>().prop_map(|bits| bits & 0x1ff),
    ]
}

fn segments() -> impl Strategy<Value = Vec<Seg>> {
    let len = prop_oneof![
        8 => 0..1000u64,
        4 => select(vec![512u64, 1024, 2048, 4096]),
        1 => select(vec![u64::MAX, i64::MAX as u64, 0x7fff_f000]),
    ];
    vec((addr(), len).prop_map(|(base, len)| Seg { base, len }), 0..7)
}

/// What is done, to what and with which bytes.
fn operation() -> impl Strategy<Value = (i16, Fd, Buf, u64, i64, u32)> {
    let buf = || addr().prop_map(Buf::At);
    let bits = || {
        prop_oneof![
            6 => select(vec![1u64, 4, 5, 0x2001, 0x2005, 0]),
            2 => 0..0x10000u64,
            1 => select(vec![0x10001, 1 << 31 | 1, 1 << 32, u64::MAX]),
        ]
    };
    let vectored = || {
        let counted = segments().prop_map(|s| (s.len() as u64, Buf::Vector(s)));
        let odd = (segments(), select(vec![0u64, 1, 8, 1 << 32 | 1, u64::MAX, 1025]))
            .prop_map(|(s, n)| (n, Buf::Vector(s)));
        let edge =
            (segments(), 0..3u64).prop_map(|(s, more)| (s.len() as u64 + more, Buf::EdgeVector(s)));
        let many = select(vec![1023u64, 1024, 1025, 9]).prop_map(|n| (n, Buf::Many));
        let bad = (bad_addr(), 0..10u64).prop_map(|(a, n)| (n, Buf::At(a)));
        prop_oneof![10 => counted, 1 => odd, 1 => edge, 1 => many, 1 => bad]
    };
    prop_oneof![
        10 => (fd(), buf(), nbytes(), offset(), rw_flags()).prop_map(|(f, b, n, o, r)| (PREAD, f, b, n, o, r)),
        10 => (fd(), buf(), nbytes(), offset(), rw_flags()).prop_map(|(f, b, n, o, r)| (PWRITE, f, b, n, o, r)),
        4 => (fd(), vectored(), offset(), rw_flags()).prop_map(|(f, (n, b), o, r)| (PREADV, f, b, n, o, r)),
        4 => (fd(), vectored(), offset(), rw_flags()).prop_map(|(f, (n, b), o, r)| (PWRITEV, f, b, n, o, r)),
        3 => (select(vec![FSYNC, FDSYNC]), fd()).prop_map(|(op, f)| (op, f, Buf::At(Addr::Null), 0, 0, 0)),
        6 => (fd(), bits()).prop_map(|(f, b)| (POLL, f, Buf::Events(b), 0, 0, 0)),
        2 => (-2..13i16, fd(), buf(), nbytes(), offset(), rw_flags()),
    ]
}

fn iocb() -> impl Strategy<Value = Iocb> {
    let flags =
        prop_oneof![12 => Just(0u32), 3 => Just(RESFD), 1 => Just(IOPRIO), 1 => any::<u32>()];
    let resfd = prop_oneof![8 => select(eventfds()).prop_map(Fd::Slot), 1 => fd()];
    let reqprio = prop_oneof![4 => Just(0i16), 1 => any::<i16>()];
    let reserved2 = prop_oneof![40 => Just(0u64), 1 => any::<u64>()];
    (iocb_at(), operation(), flags, resfd, reqprio, reserved2, any::<u32>(), any::<u32>()).prop_map(
        |(
            at,
            (opcode, fd, buf, nbytes, offset, rw_flags),
            flags,
            resfd,
            reqprio,
            reserved2,
            data,
            key,
        )| {
            Iocb {
                at,
                opcode,
                fd,
                buf,
                nbytes,
                offset,
                rw_flags,
                flags,
                resfd,
                reqprio,
                reserved2,
                data,
                key,
            }
        },
    )
}

fn timeout() -> impl Strategy<Value = Timeout> {
    prop_oneof![
        8 => Just(Timeout::Zero),
        4 => (1..1_000_000u32).prop_map(Timeout::Short),
        6 => Just(Timeout::Null),
        1 => select(vec![(-1, 0), (0, -1), (-5, 1_000_000_000), (i64::MIN, 1), (i64::MIN, 0), (i64::MAX, 0)])
            .prop_map(|(s, n)| Timeout::Negative(s, n)),
        1 => Just(Timeout::Edge),
        1 => bad_addr().prop_map(Timeout::Bad),
    ]
}

fn get_events() -> impl Strategy<Value = GetEvents> {
    let odd = || select(vec![-1, i64::MIN, i64::MAX, 1 << 32]);
    let min = prop_oneof![10 => 0..5i64, 1 => 0..100i64, 1 => odd()];
    let nr = prop_oneof![10 => 0..10i64, 2 => 0..200i64, 1 => odd()];
    let dest = prop_oneof![
        10 => Just(Dest::Good),
        2 => (0..8u8).prop_map(Dest::Edge),
        1 => bad_addr().prop_map(Dest::Bad),
    ];
    let mask = prop_oneof![
        6 => Just(None),
        2 => Just(Some(Mask::Blocked)),
        2 => Just(Some(Mask::Open)),
        1 => bad_addr().prop_map(|a| Some(Mask::Bad(a))),
    ];
    let old = prop::bool::weighted(0.1);
    (ctx(), min, nr, dest, timeout(), mask, old).prop_map(
        |(ctx, min, nr, events, timeout, mask, old)| GetEvents {
            ctx,
            min,
            nr,
            events,
            timeout,
            mask,
            old,
        },
    )
}

fn header() -> impl Strategy<Value = Step> {
    use Field::*;
    let field = prop_oneof![
        6 => Just(Head), 3 => Just(Tail), 1 => Just(Id), 1 => Just(Nr), 1 => Just(Magic),
        1 => select(vec![Compat, Incompat, Length]),
    ];
    let value = prop_oneof![
        4 => Just(Value::Right),
        4 => (1..4u32).prop_map(Value::Plus),
        1 => select(vec![0, 1, 5, 126, 127, 128, 1000, u32::MAX]).prop_map(Value::Is),
        1 => any::<u32>().prop_map(Value::Is),
    ];
    (slot(), field, value).prop_map(|(slot, field, value)| Step::Header { slot, field, value })
}

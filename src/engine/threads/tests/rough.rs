//! A program that runs out of things, closes what it does not know, forks and
//! changes its identity. Each test is a process of its own.

use super::kit::*;
use crate::engine::Cancelled;
use crate::engine::threads::Threads;
use crate::sys;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// The engine's descriptor in the program's table.
fn descriptor(engine: &Threads) -> RawFd {
    engine.link.fd.load(Relaxed)
}

fn read_some(engine: &'static Threads, file: &std::fs::File, n: usize) {
    for _ in 0..n {
        let mut r = Req::read(engine, file, 4, 0);
        submit(engine, &mut [&mut r]);
        assert_eq!(r.wait(), 4);
        assert_eq!(r.buf, b"abcd");
    }
}

#[test]
fn few_descriptors() {
    if !alone("few_descriptors") {
        return;
    }
    for unprivileged in [false, true] {
        if unprivileged && !drop_privileges() {
            break;
        }
        set_rlimit(libc::RLIMIT_NOFILE, 64);
        let engine = start(4);
        let files: Vec<_> = (0..10).map(|_| temp_file(b"abcd")).collect();
        let events: Vec<_> = (0..10).map(|_| eventfd(0)).collect();
        let mut reqs: Vec<_> = (0..10_000)
            .map(|i| {
                let mut r = Req::read(engine, &files[i % 10], 4, 0);
                if i % 2 == 0 {
                    r.args().resfd = events[i / 2 % 10].as_raw_fd();
                }
                r
            })
            .collect();
        let mut late = 0;
        for (i, r) in reqs.iter_mut().enumerate() {
            match try_pin(engine, &mut [r]) {
                (1, Ok(())) if i % 2 == 0 => r.start(),
                (1, Ok(())) => late += 1,
                // Nothing is started: the workers have nothing to let go of.
                why => panic!("{i}: {why:?}"),
            }
        }
        assert_eq!(late, 5000);
        reqs.iter().skip(1).step_by(2).for_each(Req::start);
        reqs.iter().for_each(|r| assert_eq!(r.wait(), 4));
        assert_eq!(events.iter().map(read_eventfd).sum::<u64>(), 5000);
        // A batch over more files than a message takes here.
        let mut reqs: Vec<_> = (0..300).map(|i| Req::read(engine, &files[i % 10], 4, 0)).collect();
        submit(engine, &mut reqs.iter_mut().collect::<Vec<_>>());
        reqs.iter().for_each(|r| assert_eq!(r.wait(), 4));
    }
}

/// More files wait than the workers can hold: those behind them wait too, and
/// nothing is lost.
#[test]
fn a_table_full_of_polls() {
    if !alone("a_table_full_of_polls") {
        return;
    }
    set_rlimit(libc::RLIMIT_NOFILE, 64);
    let engine = start(4);
    let file = temp_file(b"abcd");
    let mut events = Vec::new();
    let mut reqs = Vec::new();
    // Closed after pinning: more than the program could have open.
    for _ in 0..80 {
        let e = eventfd(0);
        let mut p = Req::poll(engine, &e, libc::POLLIN);
        submit(engine, &mut [&mut p]);
        reqs.push(p);
        if events.len() < 30 {
            events.push(e);
        }
    }
    let mut r = Req::read(engine, &file, 4, 0);
    submit(engine, &mut [&mut r]);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!r.is_done());
    for e in &events {
        sys::write(e.as_raw_fd(), &1u64.to_ne_bytes()).unwrap();
    }
    assert_eq!(r.wait(), 4);
    reqs[..30].iter().for_each(|p| assert_eq!(p.wait(), 1));
    reqs[30..].iter().for_each(|p| assert_eq!(p.cancel(engine), Cancelled::Yes));
}

/// False: it had none.
fn drop_privileges() -> bool {
    // SAFETY: no memory is passed. With the engine's threads there: they have to
    // take part (SIGSETXID), which must not hang.
    unsafe { libc::getuid() == 0 && libc::setresuid(65534, 65534, 65534) == 0 }
}

#[test]
fn no_more_threads() {
    if !alone("no_more_threads") {
        return;
    }
    let file = temp_file(b"abcd");
    let engine = start(8);
    if !drop_privileges() {
        return;
    }
    set_rlimit(libc::RLIMIT_NPROC, 1);
    read_some(engine, &file, 1000);
    let e = eventfd(0);
    let mut p = Req::poll(engine, &e, libc::POLLIN);
    submit(engine, &mut [&mut p]);
    read_some(engine, &file, 10);
    assert_eq!(p.cancel(engine), Cancelled::Yes);
}

#[test]
fn all_descriptors_closed() {
    if !alone("all_descriptors_closed") {
        return;
    }
    let engine = start(4);
    let path = named_file(b"abcd");
    for round in 0..50 {
        let file = std::fs::File::open(&path).unwrap();
        let (out, into) = pipe();
        let mut waiting = Req::read(engine, &out, 4, -1);
        submit(engine, &mut [&mut waiting]);
        read_some(engine, &file, 20);
        sys::write(into.as_raw_fd(), b"late").unwrap();
        // The numbers are gone, the files not.
        for f in [out, into] {
            std::mem::forget(f);
        }
        std::mem::forget(file);
        // SAFETY: nothing else is used in this process.
        unsafe { libc::close_range(3, !0, 0) };
        assert_eq!(waiting.wait(), 4, "round {round}");
        // The number is used again, for something that could take messages.
        let number = descriptor(engine);
        let (ours, theirs) = if round % 2 == 0 {
            let (a, b) = seqpacket_pair();
            (a, Some(b))
        } else {
            (
                std::fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(named_file(b"own"))
                    .unwrap()
                    .into(),
                None,
            )
        };
        // SAFETY: the number is free.
        assert_eq!(unsafe { libc::dup2(ours.as_raw_fd(), number) }, number);
        let file = std::fs::File::open(&path).unwrap();
        read_some(engine, &file, 20);
        assert_ne!(descriptor(engine), number);
        match theirs {
            Some(b) => {
                let mut any = [0u8; 64];
                // SAFETY: the buffer is writable.
                let n = unsafe {
                    libc::recv(b.as_raw_fd(), any.as_mut_ptr().cast(), 64, libc::MSG_DONTWAIT)
                };
                assert_eq!(n, -1, "a foreign message");
            }
            None => assert_eq!(contents(&ours.into()), b"own"),
        }
        // SAFETY: ours.
        unsafe { libc::close(number) };
    }
}

fn seqpacket_pair() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
    use std::os::fd::{FromRawFd, OwnedFd};
    let mut p = [0; 2];
    // SAFETY: the array lives; the descriptors are new.
    unsafe {
        assert_eq!(libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, p.as_mut_ptr()), 0);
        (OwnedFd::from_raw_fd(p[0]), OwnedFd::from_raw_fd(p[1]))
    }
}

/// Descriptors vanish while other threads submit.
#[test]
fn closed_in_the_middle() {
    if !alone("closed_in_the_middle") {
        return;
    }
    let engine = start(4);
    let path = named_file(b"abcd");
    let file = std::fs::File::open(&path).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                while !stop.load(Relaxed) {
                    read_some(engine, &file, 1);
                }
            });
        }
        for _ in 0..300 {
            sys::close(descriptor(engine));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn only_the_sender_is_in_the_programs_table() {
    if !alone("only_the_sender_is_in_the_programs_table") {
        return;
    }
    let before = open_descriptors();
    let engine = start(4);
    let file = temp_file(b"abcd");
    read_some(engine, &file, 10);
    drop(file);
    let new: Vec<_> = open_descriptors().into_iter().filter(|fd| !before.contains(fd)).collect();
    assert_eq!(new, [descriptor(engine)]);
    // SAFETY: no memory is passed.
    assert_eq!(unsafe { libc::fcntl(new[0], libc::F_GETFD) }, libc::FD_CLOEXEC);
    // SAFETY: the child only makes system calls.
    match unsafe { libc::fork() } {
        0 => {
            let gone = sys::getfl(new[0]).is_err();
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!gone)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: the status is writable.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0, "a forked child keeps the descriptor");
        }
    }
    assert!(sys::getfl(new[0]).is_ok());
}

fn open_descriptors() -> Vec<RawFd> {
    (0..5000).filter(|&fd| sys::getfl(fd).is_ok()).collect()
}

#[test]
fn identity_changes_with_workers_there() {
    if !alone("identity_changes_with_workers_there") {
        return;
    }
    let engine = start(4);
    let file = temp_file(b"abcd");
    read_some(engine, &file, 10);
    drop_privileges();
    read_some(engine, &file, 10);
}

//! The engine alone, under a program that behaves. `rough`: one that does not.

mod kit;
mod rough;

use super::Threads;
use crate::engine::op::Kind;
use crate::engine::{Cancelled, Engine};
use crate::sys;
use kit::*;
use std::os::fd::AsRawFd;

#[test]
fn writes_then_reads_then_syncs() {
    let engine = start(4);
    let file = temp_file(b"");
    let data = pattern(10_000, 7);
    let mut w = Req::write(engine, &file, &data, 100);
    submit(engine, &mut [&mut w]);
    assert_eq!(w.wait(), 10_000);
    let mut r = Req::read(engine, &file, 20_000, 100);
    submit(engine, &mut [&mut r]);
    assert_eq!(r.wait(), 10_000, "up to the end of the file");
    assert_eq!(r.buf[..10_000], data[..]);
    for data_only in [false, true] {
        let mut f = Req::new(engine, Kind::Fsync { data_only }, file.as_raw_fd());
        submit(engine, &mut [&mut f]);
        assert_eq!(f.wait(), 0);
    }
}

#[test]
fn errors_are_results() {
    let engine = start(2);
    let file = temp_file(b"abcdef");
    let mut r = Req::new(engine, Kind::Read, file.as_raw_fd());
    r.args().iov = crate::engine::op::IoVecs::one(8, 4);
    submit(engine, &mut [&mut r]);
    assert_eq!(r.wait(), -i64::from(libc::EFAULT));
    // What went before the error counts.
    let page = guarded_page();
    let mut r = Req::new(engine, Kind::Read, file.as_raw_fd());
    r.args().iov = crate::engine::op::IoVecs::one(page as u64 + 4096 - 4, 6);
    submit(engine, &mut [&mut r]);
    assert_eq!(r.wait(), 4);
}

#[test]
fn the_file_is_the_one_of_io_submit() {
    let engine = start(4);
    let (a, b) = (named_file(&[b'a'; 4096]), named_file(&[b'b'; 4096]));
    for round in 0..10_000 {
        let file = std::fs::File::open(&a).unwrap();
        let number = file.as_raw_fd();
        let mut r = Req::read(engine, &file, 4096, 0);
        pin(engine, &mut [&mut r]);
        if round % 2 == 0 {
            r.start();
        }
        drop(file);
        let other = std::fs::File::open(&b).unwrap();
        if round % 2 == 1 {
            r.start();
        }
        assert_eq!(r.wait(), 4096);
        assert!(
            r.buf.iter().all(|&c| c == b'a'),
            "round {round}: number {number}, now {}",
            other.as_raw_fd()
        );
    }
    assert_eq!(engine.pins.live(), 0);
}

#[test]
fn record_locks_are_kept() {
    let engine = start(2);
    let path = named_file(b"locked");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    // SAFETY: plain integers; the structures live through the calls.
    unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = libc::F_WRLCK as _;
        assert_eq!(libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &lock), 0);
        for _ in 0..100 {
            let mut r = Req::read(engine, &file, 6, 0);
            submit(engine, &mut [&mut r]);
            assert_eq!(r.wait(), 6);
        }
        let other = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut seen: libc::flock = std::mem::zeroed();
        seen.l_type = libc::F_WRLCK as _;
        assert_eq!(libc::fcntl(other.as_raw_fd(), libc::F_OFD_GETLK, &mut seen), 0);
        assert_eq!(i32::from(seen.l_type), libc::F_WRLCK, "the lock is gone");
    }
}

#[test]
fn a_batch_of_many_files_and_eventfds() {
    let engine = start(8);
    let files: Vec<_> = (0..256u32).map(|i| temp_file(&i.to_ne_bytes())).collect();
    let events: Vec<_> = (0..256).map(|_| eventfd(0)).collect();
    let mut reqs: Vec<_> = (0..256)
        .map(|i| {
            let mut r = Req::read(engine, &files[i], 4, 0);
            r.args().resfd = events[i].as_raw_fd();
            r
        })
        .collect();
    submit(engine, &mut reqs.iter_mut().collect::<Vec<_>>());
    for (i, r) in reqs.iter().enumerate() {
        assert_eq!(r.wait(), 4);
        assert_eq!(read_eventfd(&events[i]), 1);
        assert_eq!(r.buf, (i as u32).to_ne_bytes());
    }
}

#[test]
fn a_bad_descriptor_stops_the_batch_there() {
    let engine = start(2);
    let file = temp_file(b"abcd");
    let [mut good, mut bad, mut behind] = [0; 3].map(|_| Req::read(engine, &file, 4, 0));
    bad.args().fd = 987_654;
    let (pinned, why) = try_pin(engine, &mut [&mut good, &mut bad, &mut behind]);
    assert_eq!((pinned, why), (1, Err(crate::errno::Errno::EBADF)));
    good.start();
    engine.kick();
    assert_eq!(good.wait(), 4);
}

#[test]
fn streams_keep_no_worker() {
    let engine = start(2);
    let pipes: Vec<_> = (0..200).map(|_| pipe()).collect();
    let mut reqs: Vec<_> = pipes.iter().map(|p| Req::read(engine, &p.0, 8, -1)).collect();
    submit(engine, &mut reqs.iter_mut().collect::<Vec<_>>());
    // They wait; files do not wait for them.
    let file = temp_file(b"abcd");
    let mut r = Req::read(engine, &file, 4, 0);
    submit(engine, &mut [&mut r]);
    assert_eq!(r.wait(), 4);
    assert!(reqs.iter().all(|r| !r.is_done()));
    for p in &pipes[..100] {
        sys::write(p.1.as_raw_fd(), b"hello").unwrap();
    }
    for r in &reqs[..100] {
        assert_eq!(r.wait(), 5, "what is there, not continued");
    }
    for r in &reqs[100..] {
        assert_eq!(r.cancel(engine), Cancelled::Yes);
        assert_eq!(r.wait(), -i64::from(libc::ECANCELED));
    }
    assert_eq!(engine.pins.live(), 0);
}

#[test]
fn a_blocking_pipe_is_written_in_full() {
    let engine = start(2);
    let (out, into) = pipe();
    let data = pattern(1 << 20, 3);
    let mut w = Req::write(engine, &into, &data, -1);
    submit(engine, &mut [&mut w]);
    let mut got = Vec::new();
    let mut piece = [0; 5000];
    while got.len() < 1 << 20 {
        let n = read(&out, &mut piece);
        got.extend_from_slice(&piece[..n]);
    }
    assert_eq!(w.wait(), 1 << 20);
    assert_eq!(got, data);
    // O_NONBLOCK: what fits, then "not now".
    set_nonblock(&into);
    for expected in [65536, -i64::from(libc::EAGAIN)] {
        let mut w = Req::write(engine, &into, &data, -1);
        w.args().traits.nonblock = true;
        submit(engine, &mut [&mut w]);
        assert_eq!(w.wait(), expected);
    }
}

#[test]
fn sockets_and_their_timeouts() {
    let engine = start(2);
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut r = Req::read(engine, &a, 16, -1);
    submit(engine, &mut [&mut r]);
    sys::write(b.as_raw_fd(), b"xyz").unwrap();
    assert_eq!(r.wait(), 3);
    a.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let mut r = Req::read(engine, &a, 16, -1);
    r.args().timeout.nsec = 100_000_000;
    submit(engine, &mut [&mut r]);
    assert_eq!(r.wait(), -i64::from(libc::EAGAIN));
    drop(b);
    let mut r = Req::read(engine, &a, 16, -1);
    submit(engine, &mut [&mut r]);
    assert_eq!(r.wait(), 0);
    let mut w = Req::write(engine, &a, b"abcd", -1);
    submit(engine, &mut [&mut w]);
    assert_eq!(w.wait(), -i64::from(libc::EPIPE));
}

#[test]
fn a_thousand_polls() {
    let engine = start(2);
    let events: Vec<_> = (0..1000).map(|_| eventfd(0)).collect();
    let mut reqs: Vec<_> = events.iter().map(|e| Req::poll(engine, e, libc::POLLIN)).collect();
    submit(engine, &mut reqs.iter_mut().collect::<Vec<_>>());
    for (i, e) in events.iter().enumerate() {
        match i % 3 {
            0 => _ = sys::write(e.as_raw_fd(), &1u64.to_ne_bytes()).unwrap(),
            1 => assert_eq!(reqs[i].cancel(engine), Cancelled::Yes),
            _ => {}
        }
    }
    for (i, r) in reqs.iter().enumerate() {
        match i % 3 {
            0 => assert_eq!(r.wait(), i64::from(libc::POLLIN)),
            1 => assert_eq!(r.wait(), -i64::from(libc::ECANCELED)),
            _ => {
                assert!(!r.is_done());
                assert_eq!(r.cancel(engine), Cancelled::Yes);
            }
        }
    }
    assert_eq!(engine.pins.live(), 0);
}

#[test]
fn polls_of_one_file() {
    let engine = start(2);
    let (out, into) = pipe();
    let mut reqs: Vec<_> = (0..50).map(|_| Req::poll(engine, &out, libc::POLLIN)).collect();
    submit(engine, &mut reqs.iter_mut().collect::<Vec<_>>());
    let mut never = Req::poll(engine, &out, 0);
    submit(engine, &mut [&mut never]);
    sys::write(into.as_raw_fd(), b"x").unwrap();
    for r in &reqs {
        assert_eq!(r.wait(), i64::from(libc::POLLIN));
    }
    assert!(!never.is_done());
    drop(into);
    assert_eq!(never.wait(), i64::from(libc::POLLHUP), "hang-up is reported unasked");
}

#[test]
fn a_poll_outlives_the_number() {
    let engine = start(2);
    let (out, into) = pipe();
    let mut p = Req::poll(engine, &out, libc::POLLIN);
    submit(engine, &mut [&mut p]);
    drop(out);
    let _others: Vec<_> = (0..20).map(|_| pipe()).collect();
    sys::write(into.as_raw_fd(), b"x").unwrap();
    assert_eq!(p.wait(), i64::from(libc::POLLIN));
}

#[test]
fn a_full_eventfd_blocks_nobody() {
    let engine = start(2);
    let event = eventfd(0);
    sys::write(event.as_raw_fd(), &(u64::MAX - 1).to_ne_bytes()).unwrap();
    let file = temp_file(b"abcd");
    for _ in 0..3 {
        let mut r = Req::read(engine, &file, 4, 0);
        r.args().resfd = event.as_raw_fd();
        submit(engine, &mut [&mut r]);
        assert_eq!(r.wait(), 4);
    }
    assert_eq!(read_eventfd(&event), u64::MAX - 1);
}

#[test]
fn an_abandoned_operation_is_only_completed() {
    let engine = start(2);
    let file = temp_file(b"abcd");
    let mut w = Req::write(engine, &file, b"EFGH", 0);
    w.op.abandoned.store(true, std::sync::atomic::Ordering::Relaxed);
    submit(engine, &mut [&mut w]);
    assert_eq!(w.wait(), -i64::from(libc::ECANCELED));
    assert_eq!(contents(&file), b"abcd");
}

#[test]
fn cancel_and_completion_meet() {
    let engine: &'static Threads = start(4);
    let mut cancelled = 0;
    for i in 0..5000u32 {
        let event = eventfd(0);
        let mut p = Req::poll(engine, &event, libc::POLLIN);
        submit(engine, &mut [&mut p]);
        let writer = std::thread::scope(|s| {
            let h = s.spawn(|| {
                (0..i % 300).for_each(|_| std::hint::spin_loop());
                sys::write(event.as_raw_fd(), &1u64.to_ne_bytes()).unwrap();
            });
            let c = p.cancel(engine);
            h.join().unwrap();
            c
        });
        match writer {
            Cancelled::Yes => {
                cancelled += 1;
                assert_eq!(p.wait(), -i64::from(libc::ECANCELED));
            }
            Cancelled::No => assert_eq!(p.wait(), i64::from(libc::POLLIN)),
        }
        assert_eq!(p.completions(), 1);
    }
    eprintln!("{cancelled} of 5000 cancelled");
}

#[test]
fn a_queued_operation_can_be_cancelled() {
    let engine = start(1);
    // The one worker waits for a socket with a timeout.
    let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
    a.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let mut slow = Req::read(engine, &a, 16, -1);
    slow.args().timeout.nsec = 500_000_000;
    submit(engine, &mut [&mut slow]);
    std::thread::sleep(std::time::Duration::from_millis(100));
    let file = temp_file(b"abcd");
    let mut w = Req::write(engine, &file, b"EFGH", 0);
    submit(engine, &mut [&mut w]);
    // A pipe does not need that worker.
    let (out, into) = pipe();
    let mut r = Req::read(engine, &out, 16, -1);
    submit(engine, &mut [&mut r]);
    sys::write(into.as_raw_fd(), b"xyz").unwrap();
    assert_eq!(r.wait(), 3);
    assert!(!slow.is_done());
    assert_eq!(slow.cancel(engine), Cancelled::No, "it runs");
    assert_eq!(w.cancel(engine), Cancelled::Yes);
    assert_eq!(slow.wait(), -i64::from(libc::EAGAIN));
    assert_eq!(contents(&file), b"abcd");
}

"""libaio by ctypes: loaded by its name, each call by its own name."""

import ctypes
import mmap
import os
import select
import struct
import sys

PREAD, PWRITE, POLL = 0, 1, 5
BLOCK, DEPTH = 4096, 32


class Iocb(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_uint32),
        ("opcode", ctypes.c_int16),
        ("reqprio", ctypes.c_int16),
        ("fildes", ctypes.c_int32),
        ("buf", ctypes.c_uint64),
        ("nbytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("resfd", ctypes.c_int32),
    ]


class Event(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    ]


def load():
    for name in ("libaio.so.1", "libaio.so.1t64"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    sys.exit("there is no libaio")


aio = load()
long, pointer = ctypes.c_long, ctypes.c_void_p
aio.io_setup.argtypes = [ctypes.c_int, ctypes.POINTER(pointer)]
aio.io_submit.argtypes = [pointer, long, pointer]
aio.io_getevents.argtypes = [pointer, long, long, pointer, pointer]
aio.io_cancel.argtypes = [pointer, pointer, pointer]
aio.io_destroy.argtypes = [pointer]


def submit(ctx, iocbs):
    array = (ctypes.POINTER(Iocb) * len(iocbs))(*map(ctypes.pointer, iocbs))
    assert aio.io_submit(ctx, len(iocbs), array) == len(iocbs)


def reap(ctx, count):
    events = (Event * count)()
    assert aio.io_getevents(ctx, count, count, events, None) == count
    return events


def block(round_, i):
    return struct.pack("<QQ", round_, i) * (BLOCK // 16)


def transfers(ctx, path, rounds, flags):
    """Writes blocks in reverse order and reads them back, all at once."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    memory = mmap.mmap(-1, BLOCK * DEPTH)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for round_ in range(rounds):
        for opcode in (PWRITE, PREAD):
            iocbs = []
            for i in range(DEPTH):
                at = slice(i * BLOCK, (i + 1) * BLOCK)
                memory[at] = block(round_, i) if opcode == PWRITE else bytes(BLOCK)
                iocbs.append(
                    Iocb(
                        data=i,
                        opcode=opcode,
                        fildes=fd,
                        buf=base + i * BLOCK,
                        nbytes=BLOCK,
                        offset=(DEPTH - 1 - i) * BLOCK,
                    )
                )
            submit(ctx, iocbs)
            events = reap(ctx, DEPTH)
            assert sorted(e.data for e in events) == list(range(DEPTH))
            assert all(e.res == BLOCK and e.res2 == 0 for e in events)
        for i in range(DEPTH):
            assert memory[i * BLOCK : (i + 1) * BLOCK] == block(round_, i), (round_, i)
    os.close(fd)
    with open(path, "rb") as f:
        assert f.read() == b"".join(block(rounds - 1, i) for i in reversed(range(DEPTH)))


def polls(ctx):
    """A poll that fires, told by an eventfd in an epoll set; one that is cancelled."""
    readable, writable = os.pipe()
    resfd = os.eventfd(0, os.EFD_NONBLOCK)
    epoll = select.epoll()
    epoll.register(resfd, select.EPOLLIN)
    poll = Iocb(opcode=POLL, fildes=readable, buf=select.POLLIN, flags=1, resfd=resfd)
    submit(ctx, [poll])
    assert epoll.poll(0) == []
    os.write(writable, b"x")
    assert epoll.poll(10) == [(resfd, select.EPOLLIN)] and os.eventfd_read(resfd) == 1
    (event,) = reap(ctx, 1)
    assert event.res & select.POLLIN and event.obj == ctypes.addressof(poll)
    os.read(readable, 1)
    submit(ctx, [poll])
    assert aio.io_cancel(ctx, ctypes.byref(poll), ctypes.byref(Event())) == -115
    assert reap(ctx, 1)[0].res == 0


def main():
    path, rounds = sys.argv[1], int(sys.argv[2])
    ctx = pointer()
    assert aio.io_setup(DEPTH, ctypes.byref(ctx)) == 0
    transfers(ctx, path, rounds, os.O_DIRECT)
    transfers(ctx, path, rounds, 0)
    polls(ctx)
    assert aio.io_destroy(ctx) == 0
    assert aio.io_destroy(ctx) == -22
    print(f"{2 * 2 * rounds * DEPTH} transfers verified")


main()

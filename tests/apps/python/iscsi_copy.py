"""libiscsi by ctypes: a file written to a LUN and read back, by several connections."""

import ctypes
import random
import sys
import threading
import time

BLOCK, CONNECTIONS = 512, 8

iscsi = ctypes.CDLL("libiscsi.so.7")
iscsi.iscsi_create_context.restype = ctypes.c_void_p
iscsi.iscsi_get_error.restype = ctypes.c_char_p
for name in ("iscsi_write16_sync", "iscsi_read16_iov_sync"):
    # Of a task only its first member is looked at: the SCSI status.
    getattr(iscsi, name).restype = ctypes.POINTER(ctypes.c_int)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Connection:
    def __init__(self, portal, target, lun):
        name = b"iqn.2026-11.org.aio-rs:initiator"
        self.context = ctypes.c_void_p(iscsi.iscsi_create_context(name))
        self.lun = lun
        iscsi.iscsi_set_targetname(self.context, target)
        iscsi.iscsi_set_session_type(self.context, 2)  # normal
        iscsi.iscsi_set_timeout(self.context, 30)
        self.check(iscsi.iscsi_full_connect_sync(self.context, portal, lun) == 0)

    def check(self, good):
        if not good:
            raise OSError(iscsi.iscsi_get_error(self.context).decode())

    def done(self, task):
        self.check(bool(task) and task[0] == 0)
        iscsi.scsi_free_scsi_task(task)

    def write(self, at, data):
        lba = ctypes.c_uint64(at // BLOCK)
        size = len(data)
        self.done(
            iscsi.iscsi_write16_sync(
                self.context, self.lun, lba, data, size, BLOCK, 0, 0, 0, 0, 0
            )
        )

    def read(self, at, size):
        lba = ctypes.c_uint64(at // BLOCK)
        buffer = ctypes.create_string_buffer(b"\xa5" * size, size)
        iov = Iovec(ctypes.addressof(buffer), size)
        self.done(
            iscsi.iscsi_read16_iov_sync(
                self.context, self.lun, lba, size, BLOCK, 0, 0, 0, 0, 0, ctypes.byref(iov), 1
            )
        )
        return buffer.raw


def pieces(size, rand):
    """All of it, in pieces of one page to 256 KiB, in any order."""
    found, at = [], 0
    while at < size:
        length = min(4096 * rand.randint(1, 64), size - at)
        found.append((at, length))
        at += length
    rand.shuffle(found)
    return found


def in_parallel(connections, work, todo):
    failed = []

    def one(connection):
        try:
            while True:
                work(connection, *todo.pop())
        except IndexError:
            pass
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=one, args=(c,)) for c in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(f"{failed[0]}")


def main():
    portal, target, lun, path = sys.argv[1:]
    with open(path, "rb") as file:
        source = file.read()
    rand = random.Random(len(source))
    connections = [
        Connection(portal.encode(), target.encode(), int(lun)) for _ in range(CONNECTIONS)
    ]

    def write(connection, at, size):
        connection.write(at, source[at : at + size])

    def read(connection, at, size):
        if connection.read(at, size) != source[at : at + size]:
            raise OSError(f"{size} bytes at {at} are not what was written")

    started = time.monotonic()
    in_parallel(connections, write, pieces(len(source), rand))
    in_parallel(connections, read, pieces(len(source), rand))
    mib = len(source) >> 20
    rate = 2 * mib / (time.monotonic() - started)
    print(f"{mib} MiB written and read, {rate:.0f} MiB/s")


main()

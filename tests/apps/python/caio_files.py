"""caio's Linux AIO context under asyncio: many files at once, and their contents."""

import asyncio
import hashlib
import os
import random
import sys

from caio.linux_aio_asyncio import AsyncioContext

CHUNK, CHUNKS = 16384, 16


async def one_file(ctx, path, seed):
    rand = random.Random(seed)
    chunks = [rand.randbytes(CHUNK) for _ in range(CHUNKS)]
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    order = list(range(CHUNKS))
    rand.shuffle(order)
    wrote = await asyncio.gather(*(ctx.write(chunks[i], fd, i * CHUNK) for i in order))
    assert wrote == [CHUNK] * CHUNKS
    await ctx.fdsync(fd)
    rand.shuffle(order)
    read = await asyncio.gather(*(ctx.read(CHUNK, fd, i * CHUNK) for i in order))
    assert all(data == chunks[i] for i, data in zip(order, read))
    assert await ctx.read(CHUNK, fd, CHUNK * CHUNKS) == b""
    os.close(fd)
    with open(path, "rb") as f:
        whole = hashlib.sha256(b"".join(chunks)).digest()
        assert hashlib.sha256(f.read()).digest() == whole


async def main():
    files = int(sys.argv[1])
    async with AsyncioContext(max_requests=64) as ctx:
        await asyncio.gather(*(one_file(ctx, f"file{n}", n) for n in range(files)))
    print(f"{2 * files * CHUNKS} transfers verified")


asyncio.run(main())

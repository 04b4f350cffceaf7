/* Pipes as targets. */
#include "submit_util.h"
#include <pthread.h>

static io_context_t ctx;
static struct iocb cb;
static int blocking[2];
static volatile int returned, held;

/* Gives io_submit a second to return before there is anything to read. */
static void *feed(void *unused)
{
	for (int i = 0; i < 1000 && !returned; i++)
		usleep(1000);
	held = !returned;
	MUST(write(blocking[1], "late!", 5) == 5);
	return unused;
}

int main(void)
{
	static const long long offset[] = { 0, 1, 4095, 1LL << 40, LLONG_MAX - 64 };
	char buf[64], label[64], *big;
	struct io_event ev;
	pthread_t feeder;
	int p[2];

	ctx = new_ctx(8);
	MUST(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0 && pipe2(blocking, O_CLOEXEC) == 0);

	prep(&cb, IO_CMD_PREAD, p[0], buf, sizeof buf, 0);
	expect_inline("3.9/2", "empty pipe, O_NONBLOCK", ctx, &cb, -EAGAIN);
	prep(&cb, IO_CMD_PREAD, blocking[0], buf, sizeof buf, 0);
	cb.aio_rw_flags = 8;
	expect_inline("3.9/2", "empty pipe, RWF_NOWAIT", ctx, &cb, -EAGAIN);
	prep(&cb, IO_CMD_PREAD, blocking[0], buf, sizeof buf, 0);
	MUST(pthread_create(&feeder, NULL, feed, NULL) == 0);
	expect("3.9/2", "empty blocking pipe", submit1(ctx, &cb), 1);
	returned = 1;
	pthread_join(feeder, NULL);
	expect_differs("3.9/2", "empty blocking pipe: io_submit held until there is data", held, 1, 0);
	int n = reap(ctx, 1, 1, &ev, 10000);
	expect_true("3.9/2", "its event", n == 1 && ev.obj == &cb && ev.res == 5 && !ev.res2 && !memcmp(buf, "late!", 5));

	for (size_t i = 0; i < sizeof offset / sizeof *offset; i++)
		for (int b = 0; b < 2; b++) {
			int *q = b ? blocking : p;
			memset(buf, '.', sizeof buf);
			MUST(write(q[1], "hello", 5) == 5);
			prep(&cb, IO_CMD_PREAD, q[0], buf, sizeof buf, offset[i]);
			snprintf(label, sizeof label, "%s pipe with 5 bytes, offset %lld", b ? "blocking" : "O_NONBLOCK",
				 offset[i]);
			expect_inline("3.9/3", label, ctx, &cb, 5);
			expect_true("3.9/3", "the 5 bytes and no more", !memcmp(buf, "hello.", 6));
		}
	/* In parts, and a write at an offset. */
	prep(&cb, IO_CMD_PWRITE, p[1], "0123456789", 10, 77);
	expect_inline("3.9/3", "pwrite of 10, offset 77", ctx, &cb, 10);
	prep(&cb, IO_CMD_PREAD, p[0], buf, 4, 50);
	expect_inline("3.9/3", "pread of 4, offset 50", ctx, &cb, 4);
	expect_true("3.9/3", "the first 4", !memcmp(buf, "0123", 4));
	prep(&cb, IO_CMD_PREAD, p[0], buf, sizeof buf, 50);
	expect_inline("3.9/3", "pread of the rest", ctx, &cb, 6);
	expect_true("3.9/3", "the next 6", !memcmp(buf, "456789", 6));

	prep(&cb, IO_CMD_PREAD, p[1], buf, 16, 0);
	expect_refused_key("3.9/4", "pread of the write end", ctx, &cb, -EBADF, "cleared");
	prep(&cb, IO_CMD_PWRITE, p[0], buf, 16, 0);
	expect_refused_key("3.9/4", "pwrite to the read end", ctx, &cb, -EBADF, "cleared");

	/* More than the pipe holds; 5 bytes in it take a page of it. */
	big = edge_alloc(256 << 10);
	memset(big, 'b', 256 << 10);
	MUST(fcntl(p[1], F_SETPIPE_SZ, 65536) == 65536);
	prep(&cb, IO_CMD_PWRITE, p[1], big, 256 << 10, 0);
	expect_inline("3.9/5", "pwrite of 256K, O_NONBLOCK, empty pipe", ctx, &cb, 65536);
	expect_inline("3.9/5", "again", ctx, &cb, -EAGAIN);
	MUST(read(p[0], big, 65536) == 65536 && write(p[1], "hello", 5) == 5);
	expect_inline("3.9/5", "pwrite of 256K, O_NONBLOCK, pipe with 5 bytes", ctx, &cb, 61440);
	expect_inline("3.9/5", "again", ctx, &cb, -EAGAIN);
	cb.u.c.nbytes = 1;
	cb.u.c.offset = 3;
	expect_inline("3.9/5", "one byte", ctx, &cb, -EAGAIN);

	/* Without a writer: first what is in it, then the end. */
	close(p[1]);
	prep(&cb, IO_CMD_PREAD, p[0], big, 256 << 10, 0);
	expect_true("3.9/7", "no writer: the rest is read", run1(ctx, &cb) == 61445 && !memcmp(big, "hellob", 6));
	expect_inline("3.9/7", "no writer: then 0", ctx, &cb, 0);
	close(blocking[1]);
	prep(&cb, IO_CMD_PREAD, blocking[0], buf, 16, 0);
	expect_inline("3.9/7", "no writer, blocking pipe", ctx, &cb, 0);
	cb.aio_rw_flags = 8;
	expect_inline("3.9/7", "no writer, RWF_NOWAIT", ctx, &cb, 0);
	expect_true("3.9/7", "ring empty at the end", ring_empty(ctx));
	expect("3.9/7", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

/* io_submit on a context without a free slot. */
#include "submit_util.h"

int main(void)
{
	char buf[16];
	struct iocb cb, *list[1] = { NULL };
	struct io_event ev[4];

	int fd = pattern_file(0, PAGE), wo = temp_file(O_WRONLY);
	io_context_t ctx = full_ctx(fd);
	unsigned tail = ring_of(ctx)->tail;

#define FULL(id, label, change, want, key)                         \
	do {                                                       \
		prep(&cb, IO_CMD_PREAD, fd, buf, 16, 0);           \
		change;                                            \
		expect_refused_key(id, label, ctx, &cb, want, key); \
	} while (0)
	FULL("3.2/15", "good iocb", (void)0, -EAGAIN, "kept");
	FULL("3.2/15", "bad fd", cb.aio_fildes = closed_fd(), -EAGAIN, "kept");
	FULL("3.2/15", "bad opcode", cb.aio_lio_opcode = 99, -EAGAIN, "kept");
	FULL("3.2/15", "bad resfd", (cb.u.c.flags = FLAG_RESFD, cb.u.c.resfd = 9999), -EAGAIN, "kept");
	FULL("3.2/15", "wrong mode", cb.aio_fildes = wo, -EAGAIN, "kept");
	FULL("3.2/15", "fsync", cb.aio_lio_opcode = IO_CMD_FSYNC, -EAGAIN, "kept");
	FULL("3.2/16", "reserved2", cb.reserved2 = 1, -EINVAL, "kept");
	FULL("3.2/16", "nbytes -1", cb.u.c.nbytes = (size_t)-1, -EINVAL, "kept");
	expect("3.2/16", "iocb NULL", io_submit(ctx, 1, list), -EFAULT);
	expect("3.2/16", "array NULL", io_submit(ctx, 1, NULL), -EFAULT);
	expect("3.2/16", "nr 0", io_submit(ctx, 0, NULL), 0);
	expect("3.2/16", "nr -1", io_submit(ctx, -1, list), -EINVAL);
	expect_true("3.2/15", "no event was added", ring_of(ctx)->tail == tail);

	/* One event taken is one slot, for the next good iocb. */
	expect("3.2/15", "one event taken", reap(ctx, 1, 1, ev, 0), 1);
	prep(&cb, IO_CMD_PREAD, fd, buf, 16, 0);
	expect("3.2/15", "one more fits", submit1(ctx, &cb), 1);
	expect("3.2/15", "full again", submit1(ctx, &cb), -EAGAIN);
	/* Three asked for, two slots: two are taken. */
	struct iocb *three[3] = { &cb, &cb, &cb };
	expect("3.2/15", "two events taken", reap(ctx, 2, 2, ev, 0), 2);
	expect("3.2/15", "three at once", io_submit(ctx, 3, three), 2);
	expect("3.2/15", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

/* io_submit stops at the first error: what was accepted counts, the error is
 * reported only if that is nothing, and the rest is as if never given. */
#include "submit_util.h"

static io_context_t ctx;
static int fd;
static char buf[4][16];
static struct iocb cb[4];
static struct iocb *list[4];

static void fresh(void)
{
	for (int i = 0; i < 4; i++) {
		prep(&cb[i], IO_CMD_PREAD, fd, buf[i], 16, 16 * i);
		cb[i].data = (void *)(uintptr_t)(i + 1);
		list[i] = &cb[i];
	}
}

/* Exactly n events, of iocbs 0..n-1 in this order, each a full read. */
static void expect_events(const char *id, const char *label, int n)
{
	struct io_event ev[8];
	int ok = reap(ctx, n, 8, ev, 10000) == n;
	for (int i = 0; ok && i < n; i++)
		ok = ev[i].obj == &cb[i] && ev[i].data == cb[i].data && ev[i].res == 16 && ev[i].res2 == 0;
	expect_true(id, label, ok && ring_empty(ctx));
}

int main(void)
{
	char label[96];
	static const char *const bad_name[] = { "NULL", "unmapped", "kernel address" };
	void *bad[] = { NULL, unmapped_addr(), KERNEL_ADDR };

	fd = pattern_file(0, PAGE);
	ctx = new_ctx(8);
	for (int i = 0; i < 3; i++) {
		fresh();
		list[0] = bad[i];
		snprintf(label, sizeof label, "iocb %s at index 0 of 4", bad_name[i]);
		expect("3.2/6", label, io_submit(ctx, 4, list), -EFAULT);
		expect_true("3.2/6", "the others not looked at", cb[1].key == KEY_MARK && ring_empty(ctx));
		fresh();
		list[2] = bad[i];
		snprintf(label, sizeof label, "iocb %s at index 2 of 4", bad_name[i]);
		expect("3.2/7", label, io_submit(ctx, 4, list), 2);
		expect_events("3.2/7", "events of 0 and 1", 2);
		expect_true("3.2/7", "keys of 0 and 1 cleared", cb[0].key == 0 && cb[1].key == 0);
		expect_true("3.2/7", "iocb 3 not looked at", cb[3].key == KEY_MARK);
	}

	fresh();
	cb[1].aio_fildes = closed_fd();
	expect("3.2/12", "bad fd at index 1 of 2", io_submit(ctx, 2, list), 1);
	expect_true("3.2/12", "key of iocb 1 unchanged", cb[1].key == KEY_MARK);
	expect_events("3.2/12", "event of 0", 1);
	/* The error is not kept anywhere: the next call starts clean. */
	expect("3.1/0", "the rest again, still bad", io_submit(ctx, 1, list + 1), -EBADF);
	cb[1].aio_fildes = fd;
	expect("3.1/0", "the rest again, put right", io_submit(ctx, 3, list + 1), 3);
	struct io_event ev[4];
	expect("3.1/0", "its events", reap(ctx, 3, 4, ev, 10000), 3);
	expect_true("3.1/0", "of iocbs 1, 2, 3", ev[0].obj == &cb[1] && ev[1].obj == &cb[2] && ev[2].obj == &cb[3]);

	fresh();
	cb[0].aio_fildes = closed_fd();
	expect("3.2/13", "bad fd at index 0 of 2", io_submit(ctx, 2, list), -EBADF);
	expect_true("3.2/13", "iocb 1 not looked at", cb[1].key == KEY_MARK && ring_empty(ctx));
	list[1] = unmapped_addr();
	expect("3.2/13", "bad fd at index 0, iocb 1 unmapped", io_submit(ctx, 2, list), -EBADF);

	/* Any kind of error at index k > 0 is lost; what was reached of iocb k shows in its key. */
	const struct {
		const char *name;
		int op, flags, rw_flags, reserved, mode;
		long alone;
		const char *key;
	} kind[] = {
		{ "bad opcode", 99, 0, 0, 0, 0, -EINVAL, "cleared" },
		{ "reserved2", IO_CMD_PREAD, 0, 0, 1, 0, -EINVAL, "kept" },
		{ "bad resfd", IO_CMD_PREAD, FLAG_RESFD, 0, 0, 0, -EINVAL, "kept" },
		{ "unknown rw_flags", IO_CMD_PREAD, 0, 0x400, 0, 0, -EOPNOTSUPP, "cleared" },
		{ "wrong mode", IO_CMD_PREAD, 0, 0, 0, O_WRONLY, -EBADF, "cleared" },
	};
	int wo = temp_file(O_WRONLY);
	for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) {
		fresh();
		cb[2].aio_lio_opcode = (short)kind[i].op;
		cb[2].u.c.flags = (unsigned)kind[i].flags;
		cb[2].u.c.resfd = (unsigned)fd;
		cb[2].aio_rw_flags = (unsigned)kind[i].rw_flags;
		cb[2].reserved2 = kind[i].reserved;
		if (kind[i].mode)
			cb[2].aio_fildes = wo;
		snprintf(label, sizeof label, "%s at index 2 of 4", kind[i].name);
		expect("3.1/0", label, io_submit(ctx, 4, list), 2);
		check_str("3.1/0", "its key", key_str(cb[2].key), kind[i].key);
		expect_true("3.1/0", "iocb 3 not looked at", cb[3].key == KEY_MARK);
		expect_events("3.1/0", "events of 0 and 1", 2);
		expect("3.1/0", "the same iocb alone", io_submit(ctx, 1, list + 2), kind[i].alone);
	}
	expect("3.1/0", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

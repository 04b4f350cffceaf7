/* io_submit: opcodes, reserved fields, flag bits and descriptors. */
#include "submit_util.h"

static io_context_t ctx;
static int fd;
static struct iocb cb;
static char buf[16], label[64];

static void good(void)
{
	prep(&cb, IO_CMD_PREAD, fd, buf, 16, 0);
}

int main(void)
{
	static const int bad_op[] = { -1, 4, IO_CMD_NOOP, 9, 10, 11, 99, 0x7fff, -0x8000 };
	static const int bit[] = { 2, 3, 4, 5, 30, 31 };
	static const int prio[] = { 1, -1, 5, 4 << 13, 7 << 13, 0x7fff, -0x8000 };

	fd = pattern_file(0, PAGE);
	int path_fd = open(".", O_PATH | O_CLOEXEC), closed;
	ctx = new_ctx(8);
	closed = closed_fd();

	for (size_t i = 0; i < sizeof bad_op / sizeof *bad_op; i++) {
		good();
		cb.aio_lio_opcode = (short)bad_op[i];
		snprintf(label, sizeof label, "opcode %d", bad_op[i]);
		expect_refused_key("3.3/1", label, ctx, &cb, -EINVAL, "cleared");
		cb.aio_fildes = closed;
		snprintf(label, sizeof label, "opcode %d, bad fd", bad_op[i]);
		expect_refused_key("3.3/2", label, ctx, &cb, -EBADF, "kept");
	}

	good();
	cb.reserved2 = 1;
	expect_refused_key("3.3/3", "reserved2 1", ctx, &cb, -EINVAL, "kept");
	cb.reserved2 = LLONG_MIN;
	expect_refused_key("3.3/3", "reserved2 top bit", ctx, &cb, -EINVAL, "kept");
	cb.reserved2 = 1LL << 32;
	expect_refused_key("3.3/3", "reserved2 bit 32", ctx, &cb, -EINVAL, "kept");
	cb.aio_fildes = closed;
	expect_refused_key("3.3/3", "reserved2, bad fd", ctx, &cb, -EINVAL, "kept");
	good();
	cb.reserved2 = 1;
	cb.aio_lio_opcode = IO_CMD_FSYNC;
	expect_refused_key("3.3/3", "reserved2, fsync", ctx, &cb, -EINVAL, "kept");

	for (size_t i = 0; i < sizeof bit / sizeof *bit; i++) {
		good();
		cb.u.c.flags = 1U << bit[i];
		snprintf(label, sizeof label, "aio_flags bit %d", bit[i]);
		expect_inline("3.3/4", label, ctx, &cb, 16);
	}
	good();
	cb.u.c.flags = ~(FLAG_RESFD | FLAG_IOPRIO);
	cb.u.c.resfd = ~0U;
	expect_inline("3.3/4", "aio_flags all unknown bits, resfd -1", ctx, &cb, 16);
	for (size_t i = 0; i < sizeof prio / sizeof *prio; i++) {
		good();
		cb.aio_reqprio = (short)prio[i];
		snprintf(label, sizeof label, "reqprio %d without the flag", prio[i]);
		expect_inline("3.3/5", label, ctx, &cb, 16);
	}

	/* Descriptors that are none. */
	const struct {
		const char *name;
		int fd;
	} none[] = {
		{ "-1", -1 }, { "9999", closed }, { "INT_MIN", INT_MIN }, { "INT_MAX", INT_MAX }, { "O_PATH", path_fd },
	};
	static const struct {
		const char *name;
		int op;
	} op[] = {
		{ "pread", IO_CMD_PREAD }, { "pwrite", IO_CMD_PWRITE }, { "preadv", IO_CMD_PREADV },
		{ "pwritev", IO_CMD_PWRITEV }, { "fsync", IO_CMD_FSYNC }, { "fdsync", IO_CMD_FDSYNC },
		{ "poll", IO_CMD_POLL },
	};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		for (size_t j = 0; j < sizeof op / sizeof *op; j++) {
			prep(&cb, op[j].op, none[i].fd, NULL, 0, 0);
			snprintf(label, sizeof label, "%s on fd %s", op[j].name, none[i].name);
			expect_refused_key("3.3/13", label, ctx, &cb, -EBADF, "kept");
		}
	/* More often than there are slots. */
	int other = 0;
	for (int i = 0; i < 1000; i++)
		other += submit1(ctx, &cb) != -EBADF;
	expect("3.3/13", "1000 times", other, 0);
	good();
	expect_inline("3.3/13", "a good one afterwards", ctx, &cb, 16);
	expect_true("3.3/1", "ring empty at the end", ring_empty(ctx));
	expect("3.3/1", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

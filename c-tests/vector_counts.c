/* The number of segments of PREADV and PWRITEV, and where their array is. */
#include "events.h"
#include <sys/uio.h>

static struct iocb *vec(struct iocb *cb, int op, int fd, void *iov, unsigned long n, long long offset)
{
	memset(cb, 0, sizeof *cb);
	cb->aio_lio_opcode = (short)op;
	cb->aio_fildes = fd;
	cb->u.c.buf = iov;
	cb->u.c.nbytes = n;
	cb->u.c.offset = offset;
	cb->key = 77;
	return cb;
}

int main(void)
{
	static char mem[1025];
	static struct iovec v[1025];
	int fd = pattern_file(O_RDWR, 65536), dir = open(".", O_RDONLY), wr = open("/dev/null", O_WRONLY);
	static const struct {
		int op;
		const char *name;
	} ops[] = { { IO_CMD_PREADV, "PREADV" }, { IO_CMD_PWRITEV, "PWRITEV" } };
	io_context_t ctx = 0;
	struct iocb cb;
	char label[128], back[1025];

	MUST(fd >= 0 && dir >= 0 && wr >= 0 && io_setup(8, &ctx) == 0);
	for (int i = 0; i < 1025; i++)
		v[i] = (struct iovec){ mem + i, 1 };
	for (int o = 0; o < 2; o++) {
		int op = ops[o].op;
#define L(what) (snprintf(label, sizeof label, "%s, %s", ops[o].name, what), label)
		expect_inline("3.8/1", L("0 segments"), ctx, vec(&cb, op, fd, v, 0, 0), 0);
		expect_inline("3.8/1", L("0 segments, array NULL"), ctx, vec(&cb, op, fd, NULL, 0, 0), 0);
		memset(mem, 'v', sizeof mem);
		expect_event("3.8/2", L("1 segment"), ctx, vec(&cb, op, fd, v, 1, 100), 1);
		expect_event("3.8/2", L("1024 segments"), ctx, vec(&cb, op, fd, v, 1024, 100), 1024);
		MUST(pread(fd, back, 1024, 100) == 1024);
		expect_true("3.8/2", L("1024 segments: data"), !memcmp(mem, back, 1024) && (back[0] == 'v') == (op == IO_CMD_PWRITEV));
		expect_refused("3.8/2", L("1025 segments"), ctx, vec(&cb, op, fd, v, 1025, 0), -EINVAL);
		expect("3.8/2", L("1025 segments: key"), cb.key, 0);
		expect_event("3.8/3", L("0x100000001 segments: one"), ctx, vec(&cb, op, fd, v, 0x100000001, 0), 1);
		expect_refused("3.8/3", L("-1 segments"), ctx, vec(&cb, op, fd, v, -1UL, 0), -EINVAL);
		expect("3.8/3", L("-1 segments: key unchanged"), cb.key, 77);
		expect_refused("3.8/4", L("array NULL, 1 segment"), ctx, vec(&cb, op, fd, NULL, 1, 0), -EFAULT);
		expect_refused("3.8/4", L("array NULL, 8 segments"), ctx, vec(&cb, op, fd, NULL, 8, 0), -EFAULT);
		expect_refused("3.8/4", L("array NULL, 9 segments"), ctx, vec(&cb, op, fd, NULL, 9, 0), -EFAULT);
		expect_refused("3.8/4", L("array unmapped, 1 segment"), ctx, vec(&cb, op, fd, NOWHERE, 1, 0), -EFAULT);
		expect_refused("3.8/4", L("array unmapped, 8 segments"), ctx, vec(&cb, op, fd, NOWHERE, 8, 0), -EFAULT);
		expect_refused("3.8/4", L("array unmapped, 9 segments"), ctx, vec(&cb, op, fd, NOWHERE, 9, 0), -EFAULT);
		struct iovec *edge = (struct iovec *)((char *)map_apart(4096) + 4096) - 8;
		memcpy(edge, v, 8 * sizeof *edge);
		expect_event("3.8/4", L("array at the end of its page, 8 segments"), ctx, vec(&cb, op, fd, edge, 8, 0), 8);
		expect_refused("3.8/4", L("array runs into an unmapped page, 9 segments"), ctx, vec(&cb, op, fd, edge, 9, 0), -EFAULT);
		expect_refused("3.8/10", L("1025 segments, offset -1"), ctx, vec(&cb, op, fd, v, 1025, -1), -EINVAL);
	}
	for (int how = 0; how < SPOILT - 1; how++)
		for (unsigned segs = 2; segs <= 9; segs += 7) {
			struct iovec *worn = worn_page();
			int good = 0;
			memcpy(worn + 3, v, segs * sizeof *v);
			for (int i = 0; i < USES; i++)
				good += run1(ctx, vec(&cb, IO_CMD_PREADV, fd, worn + 3, segs, 0)) == segs;
			snprintf(label, sizeof label, "array in constant use, %u segments", segs);
			expect("3.8/4", label, good, USES);
			snprintf(label, sizeof label, "then %s, %u segments", spoil(worn, how), segs);
			expect_refused("3.8/4", label, ctx, vec(&cb, IO_CMD_PREADV, fd, worn + 3, segs, 0), -EFAULT);
		}
	expect_refused("3.8/4", "PREADV, array NULL, O_WRONLY", ctx, vec(&cb, IO_CMD_PREADV, wr, NULL, 1, 0), -EBADF);
	expect_refused("3.8/4", "PREADV, array unmapped, O_WRONLY", ctx, vec(&cb, IO_CMD_PREADV, wr, NOWHERE, 9, 0), -EBADF);
	expect_refused("3.8/4", "PWRITEV, array unmapped, O_RDONLY", ctx, vec(&cb, IO_CMD_PWRITEV, dir, NOWHERE, 9, 0), -EBADF);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

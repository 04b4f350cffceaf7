/* io_submit: offsets, negative to huge, the end of the file, and f_pos. */
#include "submit_util.h"

#define SIZE 100

static io_context_t ctx;
static struct iocb cb;
static char buf[PAGE], label[96];

int main(void)
{
	static const struct {
		const char *name;
		long long offset;
	} negative[] = { { "-1", -1 }, { "-2", -2 }, { "LLONG_MIN", LLONG_MIN } };
	static const char *const op_name[] = { "pread", "pwrite" };
	int p[2];

	int fd = pattern_file(0, SIZE);
	MUST(fd >= 0 && pipe2(p, O_CLOEXEC) == 0 && write(p[1], "hello", 5) == 5);
	ctx = new_ctx(8);

	for (size_t i = 0; i < sizeof negative / sizeof *negative; i++)
		for (int w = 0; w < 2; w++)
			for (int n = 0; n <= 16; n += 16) {
				prep(&cb, w ? IO_CMD_PWRITE : IO_CMD_PREAD, fd, buf, (size_t)n, negative[i].offset);
				snprintf(label, sizeof label, "file: %s of %d at %s", op_name[w], n, negative[i].name);
				expect_refused_key("3.5/5", label, ctx, &cb, -EINVAL, "cleared");
				cb.aio_fildes = p[w];
				snprintf(label, sizeof label, "pipe: %s of %d at %s", op_name[w], n, negative[i].name);
				expect_refused_key("3.5/5", label, ctx, &cb, -EINVAL, "cleared");
			}
	prep(&cb, IO_CMD_PREAD, p[0], buf, 16, 0);
	expect_inline("3.5/5", "the pipe still holds its 5", ctx, &cb, 5);

	for (int w = 0; w < 2; w++) {
		prep(&cb, w ? IO_CMD_PWRITE : IO_CMD_PREAD, fd, buf, 16, LLONG_MAX);
		snprintf(label, sizeof label, "%s of 16 at LLONG_MAX", op_name[w]);
		expect_refused_key("3.5/6", label, ctx, &cb, -EINVAL, "cleared");
		cb.u.c.offset = LLONG_MAX - 15;
		snprintf(label, sizeof label, "%s of 16 at LLONG_MAX - 15", op_name[w]);
		expect_refused_key("3.5/6", label, ctx, &cb, -EINVAL, "cleared");
	}
	/* One lower the sum is LLONG_MAX, which is an offset. */
	prep(&cb, IO_CMD_PREAD, fd, buf, 16, LLONG_MAX - 16);
	expect_inline("3.5/6", "pread of 16 at LLONG_MAX - 16", ctx, &cb, 0);
	cb.aio_lio_opcode = IO_CMD_PWRITE;
	expect_inline("3.5/6", "pwrite of 16 at LLONG_MAX - 16", ctx, &cb, -EFBIG);
	cb.u.c.offset = 1LL << 60;
	expect_inline("3.5/7", "pwrite at 1 << 60", ctx, &cb, -EFBIG);
	expect("3.5/7", "file size", lseek(fd, 0, SEEK_END), SIZE);

	static const struct {
		const char *name;
		long long offset;
		long got;
	} end[] = {
		{ "at the end", SIZE, 0 }, { "beyond the end", SIZE + 1, 0 }, { "far beyond", 1 << 20, 0 },
		{ "at 1 << 60", 1LL << 60, 0 }, { "at the end - 5", SIZE - 5, 5 }, { "at the end - 16", SIZE - 16, 16 },
		{ "at the end - 15", SIZE - 15, 15 },
	};
	for (size_t i = 0; i < sizeof end / sizeof *end; i++) {
		memset(buf, '.', 32);
		prep(&cb, IO_CMD_PREAD, fd, buf, 16, end[i].offset);
		snprintf(label, sizeof label, "pread %s", end[i].name);
		expect_inline("3.5/8", label, ctx, &cb, end[i].got);
		int same = buf[end[i].got] == '.';
		for (long j = 0; j < end[i].got; j++)
			same &= buf[j] == (char)((end[i].offset + j) * 7);
		snprintf(label, sizeof label, "pread %s: the data, and not more", end[i].name);
		expect_true("3.5/8", label, same);
	}

	prep(&cb, IO_CMD_PREAD, fd, KERNEL_ADDR, 16, -1);
	expect_refused_key("3.5/9", "pread, kernel buffer, offset -1", ctx, &cb, -EFAULT, "cleared");
	cb.aio_lio_opcode = IO_CMD_PWRITE;
	expect_refused_key("3.5/9", "pwrite, kernel buffer, offset -1", ctx, &cb, -EFAULT, "cleared");
	prep(&cb, IO_CMD_PREAD, fd, unmapped_addr(), 16, -1);
	expect_refused_key("3.5/9", "pread, unmapped buffer, offset -1", ctx, &cb, -EINVAL, "cleared");

	MUST(lseek(fd, 42, SEEK_SET) == 42);
	prep(&cb, IO_CMD_PREAD, fd, buf, 16, 8);
	expect_inline("3.5/10", "pread at 8, f_pos 42", ctx, &cb, 16);
	expect_true("3.5/10", "read from 8", buf[0] == 8 * 7 && buf[15] == (char)(23 * 7));
	expect("3.5/10", "f_pos", lseek(fd, 0, SEEK_CUR), 42);
	prep(&cb, IO_CMD_PWRITE, fd, "new", 3, 1);
	expect_inline("3.5/10", "pwrite at 1", ctx, &cb, 3);
	expect("3.5/10", "f_pos", lseek(fd, 0, SEEK_CUR), 42);
	MUST(pread(fd, buf, 5, 0) == 5);
	expect_true("3.5/10", "written at 1", !memcmp(buf, "\0new\34", 5));
	expect_true("3.5/10", "ring empty at the end", ring_empty(ctx));
	expect("3.5/10", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

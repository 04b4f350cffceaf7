/* io_submit: nbytes, from nothing to far too much. */
#include "submit_util.h"
#include <sys/uio.h>

#define MOST 0x7ffff000L	/* one transfer is cut to this */
#define TOO_MUCH ((size_t)SSIZE_MAX + 1)

int main(void)
{
	static const struct {
		const char *name;
		size_t n;
	} huge[] = {
		{ "SSIZE_MAX", SSIZE_MAX }, { "1 << 47", 1UL << 47 }, { "1 << 40", 1UL << 40 },
		{ "0x80000000", 0x80000000UL }, { "0x7ffff001", MOST + 1 },
	};
	/* Not on the stack: buf + MOST must lie in user space (submit_buffer_limit). */
	static char buf[PAGE];
	char label[96];
	struct iocb cb;

	int fd = pattern_file(0, 100), null = open("/dev/null", O_RDWR | O_CLOEXEC), p[2];
	MUST(fd >= 0 && null >= 0 && pipe2(p, O_CLOEXEC) == 0);
	io_context_t ctx = new_ctx(8);

	prep(&cb, IO_CMD_PREAD, fd, buf, 0, 0);
	expect_inline("3.5/1", "pread of 0", ctx, &cb, 0);
	cb.u.c.buf = NULL;
	expect_inline("3.5/1", "pread of 0, buf NULL", ctx, &cb, 0);
	cb.u.c.buf = unmapped_addr();
	expect_inline("3.5/1", "pread of 0, buf unmapped", ctx, &cb, 0);
	prep(&cb, IO_CMD_PWRITE, fd, buf, 0, 50);
	expect_inline("3.5/1", "pwrite of 0", ctx, &cb, 0);
	cb.u.c.buf = NULL;
	cb.u.c.offset = 5000;
	expect_inline("3.5/1", "pwrite of 0 beyond the end, buf NULL", ctx, &cb, 0);
	expect("3.5/1", "the file has not grown", lseek(fd, 0, SEEK_END), 100);

	prep(&cb, IO_CMD_PREAD, fd, KERNEL_ADDR, 0, 0);
	expect_refused_key("3.5/2", "pread of 0, buf at a kernel address", ctx, &cb, -EFAULT, "cleared");
	cb.aio_lio_opcode = IO_CMD_PWRITE;
	expect_refused_key("3.5/2", "pwrite of 0, buf at a kernel address", ctx, &cb, -EFAULT, "cleared");

	static const int op[] = { IO_CMD_PREAD, IO_CMD_PWRITE, IO_CMD_FSYNC, 99 };
	static const char *const op_name[] = { "pread", "pwrite", "fsync", "opcode 99" };
	for (int i = 0; i < 4; i++)
		for (int closed = 0; closed < 2; closed++) {
			const char *bad = closed ? ", bad fd" : "";
			prep(&cb, op[i], closed ? closed_fd() : fd, buf, TOO_MUCH, 0);
			snprintf(label, sizeof label, "%s of SSIZE_MAX + 1%s", op_name[i], bad);
			expect_refused_key("3.5/3", label, ctx, &cb, -EINVAL, "kept");
			cb.u.c.nbytes = (size_t)-1;
			snprintf(label, sizeof label, "%s of -1%s", op_name[i], bad);
			expect_refused_key("3.5/3", label, ctx, &cb, -EINVAL, "kept");
		}

	/* /dev/null shows the cut; nothing of the memory is looked at. */
	for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
		prep(&cb, IO_CMD_PWRITE, null, buf, huge[i].n, 0);
		snprintf(label, sizeof label, "pwrite /dev/null of %s", huge[i].name);
		expect_inline("3.5/4", label, ctx, &cb, MOST);
		prep(&cb, IO_CMD_PREAD, fd, buf, huge[i].n, 0);
		snprintf(label, sizeof label, "pread of %s, file of 100", huge[i].name);
		expect_inline("3.5/4", label, ctx, &cb, 100);
		prep(&cb, IO_CMD_PREAD, p[0], buf, huge[i].n, 0);
		MUST(write(p[1], "hello", 5) == 5);
		snprintf(label, sizeof label, "pread of %s, pipe with 5", huge[i].name);
		expect_inline("3.5/4", label, ctx, &cb, 5);
	}
	prep(&cb, IO_CMD_PWRITE, null, buf, MOST, 0);
	expect_inline("3.5/4", "pwrite /dev/null of 0x7ffff000", ctx, &cb, MOST);
	cb.u.c.nbytes = MOST - 1;
	expect_inline("3.5/4", "pwrite /dev/null of 0x7fffefff", ctx, &cb, MOST - 1);
	struct iovec vec[3] = { { buf, 1 << 30 }, { buf, 1 << 30 }, { buf, 1 << 30 } };
	prep(&cb, IO_CMD_PWRITEV, null, vec, 3, 0);
	expect_inline("3.5/4", "pwritev /dev/null of 3 x 1 GiB", ctx, &cb, MOST);
	cb.u.c.nbytes = 1;
	expect_inline("3.5/4", "pwritev /dev/null of 1 GiB", ctx, &cb, 1 << 30);
	expect_true("3.5/4", "ring empty at the end", ring_empty(ctx));
	expect("3.5/4", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

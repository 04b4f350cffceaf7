/* IOCB_FLAG_RESFD: which descriptors io_submit takes, and which fault wins. */
#include "submit_util.h"

static io_context_t ctx;
static struct iocb cb;
static char buf[16];

int main(void)
{
	int p[2];

	int fd = pattern_file(0, PAGE), ro = pattern_file(RDONLY, PAGE), efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int path_fd = open(".", O_PATH | O_CLOEXEC);
	MUST(pipe2(p, O_CLOEXEC) == 0 && efd >= 0 && path_fd >= 0);
	ctx = new_ctx(8);
	int closed = closed_fd();

#define RESFD(id, label, number, change, want, key)                \
	do {                                                       \
		prep(&cb, IO_CMD_PREAD, fd, buf, 16, 0);           \
		cb.u.c.flags = FLAG_RESFD;                         \
		cb.u.c.resfd = (unsigned)(number);                 \
		change;                                            \
		expect_refused_key(id, label, ctx, &cb, want, key); \
	} while (0)
	RESFD("3.3/9", "resfd 9999", closed, (void)0, -EBADF, "kept");
	RESFD("3.3/9", "resfd -1", -1, (void)0, -EBADF, "kept");
	RESFD("3.3/9", "resfd O_PATH", path_fd, (void)0, -EBADF, "kept");
	RESFD("3.3/10", "resfd a regular file", ro, (void)0, -EINVAL, "kept");
	RESFD("3.3/10", "resfd a pipe, read end", p[0], (void)0, -EINVAL, "kept");
	RESFD("3.3/10", "resfd a pipe, write end", p[1], (void)0, -EINVAL, "kept");
	RESFD("3.3/10", "resfd a regular file, fsync", ro, cb.aio_lio_opcode = IO_CMD_FSYNC, -EINVAL, "kept");
	RESFD("3.3/10", "resfd a regular file, poll", ro, cb.aio_lio_opcode = IO_CMD_POLL, -EINVAL, "kept");

	RESFD("3.3/12", "resfd a regular file, bad fd", ro, cb.aio_fildes = closed, -EBADF, "kept");
	RESFD("3.3/12", "resfd a regular file, bad opcode", ro, cb.aio_lio_opcode = 99, -EINVAL, "kept");
	RESFD("3.3/12", "resfd a regular file, wrong mode", ro,
	      (cb.aio_lio_opcode = IO_CMD_PWRITE, cb.aio_fildes = ro), -EINVAL, "kept");
	RESFD("3.3/12", "resfd a regular file, kernel buffer", ro, cb.u.c.buf = KERNEL_ADDR, -EINVAL, "kept");
	RESFD("3.3/12", "resfd 9999, bad opcode", closed, cb.aio_lio_opcode = 99, -EBADF, "kept");
	/* With a good one the next fault shows, and it is not signalled. */
	RESFD("3.3/12", "resfd good, bad fd", efd, cb.aio_fildes = closed, -EBADF, "kept");
	RESFD("3.3/12", "resfd good, bad opcode", efd, cb.aio_lio_opcode = 99, -EINVAL, "cleared");
	RESFD("3.3/12", "resfd good, wrong mode", efd, (cb.aio_lio_opcode = IO_CMD_PWRITE, cb.aio_fildes = ro), -EBADF,
	      "cleared");
	expect("3.3/12", "eventfd after the refusals", eventfd_take(efd), 0);

	prep(&cb, IO_CMD_PREAD, fd, buf, 16, 0);
	cb.u.c.resfd = (unsigned)closed;
	expect_inline("3.3/11", "resfd 9999 without the bit", ctx, &cb, 16);
	cb.u.c.resfd = (unsigned)efd;
	expect_inline("3.3/11", "a good resfd without the bit", ctx, &cb, 16);
	expect("3.3/11", "is not signalled", eventfd_take(efd), 0);
	cb.u.c.flags = FLAG_RESFD;
	expect_inline("3.3/11", "with the bit", ctx, &cb, 16);
	expect("3.3/11", "is signalled", eventfd_take(efd), 1);
	/* More refusals than slots: none is lost. */
	cb.u.c.resfd = (unsigned)ro;
	int other = 0;
	for (int i = 0; i < 1000; i++)
		other += submit1(ctx, &cb) != -EINVAL;
	expect("3.3/10", "1000 times", other, 0);
	cb.u.c.resfd = (unsigned)efd;
	expect_inline("3.3/10", "a good one afterwards", ctx, &cb, 16);
	expect_true("3.3/10", "ring empty at the end", ring_empty(ctx));
	expect("3.3/10", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

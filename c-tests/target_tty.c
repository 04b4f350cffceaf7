/* A pty as target. */
#include "submit_util.h"

int main(void)
{
	char buf[64];
	struct iocb cb;

	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (master < 0)
		skip("no pty");
	MUST(grantpt(master) == 0 && unlockpt(master) == 0);
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	MUST(slave >= 0);
	io_context_t ctx = new_ctx(8);

	prep(&cb, IO_CMD_PREAD, slave, buf, sizeof buf, 0);
	expect_inline("3.9/9", "slave, nothing typed", ctx, &cb, -EAGAIN);
	prep(&cb, IO_CMD_PREAD, master, buf, sizeof buf, 0);
	expect_inline("3.9/9", "master, nothing written", ctx, &cb, -EAGAIN);
	prep(&cb, IO_CMD_PWRITE, master, "typed\n", 6, 0);
	expect_inline("3.9/9", "master, a line typed", ctx, &cb, 6);
	/* The line is handed on by a worker of the kernel's. */
	prep(&cb, IO_CMD_PREAD, slave, buf, sizeof buf, 0);
	long r = -EAGAIN;
	for (int i = 0; i < 5000 && r == -EAGAIN; i++, usleep(1000))
		r = run1(ctx, &cb);
	check_str("3.9/9", "slave, the line", run_str(r), "EV 6");
	expect_true("3.9/9", "slave, its text", !memcmp(buf, "typed\n", 6));
	prep(&cb, IO_CMD_PREAD, master, buf, sizeof buf, 0);
	r = -EAGAIN;
	for (int i = 0; i < 5000 && r == -EAGAIN; i++, usleep(1000))
		r = run1(ctx, &cb);
	check_str("3.9/9", "master, the echo", run_str(r), "EV 7");
	prep(&cb, IO_CMD_PWRITE, slave, "answer", 6, 0);
	expect_inline("3.9/9", "slave, pwrite", ctx, &cb, 6);
	prep(&cb, IO_CMD_PREAD, master, buf, sizeof buf, 0);
	r = -EAGAIN;
	for (int i = 0; i < 5000 && r == -EAGAIN; i++, usleep(1000))
		r = run1(ctx, &cb);
	check_str("3.9/9", "master, the answer", run_str(r), "EV 6");
	expect_true("3.9/9", "master, its text", !memcmp(buf, "answer", 6));
	expect_true("3.9/9", "ring empty at the end", ring_empty(ctx));
	expect("3.9/9", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

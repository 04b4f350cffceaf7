/* The memory devices as targets. */
#include "submit_util.h"

static io_context_t ctx;
static struct iocb cb;

static void io(const char *id, const char *path, int op, size_t n, long want)
{
	static char buf[PAGE];
	char label[64];
	int fd = open(path, O_RDWR | O_CLOEXEC);
	MUST(fd >= 0);
	memset(buf, 0x55, sizeof buf);
	prep(&cb, op, fd, buf, n, 12345);
	snprintf(label, sizeof label, "%s, %s of %zu", path, op == IO_CMD_PREAD ? "pread" : "pwrite", n);
	expect_inline(id, label, ctx, &cb, want);
	if (op == IO_CMD_PREAD && want > 0) {
		int same = 0;
		for (size_t i = 0; i < n; i++)
			same += buf[i] == 0x55;
		expect_true(id, "the buffer was filled", same < (int)n);
	}
	close(fd);
}

int main(void)
{
	ctx = new_ctx(8);
	io("3.9/10", "/dev/null", IO_CMD_PREAD, 16, 0);
	io("3.9/10", "/dev/null", IO_CMD_PWRITE, 16, 16);
	io("3.9/10", "/dev/null", IO_CMD_PWRITE, PAGE, PAGE);
	io("3.9/10", "/dev/zero", IO_CMD_PREAD, PAGE, PAGE);
	io("3.9/10", "/dev/zero", IO_CMD_PWRITE, PAGE, PAGE);
	io("3.9/10", "/dev/urandom", IO_CMD_PREAD, 64, 64);
	io("3.9/10", "/dev/urandom", IO_CMD_PREAD, PAGE, PAGE);
	io("3.9/10", "/dev/random", IO_CMD_PREAD, 64, 64);
	io("3.9/10", "/dev/full", IO_CMD_PREAD, 16, 16);
	expect_true("3.9/10", "ring empty at the end", ring_empty(ctx));
	expect("3.9/10", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

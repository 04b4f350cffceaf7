/* Directories, memory files, /proc and /sys as targets. */
#include "submit_util.h"

static io_context_t ctx;
static struct iocb cb;

/* What aio reads must be what pread reads. */
static void same_as_pread(const char *path)
{
	char a[64] = "", b[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	MUST(fd >= 0);
	ssize_t n = pread(fd, b, sizeof b, 0);
	prep(&cb, IO_CMD_PREAD, fd, a, sizeof a, 0);
	long r = run_inline(ctx, &cb);
	expect_true("3.9/15", path, n > 0 && r == n && !memcmp(a, b, (size_t)n));
	n = pread(fd, b, 4, 2);
	prep(&cb, IO_CMD_PREAD, fd, a, 4, 2);
	r = run_inline(ctx, &cb);
	expect_true("3.9/15", "the same from offset 2", n >= 0 && r == n && !memcmp(a, b, (size_t)n));
	close(fd);
}

int main(void)
{
	static const char *const name[2] = { "memfd", "tmpfs" };
	char buf[64];

	/* A memory file and a file of a mounted tmpfs. */
	int fds[2] = { memfd_create("m", MFD_CLOEXEC | MFD_ALLOW_SEALING), tmpfs_file("1m", O_RDWR) };
	ctx = new_ctx(8);
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	prep(&cb, IO_CMD_PREAD, dir, buf, 16, 0);
	expect_refused_key("3.9/1", "directory, pread", ctx, &cb, -EINVAL, "cleared");
	cb.u.c.nbytes = 0;
	expect_refused_key("3.9/1", "directory, pread of 0", ctx, &cb, -EINVAL, "cleared");
	prep(&cb, IO_CMD_PWRITE, dir, buf, 16, 0);
	expect_refused_key("3.9/1", "directory, pwrite", ctx, &cb, -EBADF, "cleared");

	for (int i = 0; i < 2; i++) {
		char label[64];
		snprintf(label, sizeof label, "%s, pwrite", name[i]);
		prep(&cb, IO_CMD_PWRITE, fds[i], "0123456789", 10, 3);
		expect_inline("3.9/14", label, ctx, &cb, 10);
		snprintf(label, sizeof label, "%s, pread", name[i]);
		memset(buf, '.', sizeof buf);
		prep(&cb, IO_CMD_PREAD, fds[i], buf, 64, 0);
		expect_inline("3.9/14", label, ctx, &cb, 13);
		snprintf(label, sizeof label, "%s, data", name[i]);
		expect_true("3.9/14", label, !memcmp(buf, "\0\0\0" "0123456789.", 14));
		snprintf(label, sizeof label, "%s, pread at the end", name[i]);
		cb.u.c.offset = 13;
		expect_inline("3.9/14", label, ctx, &cb, 0);
	}
	MUST(fcntl(fds[0], F_ADD_SEALS, F_SEAL_GROW) == 0);
	prep(&cb, IO_CMD_PWRITE, fds[0], "xx", 2, 20);
	expect_inline("3.9/14", "memfd sealed against growing, pwrite beyond", ctx, &cb, -EPERM);
	cb.u.c.offset = 0;
	expect_inline("3.9/14", "memfd sealed against growing, pwrite inside", ctx, &cb, 2);
	MUST(fcntl(fds[0], F_ADD_SEALS, F_SEAL_WRITE) == 0);
	expect_inline("3.9/14", "memfd sealed against writing, pwrite", ctx, &cb, -EPERM);
	prep(&cb, IO_CMD_PREAD, fds[0], buf, 64, 0);
	expect_inline("3.9/14", "memfd sealed against writing, pread", ctx, &cb, 13);

	same_as_pread("/proc/version");
	same_as_pread("/proc/sys/kernel/ostype");
	same_as_pread("/proc/sys/kernel/pid_max");
	same_as_pread("/sys/devices/system/cpu/possible");
	same_as_pread("/sys/devices/system/cpu/online");
	expect_true("3.9/15", "ring empty at the end", ring_empty(ctx));
	expect("3.9/15", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

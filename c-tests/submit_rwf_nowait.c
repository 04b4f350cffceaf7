/* RWF_NOWAIT in aio_rw_flags: who can, who says EAGAIN, who refuses. */
#include "submit_util.h"
#include <sys/socket.h>
#include <sys/statfs.h>

#define NOWAIT 0x8

static io_context_t ctx;
static struct iocb cb;
static char buf[16];

static void set(int op, int fd, void *where, size_t n)
{
	prep(&cb, op, fd, where, n, 0);
	cb.aio_rw_flags = NOWAIT;
}

/* Whether the first page of the file is in the page cache. */
static int resident(int fd)
{
	unsigned char in;
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED && mincore(p, PAGE, &in) == 0);
	munmap(p, PAGE);
	return in & 1;
}

/* The attempt starts a read-ahead; a very quick disk may be done within it. */
static long cold_read(int fd)
{
	long r = 0;
	for (int i = 0; i < 20 && r != -EAGAIN; i++) {
		for (int j = 0; j < 100 && resident(fd); j++) {
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
			if (j)
				usleep(1000);
		}
		MUST(!resident(fd));
		set(IO_CMD_PREAD, fd, buf, sizeof buf);
		r = run_inline(ctx, &cb);
	}
	return r;
}

/* Refused also behind a write that aio-rs puts off. */
static void behind_another(int fd)
{
	struct iocb first, *list[2] = { &first, &cb };
	struct io_event ev[2];
	char path[64];
	int sync, last = 0;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	sync = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	MUST(sync >= 0);
	prep(&first, IO_CMD_PWRITE, sync, buf, sizeof buf, 0);
	set(IO_CMD_PWRITE, fd, buf, sizeof buf);
	expect("3.4/3", "behind a synchronous write: io_submit", io_submit(ctx, 2, list), 2);
	MUST(reap(ctx, 2, 2, ev, 10000) == 2);
	last = ev[1].obj == &cb;
	expect("3.4/3", "behind a synchronous write", (long)ev[last].res, -EOPNOTSUPP);
	expect("3.4/3", "the synchronous write", (long)ev[!last].res, sizeof buf);
	close(sync);
}

int main(void)
{
	int p[2], s[2];
	struct statfs fs;

	int fd = pattern_file(0, 4 * PAGE), direct = pattern_file(O_RDWR | O_DIRECT, 4 * PAGE);
	int efd = eventfd(0, EFD_CLOEXEC), zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), tmpfs = memfd_create("t", MFD_CLOEXEC);
	int proc = open("/proc/version", O_RDONLY | O_CLOEXEC);
	char *page = edge_alloc(PAGE);
	MUST(fd >= 0 && direct >= 0 && efd >= 0 && zero >= 0 && null >= 0 && tmpfs >= 0 && proc >= 0);
	MUST(pipe2(p, O_CLOEXEC) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	if (fstatfs(fd, &fs) || fs.f_type != 0xef53)
		skip("AIO_TEST_DIR is not on ext4");
	ctx = new_ctx(8);

	check_str("3.4/3", "ext4 buffered read, not cached", run_str(cold_read(fd)), "EV EAGAIN");
	MUST(pread(fd, buf, sizeof buf, 0) == sizeof buf);
	set(IO_CMD_PREAD, fd, buf, sizeof buf);
	expect_inline("3.4/3", "ext4 buffered read, cached", ctx, &cb, 16);
	set(IO_CMD_PWRITE, fd, buf, sizeof buf);
	expect_inline("3.4/3", "ext4 buffered write", ctx, &cb, -EOPNOTSUPP);
	set(IO_CMD_PWRITE, fd, buf, 0);
	expect_inline("3.4/3", "ext4 buffered write of no bytes", ctx, &cb, -EOPNOTSUPP);
	set(IO_CMD_PWRITEV, fd, NULL, 0);
	expect_inline("3.4/3", "ext4 buffered write of no segments", ctx, &cb, -EOPNOTSUPP);
	behind_another(fd);
	set(IO_CMD_PREAD, fd, buf, 0);
	expect_inline("3.4/3", "ext4 buffered read of no bytes", ctx, &cb, 0);
	set(IO_CMD_PWRITE, direct, page, 0);
	expect_inline("3.4/3", "ext4 O_DIRECT write of no bytes", ctx, &cb, 0);
	/* Pages left in the cache would be EAGAIN: a plain overwrite drops them. */
	MUST(pwrite(direct, page, PAGE, 0) == PAGE);
	set(IO_CMD_PREAD, direct, page, PAGE);
	expect_event("3.4/3", "ext4 O_DIRECT read", ctx, &cb, PAGE);
	set(IO_CMD_PWRITE, direct, page, PAGE);
	expect_event("3.4/3", "ext4 O_DIRECT overwrite", ctx, &cb, PAGE);

	/* Blocking descriptors that have nothing to read. */
	set(IO_CMD_PREAD, p[0], buf, sizeof buf);
	expect_inline("3.4/3", "empty pipe", ctx, &cb, -EAGAIN);
	set(IO_CMD_PREAD, s[0], buf, sizeof buf);
	expect_inline("3.4/3", "empty socket", ctx, &cb, -EAGAIN);
	set(IO_CMD_PREAD, efd, buf, 8);
	expect_inline("3.4/3", "empty eventfd", ctx, &cb, -EAGAIN);
	/* And that have. */
	MUST(write(p[1], "pipe", 4) == 4 && write(s[1], "sock!", 5) == 5 && eventfd_write(efd, 1) == 0);
	set(IO_CMD_PREAD, p[0], buf, sizeof buf);
	expect_inline("3.4/3", "pipe with data", ctx, &cb, 4);
	set(IO_CMD_PREAD, s[0], buf, sizeof buf);
	expect_inline("3.4/3", "socket with data", ctx, &cb, 5);
	set(IO_CMD_PREAD, efd, buf, 8);
	expect_inline("3.4/3", "eventfd with a count", ctx, &cb, 8);

	set(IO_CMD_PREAD, zero, buf, sizeof buf);
	expect_inline("3.4/3", "/dev/zero read", ctx, &cb, 16);
	set(IO_CMD_PWRITE, zero, buf, sizeof buf);
	expect_inline("3.4/3", "/dev/zero write", ctx, &cb, 16);
	set(IO_CMD_PREAD, null, buf, sizeof buf);
	expect_inline("3.4/3", "/dev/null read", ctx, &cb, 0);
	set(IO_CMD_PWRITE, null, buf, sizeof buf);
	expect_inline("3.4/3", "/dev/null write", ctx, &cb, 16);
	set(IO_CMD_PREAD, tmpfs, buf, sizeof buf);
	expect_refused_key("3.4/3", "tmpfs read", ctx, &cb, -EOPNOTSUPP, "cleared");
	set(IO_CMD_PWRITE, tmpfs, buf, sizeof buf);
	expect_refused_key("3.4/3", "tmpfs write", ctx, &cb, -EOPNOTSUPP, "cleared");
	set(IO_CMD_PREAD, proc, buf, sizeof buf);
	expect_refused_key("3.4/3", "/proc read", ctx, &cb, -EOPNOTSUPP, "cleared");
	expect_true("3.4/3", "ring empty at the end", ring_empty(ctx));
	expect("3.4/3", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

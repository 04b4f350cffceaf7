/* FSYNC and FDSYNC that io_submit refuses: fields that must be 0, files that
 * cannot be synced. */
#include "events.h"
#include <sys/eventfd.h>
#include <sys/socket.h>

static const struct {
	short op;
	const char *name;
} ops[] = { { IO_CMD_FSYNC, "FSYNC" }, { IO_CMD_FDSYNC, "FDSYNC" } };
static char label[128];
static io_context_t ctx;
static struct iocb cb;

static const char *L(int o, const char *what)
{
	snprintf(label, sizeof label, "%s, %s", ops[o].name, what);
	return label;
}
static struct iocb *sync_of(int o, int fd)
{
	memset(&cb, 0, sizeof cb);
	cb.aio_lio_opcode = ops[o].op;
	cb.aio_fildes = fd;
	cb.key = 77;
	return &cb;
}

static void fields(int o, int fd, int path)
{
	sync_of(o, fd)->u.c.buf = &cb;
	expect_refused("4.1/3", L(o, "buf"), ctx, &cb, -EINVAL);
	expect("4.1/3", L(o, "buf: key"), cb.key, 0);
	sync_of(o, fd)->u.c.nbytes = 1;
	expect_refused("4.1/3", L(o, "nbytes 1"), ctx, &cb, -EINVAL);
	expect("4.1/3", L(o, "nbytes 1: key"), cb.key, 0);
	sync_of(o, fd)->u.c.offset = 1;
	expect_refused("4.1/3", L(o, "offset 1"), ctx, &cb, -EINVAL);
	expect("4.1/3", L(o, "offset 1: key"), cb.key, 0);
	sync_of(o, fd)->aio_rw_flags = 2;
	expect_refused("4.1/3", L(o, "rw_flags"), ctx, &cb, -EINVAL);
	expect("4.1/3", L(o, "rw_flags: key"), cb.key, 0);
	sync_of(o, fd)->u.c.__pad3 = 1; /* aio_reserved2 */
	expect_refused("4.1/5", L(o, "reserved2"), ctx, &cb, -EINVAL);
	expect("4.1/5", L(o, "reserved2: key unchanged"), cb.key, 77);
	expect_refused("4.1/7", L(o, "bad fd"), ctx, sync_of(o, 9999), -EBADF);
	expect_refused("4.1/7", L(o, "O_PATH"), ctx, sync_of(o, path), -EBADF);
	sync_of(o, 9999)->u.c.buf = &cb;
	expect_refused("4.1/7", L(o, "bad fd, buf"), ctx, &cb, -EBADF);
	sync_of(o, path)->u.c.buf = &cb;
	expect_refused("4.1/7", L(o, "O_PATH, buf"), ctx, &cb, -EBADF);
}

int main(void)
{
	int fd = pattern_file(O_RDWR, 4096), path = open("/", O_PATH | O_CLOEXEC), p[2], sv[2];
	struct {
		const char *label;
		int fd;
	} t[] = {
		{ "pipe, read end", -1 },
		{ "pipe, write end", -1 },
		{ "socket", -1 },
		{ "eventfd", eventfd(0, EFD_CLOEXEC) },
		{ "tty", posix_openpt(O_RDWR | O_NOCTTY) },
		{ "/dev/null", open("/dev/null", O_RDWR) },
		{ "/proc file", open("/proc/version", O_RDONLY) },
	};

	MUST(!pipe(p) && !socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	t[0].fd = p[0];
	t[1].fd = p[1];
	t[2].fd = sv[0];
	MUST(fd >= 0 && path >= 0 && io_setup(8, &ctx) == 0);
	for (int o = 0; o < 2; o++) {
		fields(o, fd, path);
		for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
			MUST(t[i].fd >= 0);
			expect_refused("4.1/6", L(o, t[i].label), ctx, sync_of(o, t[i].fd), -EINVAL);
		}
	}
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

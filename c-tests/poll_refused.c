/* POLL that io_submit refuses, and fields that it does not look at. */
#include "events.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static io_context_t ctx;
static struct iocb cb;

static struct iocb *poll_of(int fd, unsigned events)
{
	io_prep_poll(&cb, fd, (int)events);
	cb.key = 77;
	return &cb;
}
static void refused(const char *id, const char *what, long err, unsigned key)
{
	char label[128];
	expect_refused(id, what, ctx, &cb, err);
	snprintf(label, sizeof label, "%s: key", what);
	expect(id, label, cb.key, key);
}

int main(void)
{
	int efd = eventfd(1, EFD_CLOEXEC), idle = eventfd(0, EFD_CLOEXEC), path = open("/", O_PATH | O_CLOEXEC);
	int file = pattern_file(O_RDWR, 4096), dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	MUST(efd >= 0 && idle >= 0 && path >= 0 && file >= 0 && dir >= 0 && io_setup(8, &ctx) == 0);
	/* ready or not */
	for (int i = 0; i < 2; i++) {
		int fd = i ? idle : efd;
		poll_of(fd, 0x10000 | POLLIN);
		refused("4.2/7", i ? "idle: bit 16" : "ready: bit 16", -EINVAL, 0);
		poll_of(fd, EPOLLET | POLLIN);
		refused("4.2/7", i ? "idle: EPOLLET" : "ready: EPOLLET", -EINVAL, 0);
		poll_of(fd, 0)->u.c.buf = (void *)(1UL << 32 | POLLIN);
		refused("4.2/7", i ? "idle: bit 32 of aio_buf" : "ready: bit 32 of aio_buf", -EINVAL, 0);
		poll_of(fd, POLLIN)->u.c.nbytes = 1;
		refused("4.2/8", i ? "idle: nbytes 1" : "ready: nbytes 1", -EINVAL, 0);
		poll_of(fd, POLLIN)->u.c.offset = 1;
		refused("4.2/8", i ? "idle: offset 1" : "ready: offset 1", -EINVAL, 0);
		poll_of(fd, POLLIN)->aio_rw_flags = 1;
		refused("4.2/8", i ? "idle: rw_flags 1" : "ready: rw_flags 1", -EINVAL, 0);
		poll_of(fd, POLLIN)->u.c.__pad3 = 1; /* aio_reserved2 */
		refused("4.2/9", i ? "idle: reserved2" : "ready: reserved2", -EINVAL, 77);
	}
	poll_of(efd, POLLIN)->aio_reqprio = 99;
	expect_event("4.2/10", "reqprio", ctx, &cb, POLLIN);
	poll_of(efd, POLLIN)->u.c.flags = 2; /* IOCB_FLAG_IOPRIO */
	cb.aio_reqprio = 7 << 13;
	expect_event("4.2/10", "IOPRIO with a bad class", ctx, &cb, POLLIN);
	poll_of(efd, POLLIN)->u.c.flags = 0xfcU;
	expect_event("4.2/10", "unknown aio_flags", ctx, &cb, POLLIN);

	poll_of(9999, POLLIN);
	refused("4.2/11", "bad fd", -EBADF, 77);
	poll_of(-1, POLLIN);
	refused("4.2/11", "fd -1", -EBADF, 77);
	poll_of(path, POLLIN);
	refused("4.2/11", "O_PATH", -EBADF, 77);

	poll_of(file, POLLPRI);
	refused("4.2/13", "regular file, PRI only", -EINVAL, 0);
	poll_of(file, 0);
	refused("4.2/13", "regular file, no bits", -EINVAL, 0);
	poll_of(dir, POLLPRI);
	refused("4.2/13", "directory, PRI only", -EINVAL, 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

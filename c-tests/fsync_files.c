/* FSYNC and FDSYNC of what can be synced. */
#include "events.h"
#include <sys/eventfd.h>

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
	return &cb;
}

int main(void)
{
	int rw = pattern_file(O_RDWR, 65536), ro = pattern_file(O_RDONLY, 4096), wo = pattern_file(O_WRONLY, 4096);
	int dir = open(getenv("AIO_TEST_DIR") ? getenv("AIO_TEST_DIR") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int mem = memfd_create("m", MFD_CLOEXEC), efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), fd;

	MUST(rw >= 0 && ro >= 0 && wo >= 0 && dir >= 0 && mem >= 0 && efd >= 0 && io_setup(8, &ctx) == 0);
	for (int o = 0; o < 2; o++) {
		MUST(pwrite(rw, "dirty", 5, 100) == 5 && pwrite(mem, "dirty", 5, 0) == 5);
		expect_event("4.1/1", L(o, "O_RDWR"), ctx, sync_of(o, rw), 0);
		expect_event("4.1/1", L(o, "O_RDONLY"), ctx, sync_of(o, ro), 0);
		expect_event("4.1/1", L(o, "O_WRONLY"), ctx, sync_of(o, wo), 0);
		expect_event("4.1/1", L(o, "directory"), ctx, sync_of(o, dir), 0);
		expect_event("4.1/2", L(o, "memfd"), ctx, sync_of(o, mem), 0);
		sync_of(o, rw)->aio_reqprio = 5;
		expect_event("4.1/4", L(o, "reqprio 5"), ctx, &cb, 0);
		sync_of(o, rw)->u.c.flags = 2; /* IOCB_FLAG_IOPRIO */
		cb.aio_reqprio = 7 << 13;
		expect_event("4.1/4", L(o, "IOPRIO with a bad class"), ctx, &cb, 0);
		sync_of(o, rw)->u.c.flags = 1U << 5;
		expect_event("4.1/4", L(o, "unknown aio_flags bit"), ctx, &cb, 0);

		io_set_eventfd(sync_of(o, rw), efd);
		expect_event("4.1/8", L(o, "RESFD"), ctx, &cb, 0);
		expect("4.1/8", L(o, "RESFD: counter"), eventfd_collect(efd, 1), 1);
		io_set_eventfd(sync_of(o, rw), rw);
		expect_refused("4.1/8", L(o, "RESFD of a file"), ctx, &cb, -EINVAL);

		fd = dup(rw);
		MUST(fd >= 0 && pwrite(rw, "dirty", 5, 8192) == 5);
		expect("4.1/10", L(o, "io_submit, then close"), submit1(ctx, sync_of(o, fd)), 1);
		close(fd);
		expect_reaped("4.1/10", L(o, "fd closed right after io_submit"), ctx, &cb, 10000, 0);
	}
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

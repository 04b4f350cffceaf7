/* aio_rw_flags, bit by bit: what each file takes (NOWAIT and APPEND have
 * programs of their own). */
#include "submit_util.h"
#include <poll.h>

#define HIPRI 0x1
#define DSYNC 0x2
#define SYNC 0x4
#define ATOMIC 0x40
#define DONTCACHE 0x80
#define NOSIGNAL 0x100

static io_context_t ctx;
static struct iocb cb;
static char buf[16] = "0123456789abcdef", *page, label[96];
static int file, direct, tmpfs, proc, p[2];

/* One operation on each kind of file, with what it gives without flags. */
static const struct op {
	const char *name;
	int code, *fd;
	size_t n;
} op[] = {
	{ "buffered read", IO_CMD_PREAD, &file, 16 },
	{ "buffered write", IO_CMD_PWRITE, &file, 16 },
	{ "O_DIRECT read", IO_CMD_PREAD, &direct, PAGE },
	{ "O_DIRECT write", IO_CMD_PWRITE, &direct, PAGE },
	{ "pipe write", IO_CMD_PWRITE, &p[1], 16 },
	{ "pipe read", IO_CMD_PREAD, &p[0], 16 },
	{ "tmpfs write", IO_CMD_PWRITE, &tmpfs, 16 },
	{ "tmpfs read", IO_CMD_PREAD, &tmpfs, 16 },
	{ "/proc read", IO_CMD_PREAD, &proc, 10 },
};
#define OPS (sizeof op / sizeof *op)
enum { EXT4 = 0, PIPE = 4, REST = 6 };

static void set(const struct op *o, int flags)
{
	prep(&cb, o->code, *o->fd, o->n == PAGE ? page : buf, o->n, 0);
	cb.aio_rw_flags = (unsigned)flags;
}

static void taken(const char *id, const char *flag, int flags, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		snprintf(label, sizeof label, "%s: %s", flag, op[i].name);
		set(&op[i], flags);
		if (op[i].fd == &direct)
			expect_event(id, label, ctx, &cb, (long)op[i].n);
		else if (flags & (DSYNC | SYNC))
			/* the reads, too: the write before it may still be leaving its file */
			expect_soon(id, label, ctx, &cb, (long)op[i].n, submit_kernel());
		else
			expect_inline(id, label, ctx, &cb, (long)op[i].n);
	}
}

static void refused(const char *id, const char *flag, int flags, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		snprintf(label, sizeof label, "%s: %s", flag, op[i].name);
		set(&op[i], flags);
		expect_refused_key(id, label, ctx, &cb, -EOPNOTSUPP, "cleared");
	}
}

/* A write in place on O_DIRECT must not be waited for, sync or not. */
static void stays_asynchronous(const char *name, int flags)
{
	int later = 0, good = 0;
	struct io_event ev;
	for (int i = 0; i < 60; i++) {
		set(&op[3], flags);
		MUST(submit1(ctx, &cb) == 1);
		later += ring_empty(ctx);
		good += reap(ctx, 1, 1, &ev, 10000) == 1 && ev.res == PAGE;
	}
	snprintf(label, sizeof label, "%s: O_DIRECT writes done", name);
	expect("3.4/2", label, good, 60);
	snprintf(label, sizeof label, "%s: event not there yet when io_submit returned, sometimes", name);
	expect_true("3.4/2", label, later > 0);
}

int main(void)
{
	static const int unknown[] = { 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x40000000, (int)0x80000000 };

	file = pattern_file(0, PAGE);
	direct = pattern_file(O_RDWR | O_DIRECT, PAGE);
	tmpfs = memfd_create("t", MFD_CLOEXEC);
	proc = open("/proc/version", O_RDONLY | O_CLOEXEC);
	MUST(file >= 0 && direct >= 0 && tmpfs >= 0 && proc >= 0 && pipe2(p, O_CLOEXEC) == 0);
	page = edge_alloc(PAGE);
	ctx = new_ctx(8);

	taken("3.4/1", "no flag", 0, 0, OPS);
	taken("3.4/1", "HIPRI", HIPRI, 0, OPS);
	taken("3.4/2", "DSYNC", DSYNC, 0, OPS);
	taken("3.4/2", "SYNC", SYNC, 0, OPS);
	taken("3.4/2", "DSYNC + SYNC + HIPRI", DSYNC | SYNC | HIPRI, 0, OPS);
	stays_asynchronous("DSYNC", DSYNC);
	stays_asynchronous("SYNC", SYNC);
	refused("3.4/7", "ATOMIC", ATOMIC, 0, 2);
	/* A device with atomic writes would take this one; ext4 says so in statx. */
	struct statx sx;
	MUST(statx(direct, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx) == 0);
	refused("3.4/7", "ATOMIC", ATOMIC, 2, sx.stx_attributes & 0x400000 ? 3 : 4);
	refused("3.4/7", "ATOMIC", ATOMIC, PIPE, OPS);
	taken("3.4/8", "DONTCACHE", DONTCACHE, EXT4, PIPE);
	refused("3.4/8", "DONTCACHE", DONTCACHE, PIPE, OPS);
	taken("3.4/9", "0x100", NOSIGNAL, 0, OPS);
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		char name[32];
		snprintf(name, sizeof name, "0x%x", (unsigned)unknown[i]);
		refused("3.4/10", name, unknown[i], 0, OPS);
		set(&op[0], unknown[i]);
		cb.aio_fildes = closed_fd();
		snprintf(label, sizeof label, "%s: bad fd", name);
		expect_refused_key("3.4/10", label, ctx, &cb, -EBADF, "kept");
	}
	/* One unknown bit spoils known ones. */
	refused("3.4/10", "HIPRI + 0x200", HIPRI | 0x200, 0, 2);

	/* The refused writes wrote nothing: the pipe is as empty as it was. */
	struct pollfd pf = { p[0], POLLIN, 0 };
	expect("3.4/10", "pipe after the refusals", poll(&pf, 1, 0), 0);
	expect_true("3.4/10", "ring empty at the end", ring_empty(ctx));
	expect("3.4/10", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

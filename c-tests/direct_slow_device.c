/* O_DIRECT and FSYNC on a device that takes its time: io_submit returns while
 * the request is at the device, the event comes when the device answers. */
#include "slowfs.h"
#include <sys/uio.h>

static struct slowfs *s;
static io_context_t ctx;
static char *buf;

/* Held at the device: io_submit is back, no event; released: the event. */
static void held(const char *id, const char *what, int op, struct iocb *cb, long want)
{
	struct io_event ev;
	char label[128];
	unsigned seen = slowfs_seen(s, op), done = slowfs_done(s, op);

	slowfs_hold(s, op);
	snprintf(label, sizeof label, "%s: io_submit, request held at the device", what);
	expect(id, label, submit1(ctx, cb), 1);
	snprintf(label, sizeof label, "%s: it is at the device, unanswered", what);
	expect_true(id, label, slowfs_wait(s, op, seen + 1) && slowfs_done(s, op) == done);
	snprintf(label, sizeof label, "%s: no event yet", what);
	expect(id, label, reap(ctx, 1, 1, &ev, 50), 0);
	slowfs_release(s, op);
	snprintf(label, sizeof label, "%s: event after release", what);
	expect(id, label, reap(ctx, 1, 1, &ev, 10000) == 1 && ev.obj == cb && !ev.res2 ? (long)ev.res : NO_EVENT, want);
	snprintf(label, sizeof label, "%s: one request, no interrupt", what);
	expect_true(id, label, slowfs_done(s, op) == done + 1 && !slowfs_interrupts(s));
}

/* 300 ms at the device: the event not before that. */
static void delayed(const char *id, const char *what, int op, struct iocb *cb, long want)
{
	char label[128];
	long from = now_ms();

	slowfs_delay(s, op, 300);
	snprintf(label, sizeof label, "%s, 300 ms device", what);
	expect_event(id, label, ctx, cb, want);
	snprintf(label, sizeof label, "%s, event not before 300 ms", what);
	expect_between(id, label, now_ms() - from, 299, 9000);
	slowfs_delay(s, op, 0);
}

int main(void)
{
	struct iocb cb;
	int fd, sync_fd;

	s = slowfs_start(1, 1 << 20);
	slowfs_fill(s, 0);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	sync_fd = slowfs_open(s, 0, O_RDWR | O_DIRECT | O_SYNC);
	buf = aligned_alloc(4096, 65536);
	MUST(io_setup(8, &ctx) == 0);

	memset(buf, 0, 65536);
	io_prep_pread(&cb, fd, buf, 65536, 65536);
	held("3.10/8", "O_DIRECT read", SLOWFS_READ, &cb, 65536);
	expect("3.10/8", "O_DIRECT read: data", memcmp(buf, slowfs_data(s, 0) + 65536, 65536), 0);
	delayed("3.10/8", "O_DIRECT read", SLOWFS_READ, &cb, 65536);

	io_prep_fsync(&cb, fd);
	held("3.10/8", "FSYNC", SLOWFS_FSYNC, &cb, 0);
	delayed("3.10/8", "FSYNC", SLOWFS_FSYNC, &cb, 0);

	memset(buf, 'd', 65536);
	io_prep_pwrite(&cb, fd, buf, 65536, 0);
	cb.aio_rw_flags = 2; /* RWF_DSYNC */
	held("3.10/8", "O_DIRECT write, RWF_DSYNC", SLOWFS_WRITE, &cb, 65536);
	expect("3.10/8", "O_DIRECT write, RWF_DSYNC: data", memcmp(buf, slowfs_data(s, 0), 65536), 0);
	delayed("3.10/8", "O_DIRECT write, RWF_DSYNC", SLOWFS_WRITE, &cb, 65536);

	memset(buf, 's', 65536);
	io_prep_pwrite(&cb, sync_fd, buf, 65536, 131072);
	held("3.10/8", "O_DIRECT write, O_SYNC", SLOWFS_WRITE, &cb, 65536);
	expect("3.10/8", "O_DIRECT write, O_SYNC: data", memcmp(buf, slowfs_data(s, 0) + 131072, 65536), 0);
	delayed("3.10/8", "O_DIRECT write, O_SYNC", SLOWFS_WRITE, &cb, 65536);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

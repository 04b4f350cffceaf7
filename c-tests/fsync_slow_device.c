/* FSYNC and FDSYNC at a device that takes its time: in flight together, failed
 * by the device, their descriptor closed, cancelled in vain. */
#include "events.h"
#include "slowfs.h"

#define FILES 16
static struct slowfs *s;
static io_context_t ctx;
static int fds[FILES];

static void asynchronous(int op, const char *name)
{
	unsigned seen = slowfs_seen(s, SLOWFS_FSYNC);
	struct iocb cb;
	char label[64];

	memset(&cb, 0, sizeof cb);
	cb.aio_lio_opcode = (short)op;
	cb.aio_fildes = slowfs_open(s, 0, O_RDWR);
	slowfs_hold(s, SLOWFS_FSYNC);
	snprintf(label, sizeof label, "%s, device holds it", name);
	expect_pending("4.1/1", label, ctx, &cb);
	snprintf(label, sizeof label, "%s, it is at the device", name);
	expect_true("4.1/1", label, slowfs_wait(s, SLOWFS_FSYNC, seen + 1));
	close(cb.aio_fildes);
	slowfs_release(s, SLOWFS_FSYNC);
	snprintf(label, sizeof label, "%s, fd closed meanwhile: event", name);
	expect_reaped("4.1/10", label, ctx, &cb, 10000, 0);
	snprintf(label, sizeof label, "%s: the device has done it", name);
	expect("4.1/10", label, slowfs_done(s, SLOWFS_FSYNC), seen + 1);

	cb.aio_fildes = fds[0];
	slowfs_fail(s, SLOWFS_FSYNC, EIO);
	snprintf(label, sizeof label, "%s, device error", name);
	expect_event("4.1/9", label, ctx, &cb, -EIO);
	slowfs_fail(s, SLOWFS_FSYNC, 0);
}

/* The kernel cannot cancel it. aio-rs may, and then says so in the event. */
static void cancelled(void)
{
	unsigned seen = slowfs_seen(s, SLOWFS_FSYNC);
	struct io_event ev;
	struct iocb cb;
	long r, got;

	slowfs_hold(s, SLOWFS_FSYNC);
	io_prep_fsync(&cb, fds[0]);
	MUST(submit1(ctx, &cb) == 1 && slowfs_wait(s, SLOWFS_FSYNC, seen + 1));
	r = io_cancel(ctx, &cb, &ev);
	slowfs_release(s, SLOWFS_FSYNC);
	got = event_of(ctx, &cb, 10000);
	expect_may_differ("4.1/11", "io_cancel of an FSYNC in flight", r, -EINVAL, -EINPROGRESS);
	expect_differs("4.1/11", "its event", got, 0, r == -EINPROGRESS ? -ECANCELED : 0);
}

static void together(void)
{
	unsigned seen = slowfs_seen(s, SLOWFS_FSYNC);
	struct iocb cb[FILES], *list[FILES];
	struct io_event ev[FILES];
	int bad = 0;
	long from;

	for (int i = 0; i < FILES; i++)
		io_prep_fsync(list[i] = cb + i, fds[i]);
	slowfs_hold(s, SLOWFS_FSYNC);
	expect("4.1/12", "16 FSYNC of 16 files: io_submit", io_submit(ctx, FILES, list), FILES);
	expect_true("4.1/12", "all at the device at once", slowfs_wait(s, SLOWFS_FSYNC, seen + FILES) && slowfs_done(s, SLOWFS_FSYNC) == seen);
	slowfs_release(s, SLOWFS_FSYNC);
	expect("4.1/12", "events", reap(ctx, FILES, FILES, ev, 10000), FILES);
	slowfs_delay(s, SLOWFS_FSYNC, 100);
	from = now_ms();
	MUST(io_submit(ctx, FILES, list) == FILES);
	expect("4.1/12", "100 ms device: events", reap(ctx, FILES, FILES, ev, 10000), FILES);
	expect_between("4.1/12", "100 ms device: time", now_ms() - from, 99, 1400);
	slowfs_delay(s, SLOWFS_FSYNC, 0);

	/* one file: the file system lets one through at a time */
	for (int i = 0; i < FILES; i++)
		cb[i].aio_fildes = fds[0];
	seen = slowfs_seen(s, SLOWFS_FSYNC);
	slowfs_delay(s, SLOWFS_FSYNC, 50);
	from = now_ms();
	expect("4.1/13", "16 FSYNC of one file: io_submit", io_submit(ctx, FILES, list), FILES);
	for (int i = 0; i < FILES; i++) {
		bad += reap(ctx, 1, 1, ev, 10000) != 1 || ev->res || ev->res2;
		bad += now_ms() - from < 50 * (i + 1) - 1;
	}
	expect("4.1/13", "one at a time: bad or too early", bad, 0);
	expect("4.1/13", "all at the device", slowfs_done(s, SLOWFS_FSYNC), seen + FILES);
	slowfs_delay(s, SLOWFS_FSYNC, 0);
}

int main(void)
{
	s = slowfs_start(FILES, 65536);
	for (int i = 0; i < FILES; i++)
		fds[i] = slowfs_open(s, i, O_RDWR);
	MUST(io_setup(32, &ctx) == 0);
	asynchronous(IO_CMD_FSYNC, "FSYNC");
	asynchronous(IO_CMD_FDSYNC, "FDSYNC");
	cancelled();
	together();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

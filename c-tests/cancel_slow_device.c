/* io_cancel of requests that a slow device holds: they are out of reach, the
 * device hears of nothing, the event comes when it answers.
 */
#include "slowfs.h"
#include "wait_util.h"

static struct slowfs *s;
static io_context_t ctx;
static struct io_event ev[8];
static char *buf;

static void held(const char *what, int op, struct iocb *cb, long want)
{
	unsigned seen = slowfs_seen(s, op), interrupts = slowfs_interrupts(s);
	char label[128];
	int r;

	slowfs_hold(s, op);
	MUST(submit1(ctx, cb) == 1);
	snprintf(label, sizeof label, "%s: it is at the device", what);
	expect_true("7/4", label, slowfs_wait(s, op, seen + 1));
	/* aio-rs may give up a request that only a thread of its own waits for */
	r = io_cancel(ctx, cb, ev);
	snprintf(label, sizeof label, "%s: io_cancel", what);
	expect_may_differ("7/4", label, r, -EINVAL, -EINPROGRESS);
	if (on_ours() && r == -EINPROGRESS)
		want = -ECANCELED;
	snprintf(label, sizeof label, "%s: again", what);
	expect("7/4", label, io_cancel(ctx, cb, ev), -EINVAL);
	snprintf(label, sizeof label, "%s: no event while it is held", what);
	expect_true("7/4", label, want == -ECANCELED || reap(ctx, 1, 8, ev, 100) == 0);
	snprintf(label, sizeof label, "%s: no interrupt reaches the device", what);
	expect_true("7/4", label, want == -ECANCELED || slowfs_interrupts(s) == interrupts);
	slowfs_release(s, op);
	snprintf(label, sizeof label, "%s: one event after release", what);
	expect("7/4", label, reap(ctx, 1, 8, ev, 10000), 1);
	snprintf(label, sizeof label, "%s: it is good", what);
	expect_true("7/4", label, ev[0].obj == cb && (long)ev[0].res == want && !ev[0].res2);
	snprintf(label, sizeof label, "%s: no second event", what);
	expect("7/4", label, reap(ctx, 1, 8, ev, 20), 0);
}

int main(void)
{
	struct iocb cb;
	int fd, plain;

	s = slowfs_start(2, 1 << 20);
	slowfs_fill(s, 0);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	plain = slowfs_open(s, 1, O_RDWR);
	buf = aligned_alloc(4096, 65536);
	MUST(buf);
	new_context(8, &ctx);

	io_prep_pread(&cb, fd, buf, 65536, 65536);
	held("O_DIRECT read", SLOWFS_READ, &cb, 65536);
	memset(buf, 'w', 65536);
	io_prep_pwrite(&cb, fd, buf, 65536, 0);
	held("O_DIRECT write", SLOWFS_WRITE, &cb, 65536);
	io_prep_fsync(&cb, plain);
	held("FSYNC", SLOWFS_FSYNC, &cb, 0);
	io_prep_fdsync(&cb, plain);
	held("FDSYNC", SLOWFS_FSYNC, &cb, 0);
	MUST(io_destroy(ctx) == 0);
	slowfs_stop(s);
	return check_done();
}

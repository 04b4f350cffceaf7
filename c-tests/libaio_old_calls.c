/* The calls of LIBAIO_0.1 that differ from today's: io_getevents with four
 * arguments, io_cancel with two, io_queue_wait.
 */
#include "wait_util.h"
#include <dlfcn.h>

static int (*getevents_01)(io_context_t, long, struct io_event *, struct timespec *);
static int (*cancel_01)(io_context_t, struct iocb *);
static int (*queue_wait[2])(io_context_t, struct timespec *);

static io_context_t ctx;
static struct io_event ev[8];
static struct timespec ms50 = { 0, 50000000 };

static long getevents_garbage(void *arg)
{
	return getevents_01(arg, 1, ev, &ms50);
}

static void old_getevents(void)
{
	const char *id = "13/4";
	long start = now_ms();

	expect(id, "empty, 50 ms", getevents_01(ctx, 4, ev, &ms50), 0);
	expect_between(id, "after 50 ms", now_ms() - start, 50, 5000);
	expect(id, "empty, {0,0}", getevents_01(ctx, 4, ev, &zero_ts), 0);
	expect(id, "nr 0", getevents_01(ctx, 0, ev, &ms50), -EINVAL);
	expect(id, "nr -1", getevents_01(ctx, -1, ev, &ms50), -EINVAL);
	expect(id, "nr -1, NULL", getevents_01(ctx, -1, ev, NULL), -EINVAL);
	expect(id, "context NULL", getevents_01(NULL, 1, ev, &ms50), -EINVAL);
	expect_differs(id, "context unmapped", answer_in_child(getevents_garbage, HOLE_ADDR), DIED(SIGSEGV), -EINVAL);
	fill(ctx, 2, 1);
	expect(id, "2 there, nr 0", getevents_01(ctx, 0, ev, &zero_ts), -EINVAL);
	expect(id, "2 there, events NULL", getevents_01(ctx, 4, NULL, NULL), -EFAULT);
	expect(id, "2 there, nr 4, NULL", getevents_01(ctx, 4, ev, NULL), 2);
	expect_true(id, "in order", in_order(ev, 2, 1));
	fill(ctx, 3, 5);
	expect(id, "3 there, nr 1", getevents_01(ctx, 1, ev, NULL), 1);
	expect(id, "2 there, nr 4, {0,0}", getevents_01(ctx, 4, ev + 1, &zero_ts), 2);
	expect_true(id, "in order", in_order(ev, 3, 5));
	errno = ERRNO_MARK;
	MUST(getevents_01(ctx, -1, ev, NULL) == -EINVAL);
	expect(id, "errno", errno, ERRNO_MARK);
}

/* min_nr is 1: it sleeps until one comes. */
static void *sleeps(void *arg)
{
	*(volatile pid_t *)arg = gettid();
	return (void *)(long)getevents_01(ctx, 4, ev, NULL);
}
static void old_getevents_waits(void)
{
	volatile pid_t tid = 0;
	pthread_t t;
	void *got;

	MUST(pthread_create(&t, NULL, sleeps, (void *)&tid) == 0);
	while (!tid)
		usleep(100);
	asleep(tid);
	MUST(submit_reads(ctx, 1, 9) == 1);
	MUST(pthread_join(t, &got) == 0);
	expect("13/4", "empty, NULL: sleeps until one comes", (long)got, 1);
	expect_true("13/4", "that one", in_order(ev, 1, 9));
}

static void old_cancel(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	const char *id = "13/5";
	struct iocb cb, unknown;

	io_prep_poll(&cb, fd, POLLIN);
	unknown = cb;
	MUST(submit1(ctx, &cb) == 1);
	expect(id, "unknown iocb", cancel_01(ctx, &unknown), -EINVAL);
	expect(id, "iocb NULL", cancel_01(ctx, NULL), -EFAULT);
	expect(id, "iocb unmapped", cancel_01(ctx, HOLE_ADDR), -EFAULT);
	expect(id, "context NULL", cancel_01(NULL, &cb), -EINVAL);
	errno = ERRNO_MARK;
	expect(id, "pending poll", cancel_01(ctx, &cb), -EINPROGRESS);
	expect(id, "errno", errno, ERRNO_MARK);
	expect(id, "its event", reap(ctx, 1, 8, ev, 5000), 1);
	expect_true(id, "res 0", ev[0].obj == &cb && !ev[0].res && !ev[0].res2);
	expect(id, "again", cancel_01(ctx, &cb), -EINVAL);
	close(fd);
}

static void queue_waits(int v)
{
	struct timespec sec5 = { 5, 0 };
	const char *name = v ? "0.4" : "0.1", *id = "13/6";
	char line[96];
	long start = now_ms();

#define WAIT(what, c, ts, want)                                                    \
	do {                                                                       \
		snprintf(line, sizeof line, "io_queue_wait@LIBAIO_%s, " what, name); \
		expect(id, line, queue_wait[v](c, ts), want);                      \
	} while (0)
	WAIT("empty, 5 s", ctx, &sec5, 0);
	WAIT("empty, NULL", ctx, NULL, 0);
	WAIT("empty, {0,0}", ctx, &zero_ts, 0);
	fill(ctx, 2, 1);
	WAIT("2 there, 5 s", ctx, &sec5, 0);
	WAIT("2 there, NULL", ctx, NULL, 0);
	WAIT("2 there, {0,0}", ctx, &zero_ts, 0);
	WAIT("context NULL", NULL, &sec5, -EINVAL);
	expect_between(id, "all at once", now_ms() - start, 0, 4900);
	expect(id, "takes nothing", ring_count(ctx), 2);
	expect_true(id, "both are there", reap(ctx, 2, 8, ev, 5000) == 2 && in_order(ev, 2, 1));
}

int main(void)
{
	getevents_01 = dlvsym(RTLD_DEFAULT, "io_getevents", "LIBAIO_0.1");
	cancel_01 = dlvsym(RTLD_DEFAULT, "io_cancel", "LIBAIO_0.1");
	queue_wait[0] = dlvsym(RTLD_DEFAULT, "io_queue_wait", "LIBAIO_0.1");
	queue_wait[1] = dlvsym(RTLD_DEFAULT, "io_queue_wait", "LIBAIO_0.4");
	MUST(getevents_01 && cancel_01 && queue_wait[0] && queue_wait[1]);
	new_context(8, &ctx);
	old_getevents();
	old_getevents_waits();
	old_cancel();
	queue_waits(0);
	queue_waits(1);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

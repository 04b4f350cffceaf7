/* A pending POLL outlives its descriptor, its iocb and the thread that
 * submitted it. */
#include "events.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

static io_context_t ctx;

static void put(int fd)
{
	MUST(write(fd, "12345678", 8) == 8);
}
/* The bits asked for (IN), of the event of this iocb. */
static long in_event(struct iocb *cb)
{
	long r = event_of(ctx, cb, 10000);
	return r < 0 ? r : r & POLLIN;
}

static void fd_closed(void)
{
	struct io_event ev;
	struct iocb cb;
	int p[2], d, other[2];

	MUST(!pipe(p));
	io_prep_poll(&cb, p[0], POLLIN);
	expect("4.2/22", "pipe: io_submit", submit1(ctx, &cb), 1);
	close(p[0]);
	expect_reaped("4.2/22", "polled fd closed", ctx, &cb, 50, NO_EVENT);
	put(p[1]);
	expect("4.2/22", "it fires through the other end", in_event(&cb), POLLIN);
	close(p[1]);

	MUST(!pipe(p) && !pipe(other));
	d = dup(p[0]);
	io_prep_poll(&cb, p[0], POLLIN);
	MUST(d >= 0 && submit1(ctx, &cb) == 1 && dup2(other[0], p[0]) == p[0]);
	put(other[1]);
	expect_reaped("4.2/22", "polled fd replaced by a readable one", ctx, &cb, 50, NO_EVENT);
	put(p[1]);
	expect("4.2/22", "a dup keeps it: it fires", in_event(&cb), POLLIN);
	for (int i = 0; i < 2; i++)
		close(p[i]), close(other[i]);
	close(d);

	d = eventfd(0, EFD_CLOEXEC);
	io_prep_poll(&cb, d, POLLIN);
	MUST(d >= 0 && submit1(ctx, &cb) == 1);
	close(d);
	expect_reaped("4.2/22", "eventfd closed for good", ctx, &cb, 50, NO_EVENT);
	expect("4.2/22", "io_cancel", io_cancel(ctx, &cb, &ev), -EINPROGRESS);
	expect_reaped("4.2/22", "cancelled", ctx, &cb, 10000, 0);
}

static void iocb_gone(void)
{
	struct iocb *cb = map_apart(4096);
	struct io_event ev = { 0 };
	int efd = eventfd(0, EFD_CLOEXEC);
	uint64_t n;

	MUST(efd >= 0);
	for (int unmap = 0; unmap < 2; unmap++) {
		io_prep_poll(cb, efd, POLLIN);
		cb->data = (void *)0x1234;
		MUST(submit1(ctx, cb) == 1);
		memset(cb, 0xff, sizeof *cb);
		if (unmap)
			munmap(cb, 4096);
		put(efd);
		expect("4.2/23", unmap ? "iocb unmapped" : "iocb overwritten", reap(ctx, 1, 1, &ev, 10000), 1);
		expect_true("4.2/23", "its event has the old obj and data", ev.obj == cb && ev.data == (void *)0x1234 && (ev.res & POLLIN) && !ev.res2);
		MUST(read(efd, &n, 8) == 8);
	}
	close(efd);
}

/* The same iocb twice is two requests. */
static void twice(void)
{
	int efd = eventfd(0, EFD_CLOEXEC);
	struct io_event ev[2];
	struct iocb cb;

	io_prep_poll(&cb, efd, POLLIN);
	MUST(efd >= 0 && submit1(ctx, &cb) == 1);
	expect("4.2/20", "the same iocb again", submit1(ctx, &cb), 1);
	put(efd);
	expect("4.2/20", "events", reap(ctx, 2, 2, ev, 10000), 2);
	expect_true("4.2/20", "both are of this iocb", ev[0].obj == &cb && ev[1].obj == &cb && (ev[0].res & POLLIN) && (ev[1].res & POLLIN));
	close(efd);
}

static void *submit_there(void *cb)
{
	MUST(submit1(ctx, cb) == 1);
	return NULL;
}
static void thread_gone(void)
{
	int p[2];
	struct iocb cb;
	pthread_t t;

	MUST(!pipe(p));
	io_prep_poll(&cb, p[0], POLLIN);
	MUST(!pthread_create(&t, NULL, submit_there, &cb) && !pthread_join(t, NULL));
	expect_reaped("4.2/24", "submitting thread gone", ctx, &cb, 100, NO_EVENT);
	put(p[1]);
	expect("4.2/24", "it fires normally", in_event(&cb), POLLIN);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	MUST(io_setup(8, &ctx) == 0);
	fd_closed();
	iocb_gone();
	twice();
	thread_gone();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

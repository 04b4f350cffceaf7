/* POLL of an eventfd, and the eventfd that is told of a poll's event. */
#include "events.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static io_context_t ctx;

static void put(int fd)
{
	MUST(write(fd, &(uint64_t){ 1 }, 8) == 8);
}
/* The counter, once it is not 0 (within `ms`). */
static long count_of(int efd, int ms)
{
	struct pollfd p = { .fd = efd, .events = POLLIN };
	uint64_t n = 0;
	if (poll(&p, 1, ms) == 1)
		MUST(read(efd, &n, 8) == 8);
	return (long)n;
}

/* The kernel completes it inside the write, aio-rs a little later. */
static void at_once(int efd)
{
	int bad = 0;
	for (int i = 0; i < 200; i++) {
		struct iocb cb;
		long r;
		uint64_t n;
		io_prep_poll(&cb, efd, POLLIN);
		MUST(submit1(ctx, &cb) == 1);
		put(efd);
		r = event_of(ctx, &cb, on_ours() ? 10000 : 0);
		bad += r < 0 || !(r & POLLIN);
		MUST(read(efd, &n, 8) == 8);
	}
	expect_documented("4.2/4", "eventfd written by this thread: its event is there (kernel), or comes (aio-rs)", !bad, !bad);
}

static void two_polls(int efd)
{
	struct iocb a, b;
	struct io_event ev[2];

	io_prep_poll(&a, efd, POLLIN);
	io_prep_poll(&b, efd, POLLIN);
	MUST(submit1(ctx, &a) == 1 && submit1(ctx, &b) == 1);
	put(efd);
	expect("4.2/19", "two polls of one eventfd, one write: events", reap(ctx, 2, 2, ev, 10000), 2);
	expect_true("4.2/19", "both ready", (ev[0].res & POLLIN) && (ev[1].res & POLLIN));
	expect_documented("4.2/19", "the newest first (kernel), one of each (aio-rs)", ev[0].obj == &b && ev[1].obj == &a,
			  (ev[0].obj == &b && ev[1].obj == &a) || (ev[0].obj == &a && ev[1].obj == &b));
	expect("4.2/19", "the counter is as written", count_of(efd, 0), 1);
}

static void resfd(int efd)
{
	int told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct io_event ev;
	struct iocb cb;
	io_context_t other = 0;
	pid_t pid;
	int st;

	MUST(told >= 0);
	io_prep_poll(&cb, efd, POLLIN);
	io_set_eventfd(&cb, told);
	MUST(submit1(ctx, &cb) == 1);
	expect("4.2/25", "pending: counter", count_of(told, 50), 0);
	put(efd);
	expect("4.2/25", "completed: counter", count_of(told, 10000), 1);
	expect("4.2/25", "its event is there", reap(ctx, 1, 1, &ev, 0), 1);
	MUST(count_of(efd, 0) == 1);

	MUST(submit1(ctx, &cb) == 1);
	expect("4.2/25", "io_cancel", io_cancel(ctx, &cb, &ev), -EINPROGRESS);
	expect("4.2/25", "cancelled: counter", count_of(told, 10000), 1);
	expect_reaped("4.2/25", "cancelled: event", ctx, &cb, 10000, 0);

	MUST(io_setup(8, &other) == 0 && submit1(other, &cb) == 1);
	expect("4.2/25", "io_destroy", io_destroy(other), 0);
	expect("4.2/25", "context destroyed: counter", count_of(told, 10000), 1);
	expect("4.2/25", "and no more", count_of(told, 50), 0);

	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		io_context_t own = 0;
		MUST(io_setup(8, &own) == 0 && submit1(own, &cb) == 1);
		exit(0);
	}
	MUST(waitpid(pid, &st, 0) == pid && !st);
	expect("4.2/25", "process ended: counter", count_of(told, 10000), 1);
	expect("4.2/25", "and no more", count_of(told, 50), 0);
}

int main(void)
{
	int efd = eventfd(0, EFD_CLOEXEC);

	MUST(efd >= 0 && io_setup(8, &ctx) == 0);
	at_once(efd);
	two_polls(efd);
	resfd(efd);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

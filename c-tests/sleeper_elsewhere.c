/* A thread that has submitted O_DIRECT requests and slept in io_getevents for
 * them, again and again, submits and then is not there: it does something else,
 * has ended, or looks at the ring itself. The events come all the same, to
 * whoever waits for them, and nothing interrupts what it does meanwhile. */
#include "life.h"
#include "sleeper.h"
#include <sys/epoll.h>

static io_context_t ctx;
static volatile int submitted, let_go;

static void fresh(void)
{
	if (ctx)
		MUST(io_destroy(ctx) == 0);
	ctx = NULL;
	MUST(io_setup(64, &ctx) == 0);
	submitted = let_go = 0;
}

/* Submits and sleeps many times, submits once more, then returns or hangs about. */
static void *submitter(void *stay)
{
	MUST(sleeper_rounds(ctx, 100) == 0);
	MUST(sleeper_submit(ctx, 0) == DEPTH);
	submitted = 1;
	while (stay && !let_go)
		usleep(1000);
	return NULL;
}

static void *collector(void *want)
{
	return (void *)sleeper_reap(ctx, (long)want, 10000);
}

/* The events are there soon after the device has answered, nobody asking. */
static void expect_unasked(const char *id)
{
	for (long end = now_ms() + (on_ours() ? 10 : 10000); ring_count(ctx) < DEPTH && now_ms() < end;)
		usleep(500);
	expect_may_differ(id, "soon all of them", (long)ring_count(ctx) == DEPTH, 1, 0);
}

/* In nanosleep, as programs are between their calls: how often it was ended. */
static long interrupted(int (*sleep_ms)(long))
{
	long n = 0;

	for (int i = 0; i < 50; i++) {
		MUST(sleeper_submit(ctx, i) == DEPTH);
		n += sleep_ms(4) != 0;
		MUST(sleeper_reap(ctx, DEPTH, 10000) == DEPTH);
	}
	return n;
}
static int in_nanosleep(long ms)
{
	struct timespec ts = { 0, ms * 1000000 };
	return nanosleep(&ts, NULL);
}
static int in_epoll_wait(long ms)
{
	static int ep = -1;
	struct epoll_event e;

	if (ep < 0)
		ep = epoll_create1(EPOLL_CLOEXEC);
	return epoll_wait(ep, &e, 1, (int)ms);
}

/* Asked for by the user, and documented: AIO_RS_CALLER_RING. */
static void expect_uninterrupted(const char *label, long n)
{
	expect_may_differ("sleep/4", label, n, 0, getenv("AIO_RS_CALLER_RING") ? n : 0);
}

int main(void)
{
	pthread_t t, u;
	void *got;

	sleeper_open();

	fresh();
	MUST(pthread_create(&t, NULL, submitter, NULL) == 0);
	pthread_join(t, NULL);
	expect_unasked("sleep/1");
	expect("sleep/1", "its thread has ended: events", sleeper_reap(ctx, DEPTH, 10000), DEPTH);

	fresh();
	MUST(pthread_create(&t, NULL, submitter, &ctx) == 0);
	MUST(wait_flag(&submitted, 1));
	expect_unasked("sleep/2");
	expect("sleep/2", "it is busy, another thread waits: events", sleeper_reap(ctx, DEPTH, 10000), DEPTH);
	let_go = 1;
	pthread_join(t, NULL);

	fresh();
	MUST(sleeper_rounds(ctx, 100) == 0);
	MUST(pthread_create(&u, NULL, collector, (void *)DEPTH) == 0);
	usleep(20000);
	MUST(sleeper_submit(ctx, 0) == DEPTH);
	in_nanosleep(100);
	pthread_join(u, &got);
	expect("sleep/2", "another thread waits already: events", (long)got, DEPTH);

	fresh();
	MUST(sleeper_rounds(ctx, 100) == 0);
	MUST(sleeper_submit(ctx, 0) == DEPTH);
	expect_unasked("sleep/3");
	for (long end = now_ms() + 10000; ring_count(ctx) < DEPTH && now_ms() < end;)
		;
	expect("sleep/3", "it looks at the ring only: events", ring_count(ctx), DEPTH);
	expect("sleep/3", "they are good", sleeper_reap(ctx, DEPTH, 0), DEPTH);

	fresh();
	MUST(sleeper_rounds(ctx, 100) == 0);
	MUST(sleeper_submit(ctx, 0) == DEPTH);
	long n = 0;
	for (long end = now_ms() + 10000; n < DEPTH && now_ms() < end;) {
		long r = sleeper_reap(ctx, DEPTH, 0);
		n += r > 0 ? r : 0;
	}
	expect("sleep/3", "it asks without waiting: events", n, DEPTH);

	fresh();
	MUST(sleeper_rounds(ctx, 100) == 0);
	expect("sleep/4", "nanosleep interrupted", interrupted(in_nanosleep), 0);
	expect_uninterrupted("epoll_wait interrupted", interrupted(in_epoll_wait));

	fresh();
	MUST(sleeper_rounds(ctx, 100) == 0);
	MUST(sleeper_submit(ctx, 0) == DEPTH);
	expect_uninterrupted("epoll_wait while they wait for it", in_epoll_wait(200) != 0);
	expect("sleep/4", "it comes back late: events", sleeper_reap(ctx, DEPTH, 10000), DEPTH);
	fresh();
	expect_uninterrupted("epoll_wait after io_destroy", in_epoll_wait(100) != 0);

	fresh();
	MUST(pthread_create(&t, NULL, submitter, &ctx) == 0);
	MUST(wait_flag(&submitted, 1));
	expect("sleep/5", "io_destroy by another thread", io_destroy(ctx), 0);
	ctx = NULL;
	expect_true("sleep/5", "the data is there", sleeper_data_good());
	let_go = 1;
	pthread_join(t, NULL);

	fresh();
	MUST(sleeper_rounds(ctx, 100) == 0);
	MUST(sleeper_submit(ctx, 0) == DEPTH);
	expect("sleep/5", "io_destroy by itself", io_destroy(ctx), 0);
	ctx = NULL;
	expect_true("sleep/5", "the data is there", sleeper_data_good());

	/* Every other time somebody else takes what it submits. */
	fresh();
	n = 0;
	for (int i = 0; i < 30; i++) {
		MUST(sleeper_rounds(ctx, 20) == 0);
		MUST(sleeper_submit(ctx, i) == DEPTH);
		MUST(pthread_create(&u, NULL, collector, (void *)DEPTH) == 0);
		pthread_join(u, &got);
		n += (long)got;
	}
	expect("sleep/6", "taking turns: events", n, 30 * DEPTH);
	return check_done();
}

/* pthread_cancel: no call of libaio is a cancellation point. */
#include "wait_util.h"

static io_context_t ctx;

/* Each call by a thread that has been cancelled already: `calls` counts those
 * that came back, `right` those with the right answer. */
static int calls, right, cleaned;
static void did(int ok)
{
	calls++;
	right += ok;
}
static void cleanup(void *arg)
{
	struct io_event ev[4];

	(void)arg;
	/* the library works in a handler of the dying thread, too */
	cleaned = submit_reads(ctx, 2, 1) == 2 && reap(ctx, 2, 2, ev, 5000) == 2 && in_order(ev, 2, 1);
}
static void *all_calls(void *arg)
{
	io_context_t own = NULL;
	struct io_event ev[4];
	struct timespec ms20 = { 0, 20000000 };
	struct iocb poll;
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)arg;
	pthread_cleanup_push(cleanup, NULL);
	pthread_cancel(pthread_self());
	did(io_setup(8, &own) == 0);
	did(submit_reads(own, 2, 1) == 2);
	did(io_getevents(own, 2, 2, ev, NULL) == 2);
	did(io_getevents(own, 1, 2, ev, &ms20) == 0);
	did(io_pgetevents(own, 1, 2, ev, &ms20, NULL) == 0);
	io_prep_poll(&poll, fd, POLLIN);
	did(submit1(own, &poll) == 1);
	did(io_cancel(own, &poll, ev) == -EINPROGRESS);
	did(io_queue_run(NULL) == -EINVAL);
	did(io_destroy(own) == 0);
	pthread_testcancel();
	calls = -1; /* must not get here */
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancelled_before(void)
{
	pthread_t t;
	void *end;

	MUST(submit_reads(ctx, 1, 1) == 1); /* opens its file here: open() is a cancellation point */
	MUST(reap(ctx, 1, 1, &(struct io_event){ 0 }, 5000) == 1);
	MUST(pthread_create(&t, NULL, all_calls, NULL) == 0);
	MUST(pthread_join(t, &end) == 0);
	expect("5/29", "cancel pending: all nine calls came back", calls, 9);
	expect("5/29", "with their normal answers", right, 9);
	expect_true("5/29", "then the thread was cancelled", end == PTHREAD_CANCELED);
	expect_true("5/29", "its cleanup handler could do I/O", cleaned);
}

/* A thread asleep in io_getevents or io_pgetevents; it lives on after it. */
static struct waiter w;
static volatile int came_back;
static void *wait_then_test(void *arg)
{
	waiter_main(arg);
	came_back = 1;
	pthread_testcancel();
	came_back = 2;
	return NULL;
}
static void cancelled_asleep(const char *label, sigset_t *mask, int event)
{
	char line[128];
	void *end;

	w = (struct waiter){ .ctx = ctx, .min = 1, .nr = 1, .ts = { event ? 20 : 1, 0 } };
	w.timeout = &w.ts;
	w.ev = w.own;
	w.mask = mask;
	came_back = 0;
	MUST(pthread_create(&w.thread, NULL, wait_then_test, &w) == 0);
	while (!w.tid)
		usleep(100);
	asleep(w.tid);
	MUST(pthread_cancel(w.thread) == 0);
	usleep(50000);
	snprintf(line, sizeof line, "%s, cancelled while asleep: sleeps on", label);
	expect_true("5/29", line, !came_back);
	if (event)
		MUST(submit_reads(ctx, 1, 1) == 1);
	MUST(pthread_join(w.thread, &end) == 0);
	snprintf(line, sizeof line, "%s: its answer", label);
	expect("5/29", line, w.got, event);
	if (!event)
		expect_between("5/29", "after the full 1 s", w.took, 1000, 9000);
	expect_true("5/29", "then it was cancelled", came_back == 1 && end == PTHREAD_CANCELED);
}

int main(void)
{
	sigset_t none;

	sigemptyset(&none);
	new_context(8, &ctx);
	cancelled_before();
	cancelled_asleep("io_getevents, 1 s", NULL, 0);
	cancelled_asleep("io_getevents, an event", NULL, 1);
	cancelled_asleep("io_pgetevents, 1 s", &none, 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

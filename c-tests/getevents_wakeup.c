/* What wakes a waiter in io_getevents besides the plain case: a batch of
 * events, a ring that user space reaps too, an eventfd beside it.
 */
#include "wait_util.h"

static io_context_t ctx;
static struct triggers t;

/* Both waiters min 1 nr 8. Three events of one io_submit go to one of them as
 * long as it cannot run in between: the submitter holds the only CPU.
 */
static void batch_of_three(void)
{
	struct sched_param fifo = { .sched_priority = 1 }, other = { 0 };
	struct waiter w[2], *one, *two;
	struct io_event rest[4];
	int alone, first, second;
	cpu_set_t all, pinned;

	MUST(submit_reads(ctx, 1, 1) == 1 && reap(ctx, 1, 1, w[0].own, 5000) == 1);
	MUST(sched_getaffinity(0, sizeof all, &all) == 0);
	CPU_ZERO(&pinned);
	CPU_SET(sched_getcpu(), &pinned);
	MUST(sched_setaffinity(0, sizeof pinned, &pinned) == 0); /* the waiters inherit it */
	waiter_start(&w[0], ctx, 1, 8, 20000);
	waiter_start(&w[1], ctx, 1, 8, 20000);
	alone = sched_setscheduler(0, SCHED_FIFO, &fifo) == 0;
	MUST(submit_reads(ctx, 3, 1) == 3);
	alone = sched_setscheduler(0, SCHED_OTHER, &other) == 0 && alone;
	MUST(sched_setaffinity(0, sizeof all, &all) == 0);

	for (int i = 0; i < 5000 && !w[0].done && !w[1].done; i++)
		usleep(1000);
	MUST(submit_reads(ctx, 1, 4) == 1);
	waiter_end(&w[0]);
	waiter_end(&w[1]);
	one = w[0].own[0].data < w[1].own[0].data ? &w[0] : &w[1];
	two = one == w ? w + 1 : w;
	first = one->got;
	second = two->got;
	if (!alone && first > 0 && first < 3 && second > 0) {
		/* not privileged: they were quicker than the submitter */
		while (reap(ctx, 1, 4, rest, 20) > 0)
			;
		first = 3, second = 1;
	}
	expect("5/34", "3 events of one call: one waiter gets them", first, 3);
	expect("5/34", "the other gets the later one", second, 1);
	expect_true("5/34", "in order", in_order(one->own, one->got, 1));
	expect_true("5/34", "in order", in_order(two->own, two->got, 1 + one->got));
}

/* User space takes an event out of the ring while a thread sleeps for two. */
static void head_moved(void)
{
	struct user_ring *ring = ring_of(ctx);
	struct waiter w;

	waiter_start(&w, ctx, 2, 4, 20000);
	fire(&t, 0);
	MUST(ring_wait(ctx, 1));
	expect_true("5/39", "user space sees the event", ring->events[ring->head].data == (void *)1);
	ring->head = (ring->head + 1) % ring->nr;
	fire(&t, 1);
	MUST(ring_wait(ctx, 1));
	usleep(50000);
	expect_true("5/39", "head moved by user space: the waiter still needs one", !w.done);
	fire(&t, 2);
	expect("5/39", "it wakes normally", waiter_end(&w), 2);
	expect_true("5/39", "with the two later events", w.own[0].data == (void *)2 && w.own[1].data == (void *)3);
	waiter_start(&w, ctx, 1, 4, 20000);
	fire(&t, 3);
	expect("5/39", "and the next one too", waiter_end(&w), 1);
}

static void *read_eventfd(void *arg)
{
	uint64_t n = 0;
	return (void *)(read(*(int *)arg, &n, 8) == 8 ? (long)n : -1L);
}

/* Both the reader of the eventfd and the waiter wake. */
static void with_eventfd(void)
{
	int target = eventfd(0, EFD_CLOEXEC), resfd = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;
	struct iocb cb;
	struct waiter w;
	pthread_t reader;
	void *count;

	io_prep_poll(&cb, target, POLLIN);
	io_set_eventfd(&cb, resfd);
	MUST(pthread_create(&reader, NULL, read_eventfd, &resfd) == 0);
	waiter_start(&w, ctx, 1, 4, 20000);
	MUST(submit1(ctx, &cb) == 1);
	MUST(write(target, &one, 8) == 8);
	expect("5/40", "completion with an eventfd: the waiter", waiter_end(&w), 1);
	expect_true("5/40", "has the event", w.own[0].obj == &cb);
	MUST(pthread_join(reader, &count) == 0);
	expect("5/40", "the eventfd's reader reads", (long)count, 1);
	close(target);
	close(resfd);
}

int main(void)
{
	new_context(64, &ctx);
	triggers_arm(&t, ctx);
	batch_of_three();
	head_moved();
	with_eventfd();
	MUST(io_destroy(ctx) == 0);
	triggers_close(&t);
	return check_done();
}

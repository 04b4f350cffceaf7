/* Several threads in io_getevents on one context. A waiter takes what is there,
 * then sleeps until the ring holds the number it still needs.
 */
#include "wait_util.h"

static io_context_t ctx;
static struct triggers t;
static struct io_event ev[16];

static void begin(void)
{
	new_context(64, &ctx);
	triggers_arm(&t, ctx);
}
static void end(void)
{
	MUST(io_destroy(ctx) == 0);
	ctx = NULL;
	triggers_close(&t);
}
/* Not back, and does not come back by itself soon. */
static int still_waits(struct waiter *w)
{
	usleep(50000);
	return !w->done;
}
static int poll_events(const struct io_event *e, int n, long first)
{
	for (int i = 0; i < n; i++)
		if ((long)e[i].data != first + i || !(e[i].res & POLLIN))
			return 0;
	return 1;
}

static void taken_by_another(void)
{
	struct waiter w;

	begin();
	waiter_start(&w, ctx, 4, 4, 1000);
	fire(&t, 0);
	MUST(ring_wait(ctx, 1)); /* keeps their order */
	fire(&t, 1);
	expect_true("5/30", "min 4 sleeps, 2 events come and stay in the ring", ring_wait(ctx, 2));
	expect("5/30", "another thread, nr 8 {0,0}", io_getevents(ctx, 4, 8, ev, &zero_ts), 2);
	expect_true("5/30", "has both", poll_events(ev, 2, 1));
	expect("5/30", "the waiter", waiter_end(&w), 0);
	expect_between("5/30", "at its timeout", w.took, 1000, 9000);

	waiter_start(&w, ctx, 4, 4, 1000);
	fire(&t, 2);
	MUST(ring_wait(ctx, 1));
	fire(&t, 3);
	expect("5/31", "min 4, 2 events come: 2", waiter_end(&w), 2);
	expect_true("5/31", "both", poll_events(w.own, 2, 3));
	expect_between("5/31", "at the timeout", w.took, 1000, 9000);
	end();
}

static void takes_first(void)
{
	struct waiter w;

	begin();
	fill(ctx, 1, 50);
	waiter_start(&w, ctx, 2, 4, 1000);
	expect("5/32", "min 2, 1 there: takes it at once", ring_count(ctx), 0);
	expect("5/32", "another thread finds nothing", reap(ctx, 1, 4, ev, 10), 0);
	expect("5/32", "returns 1", waiter_end(&w), 1);
	expect_true("5/32", "that one", in_order(w.own, 1, 50));
	expect_between("5/32", "at its timeout", w.took, 1000, 9000);

	fill(ctx, 1, 60);
	waiter_start(&w, ctx, 2, 4, NO_TIMEOUT);
	fire(&t, 0);
	expect("5/32", "one more comes: 2", waiter_end(&w), 2);
	expect_true("5/32", "in order", in_order(w.own, 1, 60) && poll_events(w.own + 1, 1, 1));
	end();
}

/* The one of two that comes back first. */
static struct waiter *first_back(struct waiter *w)
{
	for (long stop = now_ms() + 5000; now_ms() < stop; usleep(200))
		for (int i = 0; i < 2; i++)
			if (w[i].done)
				return &w[i];
	DIE("neither came back");
}

static void one_each(void)
{
	struct waiter w[2], *one, *two;

	begin();
	waiter_start(&w[0], ctx, 1, 1, 20000);
	waiter_start(&w[1], ctx, 1, 1, 20000);
	fire(&t, 0);
	one = first_back(w);
	two = one == w ? w + 1 : w;
	expect_true("5/33", "both min 1 nr 1, one event: one waits on", still_waits(two));
	expect("5/33", "one gets the first", waiter_end(one), 1);
	expect_true("5/33", "that event", poll_events(one->own, 1, 1));
	fire(&t, 1);
	expect("5/33", "the other gets the second", waiter_end(two), 1);
	expect_true("5/33", "that event", poll_events(two->own, 1, 2));
	end();
}

/* Of two that are woken for an event, one has no memory for it. */
static void one_cannot(int good_first)
{
	struct waiter w[2], *good = &w[!good_first], *bad = &w[good_first];
	const char *label = good_first ? "with memory, then without" : "without memory, then with";

	begin();
	for (int i = 0; i < 2; i++) {
		w[i] = (struct waiter){ .ctx = ctx, .min = 1, .nr = 1 };
		w[i].ev = &w[i] == bad ? HOLE_ADDR : NULL;
		waiter_go(&w[i]);
	}
	fire(&t, 0);
	expect("5/33", label, waiter_end(good), 1);
	expect_true("5/33", "the one with memory has it", poll_events(good->own, 1, 1));
	fire(&t, 1);
	expect("5/33", "the other one", waiter_end(bad), -EFAULT);
	expect_true("5/33", "the second event stays", ring_wait(ctx, 1));
	end();
}

/* min 1 for the first event, min 3 for the next three. */
static void one_and_three(int three_first)
{
	struct waiter w[2], *one = &w[three_first], *three = &w[!three_first];
	char label[64];

	begin();
	for (int i = 0; i < 2; i++)
		waiter_start(&w[i], ctx, &w[i] == one ? 1 : 3, &w[i] == one ? 1 : 3, NO_TIMEOUT);
	snprintf(label, sizeof label, "min %d, then min %d", three_first ? 3 : 1, three_first ? 1 : 3);
	fire(&t, 0);
	expect("5/35", label, waiter_end(one), 1);
	expect_true("5/35", "min 1 has the first", poll_events(one->own, 1, 1));
	for (int i = 1; i < 3; i++) {
		fire(&t, i);
		expect_true("5/35", "it is in the ring, min 3 sleeps on", ring_wait(ctx, (unsigned)i) && still_waits(three));
	}
	fire(&t, 3);
	expect("5/35", "min 3 at the fourth", waiter_end(three), 3);
	expect_true("5/35", "has the other three", poll_events(three->own, 3, 2));
	end();
}

static void two_and_two(void)
{
	struct waiter w[2], *one, *two;

	begin();
	waiter_start(&w[0], ctx, 2, 2, NO_TIMEOUT);
	waiter_start(&w[1], ctx, 2, 2, NO_TIMEOUT);
	fire(&t, 0);
	MUST(ring_wait(ctx, 1));
	expect_true("5/36", "both min 2, one event: both sleep", still_waits(&w[0]) && !w[1].done);
	fire(&t, 1);
	one = first_back(w);
	two = one == w ? w + 1 : w;
	expect_true("5/36", "two events: the other sleeps", still_waits(two));
	expect("5/36", "one gets 2", waiter_end(one), 2);
	expect_true("5/36", "the first two", poll_events(one->own, 2, 1));
	fire(&t, 2);
	expect_true("5/36", "three events: the other sleeps", still_waits(two));
	fire(&t, 3);
	expect("5/36", "the other gets 2", waiter_end(two), 2);
	expect_true("5/36", "the last two", poll_events(two->own, 2, 3));
	end();
}

static void two_and_three(void)
{
	struct waiter two, three;

	begin();
	waiter_start(&two, ctx, 2, 2, NO_TIMEOUT);
	waiter_start(&three, ctx, 3, 3, 1000);
	fire(&t, 0);
	MUST(ring_wait(ctx, 1));
	fire(&t, 1);
	expect("5/37", "min 2 and min 3: min 2", waiter_end(&two), 2);
	expect_true("5/37", "has the first two", poll_events(two.own, 2, 1));
	fire(&t, 2);
	expect("5/37", "min 3 returns 1", waiter_end(&three), 1);
	expect_true("5/37", "the third", poll_events(three.own, 1, 3));
	expect_between("5/37", "at its timeout", three.took, 1000, 9000);
	end();
}

static void ten(void)
{
	struct waiter w[10];
	unsigned seen = 0;
	int ones = 0;

	begin();
	for (int i = 0; i < 10; i++)
		waiter_start(&w[i], ctx, 1, 1, 20000);
	MUST(submit_reads(ctx, 10, 0) == 10);
	for (int i = 0; i < 10; i++) {
		ones += waiter_end(&w[i]) == 1;
		seen |= 1U << ((long)w[i].own[0].data & 31);
	}
	expect("5/38", "10 waiters, 10 events in one io_submit: got one each", ones, 10);
	expect("5/38", "all ten events, each once", seen, 0x3ff);
	end();
}

int main(void)
{
	taken_by_another();
	takes_first();
	one_each();
	one_cannot(0);
	one_cannot(1);
	one_and_three(0);
	one_and_three(1);
	two_and_two();
	two_and_three();
	ten();
	return check_done();
}

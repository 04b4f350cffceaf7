/* io_getevents hands out events in ring order, over pages and over the wrap. */
#include "wait_util.h"
#include <sched.h>

static struct io_event ev[1024];

/* `times` rounds of `n` events, each reaped by one call. */
static void rounds(const char *label, int slots, long n, int times)
{
	io_context_t ctx = NULL;
	int wraps = 0, wrong = 0;
	unsigned before;

	new_context(slots, &ctx);
	for (int i = 0; i < times; i++) {
		before = ring_of(ctx)->head;
		fill(ctx, n, i * n);
		wrong += reap(ctx, n, n, ev, 5000) != n || !in_order(ev, n, i * n);
		wraps += ring_of(ctx)->head < before;
	}
	expect("5/21", label, wrong, 0);
	expect_true("5/21", "the wrap was inside a call", wraps > 0);
	MUST(io_destroy(ctx) == 0);
}

/* Of 1000 events in many small calls, and in one larger than what is there. */
static void pieces(void)
{
	io_context_t ctx = NULL;
	long next = 0;

	new_context(1000, &ctx);
	fill(ctx, 1000, 0);
	for (long nr = 1; next < 500; nr = nr % 7 + 1) {
		int got = io_getevents(ctx, 1, nr, ev, NULL);
		if (got != nr || !in_order(ev, nr, next))
			break;
		next += got;
	}
	expect_between("5/21", "1 to 7 a call", next, 500, 506);
	expect("5/22", "min 1 nr 1024: all the rest", io_getevents(ctx, 1, 1024, ev, NULL), 1000 - next);
	expect_true("5/21", "in order", in_order(ev, 1000 - next, next));
	MUST(io_destroy(ctx) == 0);
}

int main(void)
{
	cpu_set_t one;

	/* Nearly all slots are used: none may be stranded on another CPU. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	MUST(sched_setaffinity(0, sizeof one, &one) == 0);
	rounds("100 events, 10 times over a ring of 127", 1, 100, 10);
	rounds("1000 events, 8 times over a ring of 2047", 1000, 1000, 8);
	rounds("119 events, 140 times over a ring of 127", 1, 119, 140);
	pieces();
	return check_done();
}

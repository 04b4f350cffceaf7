/* io_getevents: how long it waits, and for how many. */
#include "wait_util.h"

#define FOREVERS 9
static struct io_event ev[16];

static long waited(io_context_t ctx, long min, long nr, struct timespec ts, int *got)
{
	long start = now_ms();
	*got = io_getevents(ctx, min, nr, ev, &ts);
	return now_ms() - start;
}

static void never_waits(io_context_t ctx)
{
	struct timespec least = { LONG_MIN, 0 };
	long start = now_ms();

	expect("5/13", "{0,0}, empty, min 1", io_getevents(ctx, 1, 4, ev, &zero_ts), 0);
	ring_of(ctx)->magic = 0; /* no shortcut in user space */
	expect("5/13", "{0,0}, empty, min 1, without magic", io_getevents(ctx, 1, 4, ev, &zero_ts), 0);
	ring_of(ctx)->magic = 0xa10a10a1;
	expect("5/17", "{LONG_MIN,0}, empty, min 1", io_getevents(ctx, 1, 4, ev, &least), 0);
	fill(ctx, 3, 1);
	expect("5/13", "{0,0}, 3 there, min 5: what is there", io_getevents(ctx, 5, 10, ev, &zero_ts), 3);
	expect_true("5/13", "in order", in_order(ev, 3, 1));
	fill(ctx, 3, 1);
	expect("5/13", "{0,0}, 3 there, nr 2", io_getevents(ctx, 1, 2, ev, &zero_ts), 2);
	expect("5/13", "{0,0}, 1 there, min 2", io_getevents(ctx, 2, 2, ev, &zero_ts), 1);
	expect_between("5/13", "all at once", now_ms() - start, 0, 3000);
}

static void short_waits(io_context_t ctx)
{
	int got;
	long ms = waited(ctx, 1, 4, (struct timespec){ 0, 1 }, &got);

	expect("5/14", "{0,1}", got, 0);
	expect_between("5/14", "{0,1}: at once", ms, 0, 3000);
	ms = waited(ctx, 1, 4, (struct timespec){ 0, 10000000 }, &got);
	expect("5/14", "{0,10 ms}", got, 0);
	expect_between("5/14", "{0,10 ms}: after 10 ms", ms, 10, 3000);
	fill(ctx, 3, 1);
	ms = waited(ctx, 5, 10, (struct timespec){ 0, 100000000 }, &got);
	expect("5/18", "3 there, min 5, 100 ms: 3", got, 3);
	expect_true("5/18", "in order", in_order(ev, 3, 1));
	expect_between("5/18", "after 100 ms", ms, 100, 5000);
	fill(ctx, 3, 1);
	ms = waited(ctx, 5, 10, zero_ts, &got);
	expect("5/18", "3 there, min 5, {0,0}: 3", got, 3);
	expect_between("5/18", "at once", ms, 0, 3000);
}

static void enough_there(io_context_t ctx)
{
	struct timespec forever = { -1, 0 };

	fill(ctx, 3, 1);
	expect("5/19", "3 there, min 2 nr 3, NULL: 3", io_getevents(ctx, 2, 3, ev, NULL), 3);
	fill(ctx, 3, 1);
	expect("5/19", "3 there, min 0 nr 3, NULL: 3", io_getevents(ctx, 0, 3, ev, NULL), 3);
	fill(ctx, 1, 1);
	expect("5/20", "1 there, min 1, {-1,0}: 1", io_getevents(ctx, 1, 4, ev, &forever), 1);
	fill(ctx, 5, 1);
	expect("5/22", "5 there, min 2 nr 16, NULL: all 5", io_getevents(ctx, 2, 16, ev, NULL), 5);
	expect_true("5/22", "in order", in_order(ev, 5, 1));
}

/* tv_nsec is added, whatever it is. All at the same time, to save time. */
static void odd_nanoseconds(void)
{
	static const struct {
		const char *label;
		struct timespec ts;
		long ms;
	} odd[] = {
		{ "{1,-900000000}", { 1, -900000000 }, 100 },
		{ "{0,1000000000}", { 0, 1000000000 }, 1000 },
		{ "{0,1200000000}", { 0, 1200000000 }, 1200 },
		{ "{-1,1300000000}", { -1, 1300000000 }, 300 },
	};
	struct waiter w[4];
	io_context_t ctx[4] = { 0 };
	char line[64];

	for (int i = 0; i < 4; i++) {
		new_context(1, &ctx[i]);
		w[i] = (struct waiter){ .ctx = ctx[i], .min = 1, .nr = 1, .ts = odd[i].ts, .timeout = &w[i].ts };
		waiter_go(&w[i]);
	}
	for (int i = 0; i < 4; i++) {
		expect("5/16", odd[i].label, waiter_end(&w[i]), 0);
		snprintf(line, sizeof line, "%s: after %ld ms", odd[i].label, odd[i].ms);
		expect_between("5/16", line, w[i].took, odd[i].ms, odd[i].ms + 5000);
		MUST(io_destroy(ctx[i]) == 0);
	}
}

/* Negative and overflowing timeouts: until an event comes. */
static void waits_for_ever(void)
{
	static const struct {
		const char *id, *label;
		struct timespec ts;
	} t[FOREVERS] = {
		{ "5/15", "{-1,0}", { -1, 0 } },
		{ "5/15", "{0,-1}", { 0, -1 } },
		{ "5/15", "{-5,1000000000}", { -5, 1000000000 } },
		{ "5/17", "{LONG_MAX,999999999}", { LONG_MAX, 999999999 } },
		{ "5/17", "{0,LONG_MAX}", { 0, LONG_MAX } },
		{ "5/17", "{9223372036,0}", { 9223372036, 0 } },
		{ "5/17", "{9223372037,0}", { 9223372037, 0 } },
		{ "5/15", "{-1,999999999}", { -1, 999999999 } },
		{ "5/15", "NULL", { 0, 0 } },
	};
	struct waiter w[FOREVERS];
	io_context_t ctx[FOREVERS] = { 0 };

	for (int i = 0; i < FOREVERS; i++) {
		new_context(1, &ctx[i]);
		w[i] = (struct waiter){ .ctx = ctx[i], .min = 1, .nr = 1, .ts = t[i].ts, .timeout = &w[i].ts };
		if (i == FOREVERS - 1)
			w[i].timeout = NULL;
		waiter_go(&w[i]);
	}
	usleep(200000);
	for (int i = 0; i < FOREVERS; i++) {
		char line[64];
		snprintf(line, sizeof line, "%s: still waits after 200 ms", t[i].label);
		expect_true(t[i].id, line, !w[i].done);
		MUST(submit_reads(ctx[i], 1, 1) == 1);
		snprintf(line, sizeof line, "%s: until an event comes", t[i].label);
		expect(t[i].id, line, waiter_end(&w[i]), 1);
		MUST(io_destroy(ctx[i]) == 0);
	}
}

/* Negative, with less than min collected: until a signal comes. */
static void until_signal(io_context_t ctx)
{
	struct waiter w = { .ctx = ctx, .min = 5, .nr = 10, .ts = { -1, 0 }, .timeout = &w.ts };

	on_signal(SIGUSR1, count_signal, SA_RESTART);
	fill(ctx, 3, 1);
	waiter_go(&w);
	usleep(100000);
	expect_true("5/18", "3 there, min 5, {-1,0}: waits", !w.done);
	MUST(pthread_kill(w.thread, SIGUSR1) == 0);
	expect("5/18", "3 at a signal", waiter_end(&w), 3);
	expect_true("5/18", "in order", in_order(w.own, 3, 1));
}

int main(void)
{
	io_context_t ctx = NULL;

	new_context(8, &ctx);
	never_waits(ctx);
	short_waits(ctx);
	enough_there(ctx);
	odd_nanoseconds();
	waits_for_ever();
	until_signal(ctx);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

/* io_getevents: the order of its checks, bad contexts, timeouts and counts.
 *
 * libaio reads the ring's magic and, if that fits, the timeout before it asks
 * the kernel. With the magic written over, everything reaches the kernel.
 */
#include "wait_util.h"

static struct io_event ev[16];
static struct timespec ms20 = { 0, 20000000 }, sec5 = { 5, 0 }, forever = { -1, 0 };

struct call {
	io_context_t ctx;
	long min, nr;
	struct timespec *ts;
};
static long do_call(void *arg)
{
	struct call *c = arg;
	return io_getevents(c->ctx, c->min, c->nr, ev, c->ts);
}
/* A child has no contexts of its parent: it makes one. */
static long call_live(void *arg)
{
	struct call *c = arg;
	io_context_t ctx = NULL;

	new_context(8, &ctx);
	return io_getevents(ctx, c->min, c->nr, ev, c->ts);
}

static void unknown_context(const char *label, void *ctx)
{
	char line[128];
	struct timespec *ts[3] = { NULL, &ms20, &zero_ts };
	const char *with[3] = { "NULL", "20 ms", "{0,0}" };

	for (int i = 0; i < 3; i++) {
		snprintf(line, sizeof line, "%s, timeout %s", label, with[i]);
		expect("5/1", line, io_getevents(ctx, 1, 4, ev, ts[i]), -EINVAL);
	}
}
/* The system's libaio dies reading the magic there. */
static void garbage_context(const char *label, void *ctx)
{
	struct call c = { ctx, 1, 4, &ms20 };
	char line[128];

	snprintf(line, sizeof line, "%s, 20 ms", label);
	expect_differs("5/1", line, answer_in_child(do_call, &c), DIED(SIGSEGV), -EINVAL);
	c.ts = &zero_ts;
	snprintf(line, sizeof line, "%s, {0,0}", label);
	expect_differs("5/1", line, answer_in_child(do_call, &c), DIED(SIGSEGV), -EINVAL);
}

static void contexts(io_context_t ctx)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	io_context_t gone = NULL;

	unknown_context("context NULL", NULL);
	unknown_context("zeroed page", page);
	unknown_context("8 bytes into a ring", (char *)ctx + 8);
	memcpy(page, ctx, 4096);
	((struct user_ring *)page)->tail++; /* so that it does not look empty */
	unknown_context("copy of a ring", page);
	garbage_context("context 1", (void *)1);
	garbage_context("context unmapped", HOLE_ADDR);
	garbage_context("context kernel address", KERNEL_ADDR);
	new_context(8, &gone);
	MUST(io_destroy(gone) == 0);
	garbage_context("context destroyed", gone);
	munmap(page, 4096);
}

static void bad_timeouts(io_context_t ctx)
{
	struct timespec *bad[2] = { HOLE_ADDR, KERNEL_ADDR };
	const char *name[2] = { "unmapped", "kernel address" };
	char line[128], *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 2; i++) {
		struct call live = { NULL, 1, 1, bad[i] };
		snprintf(line, sizeof line, "timeout %s, no context", name[i]);
		expect("5/2", line, io_getevents(NULL, 1, 1, ev, bad[i]), -EFAULT);
		snprintf(line, sizeof line, "timeout %s, no context, min above nr", name[i]);
		expect("5/0", line, io_getevents(NULL, 2, 1, ev, bad[i]), -EFAULT);
		snprintf(line, sizeof line, "timeout %s, zeroed page as context", name[i]);
		expect("5/0", line, io_getevents((void *)page, 1, 1, ev, bad[i]), -EFAULT);
		ring_of(ctx)->magic = 0;
		snprintf(line, sizeof line, "timeout %s, live context without magic", name[i]);
		expect("5/2", line, io_getevents(ctx, 1, 1, ev, bad[i]), -EFAULT);
		snprintf(line, sizeof line, "timeout %s, min above nr", name[i]);
		expect("5/2", line, io_getevents(ctx, 2, 1, ev, bad[i]), -EFAULT);
		fill(ctx, 1, 1);
		snprintf(line, sizeof line, "timeout %s, an event is there", name[i]);
		expect("5/2", line, io_getevents(ctx, 1, 1, ev, bad[i]), -EFAULT);
		ring_of(ctx)->magic = 0xa10a10a1;
		expect("5/2", "the event is still there", io_getevents(ctx, 1, 1, ev, NULL), 1);
		snprintf(line, sizeof line, "timeout %s, live context", name[i]);
		expect_differs("5/2", line, answer_in_child(call_live, &live), DIED(SIGSEGV), -EFAULT);
	}
	munmap(page, 4096);
}

/* Without the magic, so that libaio leaves it to the kernel. */
static void worn_timeouts(io_context_t ctx)
{
	char line[64];

	ring_of(ctx)->magic = 0;
	for (int how = 0; how < SPOILT - 1; how++) {
		struct timespec *page = worn_page();
		int good = 0;
		for (int i = 0; i < USES; i++)
			good += io_getevents(ctx, 1, 1, ev, page + 1) == 0;
		expect("5/2", "timeout in constant use", good, USES);
		snprintf(line, sizeof line, "timeout then %s", spoil(page, how));
		expect("5/2", line, io_getevents(ctx, 1, 1, ev, page + 1), -EFAULT);
	}
	ring_of(ctx)->magic = 0xa10a10a1;
}

static void counts(io_context_t ctx)
{
	static const struct {
		const char *label;
		long min, nr;
	} bad[] = {
		{ "min 2 nr 1", 2, 1 },
		{ "min 0 nr -1", 0, -1 },
		{ "min 1 nr 0", 1, 0 },
		{ "min -1 nr -1", -1, -1 },
		{ "min -1 nr 1", -1, 1 },
		{ "min LONG_MIN nr 1", LONG_MIN, 1 },
		{ "min 0 nr LONG_MIN", 0, LONG_MIN },
		{ "min LONG_MIN nr LONG_MIN", LONG_MIN, LONG_MIN },
	};
	char line[128];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(line, sizeof line, "%s, empty, 20 ms", bad[i].label);
		expect("5/3", line, io_getevents(ctx, bad[i].min, bad[i].nr, ev, &ms20), -EINVAL);
		snprintf(line, sizeof line, "%s, empty, NULL", bad[i].label);
		expect("5/3", line, io_getevents(ctx, bad[i].min, bad[i].nr, ev, NULL), -EINVAL);
		ring_of(ctx)->magic = 0; /* no shortcut: 13/2 */
		snprintf(line, sizeof line, "%s, empty, {0,0} without magic", bad[i].label);
		expect("5/3", line, io_getevents(ctx, bad[i].min, bad[i].nr, ev, &zero_ts), -EINVAL);
		ring_of(ctx)->magic = 0xa10a10a1;
	}
	fill(ctx, 2, 1);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(line, sizeof line, "%s, 2 events, {0,0}", bad[i].label);
		expect("5/3", line, io_getevents(ctx, bad[i].min, bad[i].nr, ev, &zero_ts), -EINVAL);
	}
	expect("5/3", "both events stay in the ring", ring_count(ctx), 2);

	expect("5/5", "min 0 nr 0 events NULL, 2 events, NULL", io_getevents(ctx, 0, 0, NULL, NULL), 0);
	expect("5/5", "min 0 nr 0 events NULL, 2 events, 5 s", io_getevents(ctx, 0, 0, NULL, &sec5), 0);
	expect("5/5", "both events stay in the ring", ring_count(ctx), 2);
	expect_true("5/3", "and are good", io_getevents(ctx, 2, 2, ev, NULL) == 2 && in_order(ev, 2, 1));
}

static void min_zero(io_context_t ctx)
{
	long start = now_ms();

	expect("5/4", "min 0 nr 4, empty, NULL", io_getevents(ctx, 0, 4, ev, NULL), 0);
	expect("5/4", "min 0 nr 4, empty, {0,0}", io_getevents(ctx, 0, 4, ev, &zero_ts), 0);
	expect("5/4", "min 0 nr 4, empty, 5 s", io_getevents(ctx, 0, 4, ev, &sec5), 0);
	expect("5/4", "min 0 nr 4, empty, {-1,0}", io_getevents(ctx, 0, 4, ev, &forever), 0);
	expect("5/4", "min 0 nr LONG_MAX, empty, 5 s", io_getevents(ctx, 0, LONG_MAX, ev, &sec5), 0);
	expect("5/5", "min 0 nr 0 events NULL, empty, NULL", io_getevents(ctx, 0, 0, NULL, NULL), 0);
	expect("5/5", "min 0 nr 0 events NULL, empty, 5 s", io_getevents(ctx, 0, 0, NULL, &sec5), 0);
	expect_between("5/4", "all at once", now_ms() - start, 0, 4900);
}

static void large_counts(io_context_t ctx)
{
	struct timespec ms50 = { 0, 50000000 };
	long start = now_ms();

	expect("5/6", "min 1 nr LONG_MAX, empty, 50 ms", io_getevents(ctx, 1, LONG_MAX, ev, &ms50), 0);
	expect_between("5/6", "after 50 ms", now_ms() - start, 50, 5000);
	start = now_ms();
	expect("5/6", "min LONG_MAX nr LONG_MAX, empty, 50 ms", io_getevents(ctx, LONG_MAX, LONG_MAX, ev, &ms50), 0);
	expect_between("5/6", "after 50 ms", now_ms() - start, 50, 5000);
	fill(ctx, 2, 1);
	expect("5/6", "min 1 nr LONG_MAX, 2 events", io_getevents(ctx, 1, LONG_MAX, ev, NULL), 2);
}

/* In read-only memory it would fault if it were written. */
static void timeout_is_read_only(io_context_t ctx)
{
	struct timespec *ts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec kept = { 0, 30000000 };

	*ts = kept;
	expect("5/0", "writable timeout, ran out", io_getevents(ctx, 1, 1, ev, ts), 0);
	expect("5/0", "it is unchanged", memcmp(ts, &kept, sizeof kept), 0);
	mprotect(ts, 4096, PROT_READ);
	expect("5/0", "read-only timeout, ran out", io_getevents(ctx, 1, 1, ev, ts), 0);
	fill(ctx, 1, 1);
	expect("5/0", "read-only timeout, an event", io_getevents(ctx, 1, 1, ev, ts), 1);
	munmap(ts, 4096);
}

int main(void)
{
	io_context_t ctx = NULL;

	new_context(8, &ctx);
	contexts(ctx);
	bad_timeouts(ctx);
	worn_timeouts(ctx);
	counts(ctx);
	min_zero(ctx);
	large_counts(ctx);
	timeout_is_read_only(ctx);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

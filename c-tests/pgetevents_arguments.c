/* io_pgetevents: arguments. The mask's size is always right through libaio. */
#include "wait_util.h"

static struct io_event ev[8];
static struct timespec ms20 = { 0, 20000000 };

static long bad_timeout_live(void *mask)
{
	io_context_t ctx = NULL;

	new_context(8, &ctx);
	return io_pgetevents(ctx, 1, 1, ev, HOLE_ADDR, mask);
}
static long bad_context(void *ctx)
{
	return io_pgetevents(ctx, 1, 1, ev, &ms20, NULL);
}

/* With NULL or a good mask it is io_getevents. */
static void like_getevents(const char *id, const char *label, io_context_t ctx, sigset_t *mask)
{
	char line[128];
	long start = now_ms();

	snprintf(line, sizeof line, "%s, empty, 20 ms", label);
	expect(id, line, io_pgetevents(ctx, 1, 4, ev, &ms20, mask), 0);
	expect_between(id, "after 20 ms", now_ms() - start, 20, 5000);
	snprintf(line, sizeof line, "%s, empty, min 0, NULL", label);
	expect(id, line, io_pgetevents(ctx, 0, 4, ev, NULL, mask), 0);
	fill(ctx, 3, 1);
	snprintf(line, sizeof line, "%s, 3 there, nr 2", label);
	expect(id, line, io_pgetevents(ctx, 1, 2, ev, NULL, mask), 2);
	expect_true(id, "the first two", in_order(ev, 2, 1));
	snprintf(line, sizeof line, "%s, 1 there, min 4, 20 ms", label);
	expect(id, line, io_pgetevents(ctx, 4, 4, ev, &ms20, mask), 1);
	fill(ctx, 1, 1);
	snprintf(line, sizeof line, "%s, 1 there, {0,0}", label);
	expect(id, line, io_pgetevents(ctx, 1, 4, ev, &zero_ts, mask), 1);
	fill(ctx, 1, 1);
	snprintf(line, sizeof line, "%s, 1 there, events unmapped", label);
	expect(id, line, io_pgetevents(ctx, 1, 4, HOLE_ADDR, NULL, mask), -EFAULT);
	snprintf(line, sizeof line, "%s, it is still there", label);
	expect(id, line, io_pgetevents(ctx, 1, 4, ev, NULL, mask), 1);
}

static void refused(io_context_t ctx, sigset_t *mask)
{
	sigset_t *bad = HOLE_ADDR;

	expect("6/5", "context NULL", io_pgetevents(NULL, 1, 1, ev, &ms20, mask), -EINVAL);
	expect("6/5", "min 2 nr 1", io_pgetevents(ctx, 2, 1, ev, &ms20, mask), -EINVAL);
	expect("6/5", "nr -1", io_pgetevents(ctx, 1, -1, ev, NULL, mask), -EINVAL);
	expect("6/5", "min -1", io_pgetevents(ctx, -1, 1, ev, NULL, mask), -EINVAL);
	expect_differs("6/5", "context 1", answer_in_child(bad_context, (void *)1), DIED(SIGSEGV), -EINVAL);

	expect("6/3", "mask unmapped, 20 ms", io_pgetevents(ctx, 1, 1, ev, &ms20, bad), -EFAULT);
	expect("6/3", "mask kernel address, 20 ms", io_pgetevents(ctx, 1, 1, ev, &ms20, KERNEL_ADDR), -EFAULT);
	expect("6/3", "mask unmapped, context NULL", io_pgetevents(NULL, 1, 1, ev, &ms20, bad), -EFAULT);
	expect("6/3", "mask unmapped, min 2 nr 1", io_pgetevents(ctx, 2, 1, ev, &ms20, bad), -EFAULT);

	for (int how = 0; how < SPOILT - 1; how++) {
		sigset_t *worn = worn_page();
		char line[64];
		int good = 0;
		for (int i = 0; i < USES; i++)
			good += io_pgetevents(ctx, 0, 1, ev, &ms20, worn) == 0;
		expect("6/3", "mask in constant use", good, USES);
		snprintf(line, sizeof line, "mask then %s", spoil(worn, how));
		expect("6/3", line, io_pgetevents(ctx, 0, 1, ev, &ms20, worn), -EFAULT);
	}

	/* without magic libaio does not look into the timeout itself */
	ring_of(ctx)->magic = 0;
	expect("6/4", "timeout unmapped", io_pgetevents(ctx, 1, 1, ev, HOLE_ADDR, mask), -EFAULT);
	expect("6/4", "timeout kernel address", io_pgetevents(ctx, 1, 1, ev, KERNEL_ADDR, mask), -EFAULT);
	expect("6/4", "timeout and mask unmapped", io_pgetevents(ctx, 1, 1, ev, HOLE_ADDR, bad), -EFAULT);
	expect("6/4", "timeout unmapped, min 2 nr 1", io_pgetevents(ctx, 2, 1, ev, HOLE_ADDR, mask), -EFAULT);
	expect("6/6", "mask unmapped, {0,0}, empty, without magic", io_pgetevents(ctx, 1, 1, ev, &zero_ts, bad), -EFAULT);
	expect("6/5", "min 2 nr 1, {0,0}, empty, without magic", io_pgetevents(ctx, 2, 1, ev, &zero_ts, mask), -EINVAL);
	ring_of(ctx)->magic = 0xa10a10a1;
	expect("6/4", "timeout unmapped, context NULL", io_pgetevents(NULL, 1, 1, ev, HOLE_ADDR, mask), -EFAULT);
	expect_differs("6/4", "timeout unmapped, live context", answer_in_child(bad_timeout_live, mask), DIED(SIGSEGV), -EFAULT);

	expect("6/7", "mask unmapped, {0,0}, empty: shortcut", io_pgetevents(ctx, 1, 1, ev, &zero_ts, bad), 0);
	expect("6/7", "mask unmapped, {0,0}, empty, min 2 nr 1: shortcut", io_pgetevents(ctx, 2, 1, ev, &zero_ts, bad), 0);
	fill(ctx, 1, 1);
	expect("6/6", "mask unmapped, {0,0}, 1 there", io_pgetevents(ctx, 1, 1, ev, &zero_ts, bad), -EFAULT);
	expect("6/6", "mask unmapped, NULL, 1 there", io_pgetevents(ctx, 1, 1, ev, NULL, bad), -EFAULT);
	expect("6/6", "it is still there", io_pgetevents(ctx, 1, 1, ev, NULL, mask), 1);
}

int main(void)
{
	/* the last 8 bytes of a page: no more than the kernel's mask may be read */
	sigset_t none, *edge = (void *)edge_alloc(8);
	io_context_t ctx = NULL;

	sigemptyset(&none);
	memset(edge, 0, 8);
	new_context(8, &ctx);
	like_getevents("6/1", "mask NULL", ctx, NULL);
	like_getevents("6/6", "empty mask", ctx, &none);
	like_getevents("6/2", "mask of 8 bytes", ctx, edge);
	refused(ctx, &none);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

/* io_getevents: the events array. What does not fit stays in the ring. */
#include "wait_util.h"

static struct io_event ev[512];

static void *read_only_page(void)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	return p;
}

/* Five events, then a call that must fault at once and leave all five. */
static void nothing_taken(const char *id, const char *label, io_context_t ctx, void *buf, long nr)
{
	char line[128];
	unsigned head;
	long start;

	fill(ctx, 5, 1);
	head = ring_of(ctx)->head;
	start = now_ms();
	expect(id, label, reap(ctx, 1, nr, buf, 5000), -EFAULT);
	snprintf(line, sizeof line, "%s: at once", label);
	expect_between(id, line, now_ms() - start, 0, 4900);
	snprintf(line, sizeof line, "%s: min 10, more than there are", label);
	expect(id, line, reap(ctx, 10, 10, buf, 5000), -EFAULT);
	snprintf(line, sizeof line, "%s: head is unmoved, five in the ring", label);
	expect_true(id, line, ring_of(ctx)->head == head && ring_count(ctx) == 5);
	snprintf(line, sizeof line, "%s: then all five", label);
	expect_true(id, line, reap(ctx, 5, 512, ev, 5000) == 5 && in_order(ev, 5, 1));
}

static void empty_ring(io_context_t ctx)
{
	void *bad[4] = { NULL, HOLE_ADDR, KERNEL_ADDR, read_only_page() };
	const char *name[4] = { "events NULL, empty", "events unmapped, empty", "events kernel address, empty",
				"events read-only, empty" };
	char line[128];

	for (int i = 0; i < 4; i++) {
		long start = now_ms();
		expect("5/7", name[i], reap(ctx, 1, 4, bad[i], 20), 0);
		snprintf(line, sizeof line, "%s: after 20 ms", name[i]);
		expect_between("5/7", line, now_ms() - start, 20, 5000);
	}
}

static void room_for_two(io_context_t ctx)
{
	struct io_event *room = (void *)edge_alloc(2 * sizeof *room);

	memset(room, 0xaa, 2 * sizeof *room);
	nothing_taken("5/9", "room for 2, nr 5", ctx, room, 5);
	expect_true("5/9", "room for 2, nr 5: two records were written", in_order(room, 2, 1));
	fill(ctx, 5, 11);
	expect("5/9", "room for 2, nr 3", reap(ctx, 1, 3, room, 5000), -EFAULT);
	expect_true("5/9", "room for 2, nr 2: two", reap(ctx, 1, 2, room, 5000) == 2 && in_order(room, 2, 11));
	expect_true("5/9", "the other three next", reap(ctx, 3, 5, ev, 5000) == 3 && in_order(ev, 3, 13));
}

/* Events of three ring pages; the fault comes after whole pages were copied. */
static void many_pages(void)
{
	struct io_event *room = (void *)edge_alloc(256 * sizeof *room);
	io_context_t ctx = NULL;

	new_context(300, &ctx);
	fill(ctx, 300, 1);
	expect("5/10", "300 events, room for 256", reap(ctx, 1, 300, room, 5000), -EFAULT);
	expect("5/10", "head is unmoved", ring_of(ctx)->head, 0);
	expect_true("5/10", "256 records were written", in_order(room, 256, 1));
	expect("5/10", "nr 256", reap(ctx, 1, 256, room, 5000), 256);
	expect_true("5/10", "the rest next", reap(ctx, 44, 300, ev, 5000) == 44 && in_order(ev, 44, 257));
	MUST(io_destroy(ctx) == 0);
}

/* Two are taken, then the waiter sleeps; what comes next does not fit. */
static void fault_after_sleep(io_context_t ctx)
{
	struct io_event *room = (void *)edge_alloc(2 * sizeof *room);
	struct waiter w = { .ctx = ctx, .min = 4, .nr = 4, .ev = room };

	fill(ctx, 2, 1);
	waiter_go(&w);
	expect("5/11", "two taken, it sleeps for two more", ring_count(ctx), 0);
	MUST(submit_reads(ctx, 2, 3) == 2);
	expect("5/11", "they do not fit", waiter_end(&w), 2);
	expect_true("5/11", "the first two were delivered", in_order(room, 2, 1));
	expect_true("5/11", "the other two are in the ring", ring_wait(ctx, 2));
	expect_true("5/11", "and good", reap(ctx, 2, 4, ev, 5000) == 2 && in_order(ev, 2, 3));
}

static void unaligned(io_context_t ctx)
{
	static char raw[5 * sizeof(struct io_event) + 8];
	char line[64];

	for (int by = 1; by < 8; by += 3) {
		fill(ctx, 5, 1);
		snprintf(line, sizeof line, "events pointer unaligned by %d", by);
		expect("5/12", line, reap(ctx, 5, 5, (void *)(raw + by), 5000), 5);
		memcpy(ev, raw + by, 5 * sizeof *ev);
		expect_true("5/12", "the five are good", in_order(ev, 5, 1));
	}
}

static void worn(io_context_t ctx)
{
	char label[64];

	for (int how = 0; how < SPOILT; how++) {
		struct io_event *page = worn_page();
		int good = 0;
		for (int i = 0; i < USES; i++) {
			fill(ctx, 1, i);
			good += reap(ctx, 1, 4, page, 5000) == 1 && in_order(page, 1, i);
		}
		expect("5/8", "events in constant use", good, USES);
		snprintf(label, sizeof label, "events then %s", spoil(page, how));
		nothing_taken("5/8", label, ctx, page, 5);
	}
}

int main(void)
{
	io_context_t ctx = NULL;

	new_context(8, &ctx);
	empty_ring(ctx);
	nothing_taken("5/8", "events NULL, five there", ctx, NULL, 5);
	nothing_taken("5/8", "events unmapped, five there", ctx, HOLE_ADDR, 5);
	nothing_taken("5/8", "events kernel address, five there", ctx, KERNEL_ADDR, 5);
	nothing_taken("5/8", "events read-only, five there", ctx, read_only_page(), 5);
	worn(ctx);
	room_for_two(ctx);
	many_pages();
	fault_after_sleep(ctx);
	unaligned(ctx);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

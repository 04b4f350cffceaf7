/* User space writes into the rest of the ring. Only id is looked at. */
#include "ring_util.h"
#include <sys/eventfd.h>

static struct io_event ev[1024];
static int turns;

/* Everything works with this field changed. */
static void no_effect(const char *label, size_t at, unsigned value)
{
	io_context_t ctx = setup(1);
	char line[96];

	put_events(ctx, 2);
	memcpy((char *)ctx + at, &value, sizeof value);
	snprintf(line, sizeof line, "%s, io_getevents", label);
	expect("12/5", line, take(ctx, 1024, ev), 2);
	snprintf(line, sizeof line, "%s, a read", label);
	expect_works("12/5", line, ctx);
	snprintf(line, sizeof line, "%s, slots", label);
	expect("12/5", line, fill(ctx), want_slots(1));
	snprintf(line, sizeof line, "%s, all come", label);
	expect("12/5", line, take_n(ctx, want_slots(1), 10000), want_slots(1));
	snprintf(line, sizeof line, "%s, io_destroy", label);
	expect("12/5", line, io_destroy(ctx), 0);
}

/* All at once, but for id, head and tail, which are then set a whole ring too far. */
static void only_three_count(void)
{
	io_context_t ctx = setup(1);
	struct user_ring *ring = ring_of(ctx);

	for (int i = 0; i < 300; i++) {
		ring->nr = ring->magic = ring->compat = ring->incompat = ring->header_length = 0xdead;
		MUST(submit1(ctx, cached_read((void *)(i + 1L))) == 1);
		ring->head += want_nr(1);
		if (take(ctx, 8, ev) != 1 || ev[0].data != (void *)(i + 1L) || ring->head >= want_nr(1))
			break;
		ring->tail += want_nr(1);
		turns++;
	}
	expect("12/0", "300 reads, the header full of garbage", turns, 300);
	expect("12/0", "io_destroy", io_destroy(ctx), 0);
}

static void record(void)
{
	io_context_t ctx = setup(1);
	struct io_event mine = { (void *)0x1234, (void *)0x5678, 99, 98 };

	put_events(ctx, 2);
	ring_of(ctx)->events[0] = mine;
	expect("12/4", "io_getevents", take(ctx, 8, ev), 2);
	expect_true("12/4", "the overwritten record comes as it is", !memcmp(&ev[0], &mine, sizeof mine));
	expect_true("12/4", "the other one is its own", ev[1].data == (void *)2 && ev[1].res == 16);
	expect_works("12/4", "a read afterwards", ctx);
	io_destroy(ctx);
}

/* The magic is libaio's: without it there is no shortcut for {0,0}. */
static void magic(void)
{
	io_context_t ctx = setup(1);

	put_events(ctx, 2);
	expect("12/6", "with events, {0,0}, min 2 nr 1", reap(ctx, 2, 1, ev, 0), -EINVAL);
	ring_of(ctx)->magic = 0;
	expect("12/6", "magic := 0, io_getevents", take(ctx, 8, ev), 2);
	expect("12/6", "magic := 0, empty, {0,0}, min 2 nr 1", reap(ctx, 2, 1, ev, 0), -EINVAL);
	expect("12/6", "magic := 0, empty, {0,0}", reap(ctx, 1, 1, ev, 0), 0);
	expect_works("12/6", "magic := 0, a read", ctx);
	ring_of(ctx)->magic = 0xa10a10a1;
	expect("12/6", "magic as it was, empty, {0,0}, min 2 nr 1", reap(ctx, 2, 1, ev, 0), 0);
	expect("12/6", "io_destroy", io_destroy(ctx), 0);
}

static void other_id(const char *label, io_context_t ctx, unsigned id)
{
	unsigned own = ring_of(ctx)->id;
	char line[96];

	snprintf(line, sizeof line, "id := %s", label);
	ring_of(ctx)->id = id;
	expect_unknown("12/7", line, ctx);
	snprintf(line, sizeof line, "id := %s, io_getevents", label);
	expect("12/7", line, reap(ctx, 1, 8, ev, 1), -EINVAL);
	snprintf(line, sizeof line, "id := %s, io_getevents min 0", label);
	expect("12/7", line, take(ctx, 8, ev), -EINVAL);
	ring_of(ctx)->id = own;
}

static void id(void)
{
	io_context_t ctx = setup(1), two = setup(1);

	put_events(ctx, 1);
	other_id("that of another context", ctx, ring_of(two)->id);
	other_id("free", ctx, 2);
	other_id("beyond the table", ctx, 100000);
	other_id("huge", ctx, 0xffffffff);
	other_id("0x80000000", ctx, 0x80000000);
	expect("12/7", "id restored, the event", take(ctx, 8, ev), 1);
	expect("12/7", "id restored, its data", (long)ev[0].data, 1);
	expect_works("12/7", "id restored, a read", ctx);
	expect_works("12/7", "the other context", two);
	expect("12/7", "io_destroy", io_destroy(ctx), 0);
	expect("12/7", "io_destroy of the other", io_destroy(two), 0);
}

static void zeroed_header(void)
{
	io_context_t ctx = setup(1);

	MUST(ring_of(ctx)->id == 0);
	put_events(ctx, 1);
	memset(ctx, 0, 32);
	expect("12/8", "header zeroed, io_getevents", take(ctx, 8, ev), 0);
	MUST(submit1(ctx, cached_read((void *)2)) == 1);
	MUST(submit1(ctx, cached_read((void *)3)) == 1);
	expect_true("12/8", "two completions: tail", wait_tail(ctx, 3));
	expect("12/8", "two completions: events", take(ctx, 8, ev), 3);
	for (int i = 0; i < 3; i++)
		expect("12/8", "event", (long)ev[i].data, i + 1);
	expect("12/8", "io_destroy", io_destroy(ctx), 0);
}

static void ones_header(void)
{
	io_context_t ctx = setup(1);
	struct user_ring *ring = ring_of(ctx);
	unsigned own = ring->id;
	long from = 0xffffffff % want_nr(1), nr = want_nr(1);

	put_events(ctx, 2);
	memset(ctx, 0xff, 32);
	expect_unknown("12/9", "header := 0xff", ctx);
	expect("12/9", "header := 0xff, io_getevents", reap(ctx, 1, 8, ev, 1), -EINVAL);
	ring->id = own;
	expect("12/9", "id put back: head is tail", take(ctx, 1024, ev), 0);
	MUST(submit1(ctx, cached_read((void *)3)) == 1);
	expect_true("12/9", "the next completion: tail", wait_tail(ctx, 3));
	expect("12/9", "one burst of records", take(ctx, 1024, ev), (3 - from + nr) % nr);
	expect("12/9", "the last of them", (long)ev[(3 - from + nr) % nr - 1].data, 3);
	expect("12/9", "then none", take(ctx, 1024, ev), 0);
	expect_works("12/9", "then a read", ctx);
	expect("12/9", "io_destroy", io_destroy(ctx), 0);
}

static void zeroed_page(void)
{
	int efd = eventfd(0, EFD_CLOEXEC);
	io_context_t ctx = setup(1);
	struct iocb *cb = pending_poll(efd);

	MUST(efd >= 0 && ring_of(ctx)->id == 0);
	cb->data = (void *)55;
	MUST(submit1(ctx, cb) == 1);
	put_events(ctx, 1);
	memset(ctx, 0, PAGE);
	MUST(write(efd, &(uint64_t){ 1 }, 8) == 8);
	expect_true("12/10", "the poll completes: tail", wait_tail(ctx, 2));
	expect("12/10", "records", take(ctx, 8, ev), 2);
	expect_true("12/10", "the unread one is zeros", !ev[0].data && !ev[0].obj && !ev[0].res);
	expect_true("12/10", "the poll's is right", ev[1].data == (void *)55 && ev[1].obj == cb && (ev[1].res & 1));
	expect_works("12/10", "a read afterwards", ctx);
	expect("12/10", "io_destroy", io_destroy(ctx), 0);
	close(efd);
}

int main(void)
{
	pin(0);
	only_three_count();
	record();
	no_effect("nr := 0", 4, 0);
	no_effect("nr := 1", 4, 1);
	no_effect("nr := ~0", 4, ~0U);
	no_effect("compat := 0", 20, 0);
	no_effect("compat := ~0", 20, ~0U);
	no_effect("incompat := 1", 24, 1);
	no_effect("header_length := 0", 28, 0);
	no_effect("header_length := 4096", 28, 4096);
	magic();
	id();
	zeroed_header();
	ones_header();
	zeroed_page();
	return check_done();
}

/* User space writes nonsense into head and tail: taken modulo nr, trusted no
 * further, and repaired by the next completion or io_getevents. */
#include "ring_util.h"

static struct io_event ev[1024];

/* Two events in the ring, then head := x. */
static void bad_head(const char *label, unsigned x)
{
	io_context_t ctx = setup(1);
	struct user_ring *ring = ring_of(ctx);
	long nr = ring->nr, from = x % nr, want = (2 - from + nr) % nr;
	char line[96];

	put_events(ctx, 2);
	ring->head = x;
	snprintf(line, sizeof line, "head := %s", label);
	expect("12/1", line, take(ctx, 1024, ev), want);
	/* the true events are the last of them, what was never written reads as zeros */
	snprintf(line, sizeof line, "head := %s, the last record", label);
	expect("12/1", line, want ? (long)ev[want - 1].data : 2, 2);
	snprintf(line, sizeof line, "head := %s, the first record", label);
	expect("12/1", line, want ? (long)ev[0].data : 0, from < 2 ? from + 1 : 0);
	snprintf(line, sizeof line, "head := %s, then head", label);
	/* written back modulo nr, even with nothing to return */
	expect("12/1", line, ring->head, 2);
	snprintf(line, sizeof line, "head := %s, then a read", label);
	expect_works("12/1", line, ctx);
	snprintf(line, sizeof line, "head := %s, then slots", label);
	expect("12/1", line, fill(ctx), want_slots(1));
	snprintf(line, sizeof line, "head := %s, then all come", label);
	expect("12/1", line, take_n(ctx, want_slots(1), 10000), want_slots(1));
	expect("12/1", "io_destroy", io_destroy(ctx), 0);
}

/* Two events in the ring, then tail := x; a third completion repairs it. */
static void bad_tail(const char *label, unsigned x)
{
	io_context_t ctx = setup(1);
	struct user_ring *ring = ring_of(ctx);
	long nr = ring->nr, seen = x % nr, zeros = 0;
	char line[96];

	put_events(ctx, 2);
	ring->tail = x;
	snprintf(line, sizeof line, "tail := %s", label);
	expect("12/2", line, take(ctx, 1024, ev), seen);
	for (long i = 0; i < seen; i++)
		zeros += !ev[i].data && !ev[i].obj && !ev[i].res && !ev[i].res2;
	snprintf(line, sizeof line, "tail := %s, zero records", label);
	expect("12/2", line, zeros, seen > 2 ? seen - 2 : 0);
	snprintf(line, sizeof line, "tail := %s, then a completion: tail", label);
	MUST(submit1(ctx, cached_read((void *)3)) == 1);
	expect_true("12/2", line, wait_tail(ctx, 3));
	/* head stands where the false tail was */
	snprintf(line, sizeof line, "tail := %s, then a completion: records", label);
	seen = (3 - seen + nr) % nr;
	expect("12/2", line, take(ctx, 1024, ev), seen);
	snprintf(line, sizeof line, "tail := %s, the last of them", label);
	expect("12/2", line, seen ? (long)ev[seen - 1].data : 0, 3);
	snprintf(line, sizeof line, "tail := %s, then a read", label);
	expect_works("12/2", line, ctx);
	expect("12/2", "io_destroy", io_destroy(ctx), 0);
}

static void tail_zero(void)
{
	io_context_t ctx = setup(1);

	put_events(ctx, 2);
	ring_of(ctx)->tail = 0;
	expect("12/3", "tail := 0", take(ctx, 8, ev), 0);
	MUST(submit1(ctx, cached_read((void *)3)) == 1);
	expect_true("12/3", "the next completion: tail", wait_tail(ctx, 3));
	expect("12/3", "the next completion: events", take(ctx, 8, ev), 3);
	for (int i = 0; i < 3; i++)
		expect("12/3", "event", (long)ev[i].data, i + 1);
	expect("12/3", "io_destroy", io_destroy(ctx), 0);
}

int main(void)
{
	unsigned nr = want_nr(1);

	pin(0);
	bad_head("1", 1);
	bad_head("5", 5);
	bad_head("nr - 1", nr - 1);
	bad_head("nr", nr);
	bad_head("nr + 1", nr + 1);
	bad_head("nr + 2", nr + 2);
	bad_head("1000", 1000);
	bad_head("0xffffffff", 0xffffffff);
	bad_tail("5", 5);
	bad_tail("nr - 1", nr - 1);
	bad_tail("nr", nr);
	bad_tail("nr + 5", nr + 5);
	bad_tail("0xffffffff", 0xffffffff);
	tail_zero();
	return check_done();
}

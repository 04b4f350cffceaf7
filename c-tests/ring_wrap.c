/* head and tail run from 0 to nr - 1 and both wrap to 0; equal means empty. */
#include "ring_util.h"

/* `n` in, `n` out, both indices watched. */
static int round_trip(io_context_t ctx, long n, long *next)
{
	static struct io_event ev[1024];
	struct user_ring *ring = ring_of(ctx);
	unsigned head = ring->head, tail = (unsigned)((head + n) % ring->nr);

	if (ring->tail != head)
		return 0;
	for (long i = 0; i < n; i++)
		if (submit1(ctx, cached_read((void *)(*next + i))) != 1)
			return 0;
	if (!wait_tail(ctx, tail) || ring->head != head)
		return 0;
	for (unsigned i = head; i != tail; i = (i + 1) % ring->nr)
		if ((long)ring->events[i].data != *next + (long)((i + ring->nr - head) % ring->nr))
			return 0;
	if (reap(ctx, n, 1024, ev, 10000) != n)
		return 0;
	for (long i = 0; i < n; i++)
		if ((long)ev[i].data != *next + i || ev[i].res != 16)
			return 0;
	*next += n;
	return ring->head == tail && ring->tail == tail;
}

int main(void)
{
	io_context_t ctx = setup(1);
	struct user_ring *ring = ring_of(ctx);
	long nr = ring->nr, next = 1, good;
	unsigned highest = 0;

	pin(0);
	/* one at a time, three times round: every index is met */
	for (good = 0; good < 3 * nr; good++) {
		if (!round_trip(ctx, 1, &next))
			break;
		if (ring->tail > highest)
			highest = ring->tail;
	}
	expect("2/11", "one at a time", good, 3 * nr);
	expect("2/11", "highest index", highest, nr - 1);
	expect("2/11", "head after three rounds", ring->head, 0);
	/* batches that do not divide nr, over the wrap in one call */
	for (good = 0; good < 50; good++)
		if (!round_trip(ctx, want_slots(1) - good, &next))
			break;
	expect("2/11", "over the wrap", good, 50);
	expect("2/11", "empty: nothing to take", take(ctx, 1, &(struct io_event){ 0 }), 0);
	/* a full ring is not an empty one */
	expect("2/11", "full", fill(ctx), want_slots(1));
	expect_true("2/11", "full: tail is not head", wait_tail(ctx, (ring->head + want_slots(1)) % nr));
	expect("2/11", "full: all come", take_n(ctx, want_slots(1), 10000), want_slots(1));
	io_destroy(ctx);
	return check_done();
}

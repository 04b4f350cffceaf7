/* io_destroy with nothing in flight: it costs the kernel two grace periods,
 * aio-rs nothing. Unreaped events go with the context. */
#include "life.h"

int main(void)
{
	io_context_t ctx = NULL, many[50] = { NULL };
	long quickest = 1000000, from, bad = 0;
	struct io_event ev[8];

	/* The quickest of 20, so that a busy machine does not matter. */
	for (int i = 0; i < 20; i++) {
		MUST(io_setup(8, &ctx) == 0);
		from = now_ms();
		bad += io_destroy(ctx) != 0;
		if (now_ms() - from < quickest)
			quickest = now_ms() - from;
		ctx = NULL;
	}
	expect("8/3", "idle contexts not destroyed", bad, 0);
	expect_differs("8/3", "io_destroy takes a while", quickest >= 5, 1, 0);
	expect_between("8/3", "io_destroy takes no longer than (ms)", quickest, 0, 500);

	/* Unreaped events, one and a full ring of them. */
	MUST(io_setup(8, &ctx) == 0);
	expect("8/4", "an event in the ring", works(ctx), 0);
	MUST(fill_slots(ctx) > 0);
	expect_true("8/4", "unreaped events in the ring", ring_count(ctx) > 8);
	expect("8/4", "io_destroy with unreaped events", io_destroy(ctx), 0);
	expect("8/4", "ring mapped afterwards", is_mapped(ctx), 0);
	ctx = NULL;
	MUST(io_setup(8, &ctx) == 0);
	expect("8/4", "events in the next context", reap(ctx, 0, 8, ev, 0), 0);
	expect("8/4", "id of the next context", ring_of(ctx)->id, 0);
	expect("8/4", "it works", works(ctx), 0);

	/* Out of order, among others that go on. */
	bad = 0;
	for (int i = 0; i < 50; i++)
		bad += io_setup(4, &many[i]) != 0;
	for (int i = 0; i < 50; i += 5)
		bad += io_destroy(many[i]) != 0;
	for (int i = 0; i < 50; i++)
		bad += i % 5 ? works(many[i]) != 0 : is_mapped(many[i]);
	for (int i = 49; i >= 0; i--)
		bad += i % 5 ? io_destroy(many[i]) != 0 : 0;
	expect("8/2", "50 contexts destroyed in any order, wrong answers", bad, 0);
	expect("8/2", "the first goes on", works(ctx), 0);
	io_destroy(ctx);
	return check_done();
}

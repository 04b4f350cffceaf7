/* A thread writes random numbers into head and tail while another submits and
 * reaps: bogus records come, nothing else happens to anybody. */
#include "ring_util.h"
#include <pthread.h>

static volatile int stop;
static volatile long scribbled;

static void *scribble(void *arg)
{
	struct user_ring *ring = ring_of(arg);
	uint32_t x = 12345;

	for (; !stop; scribbled++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		if (x & 0x100)
			ring->head = x & 0x200 ? x : x % 200;
		else
			ring->tail = x & 0x200 ? x : x % 200;
		if (!(x & 0xf000))
			sched_yield();
	}
	return NULL;
}

int main(void)
{
	static struct io_event ev[1024];
	io_context_t ctx = setup(128), other = setup(128);
	long end, submitted = 0, bad_submit = 0, bad_reap = 0, others = 0, turns = 0;
	pthread_t t;
	int r = 0;

	MUST(!pthread_create(&t, NULL, scribble, ctx));
	for (end = now_ms() + 1000; now_ms() < end || submitted < 1000; turns++) {
		r = submit1(ctx, cached_read((void *)1));
		submitted += r == 1;
		bad_submit += r != 1 && r != -EAGAIN;
		r = (int)take(ctx, 1024, ev);
		bad_reap += r < 0 || r > 1023;
		others += run1(other, cached_read((void *)2)) == 16;
		if (now_ms() > end + 20000)
			break;
	}
	stop = 1;
	pthread_join(t, NULL);
	expect_true("12/11", "the thread scribbled", scribbled > 1000);
	expect_true("12/11", "submitted meanwhile", submitted >= 1000);
	expect("12/11", "io_submit: neither 1 nor EAGAIN", bad_submit, 0);
	expect("12/11", "io_getevents: an error, or more than a ring", bad_reap, 0);
	expect("12/11", "another context: reads that failed", turns - others, 0);
	expect_true("12/11", "id, nr and magic untouched", ring_of(ctx)->id == 0 &&
		    ring_of(ctx)->nr == want_nr(128) && ring_of(ctx)->magic == 0xa10a10a1);

	/* the next completion puts the true tail there, the next reaping the head */
	MUST(take(ctx, 1024, ev) >= 0);
	MUST(submit1(ctx, cached_read((void *)4711)) == 1);
	for (end = now_ms() + 10000; now_ms() < end;) {
		r = (int)take(ctx, 1024, ev);
		if (r > 0 && ev[r - 1].data == (void *)4711)
			break;
	}
	expect_true("12/11", "then a read's event is the last", r > 0 && ev[r - 1].data == (void *)4711 && ev[r - 1].res == 16);
	expect_works("12/11", "then a read", ctx);
	expect("12/11", "io_destroy", io_destroy(ctx), 0);
	expect("12/11", "io_destroy of the other", io_destroy(other), 0);
	return check_done();
}

/* A moved ring: the new address is the context from then on. */
#include "ring_util.h"
#include <sys/eventfd.h>

#define MOVE (MREMAP_MAYMOVE | MREMAP_FIXED)

static int efd;

static io_context_t move_to(io_context_t ctx, size_t len, void *where)
{
	MUST(mremap(ctx, len, len, MOVE, where) == where);
	return where;
}

/* A pending poll is cancelled as the kernel does it, and its event comes. */
static void cancel_poll(const char *label, io_context_t ctx, struct iocb *cb)
{
	struct io_event ev = { 0 };

	expect("10/1", label, io_cancel(ctx, cb, &ev), -EINPROGRESS);
	expect("10/1", "the cancelled poll's event", reap(ctx, 1, 1, &ev, 10000), 1);
	expect("10/1", "its res", (long)ev.res, 0);
}

static void moved(void)
{
	size_t len = want_bytes(1000);
	void *place[3] = { reserve(len), reserve(len), reserve(len) };
	io_context_t ctx = setup(1000), first = ctx, second, third;
	struct iocb poll[3];
	struct io_event ev[4];

	for (int i = 0; i < 3; i++) {
		io_prep_poll(&poll[i], efd, POLLIN);
		MUST(submit1(ctx, &poll[i]) == 1);
	}
	put_events(ctx, 2);
	second = move_to(ctx, len, place[0]);
	expect_unknown("10/1", "old value", first);
	expect_fault("10/2", "io_getevents on the old value", first);

	/* a copy of the header there does not bring it back */
	MUST(mmap(first, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == first);
	memcpy(first, second, PAGE);
	expect_unknown("10/1", "old value with a copy of the ring", first);
	expect("10/1", "old value with a copy of the ring, io_getevents", reap(first, 1, 1, ev, 1), -EINVAL);
	munmap(first, len);

	expect("10/1", "events from before the move", take(second, 4, ev), 2);
	expect_true("10/1", "they are the two", ev[0].data == (void *)1 && ev[1].data == (void *)2);
	expect_works("10/1", "new value, a read", second);
	cancel_poll("new value, io_cancel", second, &poll[0]);

	third = move_to(second, len, place[1]);
	expect_unknown("10/1", "moved again, the value between", second);
	expect_works("10/1", "moved again, a read", third);
	cancel_poll("moved again, io_cancel", third, &poll[1]);
	/* the way back, with a poll still pending */
	ctx = move_to(third, len, first);
	expect_unknown("10/1", "moved back, the value between", third);
	MUST(write(efd, &(uint64_t){ 1 }, 8) == 8);
	expect("10/1", "moved back, the poll fires", reap(ctx, 1, 1, ev, 10000), 1);
	expect_true("10/1", "it is the poll", ev[0].obj == &poll[2] && (ev[0].res & POLLIN));
	expect_true("10/1", "moved back, as many slots as asked for", fill(ctx) >= 1000);

	third = move_to(ctx, len, place[2]);
	expect("10/1", "io_destroy of the new value", io_destroy(third), 0);
	expect_true("10/1", "mapping gone", !is_mapped(third));
	expect_unknown("10/1", "destroyed, the last value", third);
	expect_unknown("10/1", "destroyed, the first value", first);
}

/* Refused by the kernel, which gives the ring DONTEXPAND. A mapping of user
 * space can be had twice or longer: aio-rs must go on at the old address. */
static void grow(void)
{
	size_t len = want_bytes(1000);
	io_context_t ctx = setup(1000);
	void *p;

	put_events(ctx, 1);
	p = mremap(ctx, len, 2 * len, 0);
	expect_mm("10/3", "growing in place", p == MAP_FAILED ? -errno : 0, -EFAULT);
	if (p != MAP_FAILED)
		munmap((char *)p + len, len);

	p = mremap(ctx, len, 2 * len, MREMAP_MAYMOVE);
	expect_mm("10/3", "growing", p == MAP_FAILED ? -errno : 0, -EFAULT);
	if (p != MAP_FAILED) {
		munmap((char *)p + len, len);
		if (p != ctx)
			move_to(p, len, ctx);
	}

	p = mremap(ctx, 0, len, MREMAP_MAYMOVE);
	expect_mm("10/3", "old_size 0", p == MAP_FAILED ? -errno : 0, -EFAULT);
	if (p != MAP_FAILED)
		munmap(p, len);

	p = mremap(ctx, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	expect_mm("10/3", "MREMAP_DONTUNMAP", p == MAP_FAILED ? -errno : 0, -EINVAL);
	if (p != MAP_FAILED) {
		munmap(ctx, len);
		move_to(p, len, ctx);
	}

	expect("10/3", "the event from before", take_n(ctx, 1, 1), 1);
	expect_works("10/3", "a read afterwards", ctx);
	expect("10/3", "io_destroy", io_destroy(ctx), 0);
}

/* Cut to one page: the program sees less, the events are all there. */
static void shrink(void)
{
	static struct io_event ev[400];
	size_t len = want_bytes(1000);
	io_context_t ctx = setup(1000);
	long turns = 0, right = 0;

	put_events(ctx, 300);
	expect_true("10/4", "to one page", mremap(ctx, len, PAGE, 0) == ctx);
	expect_true("10/4", "the other pages are gone", !is_mapped((char *)ctx + PAGE));
	expect("10/4", "io_getevents", take(ctx, 400, ev), 300);
	for (int i = 0; i < 300; i++)
		right += ev[i].data == (void *)(i + 1L) && ev[i].res == 16;
	expect("10/4", "right events", right, 300);
	/* over the end of the ring and back into the first page */
	while (turns < want_nr(1000) + 10 && run1(ctx, cached_read((void *)turns)) == 16)
		turns++;
	expect("10/4", "a whole turn of reads", turns, want_nr(1000) + 10);
	MUST(submit1(ctx, pending_poll(efd)) == 1);
	expect("10/4", "io_cancel", io_cancel(ctx, pending_poll(efd), ev), -EINPROGRESS);
	expect("10/4", "io_destroy", io_destroy(ctx), 0);
	expect_true("10/4", "mapping gone", !is_mapped(ctx));
}

int main(void)
{
	uint64_t v;

	efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(efd >= 0);
	moved();
	MUST(read(efd, &v, 8) == 8);
	grow();
	shrink();
	return check_done();
}

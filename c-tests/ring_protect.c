/* mprotect, madvise, mlock and msync of the ring. */
#include "ring_util.h"
#include <sys/eventfd.h>

static int err(int r)
{
	return r ? -errno : 0;
}

static void protection(void)
{
	size_t len = want_bytes(128);
	io_context_t ctx = setup(128);
	struct io_event ev[4];

	expect_mm("10/9", "PROT_EXEC", err(mprotect(ctx, len, PROT_READ | PROT_WRITE | PROT_EXEC)), -EACCES);
	expect_works("10/9", "a read afterwards", ctx);

	put_events(ctx, 2);
	expect("10/9", "PROT_NONE", err(mprotect(ctx, len, PROT_NONE)), 0);
	expect_unknown("10/9", "PROT_NONE", ctx);
	expect_fault("10/9", "PROT_NONE, io_getevents", ctx);
	expect("10/9", "readable again", err(mprotect(ctx, len, PROT_READ | PROT_WRITE)), 0);
	expect("10/9", "nothing lost", take(ctx, 4, ev), 2);

	/* the kernel writes through its own pages */
	put_events(ctx, 1);
	expect("10/9", "PROT_READ", err(mprotect(ctx, len, PROT_READ)), 0);
	expect("10/9", "PROT_READ, io_getevents", take(ctx, 4, ev), 1);
	expect("10/9", "PROT_READ, head seen", ring_of(ctx)->head, 4);
	expect_works("10/9", "PROT_READ, a read", ctx);
	expect("10/9", "PROT_READ, tail seen", ring_of(ctx)->tail, 5);
	MUST(submit1(ctx, pending_poll(eventfd(0, EFD_CLOEXEC))) == 1);
	expect("10/9", "PROT_READ, io_destroy", io_destroy(ctx), 0);
	expect_true("10/9", "mapping gone", !is_mapped(ctx));
}

/* io_submit of nothing, 1000 times at most, until it is refused. */
static void refused_in_time(const char *id, const char *label, io_context_t ctx)
{
	int calls = 0;

	note_same(id, 0);
	while (io_submit(ctx, 0, NULL) == 0 && calls < 1000)
		calls++;
	expect_between(id, label, calls, 0, on_ours() ? 256 : 0);
}

/* A ring that has been used often is not looked at in every call. */
static void long_in_use(void)
{
	size_t len = want_bytes(128);
	io_context_t ctx = setup(128), moved;
	struct io_event ev[4];

	for (int i = 0; i < 1000; i++)
		MUST(io_submit(ctx, 0, NULL) == 0);
	put_events(ctx, 2);
	MUST(mprotect(ctx, len, PROT_NONE) == 0);
	refused_in_time("10/9", "long in use, PROT_NONE, accepted calls", ctx);
	expect_unknown("10/9", "long in use, PROT_NONE", ctx);
	expect_fault("10/9", "long in use, PROT_NONE, io_getevents", ctx);
	MUST(mprotect(ctx, len, PROT_READ | PROT_WRITE) == 0);
	expect("10/9", "long in use, nothing lost", take(ctx, 4, ev), 2);

	for (int i = 0; i < 1000; i++)
		MUST(io_submit(ctx, 0, NULL) == 0);
	moved = mremap(ctx, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, reserve(len));
	MUST(moved != MAP_FAILED);
	refused_in_time("10/1", "long in use, moved, accepted calls under the old address", ctx);
	expect_works("10/1", "long in use, moved, a read", moved);
	for (int i = 0; i < 1000; i++)
		MUST(io_submit(moved, 0, NULL) == 0);
	ctx = moved;
	moved = mremap(ctx, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, reserve(len));
	MUST(moved != MAP_FAILED);
	expect_works("10/1", "long in use, moved again, a read", moved);
	expect("10/1", "the old address behind it", io_submit(ctx, 0, NULL), -EINVAL);
	for (int i = 0; i < 1000; i++)
		MUST(io_submit(moved, 0, NULL) == 0);
	munmap(moved, len);
	refused_in_time("10/7", "long in use, unmapped, accepted calls", moved);
	expect("10/7", "long in use, unmapped, io_destroy", io_destroy(moved), -EINVAL);
}

static void advice(void)
{
	size_t len = want_bytes(128);
	io_context_t ctx = setup(128);
	struct io_event ev[4];

	MUST(ring_of(ctx)->id == 0);
	put_events(ctx, 2);
	expect("10/10", "MADV_DONTNEED", err(madvise(ctx, len, MADV_DONTNEED)), 0);
	expect_true("10/10", "header stays", ring_of(ctx)->magic == 0xa10a10a1 && ring_of(ctx)->tail == 2);
	expect("10/10", "records stay", (long)ring_of(ctx)->events[1].data, 2);
	expect("10/10", "io_getevents", take(ctx, 4, ev), 2);
	expect_true("10/10", "the two events", ev[0].data == (void *)1 && ev[1].data == (void *)2);
	expect("10/10", "mlock", err(mlock(ctx, len)), 0);
	expect_works("10/10", "locked, a read", ctx);
	expect("10/10", "munlock", err(munlock(ctx, len)), 0);
	expect_mm("10/10", "msync", err(msync(ctx, len, MS_SYNC)), -EINVAL);
	/* where this works it zeroes the ring, whose id then still reads as its own, 0;
	 * the records and the true tail come back with the completions */
	expect_mm("10/10", "MADV_REMOVE", err(madvise(ctx, len, MADV_REMOVE)) ? -ENODEV : 0, -ENODEV);
	MUST(submit1(ctx, cached_read((void *)9)) == 1 && wait_tail(ctx, 4));
	expect_between("10/10", "the next completion is seen", take(ctx, 4, ev), 1, on_ours() ? 4 : 1);
	expect("10/10", "io_destroy", io_destroy(ctx), 0);
}

int main(void)
{
	protection();
	advice();
	long_in_use();
	return check_done();
}

/* One page of the ring moved away: the context answers where that page is. */
#include "ring_util.h"

#define MOVE (MREMAP_MAYMOVE | MREMAP_FIXED)

/* Which of the first three pages are mapped: "yny". */
static const char *pages(void *start)
{
	static char s[4];

	for (size_t i = 0; i < 3; i++)
		s[i] = is_mapped((char *)start + i * PAGE) ? 'y' : 'n';
	return s;
}

/* io_destroy unmaps as many bytes from the new address as the whole ring had:
 * the place there is reserved, so that nothing else of ours is hit. */
static void part(const char *id, int page, const char *left)
{
	size_t len = want_bytes(128), at = page * PAGE;
	io_context_t ctx, new;
	struct io_event ev[4];
	char *target = reserve(len);

	ctx = setup(128);
	MUST(ring_of(ctx)->id == 0);
	put_events(ctx, 2);
	MUST(mremap((char *)ctx + at, PAGE, PAGE, MOVE, target) == target);
	new = (io_context_t)target;

	expect_unknown(id, "old value", ctx);
	if (page)
		expect(id, "old value, io_getevents", reap(ctx, 1, 1, ev, 1), -EINVAL);
	else
		expect_fault(id, "old value, io_getevents", ctx);
	expect(id, "the moved page, io_getevents", take(new, 4, ev), 2);
	expect_true(id, "the two events", ev[0].data == (void *)1 && ev[1].data == (void *)2);
	expect_works(id, "the moved page, a read", new);
	expect(id, "the moved page, io_destroy", io_destroy(new), 0);
	expect_true(id, "the moved page is gone", !is_mapped(new));
	check_str(id, "pages left at the old place", pages(ctx), left);
	expect_unknown(id, "destroyed, the moved page", new);
	expect_unknown(id, "destroyed, old value", ctx);
	munmap(ctx, len);
	munmap(target, len);
}

int main(void)
{
	/* no record was written in that page: it reads as id 0, which the context has */
	part("10/5", 1, "yny");
	part("10/6", 0, "nyy");
	return check_done();
}

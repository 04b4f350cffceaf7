/* One page of the ring moved away: the context answers where that page is. On
 * aio-rs it stays where the first page is. */
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
static void part(const char *id, int page, const char *left, const char *left_ours)
{
	size_t len = want_bytes(128), at = page * PAGE;
	char *target = reserve(len);
	io_context_t old = setup(128), new = (io_context_t)target, here, gone;
	struct io_event ev[4];
	long right = 0, reads;
	int follows;

	MUST(ring_of(old)->id == 0);
	put_events(old, 2);
	MUST(mremap((char *)old + at, PAGE, PAGE, MOVE, target) == target);

	/* aio-rs does not see that the second page is elsewhere */
	follows = io_submit(new, 0, NULL) == 0;
	if (page)
		expect_differs(id, "the context is where the moved page is", follows, 1, 0);
	else
		expect(id, "the context is where the moved page is", follows, 1);
	here = follows ? new : old;
	gone = follows ? old : new;
	expect_unknown(id, "the other value", gone);
	if (page)
		expect(id, "the other value, io_getevents", reap(gone, 1, 1, ev, 1), -EINVAL);
	else
		expect_fault(id, "the other value, io_getevents", gone);
	expect(id, "io_getevents", take(here, 4, ev), 2);
	expect_true(id, "the two events", ev[0].data == (void *)1 && ev[1].data == (void *)2);
	/* up to 200 records are in both pages; the kernel must not write to the
	 * moved second one, which reads as id 0 and so names this context */
	reads = page && follows ? 100 : 200;
	for (long i = 0; i < reads; i++)
		right += run1(here, cached_read((void *)i)) == 16;
	expect_true(id, "reads", right == reads);
	expect(id, "io_destroy", io_destroy(here), 0);
	if (page) {
		expect_documented(id, "pages left at the old place", !strcmp(pages(old), left), !strcmp(pages(old), left_ours));
		expect_documented(id, "the moved page is gone", !is_mapped(new), is_mapped(new));
	} else {
		check_str(id, "pages left at the old place", pages(old), left);
		expect_true(id, "the moved page is gone", !is_mapped(new));
	}
	expect_unknown(id, "destroyed, the moved page", new);
	expect_unknown(id, "destroyed, old value", old);
	munmap(old, len);
	munmap(target, len);
}

int main(void)
{
	part("10/5", 1, "yny", "nnn");
	part("10/6", 0, "nyy", NULL);
	return check_done();
}

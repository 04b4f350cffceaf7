/* Contexts beyond the usual limit. aio-rs is given 2^30; the kernel has whatever
 * the host allows, which is left alone: over it, it must say EAGAIN. */
#include "ring_util.h"

#define LIMIT "1073741824"

static void large(unsigned nr)
{
	io_context_t ctx = NULL;
	long fits, ring_nr = want_nr(nr);
	char line[64];
	int r;

	fits = on_ours() || nr <= read_number(AIO_MAX_NR) - read_number(AIO_NR);
	r = io_setup((int)nr, &ctx);
	snprintf(line, sizeof line, "nr %u: ring nr", nr);
	expect_documented("1/6", line, (r ? r : (long)ring_of(ctx)->nr) == (fits ? ring_nr : -EAGAIN),
			  !r && ring_of(ctx)->nr == ring_nr);
	snprintf(line, sizeof line, "nr %u: mapping", nr);
	if (ctx) {
		char map[512];
		unsigned long len = map_line(ctx, map, sizeof map);

		expect_true("1/6", line, len == want_bytes(nr));
		/* the last page is there, and is the ring's */
		((volatile char *)ctx)[len - 1] = 1;
		io_destroy(ctx);
	} else {
		expect_true("1/6", line, r == -EAGAIN && !fits);
	}
}

static void still(const char *id, const char *label, unsigned nr, long want)
{
	io_context_t ctx = NULL;

	expect(id, label, io_setup((int)nr, &ctx), want);
	expect_true(id, label, !ctx);
}

int main(int argc, char **argv)
{
	(void)argc;
	use_limit(LIMIT, argv);
	large(65537);
	large(1048576);
	large(4194304);
	/* no limit makes these fit */
	still("1/4", "nr 4194305", 4194305, -EINVAL);
	still("1/4", "nr -1", (unsigned)-1, -EINVAL);
	still("1/5", "nr 0x80000000", 0x80000000, -EAGAIN);
	still("1/5", "nr 0x80000010", 0x80000010, -EAGAIN);
	return check_done();
}

/* io_queue_init and io_queue_release. */
#include "wait_util.h"

static long init_null(void *arg)
{
	(void)arg;
	return io_queue_init(8, NULL);
}

/* What all contexts together may ask for. */
static long max_nr(void)
{
	const char *own = getenv("AIO_RS_MAX_NR");
	long n = 1048576;
	FILE *f;

	if (on_ours() && (!own || strcmp(own, "kernel")))
		return own ? atol(own) : n;
	f = fopen("/proc/sys/fs/aio-max-nr", "re");
	MUST(f && fscanf(f, "%ld", &n) == 1);
	fclose(f);
	return n;
}

static void refused(const char *label, int n, int want)
{
	io_context_t ctx = (void *)0x1234;
	char line[96];

	expect("13/7", label, io_queue_init(n, &ctx), want);
	snprintf(line, sizeof line, "%s: *ctxp", label);
	if (n <= 0)
		expect_true("13/7", line, ctx == (void *)0x1234);
	else
		expect_true("13/7", line, ctx == NULL);
}

int main(void)
{
	io_context_t ctx = (void *)0x1234, first;
	struct io_event ev[8];
	long max = max_nr(), died;

	refused("n 0", 0, -EINVAL);
	refused("n -1", -1, -EINVAL);
	refused("n INT_MIN", INT_MIN, -EINVAL);
	refused("n INT_MAX", INT_MAX, -EINVAL);
	refused("n above the limit", (int)max + 1, max + 1 > 4194304 ? -EINVAL : -EAGAIN);
	died = answer_in_child(init_null, NULL);
	expect_differs("13/7", "ctxp NULL", died, DIED(SIGSEGV), -EFAULT);

	expect("13/7", "n 8, *ctxp not zero", io_queue_init(8, &ctx), 0);
	expect_true("13/7", "a context", ctx && ctx != (void *)0x1234 && ring_of(ctx)->magic == 0xa10a10a1);
	first = ctx;
	expect("13/7", "again with the live context in *ctxp", io_queue_init(8, &ctx), 0);
	expect_true("13/7", "another context", ctx != first);
	fill(ctx, 2, 1);
	expect_true("13/7", "works", reap(ctx, 2, 8, ev, 5000) == 2 && in_order(ev, 2, 1));
	fill(first, 2, 1);
	expect("13/7", "io_queue_release", io_queue_release(ctx), 0);
	expect("13/7", "io_queue_release again", io_queue_release(ctx), -EINVAL);
	expect_true("13/7", "the first one still works", reap(first, 2, 8, ev, 5000) == 2 && in_order(ev, 2, 1));
	expect("13/7", "released by io_destroy", io_destroy(first), 0);
	expect("13/7", "io_queue_release of it", io_queue_release(first), -EINVAL);
	expect("13/7", "io_queue_release, NULL", io_queue_release(NULL), -EINVAL);
	expect("13/7", "io_queue_release, 1", io_queue_release((void *)1), -EINVAL);
	expect("13/7", "io_queue_release, unmapped", io_queue_release(HOLE_ADDR), -EINVAL);
	return check_done();
}

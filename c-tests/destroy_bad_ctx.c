/* io_destroy of what is no context, and every call on a context that is gone.
 * Where libaio reads the ring itself (io_getevents and its kin) it faults on a
 * stale context; aio-rs answers EINVAL. */
#include "life.h"

int io_queue_wait(io_context_t ctx, struct timespec *timeout);	/* exported, but not in libaio.h */

/* The calls that read the ring. On the kernel's library they are made in a
 * forked child, whose exit code is the answer, or whose end is SIGSEGV. */
static io_context_t the_ctx;
static struct timespec zero_ts, long_ts = { 5, 0 };

static int getevents_zero(void *arg)
{
	struct io_event ev;
	(void)arg;
	return -io_getevents(the_ctx, 1, 1, &ev, &zero_ts);
}
static int getevents_long(void *arg)
{
	struct io_event ev;
	(void)arg;
	return -io_getevents(the_ctx, 1, 1, &ev, &long_ts);
}
static int getevents_null(void *arg)
{
	struct io_event ev;
	(void)arg;
	return -io_getevents(the_ctx, 1, 1, &ev, NULL);
}
static int pgetevents(void *arg)
{
	struct io_event ev;
	(void)arg;
	return -io_pgetevents(the_ctx, 1, 1, &ev, &long_ts, NULL);
}
static int queue_wait(void *arg)
{
	(void)arg;
	return -io_queue_wait(the_ctx, &long_ts);
}
static int queue_run(void *arg)
{
	(void)arg;
	return -io_queue_run(the_ctx);
}
static const struct {
	const char *name;
	int (*call)(void *);
} readers[] = {
	{ "io_getevents {0,0}", getevents_zero }, { "io_getevents 5 s", getevents_long },
	{ "io_getevents NULL", getevents_null },  { "io_pgetevents", pgetevents },
	{ "io_queue_wait", queue_wait },	  { "io_queue_run", queue_run },
};
/* libaio faults, aio-rs answers EINVAL; `kernel` is the fault or EINVAL. */
static void check_readers(const char *id, const char *what, io_context_t ctx, int kernel)
{
	char label[96];
	the_ctx = ctx;
	for (unsigned i = 0; i < sizeof readers / sizeof *readers; i++) {
		snprintf(label, sizeof label, "%s of %s", readers[i].name, what);
		int got = on_ours() ? readers[i].call(NULL) : in_child(readers[i].call, NULL);
		expect_differs(id, label, got, kernel, EINVAL);
	}
}

static void destroy(const char *what, void *ctx)
{
	char label[96];
	snprintf(label, sizeof label, "io_destroy of %s", what);
	expect("8/1", label, io_destroy(ctx), -EINVAL);
}

int main(void)
{
	io_context_t ctx = NULL, other = NULL;
	struct iocb cb, *list[1] = { &cb };
	struct io_event ev;
	char buf[16];
	void *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *zeros = page_alloc(8192), *copy = page_alloc(8192);

	destroy("0", NULL);
	destroy("1", (void *)1);
	destroy("-1", (void *)-1L);
	destroy("an unmapped address", unmapped_addr());
	destroy("a kernel address", KERNEL_ADDR);
	destroy("a PROT_NONE page", none);
	destroy("a zeroed page, no context alive", zeros);
	destroy("an unaligned address of zeros", zeros + 24);
	expect("8/1", "the page is not unmapped for it", is_mapped(zeros), 1);

	MUST(io_setup(8, &ctx) == 0);
	destroy("a zeroed page, context of id 0 alive", zeros);
	memcpy(copy, ctx, 4096);
	destroy("a copy of a ring page", copy);
	destroy("ring + 8", (char *)ctx + 8);
	destroy("ring + 4096", (char *)ctx + 4096);
	destroy("1, context alive", (void *)1);
	expect("8/1", "the context is unharmed", works(ctx), 0);

	/* The good one, with the other one alive beside it. */
	MUST(io_setup(8, &other) == 0);
	expect("8/2", "ring mapped before io_destroy", is_mapped(ctx), 1);
	expect("8/2", "io_destroy", io_destroy(ctx), 0);
	expect("8/2", "ring mapped afterwards", is_mapped(ctx), 0);
	expect("8/2", "second io_destroy", io_destroy(ctx), -EINVAL);
	io_prep_pread(&cb, 0, buf, sizeof buf, 0);
	expect("8/2", "io_submit", io_submit(ctx, 1, list), -EINVAL);
	expect("8/2", "io_submit nr 0", io_submit(ctx, 0, list), -EINVAL);
	expect("8/2", "io_submit, array NULL", io_submit(ctx, 1, NULL), -EINVAL);
	expect("8/2", "io_cancel", io_cancel(ctx, &cb, &ev), -EINVAL);
	expect("8/2", "io_queue_release", io_queue_release(ctx), -EINVAL);
	check_readers("8/0", "a destroyed context", ctx, DIED(SIGSEGV));
	check_readers("8/0", "an unmapped address", unmapped_addr(), DIED(SIGSEGV));
	check_readers("8/0", "1", (void *)1, DIED(SIGSEGV));
	check_readers("8/0", "NULL", NULL, EINVAL);
	expect("8/2", "the other context is unharmed", works(other), 0);

	/* errno is nobody's business. */
	errno = 42;
	io_destroy(ctx);
	expect("8/1", "errno after a refused io_destroy", errno, 42);
	io_destroy(other);
	expect("8/2", "errno after a good io_destroy", errno, 42);
	return check_done();
}

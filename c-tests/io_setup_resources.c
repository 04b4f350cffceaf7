/* io_setup under resource limits: memory refuses it, descriptors do not. */
#include "ring_util.h"
#include <sys/personality.h>
#include <sys/resource.h>

static struct rlimit limit_to(int what, rlim_t soft)
{
	struct rlimit old, now;

	MUST(!getrlimit(what, &old));
	now = (struct rlimit){ soft, old.rlim_max };
	MUST(!setrlimit(what, &now));
	return old;
}

/* No new mapping at all while io_setup runs. */
static long no_memory(void)
{
	io_context_t ctx = NULL;
	struct rlimit old = limit_to(RLIMIT_AS, PAGE);
	int r = io_setup(128, &ctx);

	MUST(!setrlimit(RLIMIT_AS, &old));
	return ctx ? 1 : r;
}

static void address_space(void)
{
	io_context_t ctx;

	expect("1/15", "RLIMIT_AS, first call of a process", in_child(no_memory), -ENOMEM);
	ctx = setup(8);
	expect_works("1/15", "a context", ctx);
	expect("1/15", "RLIMIT_AS, another context in use", no_memory(), -ENOMEM);
	expect_works("1/15", "the first context afterwards", ctx);
	io_destroy(ctx);
	ctx = setup(128);
	expect("1/15", "id of the next context", ring_of(ctx)->id, 0);
	io_destroy(ctx);
}

static int fill_descriptors(void)
{
	int n = 0;

	limit_to(RLIMIT_NOFILE, 64);
	while (dup(2) >= 0)
		n++;
	MUST(errno == EMFILE);
	return n;
}

static long no_descriptor(void)
{
	io_context_t ctx = NULL;

	MUST(fill_descriptors() > 0);
	return io_setup(8, &ctx);
}

static long no_descriptor_io(void)
{
	io_context_t ctx = NULL;
	struct iocb *cb = cached_read(NULL);

	MUST(fill_descriptors() > 0);
	MUST(!io_setup(8, &ctx));
	return run1(ctx, cb);
}

static long no_descriptor_destroy(void)
{
	io_context_t ctx = NULL;

	MUST(fill_descriptors() > 0);
	MUST(!io_setup(8, &ctx));
	return io_destroy(ctx);
}

/* An unprivileged process that may lock `soft` bytes. */
static void be_nobody(rlim_t soft)
{
	limit_to(RLIMIT_MEMLOCK, soft);
	MUST(!setgid(65534) && !setuid(65534));
}

static long no_locked_memory(void)
{
	io_context_t ctx = NULL;
	int r;

	be_nobody(0);
	r = io_setup(8, &ctx);
	return r ? r : run1(ctx, cached_read(NULL));
}

/* MCL_FUTURE locks every new mapping; the ring of io_setup(32768) is 2 MiB. */
static long locked_future(void)
{
	io_context_t ctx = NULL;

	be_nobody(1 << 20);
	MUST(!mlockall(MCL_FUTURE));
	return io_setup(32768, &ctx);
}

/* Executable by default: the kernel's ring is not. For aio-rs it is a mapping
 * like any other. */
static long read_implies_exec(void)
{
	io_context_t ctx;
	char line[512];

	MUST(personality(PER_LINUX | READ_IMPLIES_EXEC) != -1);
	ctx = setup(8);
	MUST(map_line(ctx, line, sizeof line));
	/* and the caller's personality is as it was */
	if (personality(0xffffffff) != (PER_LINUX | READ_IMPLIES_EXEC))
		return 2;
	return strstr(line, " rw-s ") ? 0 : strstr(line, " rwxs ") ? 1 : 3;
}

int main(void)
{
	cached_read(NULL); /* opens its file, before any limit */
	address_space();
	expect("1/16", "no descriptor left", in_child(no_descriptor), 0);
	expect("1/16", "no descriptor left, a read", in_child(no_descriptor_io), 16);
	expect("1/16", "no descriptor left, io_destroy", in_child(no_descriptor_destroy), 0);
	expect_differs("1/18", "READ_IMPLIES_EXEC: the mapping is executable", in_child(read_implies_exec), 0, 1);
	if (geteuid())
		skip("not root: the memory lock limits need another user");
	expect("1/17", "unprivileged, RLIMIT_MEMLOCK 0, a read", in_child(no_locked_memory), 16);
	expect("1/17", "MCL_FUTURE, ring above the limit", in_child(locked_future), -ENOMEM);
	return check_done();
}

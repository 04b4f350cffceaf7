/* The parent's context seen from a forked child: the ring is there and shared,
 * but no call accepts it, and the child cannot harm it. The child's own
 * contexts are its own: the first has id 0 again. */
#include "life.h"

static io_context_t ctx;
static struct iocb pending;
static int devnull;
static struct shared {
	volatile int step;	/* who goes next in the two-sided part */
	volatile long answer[24];
} *sh;

static void submit_event(void)
{
	static struct iocb cb;
	io_prep_pread(&cb, devnull, &cb, 1, 0);
	MUST(submit1(ctx, &cb) == 1);
}

/* The child sees the tail move, then moves the head. */
static int look(void *arg)
{
	struct user_ring *ring = ring_of(ctx);

	(void)arg;
	sh->answer[0] = is_mapped(ring) && ring->magic == 0xa10a10a1 && ring->id == 0 && ring->header_length == 32;
	sh->answer[1] = (long)ring_count(ctx);
	sh->step = 1;
	if (!wait_flag(&sh->step, 2))
		return 1;
	sh->answer[2] = (long)ring_count(ctx);
	ring->head = ring->tail;
	sh->step = 3;
	return 0;
}

/* Every call with the parent's context. */
static int use(void *arg)
{
	struct iocb cb, *list[1] = { &cb };
	struct timespec zero = { 0, 0 }, short_ts = { 0, 10000000 };
	struct io_event ev[4];
	volatile long *a = sh->answer;

	(void)arg;
	memset((void *)a, 0, sizeof sh->answer);
	io_prep_pread(&cb, devnull, ev, 1, 0);
	a[0] = io_submit(ctx, 1, list);
	a[1] = io_submit(ctx, 0, list);
	a[2] = io_getevents(ctx, 1, 4, ev, &short_ts);
	a[3] = io_getevents(ctx, 0, 4, ev, &short_ts);
	a[4] = io_getevents(ctx, 1, 4, ev, NULL);
	a[5] = io_pgetevents(ctx, 1, 4, ev, &short_ts, NULL);
	a[6] = io_cancel(ctx, &pending, ev);
	a[7] = io_destroy(ctx);
	a[8] = io_getevents(ctx, 1, 4, ev, &zero);
	a[9] = is_mapped(ctx);
	return 0;
}
static void expect_use(const char *when, long zero_timeout)
{
	static const char *const calls[] = {
		"io_submit", "io_submit nr 0", "io_getevents 10 ms", "io_getevents min 0", "io_getevents NULL",
		"io_pgetevents", "io_cancel of the parent's poll", "io_destroy",
	};
	char label[96];

	expect("9/2", when, in_child(use, NULL), 0);
	for (int i = 0; i < 8; i++) {
		snprintf(label, sizeof label, "%s: %s", when, calls[i]);
		expect("9/2", label, sh->answer[i], -EINVAL);
	}
	snprintf(label, sizeof label, "%s: io_getevents {0,0}", when);
	expect("9/3", label, sh->answer[8], zero_timeout);
	snprintf(label, sizeof label, "%s: ring still mapped in the child", when);
	expect("9/1", label, sh->answer[9], 1);
}

/* The child's own contexts, beside the parent's of the same id. */
static int own(void *arg)
{
	io_context_t mine = NULL, second = NULL;
	struct iocb cb, *list[1] = { &cb };
	volatile long *a = sh->answer;

	(void)arg;
	a[0] = io_setup(8, &mine);
	a[1] = io_setup(8, &second);
	if (a[0] || a[1])
		return 1;
	a[2] = ring_of(mine)->id;
	a[3] = ring_of(second)->id;
	a[4] = works(mine) || works(second);
	a[5] = mine == ctx || second == ctx;
	io_prep_pread(&cb, devnull, &cb, 1, 0);
	a[6] = io_submit(ctx, 1, list);
	a[7] = io_destroy(ctx);
	a[8] = io_destroy(mine);
	a[9] = works(second);
	a[10] = io_destroy(second);
	return 0;
}

static int unmap(void *arg)
{
	io_context_t mine = NULL;

	(void)arg;
	sh->answer[0] = munmap(ctx, 4096);
	sh->answer[1] = io_setup(8, &mine);
	sh->answer[2] = mine ? works(mine) : -1;
	return 0;
}

int main(void)
{
	int efd = eventfd(0, EFD_CLOEXEC);
	struct io_event ev[4];
	uint64_t one = 1;
	pid_t pid;

	sh = shared_alloc(sizeof *sh);
	devnull = open("/dev/null", O_RDONLY | O_CLOEXEC);
	MUST(io_setup(8, &ctx) == 0);
	io_prep_poll(&pending, efd, POLLIN);
	MUST(submit1(ctx, &pending) == 1);

	submit_event();
	pid = fork_child(look, NULL);
	MUST(wait_flag(&sh->step, 1));
	submit_event();
	submit_event();
	sh->step = 2;
	MUST(wait_flag(&sh->step, 3));
	expect("9/1", "the child's end", child_end(pid, 10000), 0);
	expect("9/1", "ring mapped in the child, header right", sh->answer[0], 1);
	expect("9/1", "events the child sees", sh->answer[1], 1);
	expect("9/1", "events it sees after the parent's io_submit", sh->answer[2], 3);
	expect("9/1", "events left for the parent, the child has moved head", (long)ring_count(ctx), 0);
	expect("9/1", "parent's io_getevents", reap(ctx, 0, 4, ev, 10), 0);

	expect_use("ring empty", 0);
	submit_event();
	expect_use("ring not empty", -EINVAL);
	expect("9/2", "parent still has its event", reap(ctx, 1, 4, ev, 1000), 1);
	expect("9/2", "parent's context works", works(ctx), 0);

	expect("9/4", "child with contexts of its own", in_child(own, NULL), 0);
	expect("9/4", "io_setup", sh->answer[0], 0);
	expect("9/4", "second io_setup", sh->answer[1], 0);
	expect("9/4", "first id", sh->answer[2], 0);
	expect("9/4", "second id", sh->answer[3], 1);
	expect("9/4", "they work", sh->answer[4], 0);
	expect("9/4", "at the parent's address", sh->answer[5], 0);
	expect("9/4", "io_submit with the parent's value", sh->answer[6], -EINVAL);
	expect("9/4", "io_destroy of the parent's value", sh->answer[7], -EINVAL);
	expect("9/4", "io_destroy of the first", sh->answer[8], 0);
	expect("9/4", "the second goes on", sh->answer[9], 0);
	expect("9/4", "io_destroy of the second", sh->answer[10], 0);
	expect("9/4", "parent's context works", works(ctx), 0);

	expect("9/5", "child that unmaps the ring", in_child(unmap, NULL), 0);
	expect("9/5", "munmap", sh->answer[0], 0);
	expect("9/5", "io_setup after it", sh->answer[1], 0);
	expect("9/5", "its context works", sh->answer[2], 0);
	expect("9/5", "parent's ring is mapped", is_mapped(ctx), 1);
	expect("9/5", "parent's context works", works(ctx), 0);

	/* The poll has outlived all those children. */
	MUST(write(efd, &one, 8) == 8);
	expect("9/2", "parent's poll", reap(ctx, 1, 1, ev, 5000) == 1 ? (long)(ev[0].res & POLLIN) : NO_EVENT, POLLIN);
	expect("9/2", "it is the poll's event", ev[0].obj == &pending, 1);
	expect("9/2", "parent's io_destroy", io_destroy(ctx), 0);
	return check_done();
}

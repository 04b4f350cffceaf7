/* An eventfd that is the target of requests and their RESFD as well. */
#include "wait_util.h"

static io_context_t ctx;
static struct io_event ev[8];

static void add(int fd, uint64_t n)
{
	MUST(write(fd, &n, 8) == 8);
}

static void poll_itself(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct iocb cb;

	io_prep_poll(&cb, fd, POLLIN);
	io_set_eventfd(&cb, fd);
	MUST(submit1(ctx, &cb) == 1);
	expect("11/11", "poll of its own resfd: nothing yet", reap(ctx, 1, 8, ev, 20), 0);
	add(fd, 1);
	expect("11/11", "1 written: one event", reap(ctx, 1, 8, ev, 5000), 1);
	expect_true("11/11", "with POLLIN", (ev[0].res & POLLIN) && ev[0].obj == &cb);
	expect("11/11", "counter", efd_wait(fd, 2), 2);
	usleep(20000);
	expect("11/11", "counter stays", efd_count(fd), 2);
	expect("11/11", "no second event", ring_count(ctx), 0);
	/* ready at submit */
	MUST(submit1(ctx, &cb) == 1);
	expect("11/11", "ready already: one event", reap(ctx, 1, 8, ev, 5000), 1);
	expect("11/11", "counter", efd_wait(fd, 3), 3);
	close(fd);
}

static void crossed(void)
{
	int e1 = eventfd(0, EFD_CLOEXEC), e2 = eventfd(0, EFD_CLOEXEC);
	struct iocb a, b;

	io_prep_poll(&a, e1, POLLIN);
	io_set_eventfd(&a, e2);
	io_prep_poll(&b, e2, POLLIN);
	io_set_eventfd(&b, e1);
	MUST(submit1(ctx, &a) == 1 && submit1(ctx, &b) == 1);
	add(e1, 1);
	expect("11/12", "crossed resfds: both fire", reap_all(ctx, 2, ev, 5000), 2);
	expect_true("11/12", "each once", ev[0].obj != ev[1].obj);
	expect("11/12", "e1", efd_wait(e1, 2), 2);
	expect("11/12", "e2", efd_wait(e2, 1), 1);
	close(e1);
	close(e2);
}

static void read_itself(void)
{
	int fd = eventfd(5, EFD_CLOEXEC);
	uint64_t n = 0;
	struct iocb cb;

	io_prep_pread(&cb, fd, &n, 8, 0);
	io_set_eventfd(&cb, fd);
	expect_event("11/13", "PREAD of its own resfd", ctx, &cb, 8);
	expect("11/13", "read the value before", (long)n, 5);
	expect("11/13", "counter afterwards", efd_wait(fd, 1), 1);
	expect_event("11/13", "again", ctx, &cb, 8);
	expect("11/13", "read its own completion", (long)n, 1);
	expect("11/13", "counter afterwards", efd_wait(fd, 1), 1);
	close(fd);
}

int main(void)
{
	new_context(8, &ctx);
	poll_itself();
	crossed();
	read_itself();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

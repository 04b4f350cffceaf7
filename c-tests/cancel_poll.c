/* io_cancel of pending polls: EINPROGRESS means success. The kernel delivers
 * the event from a work queue, mostly but not always before io_cancel returns.
 */
#include "wait_util.h"

static io_context_t ctx, other;
static int fd; /* nothing to read, most of the time */
static struct iocb cb;
static struct io_event ev[8];

static void arm(struct iocb *p)
{
	io_prep_poll(p, fd, POLLIN);
	p->data = (void *)0x1234;
	MUST(submit1(ctx, p) == 1);
}
static int cancelled_event(struct iocb *p)
{
	return reap(ctx, 1, 1, ev, 5000) == 1 && ev[0].obj == p && ev[0].data == (void *)0x1234 &&
	       ev[0].res == 0 && ev[0].res2 == 0;
}

static void one_by_one(void)
{
	int accepted = 0, good = 0;

	for (int i = 0; i < 200; i++) {
		arm(&cb);
		accepted += io_cancel(ctx, &cb, ev) == -EINPROGRESS;
		good += cancelled_event(&cb);
	}
	expect("7/5", "200 pending polls: EINPROGRESS", accepted, 200);
	expect("7/5", "200 pending polls: one event, res 0, its obj and data", good, 200);
	expect("7/11", "never EAGAIN or 0", 200 - accepted, 0);
	expect("7/5", "no event more", reap(ctx, 1, 8, ev, 20), 0);
}

static void with_resfd(void)
{
	int resfd = eventfd(0, EFD_CLOEXEC);

	io_prep_poll(&cb, fd, POLLIN);
	cb.data = (void *)0x1234;
	io_set_eventfd(&cb, resfd);
	MUST(submit1(ctx, &cb) == 1);
	expect("7/5", "RESFD before", efd_count(resfd), 0);
	expect("7/5", "poll with RESFD", io_cancel(ctx, &cb, ev), -EINPROGRESS);
	expect("7/5", "RESFD signalled", efd_wait(resfd, 1), 1);
	expect_true("7/5", "event", cancelled_event(&cb));
	close(resfd);
}

static void result_pointer(void)
{
	struct io_event result, pattern;

	memset(&pattern, 0xaa, sizeof pattern);
	result = pattern;
	arm(&cb);
	expect("7/6", "result valid", io_cancel(ctx, &cb, &result), -EINPROGRESS);
	expect("7/6", "it is untouched", memcmp(&result, &pattern, sizeof result), 0);
	expect_true("7/6", "event", cancelled_event(&cb));
	void *bad[3] = { NULL, HOLE_ADDR, KERNEL_ADDR };
	const char *name[3] = { "result NULL", "result unmapped", "result kernel address" };
	for (int i = 0; i < 3; i++) {
		arm(&cb);
		expect("7/6", name[i], io_cancel(ctx, &cb, bad[i]), -EINPROGRESS);
		expect_true("7/6", "event", cancelled_event(&cb));
	}
}

static void more_than_once(void)
{
	struct iocb *twice[2] = { &cb, &cb };

	arm(&cb);
	expect("7/7", "cancel", io_cancel(ctx, &cb, ev), -EINPROGRESS);
	expect("7/7", "cancel again at once", io_cancel(ctx, &cb, ev), -EINVAL);
	expect_true("7/7", "event in the ring", ring_wait(ctx, 1));
	expect("7/7", "cancel again", io_cancel(ctx, &cb, ev), -EINVAL);
	expect_true("7/7", "one event", cancelled_event(&cb));
	expect("7/7", "cancel again, event reaped", io_cancel(ctx, &cb, ev), -EINVAL);
	expect("7/7", "no second event", reap(ctx, 1, 8, ev, 20), 0);

	MUST(io_submit(ctx, 2, twice) == 2);
	expect("7/8", "pending twice: first cancel", io_cancel(ctx, &cb, ev), -EINPROGRESS);
	expect_true("7/8", "one event", ring_wait(ctx, 1));
	expect("7/8", "pending twice: second cancel", io_cancel(ctx, &cb, ev), -EINPROGRESS);
	expect("7/8", "pending twice: third cancel", io_cancel(ctx, &cb, ev), -EINVAL);
	expect_true("7/8", "first event", cancelled_event(&cb));
	expect_true("7/8", "second event", cancelled_event(&cb));
}

static long in_child_process(void *arg)
{
	return io_cancel(ctx, arg, ev);
}
static void not_this_one(void)
{
	struct iocb copy;

	arm(&cb);
	copy = cb;
	expect("7/9", "copy of the iocb", io_cancel(ctx, &copy, ev), -EINVAL);
	expect("7/9", "another context", io_cancel(other, &cb, ev), -EINVAL);
	expect("7/9", "a child process", answer_in_child(in_child_process, &cb), -EINVAL);
	expect("7/9", "it is still pending", ring_count(ctx), 0);
	expect("7/9", "the iocb itself", io_cancel(ctx, &cb, ev), -EINPROGRESS);
	expect_true("7/9", "event", cancelled_event(&cb));
}

static void iocb_memory(void)
{
	struct iocb *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t n = 1;

	arm(p);
	mprotect(p, 4096, PROT_READ);
	expect("7/10", "iocb read-only now", io_cancel(ctx, p, ev), -EINPROGRESS);
	expect_true("7/10", "event", cancelled_event(p));

	mprotect(p, 4096, PROT_READ | PROT_WRITE);
	arm(p);
	munmap(p, 4096);
	expect("7/10", "iocb unmapped now", io_cancel(ctx, p, ev), -EFAULT);
	expect("7/10", "it is still pending", reap(ctx, 1, 1, ev, 20), 0);
	MUST(write(fd, &n, 8) == 8);
	expect("7/10", "and fires", reap(ctx, 1, 1, ev, 5000), 1);
	expect_true("7/10", "with obj, data and POLLIN", ev[0].obj == p && ev[0].data == (void *)0x1234 && (ev[0].res & POLLIN));
	MUST(read(fd, &n, 8) == 8);

	/* memory put back at the same place with a zero key */
	p = mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	arm(p);
	memset(p, 0, sizeof *p);
	expect("7/10", "iocb zeroed meanwhile", io_cancel(ctx, p, ev), -EINPROGRESS);
	expect_true("7/10", "event", cancelled_event(p));
	munmap(p, 4096);
}

int main(void)
{
	fd = eventfd(0, EFD_CLOEXEC);
	MUST(fd >= 0);
	new_context(8, &ctx);
	new_context(8, &other);
	one_by_one();
	with_resfd();
	result_pointer();
	more_than_once();
	not_this_one();
	iocb_memory();
	MUST(io_destroy(other) == 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

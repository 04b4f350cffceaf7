/* IOCB_FLAG_RESFD of a poll that is cancelled or destroyed; an eventfd that is
 * closed or shared before the completion.
 */
#include "wait_util.h"

static struct io_event ev[8];
static int never; /* an eventfd nobody writes to */

static io_context_t pending_poll(struct iocb *cb, int target, int resfd)
{
	io_context_t ctx = NULL;

	new_context(8, &ctx);
	io_prep_poll(cb, target, POLLIN);
	io_set_eventfd(cb, resfd);
	MUST(submit1(ctx, cb) == 1);
	return ctx;
}

static void cancelled_and_destroyed(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct iocb cb;
	io_context_t ctx = pending_poll(&cb, never, fd);

	expect("11/5", "pending poll: counter", efd_count(fd), 0);
	expect("11/5", "io_cancel", io_cancel(ctx, &cb, ev), -EINPROGRESS);
	expect("11/5", "cancelled poll: counter", efd_wait(fd, 1), 1);
	MUST(reap(ctx, 1, 8, ev, 5000) == 1);
	MUST(submit1(ctx, &cb) == 1);
	expect("11/5", "io_destroy with a pending poll", io_destroy(ctx), 0);
	expect("11/5", "counter once more up", efd_wait(fd, 2), 2);
	usleep(20000);
	expect("11/5", "and only once", efd_count(fd), 2);
	close(fd);
}

/* The request holds the eventfd, not its number. */
static void closed_before(void)
{
	int target = eventfd(0, EFD_CLOEXEC), fd = eventfd(0, EFD_CLOEXEC);
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 100), number = fd, reused;
	uint64_t one = 1;
	struct iocb cb;
	io_context_t ctx = pending_poll(&cb, target, fd);

	close(fd);
	reused = eventfd(0, EFD_CLOEXEC);
	if (reused != number) { /* some other descriptor was lower */
		MUST(dup3(reused, number, O_CLOEXEC) == number);
		close(reused);
		reused = number;
	}
	MUST(write(target, &one, 8) == 8);
	expect("11/10", "eventfd closed before completion: event", reap(ctx, 1, 8, ev, 5000), 1);
	expect_true("11/10", "it is normal", ev[0].obj == &cb && (ev[0].res & POLLIN) && !ev[0].res2);
	expect("11/10", "a dup gets the count", efd_wait(kept, 1), 1);
	expect("11/10", "another eventfd with its number gets nothing", efd_count(reused), 0);

	/* the same with no dup: nobody hears it, nothing breaks */
	MUST(read(target, &one, 8) == 8);
	io_set_eventfd(&cb, reused);
	MUST(submit1(ctx, &cb) == 1);
	close(reused);
	one = 1;
	MUST(write(target, &one, 8) == 8);
	expect("11/10", "no descriptor of it left: event", reap(ctx, 1, 8, ev, 5000), 1);
	MUST(io_destroy(ctx) == 0);
	close(target);
	close(kept);
}

static int child_reads(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };
	uint64_t n = 0, sum = 0;

	while (sum < 5 && poll(&p, 1, 10000) == 1 && read(p.fd, &n, 8) == 8)
		sum += n;
	return (int)sum;
}
static void shared_with_child(void)
{
	int target[5], fd = eventfd(0, EFD_CLOEXEC);
	struct iocb cb[5];
	io_context_t ctx = NULL;
	uint64_t one = 1;
	pid_t pid;

	new_context(8, &ctx);
	pid = fork_child(child_reads, &fd);
	for (int i = 0; i < 5; i++) {
		target[i] = eventfd(0, EFD_CLOEXEC);
		io_prep_poll(&cb[i], target[i], POLLIN);
		io_set_eventfd(&cb[i], fd);
		MUST(submit1(ctx, &cb[i]) == 1);
	}
	for (int i = 0; i < 5; i++)
		MUST(write(target[i], &one, 8) == 8);
	expect("11/14", "a child reads the parent's 5 completions", child_end(pid, 20000), 5);
	expect("11/14", "the parent reaps 5 events", reap_all(ctx, 5, ev, 5000), 5);
	MUST(io_destroy(ctx) == 0);
	for (int i = 0; i < 5; i++)
		close(target[i]);
	close(fd);
}

int main(void)
{
	never = eventfd(0, EFD_CLOEXEC);
	cancelled_and_destroyed();
	closed_before();
	shared_with_child();
	return check_done();
}

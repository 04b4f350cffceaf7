/* io_destroy cancels pending polls: it does not wait for them, each one's
 * eventfd is signalled once, and the polled files are let go. */
#include "life.h"

#define POLLS 40

int main(void)
{
	int never = eventfd(0, EFD_CLOEXEC), resfd = eventfd(0, EFD_CLOEXEC), p[2];
	struct iocb cb[POLLS], one;
	io_context_t ctx = NULL;
	long accepted = 0, from;

	MUST(io_setup(1, &ctx) == 0);
	io_prep_poll(&one, never, POLLIN);
	io_set_eventfd(&one, resfd);
	MUST(submit1(ctx, &one) == 1);
	expect("8/5", "io_destroy with a pending poll", io_destroy(ctx), 0);
	expect("8/5", "its eventfd is signalled", eventfd_take(resfd), 1);

	/* Without an eventfd there is nobody to tell. */
	ctx = NULL;
	MUST(io_setup(1, &ctx) == 0);
	io_prep_poll(&one, never, POLLIN);
	MUST(submit1(ctx, &one) == 1);
	expect("8/5", "io_destroy, poll without eventfd", io_destroy(ctx), 0);

	/* Many; one of them of a pipe whose read end only the poll still has. */
	ctx = NULL;
	MUST(io_setup(POLLS, &ctx) == 0);
	MUST(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	for (int i = 0; i < POLLS; i++) {
		io_prep_poll(&cb[i], i == 7 ? p[0] : never, POLLIN);
		io_set_eventfd(&cb[i], resfd);
		accepted += submit1(ctx, &cb[i]);
	}
	close(p[0]);
	expect("8/5", "polls pending", accepted, POLLS);
	expect("8/5", "nothing signalled yet", eventfd_take(resfd), 0);
	from = now_ms();
	expect("8/5", "io_destroy with many pending", io_destroy(ctx), 0);
	expect_between("8/5", "time it takes (ms)", now_ms() - from, 0, 5000);
	expect("8/5", "eventfd count", eventfd_take(resfd), POLLS);

	/* The file goes in the background: soon, not at once. */
	long r;
	signal(SIGPIPE, SIG_IGN);
	for (long until = now_ms() + 5000; (r = write(p[1], "x", 1)) == 1 && now_ms() < until;)
		usleep(1000);
	expect("8/5", "write to the pipe that was polled", r < 0 ? -errno : r, -EPIPE);

	/* Nothing comes late: the polled file becomes ready now. */
	uint64_t n = 1;
	MUST(write(never, &n, 8) == 8);
	usleep(50000);
	expect("8/5", "eventfd count after the file became ready", eventfd_take(resfd), 0);
	return check_done();
}

/* eventfd, timerfd and signalfd as targets of reads. */
#include "submit_util.h"
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

int main(void)
{
	uint64_t count;
	char buf[256];
	struct iocb cb;
	sigset_t set;

	io_context_t ctx = new_ctx(8);
	int nonblock = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), blocking = eventfd(5, EFD_CLOEXEC);
	int semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);

	prep(&cb, IO_CMD_PREAD, nonblock, &count, 8, 0);
	expect_inline("3.9/12", "eventfd at 0, nonblock", ctx, &cb, -EAGAIN);
	MUST(eventfd_write(nonblock, 7) == 0);
	cb.u.c.nbytes = 4;
	expect_inline("3.9/12", "eventfd at 7, nbytes 4", ctx, &cb, -EINVAL);
	cb.u.c.nbytes = 8;
	expect_inline("3.9/12", "eventfd at 7", ctx, &cb, 8);
	expect("3.9/12", "its value", (long)count, 7);
	expect_inline("3.9/12", "and again", ctx, &cb, -EAGAIN);
	prep(&cb, IO_CMD_PREAD, blocking, buf, sizeof buf, 0);
	expect_inline("3.9/12", "eventfd at 5, nbytes 256", ctx, &cb, 8);
	memcpy(&count, buf, 8);
	expect("3.9/12", "its value", (long)count, 5);
	prep(&cb, IO_CMD_PREAD, semaphore, &count, 8, 0);
	expect_inline("3.9/12", "semaphore at 3", ctx, &cb, 8);
	expect("3.9/12", "its value", (long)count, 1);
	expect("3.9/12", "what is left", eventfd_take(semaphore), 1);

	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	prep(&cb, IO_CMD_PREAD, timer, &count, 8, 0);
	expect_inline("3.9/13", "timerfd not set", ctx, &cb, -EAGAIN);
	struct itimerspec it = { .it_value = { 0, 1000000 } };
	MUST(timerfd_settime(timer, 0, &it, NULL) == 0);
	struct pollfd pf = { timer, POLLIN, 0 };
	MUST(poll(&pf, 1, 10000) == 1);
	expect_inline("3.9/13", "timerfd expired", ctx, &cb, 8);
	expect("3.9/13", "how often", (long)count, 1);
	expect_inline("3.9/13", "timerfd, again", ctx, &cb, -EAGAIN);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	int sfd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	prep(&cb, IO_CMD_PREAD, sfd, buf, sizeof buf, 0);
	expect_inline("3.9/13", "signalfd, nonblock", ctx, &cb, -EAGAIN);
	expect_true("3.9/13", "ring empty at the end", ring_empty(ctx));
	expect("3.9/13", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

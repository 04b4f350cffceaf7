/* POLL of a signalfd: an event if the signal is pending at submission. If it is
 * raised later, the kernel misses it (the one that looks is a kernel thread,
 * with no signals); aio-rs may see it. Either way it can be ended. */
#include "events.h"
#include <poll.h>
#include <sys/signalfd.h>

int main(void)
{
	struct signalfd_siginfo si;
	struct io_event ev;
	io_context_t ctx = 0;
	struct iocb cb;
	sigset_t set;
	long got;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(!sigprocmask(SIG_BLOCK, &set, NULL));
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	MUST(fd >= 0 && io_setup(8, &ctx) == 0);
	io_prep_poll(&cb, fd, POLLIN);

	kill(getpid(), SIGUSR1);
	expect_inline("4.2/17", "signal pending at submission", ctx, &cb, POLLIN);
	MUST(read(fd, &si, sizeof si) == sizeof si);

	expect_pending("4.2/17", "no signal", ctx, &cb);
	kill(getpid(), SIGUSR1);
	got = event_of(ctx, &cb, 300);
	expect_may_differ("4.2/17", "signal raised later: never seen (kernel), or seen (aio-rs)", got, NO_EVENT, POLLIN);
	if (got == NO_EVENT) {
		got = io_cancel(ctx, &cb, &ev);
		expect("4.2/17", "it can be ended", got == -EINPROGRESS ? event_of(ctx, &cb, 10000) : got, 0);
	} else {
		expect("4.2/17", "it can be ended", io_cancel(ctx, &cb, &ev) == -EINVAL ? 0 : 1, 0);
	}
	MUST(read(fd, &si, sizeof si) == sizeof si);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

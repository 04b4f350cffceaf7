/* POLL of what is not ready: pending, then one event when it becomes so. The
 * kernel's res holds whatever bits the waker names, so only those asked for
 * (and POLLERR, POLLHUP) are compared. */
#include "events.h"
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static io_context_t ctx;
static struct iocb cb;

static void pending(const char *id, const char *what, int fd, int events)
{
	char label[128];
	io_prep_poll(&cb, fd, events);
	snprintf(label, sizeof label, "%s: pending", what);
	expect_pending(id, label, ctx, &cb);
}
static void fires(const char *id, const char *what, int events, long want)
{
	char label[128];
	long got = event_of(ctx, &cb, 10000);
	snprintf(label, sizeof label, "%s: event", what);
	expect(id, label, got < 0 ? got : got & (events | POLLERR | POLLHUP), want);
	snprintf(label, sizeof label, "%s: no second one", what);
	expect_reaped(id, label, ctx, &cb, 5, NO_EVENT);
}
static void put(int fd)
{
	MUST(write(fd, "12345678", 8) == 8);
}

static void tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s;

	MUST(l >= 0 && c >= 0 && !bind(l, (void *)&a, sizeof a) && !listen(l, 4) && !getsockname(l, (void *)&a, &len));
	pending("4.2/3", "TCP listener", l, POLLIN);
	MUST(!connect(c, (void *)&a, sizeof a));
	fires("4.2/3", "TCP listener, connection", POLLIN, POLLIN);
	s = accept(l, NULL, NULL);
	MUST(s >= 0);
	pending("4.2/3", "TCP socket", s, POLLIN);
	put(c);
	fires("4.2/3", "TCP socket, data", POLLIN, POLLIN);
	close(l);
	close(c);
	close(s);
}

static void full_pipe(void)
{
	static char b[65536];
	int p[2];

	MUST(!pipe(p) && fcntl(p[1], F_SETPIPE_SZ, 65536) == 65536 && write(p[1], b, 65536) == 65536);
	pending("4.2/3", "full pipe, OUT", p[1], POLLOUT);
	MUST(read(p[0], b, 65536) == 65536);
	expect("4.2/3", "full pipe, OUT, read empty: all bits", event_of(ctx, &cb, 10000), POLLOUT | POLLWRNORM);
	pending("4.2/6", "pipe, 0 bits, room", p[1], 0);
	close(p[0]);
	fires("4.2/5", "pipe, 0 bits, reader closes", 0, POLLERR);
	close(p[1]);
}

static void hangups(void)
{
	int p[2], sv[2];

	MUST(!pipe(p) && !socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pending("4.2/5", "pipe", p[0], POLLIN);
	close(p[1]);
	fires("4.2/5", "pipe, writer closes", POLLIN, POLLHUP);
	close(p[0]);
	MUST(!pipe(p));
	pending("4.2/5", "pipe, 0 bits", p[0], 0);
	close(p[1]);
	fires("4.2/5", "pipe, 0 bits, writer closes", 0, POLLHUP);
	close(p[0]);
	pending("4.2/5", "socket", sv[0], POLLIN);
	close(sv[1]);
	fires("4.2/5", "socket, peer closes", POLLIN, POLLIN | POLLHUP);
	close(sv[0]);
	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pending("4.2/5", "socket, PRI", sv[0], POLLPRI);
	close(sv[1]);
	fires("4.2/5", "socket, PRI, peer closes", POLLPRI, POLLHUP);
	close(sv[0]);
	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pending("4.2/3", "socket, IN|RDHUP", sv[0], POLLIN | POLLRDHUP);
	MUST(!shutdown(sv[1], SHUT_WR));
	fires("4.2/3", "socket, IN|RDHUP, peer shuts down", POLLIN | POLLRDHUP, POLLIN | POLLRDHUP);
	close(sv[0]);
	close(sv[1]);
}

/* The waker of a socket names POLLPRI with any data. */
static void not_urgent(void)
{
	int sv[2];
	long got;

	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pending("4.2/3", "socket, PRI", sv[0], POLLPRI);
	put(sv[1]);
	got = event_of(ctx, &cb, on_ours() ? 20 : 10000);
	expect_documented("4.2/3", "socket, PRI, data", got > 0 && (got & POLLPRI), got == NO_EVENT || (got & POLLPRI));
	close(sv[1]);
	if (got == NO_EVENT)
		got = event_of(ctx, &cb, 10000);
	expect_true("4.2/5", "socket, PRI, peer closes: it has fired", got > 0);
	close(sv[0]);
}

/* POLLRDHUP comes only when asked for, though the socket has it for good. */
static void half_closed(void)
{
	struct io_event ev;
	int sv[2];

	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pending("4.2/6", "socket, 0 bits", sv[0], 0);
	MUST(!shutdown(sv[0], SHUT_RD));
	expect_reaped("4.2/6", "socket, 0 bits, shut for reading", ctx, &cb, 20, NO_EVENT);
	close(sv[1]);
	fires("4.2/5", "socket, 0 bits, peer closes", 0, POLLHUP);
	close(sv[0]);
	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv) && !shutdown(sv[0], SHUT_RD));
	pending("4.2/6", "socket, PRI, shut already", sv[0], POLLPRI);
	put(sv[0]);
	expect_reaped("4.2/6", "socket, PRI, written to", ctx, &cb, 20, NO_EVENT);
	expect("4.2/6", "it can be cancelled", io_cancel(ctx, &cb, &ev), -EINPROGRESS);
	fires("4.2/6", "cancelled", POLLPRI, 0);
	close(sv[0]);
	close(sv[1]);
}

/* Data that is gone again before anybody looks. aio-rs may not have seen it:
 * the poll stays pending and fires the next time. */
static void read_away(void)
{
	int p[2], efd = eventfd(0, EFD_CLOEXEC), lost = 0;
	char b[8];

	MUST(!pipe(p) && efd >= 0);
	for (int i = 0; i < 100 && !lost; i++) {
		int in = i % 2 ? p[0] : efd, out = i % 2 ? p[1] : efd;
		io_prep_poll(&cb, in, POLLIN);
		MUST(submit1(ctx, &cb) == 1);
		if (i % 4 == 0) {
			/* wakes, and leaves nothing */
			MUST(eventfd_write(efd, 0) == 0);
		} else {
			put(out);
			MUST(read(in, b, 8) == 8);
		}
		if (event_of(ctx, &cb, 1000) >= 0)
			continue;
		lost++;
		put(out);
		MUST(event_of(ctx, &cb, 10000) >= 0 && read(in, b, 8) == 8);
	}
	expect_may_differ("4.2/21", "written and read away at once, 100 times: an event missing", lost, 0, 1);
}

int main(void)
{
	int p[2], sv[2], efd = eventfd(0, EFD_CLOEXEC), tfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), ep = epoll_create1(EPOLL_CLOEXEC), pidfd, n = 0;
	struct epoll_event in = { .events = EPOLLIN };
	static struct iocb many[16384];
	struct io_event ev;
	cpu_set_t here;
	pid_t pid;
	char b[8];

	/* slots are kept in batches by CPU: stay on one */
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof here, &here);
	MUST(!pipe(p) && !socketpair(AF_UNIX, SOCK_STREAM, 0, sv) && efd >= 0 && tfd >= 0 && ep >= 0);
	MUST(io_setup(8, &ctx) == 0);
	pending("4.2/2", "pipe", p[0], POLLIN);
	put(p[1]);
	fires("4.2/3", "pipe, data", POLLIN, POLLIN);
	MUST(read(p[0], b, 8) == 8);
	io_prep_poll(&cb, p[0], POLLIN);
	MUST(submit1(ctx, &cb) == 1);
	put(p[1]);
	/* python-libaio's own test compares all of it */
	expect("4.2/3", "pipe, data: all bits", event_of(ctx, &cb, 10000), POLLIN | POLLRDNORM);
	put(p[1]);
	expect_reaped("4.2/2", "one-shot: more data", ctx, &cb, 20, NO_EVENT);
	MUST(read(p[0], b, 8) == 8 && read(p[0], b, 8) == 8);
	pending("4.2/3", "unix socket", sv[0], POLLIN);
	put(sv[1]);
	fires("4.2/3", "unix socket, data", POLLIN, POLLIN);
	tcp();
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		pause();
		_exit(0);
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	MUST(pidfd >= 0);
	pending("4.2/3", "pidfd", pidfd, POLLIN);
	kill(pid, SIGKILL);
	fires("4.2/3", "pidfd, process ends", POLLIN, POLLIN);
	waitpid(pid, NULL, 0);
	pending("4.2/3", "eventfd", efd, POLLIN);
	put(efd);
	expect("4.2/3", "eventfd, written: all bits", event_of(ctx, &cb, 10000), POLLIN);
	MUST(read(efd, b, 8) == 8);
	pending("4.2/3", "timerfd", tfd, POLLIN);
	MUST(!timerfd_settime(tfd, 0, &(struct itimerspec){ .it_value.tv_nsec = 1000000 }, NULL));
	fires("4.2/3", "timerfd, expired", POLLIN, POLLIN);
	MUST(!epoll_ctl(ep, EPOLL_CTL_ADD, efd, &in));
	pending("4.2/16", "epoll fd", ep, POLLIN);
	put(efd);
	fires("4.2/16", "epoll fd, member ready", POLLIN, POLLIN);
	MUST(read(efd, b, 8) == 8);
	io_prep_poll(&cb, ep, POLLIN | POLLRDNORM);
	MUST(submit1(ctx, &cb) == 1);
	put(efd);
	expect_may_differ("4.2/3", "epoll fd, member ready: bits of the waker (kernel), of the request (aio-rs)",
			  event_of(ctx, &cb, 10000), POLLIN, POLLIN | POLLRDNORM);
	MUST(read(efd, b, 8) == 8);
	full_pipe();
	hangups();
	half_closed();
	not_urgent();

	pending("4.2/6", "pipe, 0 bits", p[0], 0);
	put(p[1]);
	expect_reaped("4.2/6", "pipe, 0 bits, data", ctx, &cb, 20, NO_EVENT);
	expect("4.2/6", "it can be cancelled", io_cancel(ctx, &cb, &ev), -EINPROGRESS);
	fires("4.2/6", "cancelled", 0, 0);
	MUST(read(p[0], b, 8) == 8);
	read_away();

	/* each pending poll holds a slot of the context until its event is reaped */
	do
		io_prep_poll(many + n, efd, POLLIN);
	while (submit1(ctx, many + n) == 1 && ++n < 16000);
	expect("4.2/2", "pending polls take all slots", submit1(ctx, many + n), -EAGAIN);
	MUST(io_cancel(ctx, many, &ev) == -EINPROGRESS);
	expect("4.2/2", "its event reaped", event_of(ctx, many, 10000), 0);
	expect("4.2/2", "one more fits", submit1(ctx, many), 1);
	expect("4.2/2", "and only one", submit1(ctx, many + n), -EAGAIN);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

/* POLL of what is ready: an event at once, with the ready bits that were asked
 * for, and POLLERR and POLLHUP in any case. */
#include "events.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static io_context_t ctx;

static void ready(const char *id, const char *label, int fd, int events, long want)
{
	struct iocb cb;
	io_prep_poll(&cb, fd, events);
	expect_inline(id, label, ctx, &cb, want);
}

int main(void)
{
	int p[2], q[2], o[2], sv[2], efd = eventfd(1, EFD_CLOEXEC), ep = epoll_create1(EPOLL_CLOEXEC);
	int rw = pattern_file(O_RDWR, 4096), ro = pattern_file(O_RDONLY, 4096), mem = memfd_create("m", MFD_CLOEXEC);
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct epoll_event in = { .events = EPOLLIN };
	const struct {
		const char *name;
		int fd;
	} files[] = { { "regular file", rw }, { "directory", dir }, { "memfd", mem } };
	char label[64];

	MUST(!pipe(p) && !pipe(q) && !pipe(o) && !socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	MUST(efd >= 0 && ep >= 0 && rw >= 0 && ro >= 0 && mem >= 0 && dir >= 0 && null >= 0 && tcp >= 0);
	MUST(io_setup(8, &ctx) == 0);
	MUST(write(p[1], "x", 1) == 1);
	ready("4.2/1", "pipe with data, IN", p[0], POLLIN, POLLIN);
	ready("4.2/1", "pipe with data, IN|OUT", p[0], POLLIN | POLLOUT, POLLIN);
	ready("4.2/1", "pipe with data, IN|RDNORM", p[0], POLLIN | POLLRDNORM, POLLIN | POLLRDNORM);
	ready("4.2/1", "pipe with room, OUT", p[1], POLLOUT, POLLOUT);
	ready("4.2/1", "eventfd at 1, IN|OUT", efd, POLLIN | POLLOUT, POLLIN | POLLOUT);
	ready("4.2/1", "eventfd at 1, OUT", efd, POLLOUT, POLLOUT);
	close(p[1]);
	ready("4.2/1", "pipe with data, no writer, IN", p[0], POLLIN, POLLIN | POLLHUP);
	ready("4.2/1", "pipe with data, no writer, 0", p[0], 0, POLLHUP);
	close(q[0]);
	ready("4.2/1", "pipe without reader, OUT", q[1], POLLOUT, POLLOUT | POLLERR);
	ready("4.2/1", "pipe without reader, 0", q[1], 0, POLLERR);
	close(o[1]);
	ready("4.2/1", "empty pipe, no writer, PRI", o[0], POLLPRI, POLLHUP);
	MUST(write(sv[1], "x", 1) == 1 && !shutdown(sv[1], SHUT_WR));
	ready("4.2/1", "socket with data, peer shut, IN|RDHUP", sv[0], POLLIN | POLLRDHUP, POLLIN | POLLRDHUP);

	for (int i = 0; i < 3; i++) {
		snprintf(label, sizeof label, "%s, IN", files[i].name);
		ready("4.2/12", label, files[i].fd, POLLIN, POLLIN);
		snprintf(label, sizeof label, "%s, IN|OUT|PRI", files[i].name);
		ready("4.2/12", label, files[i].fd, POLLIN | POLLOUT | POLLPRI, POLLIN | POLLOUT);
	}
	ready("4.2/12", "O_RDONLY file, OUT", ro, POLLOUT, POLLOUT);
	ready("4.2/14", "/dev/null, IN|OUT", null, POLLIN | POLLOUT, POLLIN | POLLOUT);
	MUST(!epoll_ctl(ep, EPOLL_CTL_ADD, efd, &in));
	ready("4.2/16", "epoll fd with a ready member, IN", ep, POLLIN, POLLIN);
	ready("4.2/18", "unconnected TCP socket, IN", tcp, POLLIN, POLLHUP);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

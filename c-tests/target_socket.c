/* Sockets as targets: read and write like recv and send. */
#include "submit_util.h"
#include <netinet/in.h>
#include <sys/socket.h>

static io_context_t ctx;
static struct iocb cb;
static char buf[64];

/* Transfers of no bytes are the socket's to answer, too. */
static void nothing(int tcp, int udp)
{
	int d[2], s[2], un = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sa_family_t any = AF_UNIX;

	MUST(un >= 0 && bind(un, (void *)&any, sizeof any) == 0 && listen(un, 1) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, d) == 0);
	prep(&cb, IO_CMD_PWRITE, udp, buf, 0, 0);
	expect_inline("3.9/8", "UDP unconnected, no bytes", ctx, &cb, -EDESTADDRREQ);
	prep(&cb, IO_CMD_PWRITEV, udp, NULL, 0, 0);
	expect_inline("3.9/8", "UDP unconnected, no segments", ctx, &cb, -EDESTADDRREQ);
	cb.u.c.offset = 1;
	expect_inline("3.9/8", "UDP unconnected, no segments, offset 1", ctx, &cb, -ESPIPE);
	prep(&cb, IO_CMD_PREADV, udp, NULL, 0, 0);
	expect_inline("3.9/8", "UDP unconnected, preadv of no segments", ctx, &cb, 0);
	prep(&cb, IO_CMD_PWRITEV, un, NULL, 0, 0);
	expect_inline("3.9/8", "unix listening, no segments", ctx, &cb, -ENOTCONN);
	prep(&cb, IO_CMD_PREAD, un, buf, 0, 0);
	expect_inline("3.9/8", "unix listening, pread of no bytes", ctx, &cb, 0);
	prep(&cb, IO_CMD_PREAD, tcp, buf, 0, 0);
	expect_inline("3.9/8", "TCP listening, pread of no bytes", ctx, &cb, 0);
	prep(&cb, IO_CMD_PREAD, s[0], buf, 0, 0);
	expect_inline("3.9/8", "empty stream, pread of no bytes", ctx, &cb, 0);
	prep(&cb, IO_CMD_PWRITE, s[0], buf, 0, 0);
	expect_inline("3.9/8", "stream, pwrite of no bytes", ctx, &cb, 0);
	close(s[1]);
	expect_inline("3.9/8", "peer closed, pwrite of no bytes", ctx, &cb, -EPIPE);
	prep(&cb, IO_CMD_PWRITE, d[0], buf, 0, 0);
	expect_inline("3.9/8", "datagram of no bytes", ctx, &cb, 0);
	expect("3.9/8", "it has arrived", recv(d[1], buf, sizeof buf, MSG_DONTWAIT), 0);
	expect("3.9/8", "no other has", recv(d[1], buf, sizeof buf, MSG_DONTWAIT) < 0 ? -errno : 0, -EAGAIN);
}

int main(void)
{
	struct io_event ev;
	int s[2], d[2];

	signal(SIGPIPE, SIG_IGN);
	ctx = new_ctx(8);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, d) == 0);

	prep(&cb, IO_CMD_PWRITE, s[0], "hello", 5, 0);
	expect_inline("3.9/8", "stream, pwrite", ctx, &cb, 5);
	prep(&cb, IO_CMD_PREAD, s[1], buf, sizeof buf, 0);
	expect_inline("3.9/8", "stream, pread", ctx, &cb, 5);
	expect_true("3.9/8", "stream, the data", !memcmp(buf, "hello", 5));
	MUST(send(d[0], "one", 3, 0) == 3 && send(d[0], "second", 6, 0) == 6);
	prep(&cb, IO_CMD_PREAD, d[1], buf, 2, 0);
	expect_inline("3.9/8", "datagram, pread of 2 of 3", ctx, &cb, 2);
	prep(&cb, IO_CMD_PREAD, d[1], buf, sizeof buf, 0);
	expect_inline("3.9/8", "datagram, the next", ctx, &cb, 6);

	/* There is no offset. */
	MUST(write(s[0], "data", 4) == 4);
	prep(&cb, IO_CMD_PREAD, s[1], buf, sizeof buf, 1);
	expect_inline("3.9/8", "pread, offset 1", ctx, &cb, -ESPIPE);
	prep(&cb, IO_CMD_PWRITE, s[1], buf, 4, 4096);
	expect_inline("3.9/8", "pwrite, offset 4096", ctx, &cb, -ESPIPE);
	cb.u.c.offset = -1;
	expect_refused_key("3.9/8", "pwrite, offset -1", ctx, &cb, -EINVAL, "cleared");
	prep(&cb, IO_CMD_PREAD, s[1], buf, sizeof buf, 0);
	expect_inline("3.9/8", "the data is still there", ctx, &cb, 4);
	prep(&cb, IO_CMD_PREAD, s[0], buf, sizeof buf, 0);
	MUST(fcntl(s[0], F_SETFL, O_NONBLOCK) == 0);
	expect_inline("3.9/8", "empty, O_NONBLOCK", ctx, &cb, -EAGAIN);
	MUST(fcntl(s[0], F_SETFL, 0) == 0);

	/* SO_RCVTIMEO ends a wait; not before its time. */
	struct timeval tv = { 0, 200000 };
	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
	prep(&cb, IO_CMD_PREAD, s[0], buf, sizeof buf, 0);
	long start = now_ms();
	expect("3.9/8", "SO_RCVTIMEO 200 ms", submit1(ctx, &cb), 1);
	int n = reap(ctx, 1, 1, &ev, 10000);
	expect_between("3.9/8", "SO_RCVTIMEO 200 ms, ms waited", now_ms() - start, 195, 9000);
	expect_true("3.9/8", "SO_RCVTIMEO 200 ms, EAGAIN", n == 1 && ev.obj == &cb && (long)ev.res == -EAGAIN);
	MUST(write(s[1], "now", 3) == 3);
	expect_inline("3.9/8", "SO_RCVTIMEO, data there", ctx, &cb, 3);

	/* The other side goes. */
	MUST(write(s[1], "last", 4) == 4);
	close(s[1]);
	expect_inline("3.9/8", "peer closed, what it left", ctx, &cb, 4);
	expect_inline("3.9/8", "peer closed, pread", ctx, &cb, 0);
	prep(&cb, IO_CMD_PWRITE, s[0], "x", 1, 0);
	expect_inline("3.9/8", "peer closed, pwrite", ctx, &cb, -EPIPE);

	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	MUST(tcp >= 0 && udp >= 0 && listen(tcp, 1) == 0);
	prep(&cb, IO_CMD_PREAD, tcp, buf, sizeof buf, 0);
	expect_inline("3.9/8", "TCP listening, pread", ctx, &cb, -ENOTCONN);
	prep(&cb, IO_CMD_PWRITE, udp, "x", 1, 0);
	expect_inline("3.9/8", "UDP unconnected, pwrite", ctx, &cb, -EDESTADDRREQ);
	nothing(tcp, udp);
	expect_true("3.9/8", "ring empty at the end", ring_empty(ctx));
	expect("3.9/8", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

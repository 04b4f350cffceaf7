/* IOCB_FLAG_RESFD near the end of the counter: a completion never blocks, and
 * every event is delivered. The kernel's own signal reaches ...ff, which a
 * write cannot: aio-rs stops at ...fe.
 */
#include "wait_util.h"

static io_context_t ctx;
static int fd;

static int ready(void)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}
static void complete(void)
{
	static struct iocb cb;
	static char byte;
	static int file = -1;

	if (file < 0)
		file = pattern_file(0, 4096);
	io_prep_pread(&cb, file, &byte, 1, 0);
	io_set_eventfd(&cb, fd);
	MUST(submit1(ctx, &cb) == 1);
}

static void overflow(const char *how, int flags)
{
	uint64_t n = 0xfffffffffffffffd;
	struct io_event ev[8];
	char label[96];

	fd = eventfd(0, EFD_CLOEXEC | flags);
	MUST(fd >= 0 && write(fd, &n, 8) == 8);
	snprintf(label, sizeof label, "%s, counter ...fd: poll", how);
	expect("11/8", label, ready(), POLLIN | POLLOUT);
	complete();
	snprintf(label, sizeof label, "%s, one completion, ...fe: poll", how);
	expect("11/8", label, ready(), POLLIN);
	complete();
	snprintf(label, sizeof label, "%s, one more, ...ff: poll", how);
	expect_differs("11/8", label, ready(), POLLIN | POLLERR, POLLIN);
	for (int i = 0; i < 3; i++)
		complete();
	snprintf(label, sizeof label, "%s, three more: poll", how);
	expect_differs("11/8", label, ready(), POLLIN | POLLERR, POLLIN);
	snprintf(label, sizeof label, "%s, all events are delivered", how);
	expect("11/8", label, reap_all(ctx, 5, ev, 5000), 5);
	snprintf(label, sizeof label, "%s, read gives ...ff", how);
	expect_differs("11/8", label, read(fd, &n, 8) == 8 ? (long)n : -9999, -1, -2);
	complete();
	snprintf(label, sizeof label, "%s, and counts from 0 again", how);
	expect("11/8", label, efd_wait(fd, 1), 1);
	MUST(reap_all(ctx, 1, ev, 5000) == 1);
	close(fd);
}

int main(void)
{
	new_context(32, &ctx);
	overflow("nonblocking", EFD_NONBLOCK);
	overflow("blocking", 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

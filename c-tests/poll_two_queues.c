/* Files with two wait queues. The kernel cannot wait for them (EINVAL) and only
 * answers when they are ready; aio-rs waits. */
#include "events.h"
#include <poll.h>
#include <termios.h>

static io_context_t ctx;

/* `fd` is not ready for `events`; writing to `other` makes it so. */
static void not_ready(const char *what, int fd, int events, int other)
{
	char label[128], b[64];
	struct iocb cb;
	long got;
	int r;

	io_prep_poll(&cb, fd, events);
	r = submit1(ctx, &cb);
	got = r == 1 ? event_of(ctx, &cb, 20) : r;
	snprintf(label, sizeof label, "%s: not ready", what);
	expect_differs("4.2/15", label, got, -EINVAL, NO_EVENT);
	MUST(write(other, "line\n", 5) == 5);
	got = on_ours() ? event_of(ctx, &cb, 10000) : run1(ctx, &cb);
	snprintf(label, sizeof label, "%s: ready", what);
	expect("4.2/15", label, got < 0 ? got : got & events, POLLIN);
	io_prep_poll(&cb, fd, events);
	snprintf(label, sizeof label, "%s: ready at submission", what);
	expect_inline("4.2/15", label, ctx, &cb, POLLIN);
	MUST(read(fd, b, sizeof b) > 0);
}

int main(void)
{
	int p[2], fifo, master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct termios raw;
	char path[64];

	MUST(!pipe(p) && master >= 0 && !grantpt(master) && !unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	MUST(slave >= 0 && !tcgetattr(slave, &raw));
	cfmakeraw(&raw);
	MUST(!tcsetattr(slave, TCSANOW, &raw));
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	fifo = open(path, O_RDWR | O_CLOEXEC); /* both ends at once, as of a FIFO */
	MUST(fifo >= 0 && io_setup(8, &ctx) == 0);
	not_ready("FIFO opened O_RDWR", fifo, POLLIN, fifo);
	not_ready("pty master", master, POLLIN, slave);
	not_ready("pty slave", slave, POLLIN, master);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

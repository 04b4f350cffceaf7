/* Files that have read or write but no read_iter or write_iter: io_submit
 * itself says EINVAL, and does nothing. */
#include "submit_util.h"
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

static io_context_t ctx;
static struct iocb cb;
static char buf[64];

static void refused(const char *name, int op, int fd)
{
	char label[64];
	MUST(fd >= 0);
	const char *verb = op == IO_CMD_PREAD ? "pread" : "pwrite";
	prep(&cb, op, fd, buf, 8, 0);
	snprintf(label, sizeof label, "%s, %s", name, verb);
	expect_refused_key("3.9/11", label, ctx, &cb, -EINVAL, "cleared");
	/* It comes before all about the buffer. */
	cb.u.c.buf = KERNEL_ADDR;
	snprintf(label, sizeof label, "%s, %s, kernel buffer", name, verb);
	expect_refused_key("3.9/11", label, ctx, &cb, -EINVAL, "cleared");
	cb.u.c.nbytes = 0;
	cb.u.c.buf = NULL;
	snprintf(label, sizeof label, "%s, %s of 0", name, verb);
	expect_refused_key("3.9/11", label, ctx, &cb, -EINVAL, "cleared");
}

int main(void)
{
	static const char *const proc[] = {
		"/proc/self/status", "/proc/self/maps", "/proc/self/mem", "/proc/self/pagemap", "/proc/self/attr/current",
	};
	ctx = new_ctx(8);
	int efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), ep = epoll_create1(EPOLL_CLOEXEC);
	int tfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), ino = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	refused("/dev/full", IO_CMD_PWRITE, open("/dev/full", O_RDWR | O_CLOEXEC));
	buf[0] = 1;
	refused("eventfd", IO_CMD_PWRITE, efd);
	expect("3.9/11", "eventfd not written", eventfd_take(efd), 0);
	refused("timerfd", IO_CMD_PWRITE, tfd);
	refused("inotify", IO_CMD_PREAD, ino);
	refused("epoll", IO_CMD_PREAD, ep);
	refused("epoll", IO_CMD_PWRITE, ep);
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	refused("pidfd", IO_CMD_PREAD, pidfd);
	for (size_t i = 0; i < sizeof proc / sizeof *proc; i++)
		refused(proc[i], IO_CMD_PREAD, open(proc[i], O_RDONLY | O_CLOEXEC));
	/* A watch with something to tell changes nothing. */
	const char *dir = getenv("AIO_TEST_DIR");
	MUST(inotify_add_watch(ino, dir ? dir : ".", IN_CREATE) >= 0);
	close(temp_file(0));
	refused("inotify with an event", IO_CMD_PREAD, ino);
	MUST(read(ino, (char[4096]){ 0 }, 4096) > 0);
	expect_true("3.9/11", "ring empty at the end", ring_empty(ctx));
	expect("3.9/11", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

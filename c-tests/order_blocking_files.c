/* Files that make a read or write wait: the kernel waits inside io_submit and
 * returns with the event, aio-rs returns at once and the event comes later.
 * Nobody else is held up meanwhile. */
#include "events.h"
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define AFTER 300 /* ms until the file becomes ready, on the kernel */

static io_context_t ctx;
static volatile int submitted;
static int ready_fd; /* what the helper does, and to what */
static void (*make_ready)(int fd);

/* The kernel: ready after a while. aio-rs: not before io_submit is back, or
 * not for a long time if it blocks after all. */
static void *helper(void *unused)
{
	if (!on_ours())
		usleep(AFTER * 1000);
	for (int i = 0; i < 5000 && on_ours() && !submitted; i++)
		usleep(1000);
	make_ready(ready_fd);
	return unused;
}

static void waits(const char *id, const char *what, struct iocb *cb, int fd, void (*ready)(int), long want)
{
	long from = now_ms(), took;
	char label[128];
	pthread_t t;
	int r;

	submitted = 0;
	ready_fd = fd;
	make_ready = ready;
	MUST(!pthread_create(&t, NULL, helper, NULL));
	r = submit1(ctx, cb);
	took = now_ms() - from;
	snprintf(label, sizeof label, "%s: io_submit", what);
	expect(id, label, r, 1);
	snprintf(label, sizeof label, "%s: io_submit waits until it is ready", what);
	expect_differs(id, label, took >= (on_ours() ? 5000 : AFTER - 1), 1, 0);
	submitted = 1;
	snprintf(label, sizeof label, "%s: event", what);
	expect_reaped(id, label, ctx, cb, on_ours() ? 10000 : 0, want);
	pthread_join(t, NULL);
}

static void write4(int fd)
{
	MUST(write(fd, "four", 4) == 4);
}
static void write8(int fd)
{
	MUST(write(fd, &(uint64_t){ 5 }, 8) == 8);
}
static void arm(int fd)
{
	MUST(!timerfd_settime(fd, 0, &(struct itimerspec){ .it_value.tv_nsec = 1 }, NULL));
}
static void drain(int fd)
{
	static char b[65536];
	MUST(read(fd, b, sizeof b) == 65536);
}

static int blocked_pipe[2];
static void *blocked_submit(void *out)
{
	static char b[8];
	static struct iocb cb;
	io_prep_pread(&cb, blocked_pipe[0], b, 8, 0);
	cb.data = b;
	*(volatile long *)out = submit1(ctx, &cb);
	return NULL;
}

/* A thread sits in io_submit; others use the same context. */
static void others(void)
{
	int fd = pattern_file(O_RDWR, 4096);
	volatile long r = -1;
	struct io_event ev;
	struct iocb cb;
	pthread_t t;
	char b[16];

	MUST(!pipe(blocked_pipe));
	MUST(!pthread_create(&t, NULL, blocked_submit, (void *)&r));
	usleep(100000);
	for (int i = 0; i < 10000 && on_ours() && r == -1; i++)
		usleep(1000);
	expect_differs("3.10/14", "a thread's io_submit of an empty pipe is", r, -1, 1);
	io_prep_pread(&cb, fd, b, 16, 0);
	expect_event("3.10/14", "another thread's io_submit and io_getevents", ctx, &cb, 16);
	expect("3.10/14", "another thread's io_getevents, 50 ms", reap(ctx, 1, 1, &ev, 50), 0);
	expect_differs("3.10/14", "the first one still", r, -1, 1);
	write4(blocked_pipe[1]);
	expect("3.10/14", "its event, once there is data", reap(ctx, 1, 1, &ev, 10000), 1);
	expect("3.10/14", "its res", (long)ev.res, 4);
	pthread_join(t, NULL);
	expect("3.10/14", "its io_submit", r, 1);
}

int main(void)
{
	int p[2], sv[2], efd = eventfd(0, EFD_CLOEXEC), tfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	static char big[65536];
	struct iocb cb;
	uint64_t n = 0;
	char b[8] = "";

	MUST(!pipe(p) && !socketpair(AF_UNIX, SOCK_STREAM, 0, sv) && efd >= 0 && tfd >= 0);
	MUST(io_setup(8, &ctx) == 0);
	io_prep_pread(&cb, p[0], b, 8, 0);
	waits("3.10/9", "empty pipe", &cb, p[1], write4, 4);
	expect("3.10/9", "empty pipe: data", memcmp(b, "four", 5), 0);
	io_prep_pread(&cb, efd, &n, 8, 0);
	waits("3.10/10", "eventfd at 0", &cb, efd, write8, 8);
	expect("3.10/10", "eventfd: value", (long)n, 5);
	io_prep_pread(&cb, tfd, &n, 8, 0);
	waits("3.10/10", "timerfd not expired", &cb, tfd, arm, 8);
	expect("3.10/10", "timerfd: value", (long)n, 1);
	io_prep_pread(&cb, sv[0], b, 8, 0);
	waits("3.10/10", "empty unix socket", &cb, sv[1], write4, 4);
	MUST(fcntl(p[1], F_SETPIPE_SZ, 65536) == 65536 && write(p[1], big, 65536) == 65536);
	io_prep_pwrite(&cb, p[1], b, 8, 0);
	waits("3.10/10", "write to a full pipe", &cb, p[0], drain, 8);
	others();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

/* What others see while io_destroy waits for I/O that the device holds back:
 * threads in io_getevents are sent home at once, the context is gone for every
 * call, its share of the limit is free, and another io_setup works. */
#include "slowfs.h"
#include "life.h"

#define WAITERS 4
static struct slowfs *s;
static io_context_t ctx;
static volatile int destroying, destroyed, destroy_result;

static void *destroyer(void *arg)
{
	(void)arg;
	destroying = 1;
	destroy_result = io_destroy(ctx);
	destroyed = 1;
	return NULL;
}

static struct waiter {
	const char *id, *name;
	long min;
	int pgetevents, no_timeout;
	volatile pid_t tid;
	volatile int result, back;
} waiters[WAITERS] = {
	{ .id = "8/8", .name = "io_getevents, NULL", .min = 1, .no_timeout = 1 },
	{ .id = "8/8", .name = "io_getevents, 60 s", .min = 1 },
	{ .id = "8/8", .name = "io_pgetevents, 60 s", .min = 2, .pgetevents = 1 },
	{ .id = "8/9", .name = "io_getevents with 1 of 3 collected", .min = 3 },
};
static void *waiter(void *arg)
{
	struct waiter *w = arg;
	struct timespec ts = { 60, 0 }, *timeout = w->no_timeout ? NULL : &ts;
	struct io_event ev[4];

	w->tid = gettid();
	w->result = w->pgetevents ? io_pgetevents(ctx, w->min, 4, ev, timeout, NULL) :
				    io_getevents(ctx, w->min, 4, ev, timeout);
	w->back = 1;
	return NULL;
}

static int getevents(void *arg)
{
	struct io_event ev;

	(void)arg;
	return reap(ctx, 1, 1, &ev, 10);
}

/* Half of the limit and more, so that two such contexts cannot live at once.
 * aio-rs reads its limit at load time: start over with it. Elsewhere the limit
 * may be too high for the memory of a test; then any size will do. */
static int big_context(char **argv)
{
	char b[32] = "";
	int fd = open("/proc/sys/fs/aio-max-nr", O_RDONLY | O_CLOEXEC);

	MUST(fd >= 0 && read(fd, b, sizeof b - 1) > 0);
	close(fd);
	const char *limit = getenv("AIO_RS_MAX_NR");
	if (!limit || strcmp(limit, "kernel")) {
		setenv("AIO_RS_MAX_NR", "kernel", 1);
		execv("/proc/self/exe", argv);
		DIE("exec");
	}
	return atol(b) > 1000000 ? 60000 : (int)(atol(b) * 5 / 8);
}

int main(int argc, char **argv)
{
	int big = big_context(argv), fd, r = -1;
	char *buf = page_alloc(8192), label[96];
	pthread_t d, t[WAITERS];
	io_context_t next = NULL;
	struct iocb cb, other, *list[1] = { &other };
	struct io_event ev;
	long until;

	(void)argc;
	s = slowfs_start(1, 1 << 20);
	slowfs_fill(s, 0);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	/* The kernel's limit is everybody's: wait for room. */
	for (until = now_ms() + 15000; (r = io_setup(big, &ctx)) == -EAGAIN && now_ms() < until;)
		usleep(10000);
	MUST(r == 0);

	/* The waiter that collects one event goes first, so it is that one. */
	io_prep_pread(&other, open("/dev/null", O_RDONLY | O_CLOEXEC), buf, 1, 0);
	expect("8/9", "an event to collect", submit1(ctx, &other), 1);
	for (int i = WAITERS - 1; i >= 0; i--) {
		MUST(pthread_create(&t[i], NULL, waiter, &waiters[i]) == 0);
		MUST(wait_flag(&waiters[i].tid, 1) && wait_asleep(waiters[i].tid));
	}
	slowfs_hold(s, SLOWFS_READ);
	io_prep_pread(&cb, fd, buf, 4096, 4096);
	MUST(submit1(ctx, &cb) == 1 && slowfs_wait(s, SLOWFS_READ, 1));
	MUST(pthread_create(&d, NULL, destroyer, NULL) == 0);

	for (int i = 0; i < WAITERS; i++) {
		snprintf(label, sizeof label, "%s: back while io_destroy waits", waiters[i].name);
		expect(waiters[i].id, label, wait_flag(&waiters[i].back, 1), 1);
		snprintf(label, sizeof label, "%s: result", waiters[i].name);
		expect(waiters[i].id, label, waiters[i].result, i == WAITERS - 1 ? 1 : -EINVAL);
	}
	for (until = now_ms() + 10000; is_mapped(ctx) && now_ms() < until;)
		usleep(500);
	expect("8/11", "ring mapped while io_destroy waits", is_mapped(ctx), 0);
	expect("8/10", "second io_destroy", io_destroy(ctx), -EINVAL);
	io_prep_pread(&other, fd, buf + 4096, 4096, 0);
	expect("8/11", "io_submit", io_submit(ctx, 1, list), -EINVAL);
	expect("8/11", "io_submit nr 0", io_submit(ctx, 0, list), -EINVAL);
	expect("8/11", "io_cancel of the request in flight", io_cancel(ctx, &cb, &ev), -EINVAL);
	/* The system's libaio reads the ring that is gone. */
	r = on_ours() ? getevents(NULL) : in_child(getevents, NULL);
	expect_differs("8/11", "io_getevents", r, DIED(SIGSEGV), -EINVAL);

	/* The same size again, although the first is not quite gone. Others
	 * may take the kernel's room in between. */
	for (until = now_ms() + 10000; (r = io_setup(big, &next)) == -EAGAIN && now_ms() < until;)
		usleep(10000);
	expect("8/11", "io_setup of the same size meanwhile", r, 0);
	expect("8/11", "the new context works", works(next), 0);
	expect("8/11", "io_destroy still waits", destroyed, 0);
	expect("8/11", "the device still holds the read", slowfs_done(s, SLOWFS_READ), 0);

	slowfs_release(s, SLOWFS_READ);
	pthread_join(d, NULL);
	expect("8/11", "io_destroy", destroy_result, 0);
	expect("8/11", "the read's data is there", memcmp(buf, slowfs_data(s, 0) + 4096, 4096), 0);
	expect("8/11", "the new context is unharmed", works(next), 0);
	expect("8/11", "its io_destroy", io_destroy(next), 0);
	for (int i = 0; i < WAITERS; i++)
		pthread_join(t[i], NULL);
	slowfs_stop(s);
	return check_done();
}

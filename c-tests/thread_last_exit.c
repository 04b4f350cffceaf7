/* A process ends with exit(0) when its last thread leaves by pthread_exit. The
 * library's own threads must not count: neither with nothing to do, nor with
 * I/O in flight, whose data and eventfd are those of exit(). */
#include "slowfs.h"
#include "life.h"

static struct slowfs *s;
static struct iocb request;
static int never;
static char *buf;
static volatile int *atexit_ran;

static void at_exit(void)
{
	++*atexit_ran;
}
static void *other(void *arg)
{
	usleep(20000);
	return arg;
}

enum { IDLE, DESTROYED, USED, SLOW_READ, POLL, TWO_THREADS, WAYS };
static const char *const names[WAYS] = {
	"idle context", "context destroyed", "context used", "read of 300 ms", "pending poll", "second thread the last",
};
static int child(void *arg)
{
	unsigned seen = slowfs_seen(s, SLOWFS_READ);
	struct kit kit = { 0 };
	io_context_t ctx = NULL;
	pthread_t t;

	atexit(at_exit);
	MUST(io_setup(8, &ctx) == 0);
	switch ((int)(intptr_t)arg) {
	case DESTROYED:
		MUST(works(ctx) == 0 && io_destroy(ctx) == 0);
		break;
	case USED:
		kit_open(&kit);
		MUST(kit_run(ctx, &kit) == 0);
		break;
	case SLOW_READ:
		MUST(submit1(ctx, &request) == 1 && slowfs_wait(s, SLOWFS_READ, seen + 1));
		break;
	case POLL:
		MUST(submit1(ctx, &request) == 1);
		break;
	case TWO_THREADS:
		MUST(works(ctx) == 0 && pthread_create(&t, NULL, other, NULL) == 0);
	}
	pthread_exit(NULL);
}

int main(void)
{
	int fd, resfd = eventfd(0, EFD_CLOEXEC);
	char label[96];

	s = slowfs_start(1, 1 << 20);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	slowfs_delay(s, SLOWFS_READ, 300);
	never = eventfd(0, EFD_CLOEXEC);
	buf = page_alloc(4096);
	atexit_ran = shared_alloc(4096);
	for (int way = 0; way < WAYS; way++) {
		if (way == SLOW_READ)
			io_prep_pread(&request, fd, buf, 4096, 4096);
		else
			io_prep_poll(&request, never, POLLIN);
		io_set_eventfd(&request, resfd);
		snprintf(label, sizeof label, "last thread leaves, %s: end", names[way]);
		/* libc counts aio-rs's threads. A thread that has used AIO looks
		 * round when it leaves; one that never did cannot. */
		int known = way != TWO_THREADS;
		long end = child_end(fork_child(child, (void *)(intptr_t)way), known ? 5000 : 1000);

		expect_differs("9/11", label, end, 0, known ? 0 : end);
		snprintf(label, sizeof label, "last thread leaves, %s: exit handlers", names[way]);
		expect_differs("9/11", label, *atexit_ran, way + 1, known ? way + 1 : *atexit_ran);
		if (way != SLOW_READ && way != POLL)
			continue;
		snprintf(label, sizeof label, "last thread leaves, %s: eventfd", names[way]);
		expect(way == POLL ? "9/12" : "9/13", label, eventfd_take(resfd), 1);
	}
	slowfs_stop(s);
	return check_done();
}

/* The main thread, which made the context and submitted, leaves by
 * pthread_exit with I/O in flight; the process lives on in other threads, which
 * get the events and go on submitting. */
#include "slowfs.h"
#include "life.h"

static struct slowfs *s;
static int fd, efd;
static long *answer;
static struct kit kit;
static io_context_t ctx;
static char *buf;
static struct iocb cb, poll_cb;

static void *survivor(void *arg)
{
	pthread_t *main_thread = arg;
	struct io_event ev[2];
	uint64_t one = 1;

	answer[0] = pthread_join(*main_thread, NULL);
	answer[1] = slowfs_done(s, SLOWFS_READ);
	slowfs_release(s, SLOWFS_READ);
	MUST(write(efd, &one, 8) == 8);
	answer[2] = reap_all(ctx, 2, ev, 10000);
	answer[3] = memcmp(buf, slowfs_data(s, 0) + 4096, 4096);
	answer[4] = ev[ev[0].obj == &cb].obj == &poll_cb && (ev[ev[0].obj == &cb].res & POLLIN);
	answer[5] = kit_run(ctx, &kit);
	answer[6] = io_destroy(ctx);
	ctx = NULL;
	answer[7] = io_setup(8, &ctx);
	answer[8] = kit_run(ctx, &kit);
	_exit(6);
}

static int child(void *arg)
{
	static pthread_t me, t;

	(void)arg;
	me = pthread_self();
	MUST(io_setup(8, &ctx) == 0);
	MUST(pthread_create(&t, NULL, survivor, &me) == 0);
	io_prep_pread(&cb, fd, buf, 4096, 4096);
	io_prep_poll(&poll_cb, efd, POLLIN);
	MUST(submit1(ctx, &cb) == 1 && submit1(ctx, &poll_cb) == 1);
	MUST(slowfs_wait(s, SLOWFS_READ, 1));
	pthread_exit(NULL);
}

int main(void)
{
	s = slowfs_start(1, 1 << 20);
	slowfs_fill(s, 0);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	efd = eventfd(0, EFD_CLOEXEC);
	buf = page_alloc(4096);
	answer = shared_alloc(4096);
	kit_open(&kit);
	slowfs_hold(s, SLOWFS_READ);

	expect("9/8", "the process whose main thread leaves", in_child(child, NULL), 6);
	expect("9/8", "main thread joined", answer[0], 0);
	expect("9/8", "its read was at the device still", answer[1], 0);
	expect("9/8", "events for the thread left", answer[2], 2);
	expect("9/8", "data of the read", answer[3], 0);
	expect("9/8", "the poll", answer[4], POLLIN);
	expect("9/8", "all kinds of I/O on the same context", answer[5], 0);
	expect("9/8", "io_destroy", answer[6], 0);
	expect("9/8", "io_setup", answer[7], 0);
	expect("9/8", "all kinds of I/O on the new context", answer[8], 0);
	slowfs_stop(s);
	return check_done();
}

/* The submitting thread exits with its requests in flight: it can be joined at
 * once, and all its requests complete as if it were still there. */
#include "slowfs.h"
#include "life.h"

enum { READ, WRITE, SYNC, COLD, POLL, PIPE, REQUESTS };
static const char *const names[REQUESTS] = {
	"O_DIRECT read", "O_DIRECT write", "FSYNC", "cold buffered read", "poll", "pipe read",
};
static struct slowfs *s;
static io_context_t ctx;
static struct iocb cb[REQUESTS];
static char *buf[REQUESTS];
static long accepted;

static void *submitter(void *arg)
{
	for (int i = 0; i < (int)(intptr_t)arg; i++)
		accepted += submit1(ctx, &cb[i]) == 1;
	return NULL;
}
/* Several threads in a row, so that the next one can take the stack, the id
 * and the thread-local memory of the one that is gone. */
static void *idler(void *arg)
{
	return arg;
}

int main(void)
{
	int fd, sync_fd, cold, efd = eventfd(0, EFD_CLOEXEC), p[2], resfd = eventfd(0, EFD_CLOEXEC);
	struct io_event ev[REQUESTS];
	uint64_t one = 1;
	pthread_t t;

	s = slowfs_start(2, 1 << 20);
	slowfs_fill(s, 0);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	sync_fd = slowfs_open(s, 1, O_RDWR | O_DIRECT);
	cold = tagged_file(65536, 9);
	MUST(pipe2(p, O_CLOEXEC) == 0 && io_setup(8, &ctx) == 0);
	for (int i = 0; i < REQUESTS; i++)
		buf[i] = page_alloc(65536);
	slowfs_hold(s, SLOWFS_READ);
	slowfs_hold(s, SLOWFS_WRITE);
	slowfs_hold(s, SLOWFS_FSYNC);
	memset(buf[WRITE], 'w', 65536);
	posix_fadvise(cold, 0, 0, POSIX_FADV_DONTNEED);
	io_prep_pread(&cb[READ], fd, buf[READ], 65536, 65536);
	io_prep_pwrite(&cb[WRITE], fd, buf[WRITE], 65536, 262144);
	io_prep_fsync(&cb[SYNC], sync_fd);
	io_prep_pread(&cb[COLD], cold, buf[COLD], 65536, 0);
	io_prep_poll(&cb[POLL], efd, POLLIN);
	io_prep_pread(&cb[PIPE], p[0], buf[PIPE], 10, 0);
	for (int i = 0; i < REQUESTS; i++)
		io_set_eventfd(&cb[i], resfd);

	/* The kernel's io_submit would block on the empty pipe: there the data
	 * comes before. */
	if (!on_ours())
		MUST(write(p[1], "late", 4) == 4);
	MUST(pthread_create(&t, NULL, submitter, (void *)REQUESTS) == 0);
	pthread_join(t, NULL);
	expect("9/8", "requests accepted", accepted, REQUESTS);
	for (int i = 0; i < 8; i++) {
		MUST(pthread_create(&t, NULL, idler, NULL) == 0);
		pthread_join(t, NULL);
	}
	MUST(slowfs_wait(s, SLOWFS_READ, 1) && slowfs_wait(s, SLOWFS_WRITE, 1) && slowfs_wait(s, SLOWFS_FSYNC, 1));
	expect("9/8", "thread joined, answers of the device", slowfs_done(s, SLOWFS_READ) +
	       slowfs_done(s, SLOWFS_WRITE) + slowfs_done(s, SLOWFS_FSYNC), 0);

	usleep(100000);	/* what dies with the thread has died now */
	slowfs_release(s, SLOWFS_READ);
	slowfs_release(s, SLOWFS_WRITE);
	slowfs_release(s, SLOWFS_FSYNC);
	MUST(write(efd, &one, 8) == 8);
	if (on_ours())
		MUST(write(p[1], "late", 4) == 4);
	expect("9/8", "events", reap_all(ctx, REQUESTS, ev, 10000), REQUESTS);
	for (int i = 0; i < REQUESTS; i++) {
		static const long want[REQUESTS] = { 65536, 65536, 0, 65536, POLLIN, 4 };
		long got = NO_EVENT;
		for (int j = 0; j < REQUESTS; j++)
			if (ev[j].obj == &cb[i])
				got = i == POLL ? (long)(ev[j].res & POLLIN) : (long)ev[j].res;
		expect("9/8", names[i], got, want[i]);
	}
	expect("9/8", "eventfd", eventfd_collect(resfd, REQUESTS), REQUESTS);
	expect("9/8", "O_DIRECT read, data", memcmp(buf[READ], slowfs_data(s, 0) + 65536, 65536), 0);
	expect("9/8", "O_DIRECT write, data", memcmp(buf[WRITE], slowfs_data(s, 0) + 262144, 65536), 0);
	expect("9/8", "cold read, wrong words", tag_wrong(buf[COLD], 65536, 9, 0), 0);
	expect("9/8", "pipe read, data", memcmp(buf[PIPE], "late", 4), 0);

	/* A hundred short-lived submitters, one request in flight each. */
	struct kit kit = { 0 };
	long wrong = 0;
	kit_open(&kit);
	for (int i = 0; i < 100; i++) {
		io_prep_pread(&cb[0], kit.direct, buf[READ], 4096, i * 4096);
		accepted = 0;
		MUST(pthread_create(&t, NULL, submitter, (void *)1) == 0);
		pthread_join(t, NULL);
		wrong += accepted != 1 || reap(ctx, 1, 1, ev, 10000) != 1 || ev[0].res != 4096;
		wrong += tag_wrong(buf[READ], 4096, KIT_TAG, (uint64_t)i * 8) != 0;
	}
	expect("9/8", "100 threads with one request each, wrong", wrong, 0);
	expect("9/8", "all kinds of I/O afterwards", kit_run(ctx, &kit), 0);
	expect("9/8", "io_destroy", io_destroy(ctx), 0);
	slowfs_stop(s);
	return check_done();
}

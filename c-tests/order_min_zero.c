/* Buffered I/O is done when the kernel's io_submit returns, so programs ask for
 * its events with a min_nr of 0 and a timeout, and do not expect to get none
 * (libaio's own harness does). */
#include "wait_util.h"

#define LEN (1 << 20)
#define MANY 8
static io_context_t ctx;
static char *buf;
static struct iocb cb[MANY], *list[MANY];
static struct io_event ev[MANY];

/* How many of the events are as they should be. */
static int good(int n)
{
	int right = 0;
	for (int i = 0; i < n; i++)
		right += ev[i].res == LEN && !ev[i].res2;
	return n < 0 ? n : right;
}

static void writes(const char *kind, int flags)
{
	struct timespec long_enough = { 30, 0 };
	int fd = temp_file(flags), n, ones = 0;
	char line[96];

	for (int i = 0; i < MANY; i++)
		io_prep_pwrite(list[i] = &cb[i], fd, buf, LEN, (long long)i * LEN);
	MUST(io_submit(ctx, MANY, list) == MANY);
	n = io_getevents(ctx, 0, MANY, ev, &long_enough);
	snprintf(line, sizeof line, "%s: eight, all asked for", kind);
	expect("3.10/3", line, good(n), MANY);
	MUST(io_submit(ctx, MANY, list) == MANY);
	for (int i = 0; i < MANY; i++)
		ones += good(io_getevents(ctx, 0, 1, ev, &long_enough)) == 1;
	snprintf(line, sizeof line, "%s: eight, one by one", kind);
	expect("3.10/3", line, ones, MANY);
	MUST(io_submit(ctx, MANY, list) == MANY);
	n = good(io_getevents(ctx, 1, 3, ev, NULL));
	n += good(io_pgetevents(ctx, 0, MANY, ev, NULL, NULL));
	snprintf(line, sizeof line, "%s: three, then io_pgetevents", kind);
	expect("3.10/3", line, n, MANY);
	close(fd);
}

static void cold_reads(void)
{
	int fd = pattern_file(0, MANY * LEN), n = 0;

	for (int i = 0; i < MANY; i++) {
		MUST(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
		io_prep_pread(&cb[i], fd, buf, LEN, (long long)i * LEN);
		MUST(submit1(ctx, &cb[i]) == 1);
		n += good(io_getevents(ctx, 0, MANY, ev, NULL)) == 1;
	}
	expect("3.10/1", "reads that are not cached", n, MANY);
	close(fd);
}

static volatile int stop;
static volatile long stolen;
static void *thief(void *arg)
{
	struct io_event mine[4];

	for (int r; !stop; stolen += r > 0 ? r : 0)
		if ((r = io_getevents(ctx, 0, 4, mine, &zero_ts)) == 0)
			sched_yield();
	return arg;
}

/* Another thread may take the events: a call that was to have them returns. */
static void taken_by_another(void)
{
	int fd = temp_file(O_RDWR | O_DSYNC);
	long mine = 0, failed = 0;
	pthread_t t;

	MUST(pthread_create(&t, NULL, thief, NULL) == 0);
	for (int i = 0; i < 100; i++) {
		io_prep_pwrite(&cb[0], fd, buf, 4096, 0);
		MUST(submit1(ctx, &cb[0]) == 1);
		int n = io_getevents(ctx, 0, MANY, ev, NULL);
		mine += n > 0 ? n : 0;
		failed += n < 0;
	}
	for (long end = now_ms() + 10000; mine + stolen < 100 && now_ms() < end;)
		usleep(500);
	stop = 1;
	pthread_join(t, NULL);
	expect("3.10/3", "two threads: events", mine + stolen, 100);
	expect("3.10/3", "two threads: calls that failed", failed, 0);
	close(fd);
}

static void *write_later(void *arg)
{
	usleep(200000);
	MUST(write(*(int *)arg, "data", 4) == 4);
	return NULL;
}

/* What may never end is not waited for. */
static void endless(void)
{
	int p[2], efd = eventfd(0, EFD_CLOEXEC), n;
	long from = now_ms();
	pthread_t t;

	io_prep_poll(&cb[0], efd, POLLIN);
	MUST(submit1(ctx, &cb[0]) == 1);
	expect("5/4", "pending poll", reap(ctx, 0, MANY, ev, 10000), 0);
	expect_true("5/4", "at once", now_ms() - from < 5000);
	expect("5/4", "no room for events", reap(ctx, 0, 0, ev, 10000), 0);
	MUST(io_cancel(ctx, &cb[0], ev) == -EINPROGRESS && reap(ctx, 1, MANY, ev, 10000) == 1);

	MUST(pipe2(p, O_CLOEXEC) == 0);
	MUST(pthread_create(&t, NULL, write_later, &p[1]) == 0);
	io_prep_pread(&cb[0], p[0], buf, 4, 0);
	MUST(submit1(ctx, &cb[0]) == 1); /* here the kernel waits */
	n = reap(ctx, 0, MANY, ev, 10000);
	expect_differs("3.10/9", "empty pipe: events", n, 1, 0);
	pthread_join(t, NULL);
	expect("3.10/9", "empty pipe: then", n + reap(ctx, 1 - n, 1, ev, 10000), 1);
}

int main(void)
{
	buf = aligned_alloc(4096, LEN);
	memset(buf, 'w', LEN);
	new_context(64, &ctx);
	writes("writes of 1 MiB", O_RDWR);
	writes("O_SYNC writes of 1 MiB", O_RDWR | O_SYNC);
	cold_reads();
	taken_by_another();
	endless();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

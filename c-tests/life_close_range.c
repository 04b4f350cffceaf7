/* A program closes all descriptors that it does not know, with I/O in flight:
 * the kernel's AIO has none to lose. Everything in flight completes, and the
 * contexts go on with descriptors opened later. */
#include "slowfs.h"
#include "life.h"

enum { READ, WRITE, SYNC, DIRECT, COLD, PIPE, POLL, REQUESTS };
static const char *const names[REQUESTS] = {
	"read at the device", "write at the device", "FSYNC at the device", "O_DIRECT read", "cold buffered read",
	"pipe read", "poll of a pipe",
};
static const long want[REQUESTS] = { 65536, 65536, 0, 4096, 65536, 4, POLLIN };

/* How a program gets rid of what it does not know. */
static void close_all(int by_loop)
{
	if (by_loop) {
		for (int fd = 3; fd < 4096; fd++)
			close(fd);
		/* and whatever sits above, as daemons do by /proc/self/fd */
		syscall(SYS_close_range, 4096U, ~0U, 0U);
	} else {
		MUST(syscall(SYS_close_range, 3U, ~0U, 0U) == 0);
	}
}

static void round_of(struct slowfs *s, io_context_t ctx, const int *fd, int by_loop)
{
	static struct iocb cb[REQUESTS];
	struct iocb *list[REQUESTS];
	struct io_event ev[REQUESTS];
	char *buf[REQUESTS], label[96];
	const char *how = by_loop ? "close loop" : "close_range";
	int p[2], q[2];
	struct kit kit = { 0 };
	uint64_t answered = s->done[SLOWFS_READ] + s->done[SLOWFS_WRITE] + s->done[SLOWFS_FSYNC];

#define LABEL(x) (snprintf(label, sizeof label, "%s: %s", how, x), label)
	for (int i = 0; i < REQUESTS; i++)
		buf[i] = page_alloc(65536);
	int file = tagged_file(65536, 3), direct = reopen(file, O_RDWR | O_DIRECT);
	MUST(direct >= 0 && pipe2(p, O_CLOEXEC) == 0 && pipe2(q, O_CLOEXEC) == 0);
	posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	slowfs_hold(s, SLOWFS_READ);
	slowfs_hold(s, SLOWFS_WRITE);
	slowfs_hold(s, SLOWFS_FSYNC);
	memset(buf[WRITE], by_loop ? 'l' : 'r', 65536);
	MUST(write(p[1], "data", 4) == 4);
	io_prep_pread(&cb[READ], fd[0], buf[READ], 65536, 65536);
	io_prep_pwrite(&cb[WRITE], fd[0], buf[WRITE], 65536, 262144);
	io_prep_fsync(&cb[SYNC], fd[1]);
	io_prep_pread(&cb[DIRECT], direct, buf[DIRECT], 4096, 4096);
	io_prep_pread(&cb[COLD], file, buf[COLD], 65536, 0);
	io_prep_pread(&cb[PIPE], p[0], buf[PIPE], 100, 0);
	io_prep_poll(&cb[POLL], q[0], POLLIN);
	for (int i = 0; i < REQUESTS; i++)
		list[i] = &cb[i];
	expect("life/3", LABEL("requests accepted"), io_submit(ctx, REQUESTS, list), REQUESTS);
	/* The only descriptor that is left makes the poll ready. */
	MUST(dup2(q[1], 2) == 2);
	close_all(by_loop);
	expect("3.7/17", LABEL("answers of the device so far"), s->done[SLOWFS_READ] + s->done[SLOWFS_WRITE] +
	       s->done[SLOWFS_FSYNC] - answered, 0);
	slowfs_release(s, SLOWFS_READ);
	slowfs_release(s, SLOWFS_WRITE);
	slowfs_release(s, SLOWFS_FSYNC);
	expect("3.7/17", LABEL("write to the polled pipe"), write(2, "x", 1), 1);
	expect("3.7/17", LABEL("events"), reap_all(ctx, REQUESTS, ev, 10000), REQUESTS);
	for (int i = 0; i < REQUESTS; i++) {
		long got = NO_EVENT;
		for (int j = 0; j < REQUESTS; j++)
			if (ev[j].obj == &cb[i])
				got = i == POLL ? (long)(ev[j].res & POLLIN) : (long)ev[j].res;
		expect("3.7/17", LABEL(names[i]), got, want[i]);
	}
	expect("3.7/17", LABEL("data of the read"), memcmp(buf[READ], slowfs_data(s, 0) + 65536, 65536), 0);
	expect("3.7/17", LABEL("data of the write"), memcmp(buf[WRITE], slowfs_data(s, 0) + 262144, 65536), 0);
	expect("3.7/17", LABEL("data of the O_DIRECT read"), tag_wrong(buf[DIRECT], 4096, 3, 8), 0);
	expect("3.7/17", LABEL("data of the cold read"), tag_wrong(buf[COLD], 65536, 3, 0), 0);

	/* Life goes on, with the lowest numbers given out again. */
	kit_open(&kit);
	expect("life/3", LABEL("first descriptor afterwards"), kit.fd, 3);
	long bad = 0;
	for (int i = 0; i < 10; i++)
		bad += kit_run(ctx, &kit) != 0;
	expect("life/3", LABEL("10 rounds of all kinds of I/O, wrong"), bad, 0);
	io_context_t second = NULL;
	expect("life/3", LABEL("io_setup"), io_setup(8, &second), 0);
	expect("life/3", LABEL("all kinds of I/O on the new context"), kit_run(second, &kit), 0);
	expect("life/3", LABEL("its io_destroy"), io_destroy(second), 0);
	kit_close(&kit);
}

static void *at_once(void *arg)
{
	(void)arg;
	close_all(0);
	return NULL;
}

int main(void)
{
	struct slowfs *s;
	struct kit kit = { 0 };
	io_context_t ctx = NULL;
	int fd[2];
	pthread_t t;
	long bad = 0;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 3; i++)
		if (fcntl(i, F_GETFD) < 0)
			MUST(open("/dev/null", O_RDWR) == i);
	close_all(0);	/* so that the first free descriptor is 3 */
	s = slowfs_start(2, 1 << 20);
	slowfs_fill(s, 0);
	MUST(io_setup(16, &ctx) == 0);
	for (int by_loop = 0; by_loop < 2; by_loop++) {
		/* The mount goes with its last descriptor: a new device. */
		if (by_loop) {
			kill(s->server, SIGKILL);
			waitpid(s->server, NULL, 0);
			s = slowfs_start(2, 1 << 20);
			slowfs_fill(s, 0);
		}
		fd[0] = slowfs_open(s, 0, O_RDWR | O_DIRECT);
		fd[1] = slowfs_open(s, 1, O_RDWR | O_DIRECT);
		round_of(s, ctx, fd, by_loop);
	}
	/* Again and again, by another thread too, and before the first use of
	 * a new context. */
	for (int i = 0; i < 20; i++) {
		io_context_t fresh = NULL;
		bad += io_setup(8, &fresh) != 0;
		MUST(pthread_create(&t, NULL, at_once, NULL) == 0);
		pthread_join(t, NULL);
		kit_open(&kit);
		bad += kit_run(fresh, &kit) != 0 || kit_run(ctx, &kit) != 0;
		bad += io_destroy(fresh) != 0;
	}
	expect("life/3", "20 times between io_setup and I/O, wrong", bad, 0);
	expect("life/3", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

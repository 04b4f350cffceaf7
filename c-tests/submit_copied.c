/* io_submit copies the iocb, the pointer array and the iovec array: what the
 * program does to them as soon as it has returned changes nothing. */
#include "submit_util.h"
#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>

#define SEGS 16		/* more than a kernel keeps on its stack */
#define SEG 4096

struct call {
	struct iocb cb;
	struct iocb *list[1];
	struct iovec vec[SEGS];
};

static io_context_t ctx;
static char *data;	/* SEGS * SEG bytes, aligned */
static int pipe_end = -1;

static struct call *fresh(int op, int fd)
{
	struct call *c = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(c != MAP_FAILED);
	prep(&c->cb, op, fd, c->vec, SEGS, 0);
	c->list[0] = &c->cb;
	for (int i = 0; i < SEGS; i++)
		c->vec[i] = (struct iovec){ data + i * SEG, SEG };
	return c;
}

/* After io_submit: 0 overwrite, 1 unmap, 2 cover by another, read-only mapping. */
static void scribble(struct call *c, int how)
{
	if (how == 0)
		memset(c, 0xff, sizeof *c);
	else if (how == 1)
		munmap(c, PAGE);
	else
		MUST(mmap(c, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == c);
}

static void *feed(void *unused)
{
	struct timespec t = { 0, 150 * 1000000 };
	nanosleep(&t, NULL);
	for (int i = 0; i < SEGS; i++)
		MUST(write(pipe_end, "pipe data", 9) == 9);
	return unused;
}

static int is_pattern(void)
{
	for (long i = 0; i < SEGS * SEG; i++)
		if (data[i] != (char)(i * 7 + i / 256))
			return 0;
	return 1;
}

int main(void)
{
	static const char *const how_name[] = { "overwritten", "unmapped", "covered" };
	char label[96];
	struct io_event ev;
	int p[2];

	data = mmap(NULL, SEGS * SEG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(data != MAP_FAILED);
	int direct = pattern_file(O_RDWR | O_DIRECT, SEGS * SEG), cached = pattern_file(0, SEGS * SEG);
	int efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	MUST(direct >= 0 && cached >= 0 && efd >= 0);
	ctx = new_ctx(8);

#define EVENT(name, c, want)                                                                                     \
	do {                                                                                                     \
		int got = reap(ctx, 1, 1, &ev, 10000);                                                           \
		snprintf(label, sizeof label, "%s, %s: event", name, how_name[how]);                             \
		expect("3.2/17", label, got, 1);                                                                 \
		snprintf(label, sizeof label, "%s, %s: res", name, how_name[how]);                               \
		expect("3.2/17", label, (long)ev.res, want);                                                     \
		snprintf(label, sizeof label, "%s, %s: obj and data as submitted", name, how_name[how]);         \
		expect_true("3.2/17", label, ev.obj == (struct iocb *)(c) && ev.data == DATA_MARK && !ev.res2);  \
	} while (0)

	for (int how = 0; how < 3; how++) {
		struct call *c = fresh(IO_CMD_PREADV, direct);
		memset(data, 0, SEGS * SEG);
		MUST(io_submit(ctx, 1, c->list) == 1);
		scribble(c, how);
		EVENT("O_DIRECT preadv", c, SEGS * SEG);
		snprintf(label, sizeof label, "O_DIRECT preadv, %s: every segment filled", how_name[how]);
		expect_true("3.2/17", label, is_pattern());
		if (how != 1)
			munmap(c, PAGE);

		c = fresh(IO_CMD_PREADV, cached);
		memset(data, 0, SEGS * SEG);
		MUST(posix_fadvise(cached, 0, 0, POSIX_FADV_DONTNEED) == 0);
		MUST(io_submit(ctx, 1, c->list) == 1);
		scribble(c, how);
		EVENT("cold preadv", c, SEGS * SEG);
		snprintf(label, sizeof label, "cold preadv, %s: every segment filled", how_name[how]);
		expect_true("3.2/17", label, is_pattern());
		if (how != 1)
			munmap(c, PAGE);

		c = fresh(IO_CMD_PWRITEV, direct);
		for (long i = 0; i < SEGS * SEG; i++)
			data[i] = (char)(i * 7 + i / 256);
		MUST(ftruncate(direct, 0) == 0);
		MUST(io_submit(ctx, 1, c->list) == 1);
		scribble(c, how);
		EVENT("O_DIRECT pwritev", c, SEGS * SEG);
		memset(data, 0, SEGS * SEG);
		MUST(pread(direct, data, SEGS * SEG, 0) == SEGS * SEG);
		snprintf(label, sizeof label, "O_DIRECT pwritev, %s: every segment written", how_name[how]);
		expect_true("3.2/17", label, is_pattern());
		if (how != 1)
			munmap(c, PAGE);

		/* A poll is surely still pending. */
		c = fresh(IO_CMD_POLL, efd);
		memset(&c->cb.u, 0, sizeof c->cb.u);
		c->cb.u.poll.events = POLLIN;
		MUST(io_submit(ctx, 1, c->list) == 1);
		scribble(c, how);
		MUST(eventfd_write(efd, 1) == 0);
		int got = reap(ctx, 1, 1, &ev, 10000);
		snprintf(label, sizeof label, "poll, %s: event as submitted", how_name[how]);
		expect_true("3.2/17", label, got == 1 && ev.obj == (struct iocb *)c && ev.data == DATA_MARK &&
			    ((long)ev.res & POLLIN) && !ev.res2);
		eventfd_t n;
		eventfd_read(efd, &n);
		if (how != 1)
			munmap(c, PAGE);

		/* The kernel reads the pipe before it returns, aio-rs later. */
		pthread_t feeder;
		MUST(pipe2(p, O_CLOEXEC) == 0);
		pipe_end = p[1];
		c = fresh(IO_CMD_PREADV, p[0]);
		c->cb.u.c.nbytes = 2;
		c->vec[0].iov_len = 4;
		c->vec[1].iov_len = 5;
		memset(data, 0, SEGS * SEG);
		MUST(pthread_create(&feeder, NULL, feed, NULL) == 0);
		MUST(io_submit(ctx, 1, c->list) == 1);
		scribble(c, how);
		EVENT("pipe preadv", c, 9);
		snprintf(label, sizeof label, "pipe preadv, %s: both segments", how_name[how]);
		expect_true("3.2/17", label, !memcmp(data, "pipe\0", 5) && !memcmp(data + SEG, " data\0", 6));
		pthread_join(feeder, NULL);
		close(p[0]);
		close(p[1]);
		if (how != 1)
			munmap(c, PAGE);
	}
	expect("3.2/17", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

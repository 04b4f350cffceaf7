/* Kernel AIO runs buffered operations inside io_submit, one after another, and
 * programs lean on it. A library that defers them must keep what that looks
 * like: operations on one file take effect in the order of submission, from
 * whatever call, descriptor, context or thread they come. */
#include "events.h"
#include "slowfs.h"
#include <pthread.h>

#define BIG (1 << 20)
#define SMALL 4096

enum { ONE_CALL, TWO_CALLS, TWO_CONTEXTS, TWO_THREADS, MODES };
static const char *const mode_name[] = { "one call", "two calls", "two contexts", "two threads" };
static io_context_t ctx[2];
static char *one, *two, *back;
static char label[160];

static void *second_submit(void *cb)
{
	MUST(submit1(ctx[0], cb) == 1);
	return NULL;
}

/* Submit a, then b; their events. How many did not transfer what they should. */
static int run_both(int mode, struct iocb *a, struct iocb *b)
{
	struct iocb *list[2] = { a, b };
	struct io_event ev[2];
	pthread_t t;
	int bad = 0;

	if (mode == ONE_CALL) {
		MUST(io_submit(ctx[0], 2, list) == 2);
	} else {
		MUST(submit1(ctx[0], a) == 1);
		if (mode == TWO_THREADS)
			MUST(!pthread_create(&t, NULL, second_submit, b) && !pthread_join(t, NULL));
		else
			MUST(submit1(ctx[mode == TWO_CONTEXTS], b) == 1);
	}
	if (mode == TWO_CONTEXTS)
		MUST(reap(ctx[0], 1, 1, ev, 20000) == 1 && reap(ctx[1], 1, 1, ev + 1, 20000) == 1);
	else
		MUST(reap(ctx[0], 2, 2, ev, 20000) == 2);
	for (int i = 0; i < 2; i++)
		bad += ev[i].res != ev[i].obj->u.c.nbytes;
	return bad;
}

static void report(const char *where, const char *what, int mode, int wrong)
{
	snprintf(label, sizeof label, "%s: %s, %s: wrong", where, what, mode_name[mode]);
	expect("3.10/0", label, wrong, 0);
}

static int filled(const char *p, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != (char)c)
			return 0;
	return 1;
}

/* Not in the page cache any more: the next read has to wait. */
static void cool(int fd)
{
	MUST(!fdatasync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
}

/* Two writes of one range: the second wins. fd[1] is the same file. */
static void two_writes(const char *where, const int *fd, size_t first, size_t second, int rounds, int cold)
{
	size_t at = first > second ? (first - second) / 2 / SMALL * SMALL : 0, len = first > second ? first : second;
	char what[64];
	struct iocb a, b;

	snprintf(what, sizeof what, "write %zu, write %zu%s", first, second, cold ? " (cold)" : "");
	for (int mode = 0; mode < MODES; mode++) {
		int wrong = 0;
		for (int r = 0; r < rounds; r++) {
			memset(one, 'a' + r % 16, first);
			memset(two, 'A' + r % 16, second);
			if (cold)
				cool(fd[0]);
			io_prep_pwrite(&a, fd[0], one, first, 0);
			io_prep_pwrite(&b, fd[r % 2], two, second, (long)at);
			wrong += run_both(mode, &a, &b);
			MUST(pread(fd[0], back, len, 0) == (ssize_t)len);
			wrong += !filled(back + at, 'A' + r % 16, second) || (at && (!filled(back, 'a' + r % 16, at) || !filled(back + at + second, 'a' + r % 16, first - at - second)));
		}
		report(where, what, mode, wrong);
	}
}

/* A read behind a write sees it. */
static void read_after_write(const char *where, const int *fd, size_t write, size_t read, int rounds)
{
	char what[64];
	struct iocb a, b;

	snprintf(what, sizeof what, "write %zu, read %zu", write, read);
	for (int mode = 0; mode < MODES; mode++) {
		int wrong = 0;
		for (int r = 0; r < rounds; r++) {
			memset(one, 'k' + r % 8, write);
			memset(back, 0, read);
			io_prep_pwrite(&a, fd[0], one, write, 0);
			io_prep_pread(&b, fd[r % 2], back, read, (long)(write - read));
			wrong += run_both(mode, &a, &b) + !filled(back, 'k' + r % 8, read);
		}
		report(where, what, mode, wrong);
	}
}

/* A write behind a read does not change what the read returns. */
static void write_after_read(const char *where, const int *fd, size_t read, size_t write, int rounds)
{
	char what[64];
	struct iocb a, b;

	snprintf(what, sizeof what, "cold read %zu, write %zu", read, write);
	for (int mode = 0; mode < MODES; mode++) {
		int wrong = 0;
		for (int r = 0; r < rounds; r++) {
			memset(one, 'r', read);
			memset(two, 'w', write);
			MUST(pwrite(fd[0], one, read, 0) == (ssize_t)read);
			cool(fd[0]);
			memset(back, 0, read);
			io_prep_pread(&a, fd[0], back, read, 0);
			io_prep_pwrite(&b, fd[r % 2], two, write, (long)(read - write));
			wrong += run_both(mode, &a, &b) + !filled(back, 'r', read);
			MUST(pread(fd[1], back, write, (off_t)(read - write)) == (ssize_t)write);
			wrong += !filled(back, 'w', write);
		}
		report(where, what, mode, wrong);
	}
}

/* O_APPEND writes of mixed sizes are in the file one behind the other. */
static void appends(const char *where, int fd, int rounds, size_t big)
{
	const size_t size[] = { 10, big, 4096, big, 1, 65536, big, 100, 7 };
	enum { N = sizeof size / sizeof *size };
	char *buf[N];
	int wrong = 0;

	for (int i = 0; i < N; i++)
		memset(buf[i] = malloc(size[i]), 'A' + i, size[i]);
	for (int r = 0; r < rounds; r++) {
		struct iocb cb[N], *list[N];
		struct io_event ev[N];
		off_t at = 0;
		MUST(!ftruncate(fd, 0));
		for (int i = 0; i < N; i++) {
			io_prep_pwrite(list[i] = cb + i, fd, buf[i], size[i], 0);
			if (r % 2) /* alternately in one call and one by one */
				MUST(submit1(ctx[0], cb + i) == 1);
		}
		MUST(r % 2 || io_submit(ctx[0], N, list) == N);
		MUST(reap(ctx[0], N, N, ev, 20000) == N);
		for (int i = 0; i < N; at += (off_t)size[i++])
			wrong += pread(fd, back, size[i], at) != (ssize_t)size[i] || !filled(back, 'A' + i, size[i]);
		wrong += lseek(fd, 0, SEEK_END) != at;
	}
	snprintf(label, sizeof label, "%s: O_APPEND writes of mixed sizes: out of place", where);
	expect("3.10/0", label, wrong, 0);
	for (int i = 0; i < N; i++)
		free(buf[i]);
}

/* FSYNC behind writes reaches the device when they are done there. */
static void fsync_behind_writes(struct slowfs *s, int fd, int rounds)
{
	struct iocb w[3], f, *list[4] = { w, w + 1, w + 2, &f };
	struct io_event ev[4];
	int early = 0, syncs = 0;

	for (int r = 0; r < rounds; r++) {
		unsigned from = slowfs_logged(s), fsync_in = 0, write_out = 0;
		io_prep_pwrite(w, fd, one, SMALL, 0);
		io_prep_pwrite(w + 1, fd, one, BIG, SMALL);
		io_prep_pwrite(w + 2, fd, one, 100, 0);
		(r % 2 ? io_prep_fdsync : io_prep_fsync)(&f, fd);
		for (int i = 0; i < 4 && r % 4 > 1; i++)
			MUST(submit1(ctx[0], list[i]) == 1);
		MUST(r % 4 > 1 || io_submit(ctx[0], 4, list) == 4);
		MUST(reap(ctx[0], 4, 4, ev, 20000) == 4);
		for (unsigned n = from; n < slowfs_logged(s); n++) {
			struct slowfs_req *q = slowfs_log(s, n);
			if (q->op == SLOWFS_FSYNC)
				fsync_in = q->in, syncs++;
			else if (q->op == SLOWFS_WRITE && q->out > write_out)
				write_out = q->out;
		}
		early += !fsync_in || !write_out || fsync_in < write_out;
	}
	expect("3.10/0", "slow device: FSYNC, FDSYNC behind writes: too early", early, 0);
	expect("3.10/0", "slow device: FSYNC, FDSYNC behind writes: one each", syncs, rounds);
}

int main(void)
{
	struct slowfs *s = slowfs_start(3, 2 << 20);
	int fd[2], slow[2], log = temp_file(O_RDWR | O_APPEND);
	char path[32];

	fd[0] = pattern_file(O_RDWR, BIG);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd[0]);
	fd[1] = open(path, O_RDWR | O_CLOEXEC);
	slow[0] = slowfs_open(s, 0, O_RDWR);
	slow[1] = slowfs_open(s, 0, O_RDWR);
	one = malloc(BIG);
	two = malloc(BIG);
	back = malloc(BIG);
	MUST(fd[0] >= 0 && fd[1] >= 0 && log >= 0 && io_setup(64, ctx) == 0 && io_setup(64, ctx + 1) == 0);
	memset(one, 'f', BIG);

	two_writes("disk", fd, SMALL, SMALL, 100, 0);
	two_writes("disk", fd, BIG, BIG, 30, 0);
	two_writes("disk", fd, BIG, SMALL, 50, 0);
	two_writes("disk", fd, SMALL, BIG, 50, 0);
	two_writes("disk", fd, BIG, 100, 10, 1);
	read_after_write("disk", fd, BIG, SMALL, 50);
	read_after_write("disk", fd, SMALL, 100, 100);
	write_after_read("disk", fd, BIG, SMALL, 10);
	write_after_read("disk", fd, BIG, BIG, 10);
	appends("disk", log, 10, BIG);

	/* every request of the device takes its time, so that all is deferred */
	slowfs_delay(s, SLOWFS_WRITE, 4);
	two_writes("slow device", slow, BIG, SMALL, 3, 0);
	two_writes("slow device", slow, SMALL, SMALL, 6, 0);
	read_after_write("slow device", slow, BIG, SMALL, 4);
	fsync_behind_writes(s, slowfs_open(s, 1, O_RDWR), 8);
	appends("slow device", slowfs_open(s, 2, O_RDWR | O_APPEND), 2, 300000);
	slowfs_delay(s, SLOWFS_WRITE, 0);
	slowfs_delay(s, SLOWFS_READ, 4);
	write_after_read("slow device", slow, 3 * SMALL, SMALL, 4);
	MUST(io_destroy(ctx[0]) == 0 && io_destroy(ctx[1]) == 0);
	return check_done();
}

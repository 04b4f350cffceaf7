/* The file is pinned at io_submit: its descriptor is closed right afterwards
 * and the number given to another file, 10,000 times over all kinds of I/O.
 * No request may touch the other file, and each must end as if nothing had
 * happened to the descriptor. */
#include "life.h"

#define TAG_A 0xaaaa000000000000ULL	/* what the right file holds */
#define TAG_B 0xbbbb000000000000ULL	/* what the file that takes its number holds */
#define READ_FILE (4UL << 20)
#define BIG (1UL << 20)
#define WRITE_FILE (2 * BIG + 4096)	/* buffered writes, O_DIRECT writes, the byte FSYNC is for */
#define DEPTH 8

enum kind { CACHED, COLD, DIRECT_READ, DIRECT_WRITE, SMALL_WRITE, BIG_WRITE, SYNC, POLL, KINDS };
static const struct {
	const char *id, *name;
} kinds[KINDS] = {
	{ "pin/1", "cached read" },	  { "pin/2", "cold buffered read" },
	{ "3.7/17", "O_DIRECT read" },	  { "3.7/17", "O_DIRECT write" },
	{ "pin/3", "small buffered write" }, { "pin/4", "1 MiB buffered write" },
	{ "4.1/10", "FSYNC" },		  { "4.2/22", "poll of a pipe" },
};

/* One pair of files for reads, and one a request in flight for writes, so that
 * the writes of a round do not depend on each other's order. */
static int read_a, read_b, write_a[DEPTH], write_b[DEPTH], devnull;
static struct request {
	struct iocb cb;
	enum kind kind;
	int done, fd, pipe_wr;
	size_t len;
	off_t at;
	uint64_t tag;
	char *buf;
} req[DEPTH];
static long ran[KINDS], bad_event[KINDS], bad_data[KINDS], other_number;

/* Close the request's descriptor and have another file take its number. */
static void replace(struct request *q, int other, int flags, int turn)
{
	if (turn) {
		MUST(dup2(other, q->fd) == q->fd);
		return;
	}
	MUST(close(q->fd) == 0);
	int fd = flags < 0 ? dup(other) : reopen(other, flags);
	MUST(fd >= 0);
	other_number += fd != q->fd;
	q->fd = fd;
}

static void start(io_context_t ctx, struct request *q, int slot, long n)
{
	int other = -1, flags = O_RDWR, file = -1, p[2];

	q->done = 0;
	q->len = 4096;
	q->tag = TAG_A + ((uint64_t)n << 20);
	q->at = n * 7919 % (READ_FILE / 4096 - 16) * 4096;
	switch (q->kind) {
	case CACHED:
	case COLD:
		file = read_a, other = read_b, flags = O_RDONLY, q->tag = TAG_A;
		q->len = q->kind == COLD ? 65536 : 4096;
		break;
	case DIRECT_READ:
		file = read_a, other = read_b, flags = O_RDONLY | O_DIRECT, q->tag = TAG_A;
		break;
	case DIRECT_WRITE:
		flags = O_RDWR | O_DIRECT;
		/* fall through */
	case SMALL_WRITE:
	case BIG_WRITE:
		file = write_a[slot], other = write_b[slot];
		q->len = q->kind == BIG_WRITE ? BIG : 4096;
		q->at = q->kind == BIG_WRITE ? 0 : q->at % (off_t)BIG;
		q->at += q->kind == DIRECT_WRITE ? (off_t)BIG : 0;
		break;
	case SYNC:
		/* FSYNC of a /dev/null that took the number would be EINVAL. */
		file = write_a[slot], other = devnull, flags = -1;
		MUST(pwrite(file, "", 1, 2 * BIG) == 1);
		break;
	default:
		/* A file that took the number would be ready at once. */
		MUST(pipe2(p, O_CLOEXEC) == 0);
		q->fd = p[0], q->pipe_wr = p[1];
		other = read_b, flags = O_RDONLY;
	}
	if (q->kind != POLL)
		q->fd = reopen(file, flags < 0 ? O_RDWR : flags);
	MUST(q->fd >= 0);

	if (q->kind == SYNC) {
		io_prep_fsync(&q->cb, q->fd);
	} else if (q->kind == POLL) {
		io_prep_poll(&q->cb, q->fd, POLLIN);
	} else if (q->kind >= DIRECT_WRITE) {
		tag_fill(q->buf, q->len, q->tag, (uint64_t)q->at / 512);
		io_prep_pwrite(&q->cb, q->fd, q->buf, q->len, q->at);
	} else {
		memset(q->buf, 0, q->len);
		io_prep_pread(&q->cb, q->fd, q->buf, q->len, q->at);
		if (q->kind == COLD)
			posix_fadvise(q->fd, q->at, (off_t)q->len, POSIX_FADV_DONTNEED);
	}
	q->cb.data = (void *)(uintptr_t)n;
	MUST(submit1(ctx, &q->cb) == 1);
	replace(q, other, flags, n / KINDS % 2);
	if (q->kind == POLL)	/* EPIPE if the poll does not hold the pipe */
		bad_event[POLL] += write(q->pipe_wr, "x", 1) != 1;
	ran[q->kind]++;
}

static void finish(const struct io_event *ev)
{
	struct request *q = (struct request *)ev->obj;
	long want = q->kind == POLL ? POLLIN : q->kind == SYNC ? 0 : (long)q->len;
	long got = q->kind == POLL ? (long)(ev->res & (POLLIN | POLLNVAL)) : (long)ev->res;
	char *seen = q->buf;
	static char back[BIG];

	bad_event[q->kind] += got != want || ev->res2 != 0 || ev->data != q->cb.data || q->done++;
	if (q->kind >= DIRECT_WRITE && q->kind <= BIG_WRITE) {
		int fd = write_a[q - req];
		seen = back;
		MUST(pread(fd, back, q->len, q->at) == (ssize_t)q->len);
	}
	if (q->kind < SYNC)
		bad_data[q->kind] += tag_wrong(seen, q->len, q->tag, (uint64_t)q->at / 512) != 0;
	if (q->kind == POLL)
		close(q->pipe_wr);
	close(q->fd);
}

int main(int argc, char **argv)
{
	long total = argc > 1 ? atol(argv[1]) : 10000;
	long missing = 0, touched = 0;
	io_context_t ctx = NULL;
	struct io_event ev[DEPTH];

	signal(SIGPIPE, SIG_IGN);
	read_a = tagged_file(READ_FILE, TAG_A);
	read_b = tagged_file(READ_FILE, TAG_B);
	devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < DEPTH; i++) {
		write_a[i] = tagged_file(WRITE_FILE, TAG_A);
		write_b[i] = tagged_file(WRITE_FILE, TAG_B);
		req[i].buf = page_alloc(BIG);
	}
	MUST(io_setup(DEPTH, &ctx) == 0);

	/* Rounds of DEPTH requests; the kinds meet in changing company. */
	for (long n = 0; n < total; n += DEPTH) {
		for (int i = 0; i < DEPTH; i++) {
			req[i].kind = (enum kind)((n + n / DEPTH + i) % KINDS);
			start(ctx, &req[i], i, n + i);
		}
		long got = reap_all(ctx, DEPTH, ev, 20000);
		if (got < DEPTH) {
			missing = DEPTH - got;
			break;
		}
		for (int i = 0; i < DEPTH; i++)
			finish(&ev[i]);
	}
	for (int i = 0; i < DEPTH; i++)
		touched += file_wrong(write_b[i], WRITE_FILE, TAG_B);
	touched += file_wrong(read_b, READ_FILE, TAG_B);

	expect("pin/0", "events that never came", missing, 0);
	expect("pin/0", "descriptor numbers not reused at once", other_number, 0);
	for (int k = 0; k < KINDS; k++) {
		char label[80];
		snprintf(label, sizeof label, "%s: requests with a wrong event", kinds[k].name);
		expect(kinds[k].id, label, bad_event[k] + (ran[k] == 0), 0);
		snprintf(label, sizeof label, "%s: requests on the wrong file", kinds[k].name);
		if (k < SYNC)
			expect(kinds[k].id, label, bad_data[k], 0);
	}
	expect("pin/0", "words changed in the other files", touched, 0);
	expect("pin/0", "events left over", reap(ctx, 0, 1, ev, 0), 0);
	io_destroy(ctx);
	return check_done();
}

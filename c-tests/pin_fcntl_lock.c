/* POSIX record locks survive I/O. A process loses its fcntl locks on a file as
 * soon as it closes any descriptor of that file, so a library that keeps a file
 * alive by a dup of the program's descriptor, and closes the dup afterwards,
 * silently unlocks it. 10,000 requests of all kinds must not. */
#include "life.h"

#define FILE_SIZE (4UL << 20)
#define DIRECT_AT (3UL << 20)	/* O_DIRECT keeps clear of cached pages: FSYNC reports a collision as EIO */
#define DEPTH 16
enum { CACHED, COLD, DIRECT_READ, DIRECT_WRITE, WRITE, BIG_WRITE, READV, WRITEV, SYNC, DATASYNC, POLL, CLOSED, KINDS };

static int fd, direct;

/* What another process would meet in [start, start + len): F_UNLCK when the
 * range is free, otherwise the lock's type if this process's parent holds it. */
static int held(short want, off_t start, off_t len)
{
	struct flock l = { .l_type = want, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	if (fcntl(fd, F_GETLK, &l) < 0)
		return 99;
	if (l.l_type != F_UNLCK && l.l_pid != getppid())
		return 98;
	return l.l_type;
}
/* A bit for each lock that is still there as it was set. */
static int locks_seen(void *arg)
{
	(void)arg;
	return (held(F_RDLCK, 0, 4096) == F_WRLCK) | (held(F_WRLCK, 8192, 100) == F_RDLCK) << 1 |
	       (held(F_RDLCK, 8192, 100) == F_UNLCK) << 2 | (held(F_RDLCK, FILE_SIZE, 1) == F_WRLCK) << 3;
}
#define ALL_HELD 15
#define NONE_HELD 4

static void lock_range(short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
	MUST(fcntl(fd, F_SETLK, &l) == 0);
}

/* Every request goes through descriptors that stay open all along, except
 * CLOSED: its descriptor belongs to another file and is closed in flight, which
 * must not matter to this file's locks either. */
static void prepare(struct iocb *cb, long n, char *buf, struct iovec *iov)
{
	size_t len = 4096;
	off_t at = n * 7919 % 256 * 4096;

	iov[0] = (struct iovec){ buf, 512 };
	iov[1] = (struct iovec){ buf + 1024, 3584 };
	switch (n % KINDS) {
	case COLD:
		posix_fadvise(fd, at, 65536, POSIX_FADV_DONTNEED);
		len = 65536;
		/* fall through */
	case CACHED:
		io_prep_pread(cb, fd, buf, len, at);
		break;
	case DIRECT_READ:
		io_prep_pread(cb, direct, buf, len, (long)DIRECT_AT + at);
		break;
	case DIRECT_WRITE:
		io_prep_pwrite(cb, direct, buf, len, (long)DIRECT_AT + at);
		break;
	case WRITE:
		io_prep_pwrite(cb, fd, buf, len, at);
		break;
	case BIG_WRITE:
		io_prep_pwrite(cb, fd, buf, 1 << 20, 0);
		break;
	case READV:
		io_prep_preadv(cb, fd, iov, 2, at);
		break;
	case WRITEV:
		io_prep_pwritev(cb, fd, iov, 2, at);
		break;
	case SYNC:
		io_prep_fsync(cb, fd);
		break;
	case DATASYNC:
		io_prep_fdsync(cb, direct);
		break;
	case POLL:
		io_prep_poll(cb, fd, POLLIN);
		break;
	default:
		io_prep_pread(cb, temp_file(0), buf, len, 0);
	}
}
static long want_res(long n)
{
	switch (n % KINDS) {
	case COLD:
		return 65536;
	case BIG_WRITE:
		return 1 << 20;
	case SYNC:
	case DATASYNC:
	case CLOSED:
		return 0;
	case POLL:
		return POLLIN;
	default:
		return 4096;
	}
}

/* Requests first .. last-1, DEPTH at a time; how many went wrong. */
static long run(io_context_t ctx, char **buf, long first, long last, int resfd)
{
	struct iocb cb[DEPTH], *list[DEPTH];
	struct iovec iov[DEPTH][2];
	struct io_event ev[DEPTH];
	long wrong = 0;

	for (long n = first; n < last; n += DEPTH) {
		for (int i = 0; i < DEPTH; i++) {
			prepare(&cb[i], n + i, buf[i], iov[i]);
			cb[i].data = (void *)(uintptr_t)(n + i);
			if (i % 2)
				io_set_eventfd(&cb[i], resfd);
			list[i] = &cb[i];
		}
		MUST(io_submit(ctx, DEPTH, list) == DEPTH);
		for (int i = 0; i < DEPTH; i++)
			if ((n + i) % KINDS == CLOSED)
				close(cb[i].aio_fildes);
		if (reap_all(ctx, DEPTH, ev, 20000) != DEPTH)
			return -1;
		for (int i = 0; i < DEPTH; i++)
			wrong += (long)ev[i].res != want_res((long)(uintptr_t)ev[i].data);
	}
	return wrong;
}

int main(int argc, char **argv)
{
	long total = (argc > 1 ? atol(argv[1]) : 10000) / DEPTH * DEPTH, half = total / 2 / DEPTH * DEPTH;
	int resfd = eventfd(0, EFD_CLOEXEC);
	io_context_t ctx = NULL;
	char *buf[DEPTH];
	struct iocb cb;

	fd = tagged_file(FILE_SIZE, 0);
	direct = reopen(fd, O_RDWR | O_DIRECT);
	MUST(direct >= 0);
	for (int i = 0; i < DEPTH; i++)
		buf[i] = page_alloc(1 << 20);
	lock_range(F_WRLCK, 0, 4096);
	lock_range(F_RDLCK, 8192, 100);
	lock_range(F_WRLCK, FILE_SIZE, 0);
	expect("pin/5", "locks held at first", in_child(locks_seen, NULL), ALL_HELD);

	MUST(io_setup(DEPTH, &ctx) == 0);
	expect("pin/5", "locks held after io_setup", in_child(locks_seen, NULL), ALL_HELD);
	expect("pin/5", "requests gone wrong, first half", run(ctx, buf, 0, half, resfd), 0);
	expect("pin/5", "locks held midway", in_child(locks_seen, NULL), ALL_HELD);
	expect("pin/5", "requests gone wrong, second half", run(ctx, buf, half, total, resfd), 0);
	expect("pin/5", "locks held at the end", in_child(locks_seen, NULL), ALL_HELD);

	/* One accepted request nobody reaps, then the context goes. */
	io_prep_pread(&cb, direct, buf[0], 4096, DIRECT_AT);
	MUST(submit1(ctx, &cb) == 1);
	expect("pin/5", "io_destroy", io_destroy(ctx), 0);
	expect("pin/5", "locks held after io_destroy", in_child(locks_seen, NULL), ALL_HELD);

	/* Proof that the child would notice: closing a dup does unlock. */
	close(dup(fd));
	expect("pin/5", "locks gone after the program closes a dup", in_child(locks_seen, NULL), NONE_HELD);
	return check_done();
}

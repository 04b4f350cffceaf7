/* RLIMIT_FSIZE: SIGXFSZ goes to the thread that submits, inside io_submit. */
#include "submit_util.h"
#include <pthread.h>

#define LIMIT 8192

static int fd;
static struct seen {
	long res, size;
	int signals, own, after, submitted;
} *seen;

static pid_t submitter;
static volatile sig_atomic_t signals, own;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
	own += gettid() == submitter;
}

/* The limit comes after io_setup: threads that the library may have obey it too. */
static long write_16(long long offset)
{
	static char buf[16] = "0123456789abcdef";
	struct rlimit limit = { LIMIT, LIMIT };
	struct iocb cb;
	struct io_event ev;
	struct stat st;
	io_context_t ctx = new_ctx(4);
	MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	prep(&cb, IO_CMD_PWRITE, fd, buf, 16, offset);
	submitter = gettid();
	if (submit1(ctx, &cb) != 1)
		return NO_EVENT;
	seen->submitted = 1;
	seen->signals = signals;
	seen->own = own;
	seen->res = reap(ctx, 1, 1, &ev, 10000) == 1 ? (long)ev.res : NO_EVENT;
	seen->after = signals;
	MUST(fstat(fd, &st) == 0);
	seen->size = st.st_size;
	return seen->res;
}

static void at_limit(void)
{
	write_16(LIMIT);
}
static void handled(void)
{
	signal(SIGXFSZ, on_signal);
	write_16(LIMIT);
}
static void ignored(void)
{
	signal(SIGXFSZ, SIG_IGN);
	write_16(LIMIT);
}
static void crossing(void)
{
	signal(SIGXFSZ, on_signal);
	write_16(LIMIT - 6);
}
static void *idle(void *unused)
{
	pause();
	return unused;
}
static void with_threads(void)
{
	pthread_t t;
	signal(SIGXFSZ, on_signal);
	for (int i = 0; i < 4; i++)
		MUST(pthread_create(&t, NULL, idle, NULL) == 0);
	write_16(LIMIT + 100);
}

static int run(void (*fn)(void))
{
	memset(seen, 0, sizeof *seen);
	MUST(ftruncate(fd, 0) == 0);
	return in_child(fn);
}

/* One io_submit of `n` writes of 512 bytes at `offset`. */
static struct {
	int fd, n, rw_flags;
	long long offset[2];
} job;

static void write_all(void)
{
	struct rlimit limit = { LIMIT, LIMIT };
	struct iocb cb[2], *list[2] = { cb, cb + 1 };
	struct io_event ev[2];
	io_context_t ctx = new_ctx(4);
	void *buf;

	signal(SIGXFSZ, on_signal);
	MUST(posix_memalign(&buf, 4096, 512) == 0 && setrlimit(RLIMIT_FSIZE, &limit) == 0);
	memset(buf, 'w', 512);
	for (int i = 0; i < job.n; i++) {
		prep(list[i], IO_CMD_PWRITE, job.fd, buf, 512, job.offset[i]);
		list[i]->aio_rw_flags = job.rw_flags;
	}
	submitter = gettid();
	seen->submitted = io_submit(ctx, job.n, list);
	seen->signals = signals;
	seen->own = own;
	MUST(reap(ctx, job.n, job.n, ev, 10000) == job.n);
	for (int i = 0; i < job.n; i++)
		if (ev[i].obj == list[job.n - 1])
			seen->res = (long)ev[i].res;
	seen->after = signals;
}

/* The last of them is at the limit. */
static void last_is_stopped(const char *what, int fd, int rw_flags, int n, long long first, long long last, long size)
{
	char label[128];
	struct stat st;

	memset(seen, 0, sizeof *seen);
	job.fd = fd;
	job.rw_flags = rw_flags;
	job.n = n;
	job.offset[0] = n > 1 ? first : last;
	job.offset[1] = last;
	MUST(ftruncate(fd, size) == 0);
	snprintf(label, sizeof label, "%s: killed by", what);
	expect_child("3.5/11", label, in_child(write_all), 0);
	snprintf(label, sizeof label, "%s: io_submit", what);
	expect("3.5/11", label, seen->submitted, n);
	snprintf(label, sizeof label, "%s: event of the last", what);
	check_str("3.5/11", label, run_str(seen->res), "EV EFBIG");
	snprintf(label, sizeof label, "%s: signals in the submitting thread", what);
	expect("3.5/11", label, seen->own, 1);
	snprintf(label, sizeof label, "%s: signals in all", what);
	expect("3.5/11", label, seen->after, 1);
	snprintf(label, sizeof label, "%s: file size", what);
	MUST(fstat(fd, &st) == 0);
	expect("3.5/11", label, st.st_size, LIMIT);
}

/* A write, one with a bad buffer that is put off, and one that the limit may stop. */
static void in_order(void)
{
	static char buf[512];
	struct rlimit limit = { LIMIT, LIMIT };
	struct iocb cb[3], *list[3] = { cb, cb + 1, cb + 2 };
	struct io_event ev[3];
	io_context_t ctx = new_ctx(4);
	int good = 0;

	MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	for (int i = 0; i < 20; i++) {
		prep(&cb[0], IO_CMD_PWRITE, fd, buf, sizeof buf, 0);
		prep(&cb[1], IO_CMD_PWRITE, job.fd, unmapped_addr(), sizeof buf, 0);
		prep(&cb[2], IO_CMD_PWRITE, fd, buf, 1, 0);
		cb[2].aio_rw_flags = 0x10;
		MUST(io_submit(ctx, 3, list) == 3 && reap(ctx, 3, 3, ev, 10000) == 3);
		good += ev[0].obj == &cb[0] && ev[1].obj == &cb[1] && ev[2].obj == &cb[2];
	}
	seen->res = good;
}

/* Where a write is put off, be it for the disk or for the write before it. */
static void put_off(void)
{
	int direct = temp_file(0), append, sync;
	char path[64];

	MUST(direct >= 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	sync = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	append = open(path, O_RDWR | O_APPEND | O_SYNC | O_CLOEXEC);
	MUST(sync >= 0 && append >= 0);
	last_is_stopped("behind a synchronous write", sync, 0, 2, 0, LIMIT, LIMIT);
	last_is_stopped("appended behind a synchronous write", append, 0, 2, 0, 0, LIMIT - 512);
	last_is_stopped("RWF_APPEND behind another", fd, 0x10 | 0x2, 2, 0, 0, LIMIT - 512);
	job.fd = sync;
	expect_child("3.5/11", "behind a refused one: killed by", run(in_order), 0);
	expect("3.5/11", "behind a refused one, 20 times: the events in order", seen->res, 20);
	/* (Buffered, where the file system has no O_DIRECT.) */
	snprintf(path, sizeof path, "/proc/self/fd/%d", direct);
	append = open(path, O_RDWR | O_APPEND | O_DIRECT | O_CLOEXEC);
	if (append < 0)
		append = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	MUST(append >= 0);
	last_is_stopped("O_APPEND and O_DIRECT", append, 0, 1, 0, 0, LIMIT);
	last_is_stopped("O_APPEND and O_DIRECT, behind another", append, 0, 2, 0, 0, LIMIT - 512);
}

int main(void)
{
	fd = temp_file(0);
	seen = shared_alloc(PAGE);
	expect_child("3.5/11", "write at the limit, default action: killed by", run(at_limit), SIGXFSZ);
	expect("3.5/11", "io_submit returned", seen->submitted, 0);
	expect_child("3.5/11", "write at the limit, handled: killed by", run(handled), 0);
	check_str("3.5/11", "its event", run_str(seen->res), "EV EFBIG");
	expect("3.5/11", "signals before io_submit returned", seen->signals, 1);
	expect("3.5/11", "of these in the submitting thread", seen->own, 1);
	expect("3.5/11", "signals in all", seen->after, 1);
	expect("3.5/11", "file size", seen->size, 0);
	expect_child("3.5/11", "beyond the limit, several threads: killed by", run(with_threads), 0);
	check_str("3.5/11", "its event", run_str(seen->res), "EV EFBIG");
	expect("3.5/11", "signals in the submitting thread", seen->own, 1);
	expect_child("3.5/11", "write at the limit, ignored: killed by", run(ignored), 0);
	check_str("3.5/11", "its event", run_str(seen->res), "EV EFBIG");
	expect_child("3.5/11", "write across the limit: killed by", run(crossing), 0);
	check_str("3.5/11", "its event", run_str(seen->res), "EV 6");
	expect("3.5/11", "signals", seen->after, 0);
	expect("3.5/11", "file size", seen->size, LIMIT);
	put_off();
	return check_done();
}

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
	return check_done();
}

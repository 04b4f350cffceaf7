/* SIGPIPE and SIGXFSZ of a write go to the thread that submits it, before
 * io_submit returns; the event tells the error. */
#include "direct_rules.h"
#include <pthread.h>
#include <sys/resource.h>

static io_context_t ctx;
static volatile pid_t handler_tid;
static volatile int handled, calls;
static struct iocb cb;
static struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
static int handled_at_return, submitted;
static pid_t submitter;

static void on_signal(int sig)
{
	handled = sig;
	calls++;
	handler_tid = (pid_t)syscall(SYS_gettid);
}
static void *submit_there(void *unused)
{
	submitter = (pid_t)syscall(SYS_gettid);
	submitted = submit1(ctx, &cb);
	handled_at_return = handled;
	return unused;
}
/* RLIMIT_FSIZE, but not for what the test prints. */
static void limited(int on)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	MUST(!setrlimit(RLIMIT_FSIZE, on ? &limit : &none));
}
/* cb is submitted by a thread; the main thread could take the signal as well. */
static void signalled(const char *what, int sig, long want)
{
	char label[128];
	pthread_t t;
	long got;

	handled = 0;
	handler_tid = 0;
	limited(1);
	MUST(!pthread_create(&t, NULL, submit_there, NULL) && !pthread_join(t, NULL));
	got = event_of(ctx, &cb, 10000);
	limited(0);
	snprintf(label, sizeof label, "%s: io_submit", what);
	expect("3.10/0", label, submitted, 1);
	snprintf(label, sizeof label, "%s: signal before it returned", what);
	expect("3.10/0", label, handled_at_return, sig);
	snprintf(label, sizeof label, "%s: to the submitting thread", what);
	expect_true("3.10/0", label, handler_tid == submitter);
	snprintf(label, sizeof label, "%s: event", what);
	check_str("3.10/0", label, run_str(got), run_str(want));
}

/* Two in one call: the kernel's signals are one by the time they are delivered. */
static void two_at_once(int pipe, char *buf)
{
	struct iocb two[2], *list[2] = { two, two + 1 };
	struct io_event ev[2];

	io_prep_pwrite(two, pipe, buf, 4, 0);
	io_prep_pwrite(two + 1, pipe, buf, 4, 0);
	calls = 0;
	expect("3.10/0", "two writes, pipe without reader: io_submit", io_submit(ctx, 2, list), 2);
	expect_may_differ("3.10/0", "handler calls", calls, 1, 2);
	expect("3.10/0", "events", reap(ctx, 2, 2, ev, 10000), 2);
	expect_true("3.10/0", "both -EPIPE", (long)ev[0].res == -EPIPE && (long)ev[1].res == -EPIPE);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	char *buf = aligned_alloc(4096, 1 << 20);
	int fd = pattern_file(O_RDWR, 65536), dfd = pattern_file(O_RDWR | O_DIRECT, 65536), p[2];
	long got;

	MUST(fd >= 0 && !pipe(p) && !close(p[0]) && io_setup(8, &ctx) == 0);
	if (dfd < 0)
		skip("no O_DIRECT in AIO_TEST_DIR");
	memset(buf, 's', 1 << 20);
	MUST(!sigaction(SIGPIPE, &sa, NULL) && !sigaction(SIGXFSZ, &sa, NULL));
	io_prep_pwrite(&cb, p[1], buf, 4, 0);
	signalled("pipe without reader", SIGPIPE, -EPIPE);
	io_prep_pwrite(&cb, p[1], buf, 1 << 20, 0);
	signalled("pipe without reader, 1 MiB", SIGPIPE, -EPIPE);
	two_at_once(p[1], buf);

	limit.rlim_cur = 65536;
	io_prep_pwrite(&cb, fd, buf, 4096, 65536);
	signalled("write at RLIMIT_FSIZE", SIGXFSZ, -EFBIG);
	io_prep_pwrite(&cb, fd, buf, 1 << 20, 65536);
	signalled("1 MiB write at RLIMIT_FSIZE", SIGXFSZ, -EFBIG);
	io_prep_pwrite(&cb, dfd, buf, 4096, 65536);
	signalled("O_DIRECT write at RLIMIT_FSIZE", SIGXFSZ, -EFBIG);
	/* no signal: a write that crosses the limit is cut */
	handled = 0;
	io_prep_pwrite(&cb, fd, buf, 8192, 65536 - 4096);
	limited(1);
	got = run1(ctx, &cb);
	limited(0);
	check_str("3.10/0", "write across RLIMIT_FSIZE: short", run_str(got), run_str(4096));
	expect("3.10/0", "write across RLIMIT_FSIZE: no signal", handled, 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

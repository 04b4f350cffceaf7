/* A process ends, in every way, with I/O at the device or a poll pending. It
 * always ends; the kernel keeps it until its I/O is done and signals eventfds
 * that another process shares. aio-rs does that for exit(), and for _exit where it
 * stands in front of libc; after a signal nobody waits, and nobody is left to
 * signal. */
#include "slowfs.h"
#include "life.h"

enum end { EXIT, UNDERSCORE, KILLED, ABORT, ENDS };
static const char *const end_names[ENDS] = { "exit()", "_exit", "SIGKILL", "abort" };
static const int end_codes[ENDS] = { 5, 5, DIED(SIGKILL), DIED(SIGABRT) };

static struct slowfs *s;
static struct iocb request;

static void leave(enum end how)
{
	switch (how) {
	case EXIT:
		exit(5);
	case UNDERSCORE:
		_exit(5);
	case KILLED:
		raise(SIGKILL);
		break;
	default:
		signal(SIGABRT, SIG_DFL);
		abort();
	}
}
static int child(void *arg)
{
	unsigned seen = slowfs_seen(s, SLOWFS_READ);
	io_context_t ctx = NULL;

	MUST(io_setup(8, &ctx) == 0 && submit1(ctx, &request) == 1);
	if (request.aio_lio_opcode == IO_CMD_PREAD)
		slowfs_wait(s, SLOWFS_READ, seen + 1);
	leave((enum end)(intptr_t)arg);
	return 1;
}

/* Never without a read in flight: exit() waits for those that it finds, not for
 * the last. */
static void *reader(void *arg)
{
	io_context_t ctx = arg;
	struct io_event ev;

	for (int i = 0; i < 8; i++) {
		usleep(4000);
		submit1(ctx, &request);
	}
	for (;;)
		if (reap(ctx, 1, 1, &ev, 1000) == 1)
			submit1(ctx, &request);
	return NULL;
}
static int exit_while_reading(void *arg)
{
	unsigned seen = slowfs_seen(s, SLOWFS_READ);
	io_context_t ctx = NULL;
	pthread_t t;

	(void)arg;
	MUST(io_setup(32, &ctx) == 0 && pthread_create(&t, NULL, reader, ctx) == 0);
	MUST(slowfs_wait(s, SLOWFS_READ, seen + 16));
	exit(5);
}

/* A handler ends the process, wherever it has interrupted it. */
static enum end by;
static void on_alarm(int sig)
{
	(void)sig;
	leave(by);
}
static int ended_by_handler(void *arg)
{
	struct iocb cb[16], *list[16];
	struct io_event ev[16];
	io_context_t ctx = NULL;
	int fd = pattern_file(O_RDWR | O_DIRECT, 65536);
	char *buf = page_alloc(65536);

	by = (enum end)(intptr_t)arg;
	MUST(fd >= 0 && io_setup(64, &ctx) == 0);
	for (int i = 0; i < 16; i++) {
		io_prep_pread(&cb[i], fd, buf + i * 4096, 4096, i * 4096);
		list[i] = &cb[i];
	}
	signal(SIGALRM, on_alarm);
	ualarm(1000 + (useconds_t)(now_ms() % 7) * 300, 0);
	for (;;) {
		io_submit(ctx, 16, list);
		reap(ctx, 16, 16, ev, 0);
	}
}

int main(void)
{
	int fd, never = eventfd(0, EFD_CLOEXEC), resfd = eventfd(0, EFD_CLOEXEC);
	char *buf = page_alloc(4096), label[96];

	s = slowfs_start(1, 1 << 20);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	slowfs_delay(s, SLOWFS_READ, 300);
#define LABEL(what, x) (snprintf(label, sizeof label, "%s, %s: %s", what, end_names[how], x), label)
	for (int how = 0; how < ENDS; how++) {
		long from = now_ms(), took, count;

		io_prep_pread(&request, fd, buf, 4096, 4096);
		io_set_eventfd(&request, resfd);
		expect("9/11", LABEL("read of 300 ms", "end"), in_child(child, (void *)(intptr_t)how), end_codes[how]);
		took = now_ms() - from;
		count = eventfd_take(resfd);
		if (how == EXIT) {
			expect_between("9/11", LABEL("read of 300 ms", "reaped after (ms)"), took, 299, 9000);
			expect("9/13", LABEL("read of 300 ms", "eventfd"), count, 1);
		} else {
			int waits = how == UNDERSCORE && in_front();
			expect_documented("9/11", LABEL("read of 300 ms", "reaped when it is done"),
					  took >= 299 && took < 9000, took >= 299 * waits && took < 9000);
			expect_may_differ("9/13", LABEL("read of 300 ms", "eventfd"), count, 1, waits);
		}
	}
	for (int how = 0; how < ENDS; how++) {
		long from = now_ms(), count;

		io_prep_poll(&request, never, POLLIN);
		io_set_eventfd(&request, resfd);
		expect("9/12", LABEL("pending poll", "end"), in_child(child, (void *)(intptr_t)how), end_codes[how]);
		expect_between("9/12", LABEL("pending poll", "reaped after (ms)"), now_ms() - from, 0, 9000);
		count = eventfd_take(resfd);
		if (how == EXIT)
			expect("9/12", LABEL("pending poll", "eventfd"), count, 1);
		else
			expect_may_differ("9/12", LABEL("pending poll", "eventfd"), count, 1, how == UNDERSCORE && in_front());
	}
	slowfs_delay(s, SLOWFS_READ, 30);
	io_prep_pread(&request, fd, buf, 4096, 4096);
	long from = now_ms(), ended = 0;
	for (int i = 0; i < 5; i++)
		ended += in_child(exit_while_reading, NULL) == 5;
	expect("9/11", "another thread reads on, 5 times: exit", ended, 5);
	expect_between("9/11", "another thread reads on, 5 times (ms)", now_ms() - from, 0, 5000);
	for (int how = EXIT; how <= UNDERSCORE; how++) {
		ended = 0;
		for (int i = 0; i < 15; i++)
			ended += in_child(ended_by_handler, (void *)(intptr_t)how) == 5;
		expect("9/11", LABEL("called by a handler that interrupts io_submit", "15 times"), ended, 15);
	}
	/* None of it hangs on: the device is free and a context works. */
	io_context_t ctx = NULL;
	slowfs_delay(s, SLOWFS_READ, 0);
	MUST(io_setup(8, &ctx) == 0);
	io_prep_pread(&request, fd, buf, 4096, 4096);
	expect_event("9/11", "a read of another process afterwards", ctx, &request, 4096);
	slowfs_stop(s);
	return check_done();
}

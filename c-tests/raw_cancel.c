/* syscall(2) and pthread_cancel: no cancellation point; but a thread that asks for
 * asynchronous cancellation is ended while it sleeps in a call, and all that it
 * has to clean up is cleaned up. */
#include "check.h"
/* Declared as a function that throws nothing, it would not be cleaned up behind
 * (-fexceptions). */
static long (*volatile may_unwind)(long, ...) = syscall;
#define syscall may_unwind
#include "raw.h"
#include "wait_util.h"

static int pipes[2], fd;
static io_context_t ctx;

enum { READ, GETEVENTS, PGETEVENTS };
static const char *const names[] = { "read", "io_getevents", "io_pgetevents" };

static long call(int which)
{
	char byte;
	struct io_event ev;
	sigset_t none;
	struct raw_sigset usig = { &none, 8 };

	sigemptyset(&none);
	if (which == READ)
		return RAW(SYS_read, pipes[0], &byte, 1UL);
	if (which == GETEVENTS)
		return raw_getevents(ctx, 1, 1, &ev, NULL);
	return raw_pgetevents(ctx, 1, 1, &ev, NULL, &usig);
}

static int pushed_ran, scope_left;
static void push(void *arg)
{
	(void)arg;
	pushed_ran++;
}
static void leave(int *arg)
{
	scope_left += *arg;
}

static volatile pid_t tid;
static volatile long answer;
static int asynchronous;
static void __attribute__((noinline)) in_scope(int which)
{
	int mark __attribute__((cleanup(leave))) = 1;

	tid = (pid_t)syscall(SYS_gettid);
	answer = call(which);
}
static void *thread_main(void *which)
{
	if (asynchronous)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cleanup_push(push, NULL);
	in_scope((int)(long)which);
	pthread_testcancel();
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancelled(int which, int async)
{
	pthread_t t;
	void *end;
	char line[96];
	struct iocb cb;
	char buf[16];

	asynchronous = async;
	tid = 0;
	answer = 99;
	pushed_ran = scope_left = 0;
	MUST(!pthread_create(&t, NULL, thread_main, (void *)(long)which));
	while (!tid)
		usleep(100);
	asleep(tid);
	MUST(!pthread_cancel(t));
	if (!async) {
		usleep(50000);
		snprintf(line, sizeof line, "%s, deferred: sleeps on", names[which]);
		expect("15/9", line, answer, 99);
		if (which == READ)
			MUST(write(pipes[1], "x", 1) == 1);
		io_prep_pread(&cb, fd, buf, 16, 0);
		if (which != READ)
			MUST(raw_submit1(ctx, &cb) == 1);
	}
	MUST(!pthread_join(t, &end));
	snprintf(line, sizeof line, "%s, %s: it was cancelled", names[which], async ? "asynchronous" : "deferred");
	expect_true("15/9", line, end == PTHREAD_CANCELED);
	snprintf(line, sizeof line, "%s: what the call said", names[which]);
	expect("15/9", line, answer, async ? 99 : 1);
	snprintf(line, sizeof line, "%s: cleaned up", names[which]);
	expect("15/9", line, pushed_ran * 10 + scope_left, 11);
}

int main(void)
{
	fd = pattern_file(O_RDWR, 4096);
	MUST(!pipe(pipes) && raw_setup(8, &ctx) == 0);
	for (int async = 0; async < 2; async++)
		for (int which = READ; which <= PGETEVENTS; which++)
			cancelled(which, async);
	/* Nothing is left behind that would be in somebody's way. */
	expect("15/9", "the context works", raw_read(ctx, fd), 16);
	expect("15/9", "io_destroy", raw_destroy(ctx), 0);
	return check_done();
}

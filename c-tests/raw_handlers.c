/* syscall(2) and signals: calls of all kinds in a handler that interrupted
 * others; what a handler interrupts; and the way out of it by unwinding. */
#include "raw.h"
#include "wait_util.h"
#include <execinfo.h>
#include <sys/time.h>

static int fd;
static io_context_t main_ctx, handler_ctx;

/* A handler that does all that a thread does, on a context of its own. */
static volatile long runs, wrong;
static void works(int sig)
{
	int saved = errno;
	struct io_event ev;

	(void)sig;
	runs++;
	wrong += RAW(SYS_getpid) != getpid();
	wrong += RAW(SYS_close, -1) != -EBADF;
	wrong += raw_read(handler_ctx, fd) != 16;
	wrong += raw_getevents(main_ctx, 2, 1, &ev, &at_once) != -EINVAL;
	wrong += raw_submit(NULL, 1, NULL) != -EINVAL;
	errno = saved;
}

static void under_fire(void)
{
	struct itimerval every = { { 0, 300 }, { 0, 300 } }, never = { 0 };
	long bad = 0, until = now_ms() + 400;

	on_signal(SIGALRM, works, SA_RESTART);
	setitimer(ITIMER_REAL, &every, NULL);
	while (now_ms() < until || runs < 20) {
		char buf[16];
		struct io_event ev;
		struct iocb cb;
		io_context_t own = NULL;

		bad += RAW(SYS_getppid) != getppid();
		bad += RAW(SYS_close, -1) != -EBADF;
		io_prep_pread(&cb, fd, buf, 16, 0);
		bad += raw_submit1(main_ctx, &cb) != 1;
		long r;
		do
			r = raw_getevents(main_ctx, 1, 1, &ev, NULL);
		while (r == -EINTR);
		bad += r != 1 || ev.res != 16;
		if (runs % 16 == 0)
			bad += raw_setup(8, &own) != 0 || raw_destroy(own) != 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	expect("15/8", "wrong answers in the handler", wrong, 0);
	expect("15/8", "wrong answers under it", bad, 0);
}

/* Asleep in a call, by number; then a signal. */
static int pipes[2];
static __attribute__((noinline)) long asleep_in(int call)
{
	char byte;
	struct io_event ev;

	switch (call) {
	case 0:
		return RAW(SYS_pselect6, 0, NULL, NULL, NULL, NULL, NULL);
	case 1:
		return RAW(SYS_read, pipes[0], &byte, 1UL);
	default:
		return raw_getevents(main_ctx, 1, 1, &ev, NULL);
	}
}
static volatile pid_t sleeper;
static void *sleep_main(void *call)
{
	sleeper = (pid_t)syscall(SYS_gettid);
	volatile long answer = asleep_in((int)(long)call); /* no tail call: a frame to find */
	return (void *)answer;
}
static long interrupted(int call, int flags, void (*handler)(int))
{
	pthread_t t;
	void *answer;

	handled = 0;
	sleeper = 0;
	on_signal(SIGUSR1, handler, flags);
	MUST(!pthread_create(&t, NULL, sleep_main, (void *)(long)call));
	while (!sleeper)
		usleep(100);
	asleep(sleeper);
	MUST(!pthread_kill(t, SIGUSR1));
	if (call == 1 && flags) {
		usleep(20000);
		MUST(write(pipes[1], "x", 1) == 1);
	}
	pthread_join(t, &answer);
	return (long)answer;
}

/* Is the sleeping function among the frames? */
static volatile int found;
static void unwinds(int sig)
{
	void *frames[64];
	int n = backtrace(frames, 64);

	(void)sig;
	for (int i = 0; i < n; i++) {
		long in_main = (char *)frames[i] - (char *)sleep_main;
		found |= in_main > 0 && in_main < 200;
	}
}

int main(void)
{
	void *frame[1];

	backtrace(frame, 1); /* loads libgcc, which is not for handlers */
	fd = pattern_file(O_RDWR, 4096);
	MUST(raw_setup(8, &main_ctx) == 0 && raw_setup(8, &handler_ctx) == 0 && !pipe(pipes));
	under_fire();

	expect("15/8", "pselect6, SA_RESTART", interrupted(0, SA_RESTART, count_signal), -EINTR);
	expect("15/8", "read", interrupted(1, 0, count_signal), -EINTR);
	expect("15/8", "read, SA_RESTART", interrupted(1, SA_RESTART, count_signal), 1);
	expect("15/8", "io_getevents", interrupted(2, 0, count_signal), -EINTR);
	expect("15/8", "io_getevents, SA_RESTART", interrupted(2, SA_RESTART, count_signal), -EINTR);

	interrupted(0, 0, unwinds);
	expect("15/8", "a handler finds its way out of pselect6", found, 1);
	found = 0;
	interrupted(2, 0, unwinds);
	expect("15/8", "and out of io_getevents", found, 1);
	expect("15/1", "io_destroy", raw_destroy(main_ctx) + raw_destroy(handler_ctx), 0);
	return check_done();
}

/* A signal while io_submit waits for an empty pipe: the kernel ends the
 * operation with EINTR and goes on with the next; on aio-rs nothing waits, and
 * the signal does nothing. */
#include "events.h"
#include <pthread.h>
#include <sys/wait.h>

static io_context_t ctx;
static volatile int handled, returned;

static void on_signal(int sig)
{
	(void)sig;
	handled = 1;
}

/* After 100 ms, and again in case the first came too early to interrupt. */
static void *signaller(void *target)
{
	while (!returned) {
		usleep(100000);
		if (!returned)
			pthread_kill(*(pthread_t *)target, SIGUSR1);
	}
	return NULL;
}

/* Submit n iocbs, of which one waits; a signal comes. */
static int submit_signalled(struct iocb **list, int n)
{
	pthread_t self = pthread_self(), t;
	int r;

	handled = returned = 0;
	MUST(on_ours() || !pthread_create(&t, NULL, signaller, &self));
	r = io_submit(ctx, n, list);
	returned = 1;
	if (on_ours())
		raise(SIGUSR1);
	else
		pthread_join(t, NULL);
	return r;
}

static void one(const char *label, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	struct iocb cb, *list[1] = { &cb };
	char b[8], text[64];
	int p[2];
	long got;

	MUST(!sigaction(SIGUSR1, &sa, NULL) && !pipe(p));
	io_prep_pread(&cb, p[0], b, 8, 0);
	snprintf(text, sizeof text, "%s: io_submit", label);
	expect("3.10/11", text, submit_signalled(list, 1), 1);
	snprintf(text, sizeof text, "%s: handler ran", label);
	expect("3.10/11", text, handled, 1);
	got = event_of(ctx, &cb, on_ours() ? 50 : 0);
	if (got == NO_EVENT) { /* it is not the signal that ends it */
		MUST(write(p[1], "four", 4) == 4);
		got = event_of(ctx, &cb, 10000);
	}
	snprintf(text, sizeof text, "%s: event", label);
	expect_differs("3.10/11", text, got, -EINTR, 4);
	close(p[0]);
	close(p[1]);
}

static void middle_of_three(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct iocb cb[3], *list[3] = { cb, cb + 1, cb + 2 };
	int fd = pattern_file(O_RDWR, 4096), p[2], n;
	long res_of[3] = { NO_EVENT, NO_EVENT, NO_EVENT }, from = now_ms(), took;
	struct io_event ev[3];
	char b[3][8];

	MUST(!sigaction(SIGUSR1, &sa, NULL) && !pipe(p));
	io_prep_pread(cb, fd, b[0], 4, 0);
	io_prep_pread(cb + 1, p[0], b[1], 8, 0);
	io_prep_pread(cb + 2, fd, b[2], 4, 8);
	expect("3.10/12", "three, the middle one a pipe: io_submit", submit_signalled(list, 3), 3);
	took = now_ms() - from;
	expect_differs("3.10/12", "it waited until the signal", took >= (on_ours() ? 5000 : 99), 1, 0);
	if (on_ours()) {
		usleep(50000);
		MUST(write(p[1], "four", 4) == 4);
	}
	n = reap(ctx, 3, 3, ev, on_ours() ? 10000 : 0);
	expect("3.10/12", "events", n, 3);
	for (int i = 0; i < n; i++)
		res_of[ev[i].obj - cb] = (long)ev[i].res;
	expect("3.10/12", "first", res_of[0], 4);
	expect_differs("3.10/12", "middle", res_of[1], -EINTR, 4);
	expect("3.10/12", "third", res_of[2], 4);
	expect_true("3.10/12", "the kernel's events are in order", on_ours() || (ev[0].obj == cb && ev[1].obj == cb + 1));
}

/* SIGKILL: the process is gone, whatever it waited for. */
static void killed(void)
{
	int p[2], up[2], st = 0;
	struct iocb cb;
	char b[8];
	pid_t pid;

	MUST(!pipe(p) && !pipe(up));
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		io_context_t own = 0;
		MUST(io_setup(8, &own) == 0);
		io_prep_pread(&cb, p[0], b, 8, 0);
		MUST(write(up[1], "u", 1) == 1);
		submit1(own, &cb);
		pause();
	}
	MUST(read(up[0], b, 1) == 1);
	usleep(100000);
	expect("3.10/13", "not gone before", waitpid(pid, &st, WNOHANG), 0);
	kill(pid, SIGKILL);
	for (long end = now_ms() + 10000; !waitpid(pid, &st, WNOHANG) && now_ms() < end;)
		usleep(1000);
	expect_true("3.10/13", "killed in io_submit of an empty pipe: gone", WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
}

int main(void)
{
	MUST(io_setup(8, &ctx) == 0);
	one("signal", 0);
	one("signal, SA_RESTART", SA_RESTART);
	middle_of_three();
	killed();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

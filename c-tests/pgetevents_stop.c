/* SIGSTOP and SIGCONT, without a handler, around io_pgetevents: with nothing
 * collected it starts anew with its full timeout, unlike io_getevents. aio-rs
 * goes on with the rest of its time.
 */
#include "wait_util.h"

#define TIMEOUT_MS 500
#define LONG_MS (on_ours() ? 1000 : 20000)
#define STOP_MS 150
static struct {
	volatile int got, there, go;
	volatile long began, ended; /* CLOCK_MONOTONIC, ms */
} *s;

static int wait_in_child(void *arg)
{
	long ms = s->there ? LONG_MS : TIMEOUT_MS;
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	struct io_event ev[8];
	io_context_t ctx = NULL;
	sigset_t none;

	(void)arg;
	sigemptyset(&none);
	new_context(8, &ctx);
	if (s->there)
		fill(ctx, s->there, 1);
	s->began = now_ms();
	s->go = 1;
	s->got = io_pgetevents(ctx, s->there + 2, 8, ev, &ts, &none);
	s->ended = now_ms();
	return s->got > 0 && !in_order(ev, s->got, 1);
}

/* The child was stopped in io_pgetevents; when it was continued. */
static long stopped_waiter(const char *label, int there, int want)
{
	char line[128];
	pid_t pid;
	int status;
	long cont;

	memset(s, 0, sizeof *s);
	s->there = there;
	pid = fork_child(wait_in_child, NULL);
	while (!s->go && task_state(pid) != 'Z')
		usleep(1000);
	asleep(pid);
	MUST(kill(pid, SIGSTOP) == 0);
	MUST(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	usleep(STOP_MS * 1000);
	cont = now_ms();
	MUST(kill(pid, SIGCONT) == 0);
	snprintf(line, sizeof line, "%s: child ended well", label);
	expect("6/14", line, child_end(pid, 30000), 0);
	snprintf(line, sizeof line, "%s: io_pgetevents", label);
	expect("6/14", line, s->got, want);
	return cont;
}

int main(void)
{
	long cont;

	s = shared_alloc(4096);
	cont = stopped_waiter("nothing collected", 0, 0);
	expect_documented("6/14", "the full timeout after SIGCONT (kernel), the rest of it (aio-rs)",
			  s->ended - cont >= TIMEOUT_MS && s->ended - s->began >= TIMEOUT_MS + STOP_MS,
			  s->ended - s->began >= TIMEOUT_MS);
	cont = stopped_waiter("2 collected of 4", 2, 2);
	expect_documented("6/14", "at SIGCONT (kernel), at the timeout (aio-rs)", s->ended - cont < 15000,
			  s->ended - s->began >= LONG_MS);
	return check_done();
}

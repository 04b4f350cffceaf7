/* SIGSTOP and SIGCONT, without a handler, around io_getevents and I/O. They end
 * the kernel's wait; aio-rs does not see them and waits on. */
#include "wait_util.h"

/* What a child and its parent tell each other. */
static struct {
	volatile int got, there, submitted, go;
	volatile long took;
} *s;

static void stop(pid_t pid)
{
	int status;
	MUST(kill(pid, SIGSTOP) == 0);
	MUST(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
}

#define TIMEOUT_MS (on_ours() ? 1500 : 20000)

/* Waits for two more events than `there`. */
static int wait_in_child(void *arg)
{
	struct io_event ev[8];
	io_context_t ctx = NULL;
	long start;

	(void)arg;
	new_context(8, &ctx);
	if (s->there)
		fill(ctx, s->there, 1);
	start = now_ms();
	s->go = 1;
	s->got = reap(ctx, s->there + 2, 8, ev, TIMEOUT_MS);
	s->took = now_ms() - start;
	return s->got > 0 && !in_order(ev, s->got, 1);
}

static void stopped_waiter(const char *label, int there, int kernel, int ours)
{
	char line[128];
	pid_t pid;

	memset(s, 0, sizeof *s);
	s->there = there;
	pid = fork_child(wait_in_child, NULL);
	while (!s->go && task_state(pid) != 'Z')
		usleep(1000);
	asleep(pid);
	stop(pid);
	usleep(50000);
	MUST(kill(pid, SIGCONT) == 0);
	snprintf(line, sizeof line, "%s: child ended well", label);
	expect("5/26", line, child_end(pid, 30000), 0);
	snprintf(line, sizeof line, "%s: io_getevents", label);
	expect_differs("5/26", line, s->got, kernel, ours);
	snprintf(line, sizeof line, "%s: at SIGCONT (kernel), at its timeout (aio-rs)", label);
	expect_documented("5/26", line, s->took >= 50 && s->took < 15000, s->took >= TIMEOUT_MS);
}

/* A poll of fd[0] that signals fd[1]; the parent has both. */
static int poll_in_child(void *arg)
{
	const int *fd = arg;
	struct io_event ev;
	io_context_t ctx = NULL;
	struct iocb cb;

	new_context(8, &ctx);
	io_prep_poll(&cb, fd[0], POLLIN);
	io_set_eventfd(&cb, fd[1]);
	s->submitted = submit1(ctx, &cb);
	while (!s->go)
		usleep(1000);
	s->got = reap(ctx, 1, 1, &ev, 10000);
	/* Signalled behind the event: by then the process must not have ended. */
	poll(&(struct pollfd){ .fd = fd[1], .events = POLLIN }, 1, 5000);
	return ev.obj == &cb && (ev.res & POLLIN) ? 0 : 2;
}

static void stopped_process(void)
{
	int fd[2] = { eventfd(0, 0), eventfd(0, EFD_NONBLOCK) };
	struct pollfd p = { .fd = fd[1], .events = POLLIN };
	uint64_t n = 1;
	pid_t pid;
	int readable;

	memset(s, 0, sizeof *s);
	pid = fork_child(poll_in_child, fd);
	for (int i = 0; i < 5000 && !s->submitted; i++)
		usleep(1000);
	expect("5/42", "child submits a poll", s->submitted, 1);
	stop(pid);
	MUST(write(fd[0], &n, 8) == 8);
	/* aio-rs's own threads are stopped with the process */
	readable = poll(&p, 1, on_ours() ? 100 : 5000);
	expect_may_differ("5/42", "completes while the process is stopped", readable, 1, 0);
	expect("5/42", "it is still stopped", task_state(pid), 'T');
	MUST(kill(pid, SIGCONT) == 0);
	s->go = 1;
	expect("5/42", "after SIGCONT: child got its event", child_end(pid, 20000), 0);
	expect("5/42", "io_getevents after SIGCONT", s->got, 1);
	expect("5/42", "shared eventfd is readable", poll(&p, 1, 5000), 1);
	expect_true("5/42", "and counts 1", read(fd[1], &n, 8) == 8 && n == 1);
}

int main(void)
{
	s = shared_alloc(4096);
	stopped_waiter("nothing collected", 0, -EINTR, 0);
	stopped_waiter("2 collected of 4", 2, 2, 2);
	stopped_process();
	return check_done();
}

/* A process ends with a poll pending: its RESFD, shared with the parent, is
 * signalled. aio-rs does that for exit(), and for _exit where it stands in front of
 * libc; nobody is left to do it after a signal.
 */
#include "wait_util.h"

static int never; /* an eventfd nobody writes to */
static volatile int *submitted;

/* The three ways to end: exit, _exit, a signal. */
static int end_with_poll(void *arg)
{
	const int *how = arg;
	io_context_t ctx = NULL;
	struct iocb cb;

	new_context(8, &ctx);
	io_prep_poll(&cb, never, POLLIN);
	io_set_eventfd(&cb, how[0]);
	MUST(submit1(ctx, &cb) == 1);
	*submitted = 1;
	if (how[1] == 0)
		exit(0);
	if (how[1] == 1)
		_exit(0);
	for (;;)
		pause();
}
static void process_end(const char *label, int way)
{
	int how[2] = { eventfd(0, EFD_CLOEXEC), way };
	char line[64];
	pid_t pid;

	*submitted = 0;
	pid = fork_child(end_with_poll, how);
	if (way == 2) {
		while (!*submitted && task_state(pid) != 'Z')
			usleep(500);
		MUST(kill(pid, SIGKILL) == 0);
	}
	snprintf(line, sizeof line, "%s with a pending poll: child ended", label);
	expect_true("11/5", line, child_end(pid, 20000) == (way == 2 ? DIED(SIGKILL) : 0) && *submitted);
	snprintf(line, sizeof line, "%s: shared eventfd's counter", label);
	if (way == 0)
		expect("11/5", line, efd_wait(how[0], 1), 1);
	else
		expect_differs("11/5", line, on_ours() ? efd_count(how[0]) : efd_wait(how[0], 1), 1, way == 1 && in_front());
	close(how[0]);
}

int main(void)
{
	never = eventfd(0, EFD_CLOEXEC);
	submitted = shared_alloc(4096);
	process_end("exit", 0);
	process_end("_exit", 1);
	process_end("SIGKILL", 2);
	return check_done();
}

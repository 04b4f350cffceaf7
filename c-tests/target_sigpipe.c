/* A pipe (or socket) without a reader: SIGPIPE to the thread that submits,
 * before io_submit returns. */
#include "submit_util.h"
#include <pthread.h>
#include <sys/socket.h>

static struct seen {
	long res;
	int submitted, signals, own, after;
} *seen;
static int make_socket, rw_flags;
static pid_t submitter;
static volatile sig_atomic_t signals, own;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
	own += gettid() == submitter;
}

static void write_nobody(void)
{
	struct iocb cb;
	struct io_event ev;
	int p[2];
	io_context_t ctx = new_ctx(4);

	if (make_socket)
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	else
		MUST(pipe(p) == 0);
	close(p[0]);
	prep(&cb, IO_CMD_PWRITE, p[1], "x", 1, 0);
	cb.aio_rw_flags = (unsigned)rw_flags;
	submitter = gettid();
	if (submit1(ctx, &cb) != 1)
		return;
	seen->submitted = 1;
	seen->signals = signals;
	seen->own = own;
	seen->res = reap(ctx, 1, 1, &ev, 10000) == 1 && ev.obj == &cb ? (long)ev.res : NO_EVENT;
	seen->after = signals;
	MUST(io_destroy(ctx) == 0);
}

static void handled(void)
{
	signal(SIGPIPE, on_signal);
	write_nobody();
}
static void ignored(void)
{
	signal(SIGPIPE, SIG_IGN);
	write_nobody();
}
/* Blocked it stays pending: for this thread, not for the process. */
static void blocked(void)
{
	sigset_t set;
	char line[256];
	unsigned long thread = 0;
	signal(SIGPIPE, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	write_nobody();
	FILE *f = fopen("/proc/thread-self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "SigPnd: %lx", &thread) == 1)
			break;
	seen->after = thread >> (SIGPIPE - 1) & 1;
}
static void *idle(void *unused)
{
	pause();
	return unused;
}
static void with_threads(void)
{
	pthread_t t;
	for (int i = 0; i < 4; i++)
		MUST(pthread_create(&t, NULL, idle, NULL) == 0);
	handled();
}

static int run(void (*fn)(void))
{
	memset(seen, 0, sizeof *seen);
	return in_child(fn);
}

int main(void)
{
	static const char *const name[2] = { "pipe", "socket" };
	char label[96];

	seen = shared_alloc(PAGE);
	for (make_socket = 0; make_socket < 2; make_socket++) {
		const char *id = make_socket ? "3.9/8" : "3.9/6";
#define SAY(...) (snprintf(label, sizeof label, __VA_ARGS__), label)
		expect_child(id, SAY("%s, default action: killed by", name[make_socket]), run(write_nobody), SIGPIPE);
		expect(id, SAY("%s, default action: io_submit returned", name[make_socket]), seen->submitted, 0);
		expect_child(id, SAY("%s, handled: killed by", name[make_socket]), run(handled), 0);
		check_str(id, SAY("%s, handled: event", name[make_socket]), run_str(seen->res), "EV EPIPE");
		expect(id, SAY("%s, handled: signals when io_submit returned", name[make_socket]), seen->signals, 1);
		expect(id, SAY("%s, handled: in the submitting thread", name[make_socket]), seen->own, 1);
		expect(id, SAY("%s, handled: signals in all", name[make_socket]), seen->after, 1);
		expect_child(id, SAY("%s, several threads: killed by", name[make_socket]), run(with_threads), 0);
		expect(id, SAY("%s, several threads: in the submitting one", name[make_socket]), seen->own, 1);
		expect_child(id, SAY("%s, ignored: killed by", name[make_socket]), run(ignored), 0);
		check_str(id, SAY("%s, ignored: event", name[make_socket]), run_str(seen->res), "EV EPIPE");
		expect_child(id, SAY("%s, blocked: killed by", name[make_socket]), run(blocked), 0);
		check_str(id, SAY("%s, blocked: event", name[make_socket]), run_str(seen->res), "EV EPIPE");
		expect(id, SAY("%s, blocked: pending for the thread", name[make_socket]), seen->after, 1);
	}
	return check_done();
}

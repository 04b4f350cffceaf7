/* Shared by the getevents_, pgetevents_, cancel_, eventfd_ and libaio_ programs:
 * events made at will, threads asleep in io_getevents, calls that may crash.
 */
#ifndef AIO_WAIT_UTIL_H
#define AIO_WAIT_UTIL_H
#include "check.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct timespec zero_ts __attribute__((unused));

/* Unmapped, and stays so: no mmap and no thread's stack comes to lie there. */
#define HOLE_ADDR ((void *)0x200000000000UL)

/* fs.aio-max-nr is the whole host's: another program may be at it just now. */
static inline void new_context(int nr, io_context_t *ctx)
{
	int r;

	for (long end = now_ms() + 10000; (r = io_setup(nr, ctx)) == -EAGAIN && now_ms() < end;)
		usleep(1000);
	if (r)
		DIE("io_setup: %s", res(r));
}

/* Events in the ring, as user space sees it. */
static inline unsigned ring_count(io_context_t ctx)
{
	struct user_ring *ring = ring_of(ctx);
	unsigned tail = ring->tail;
	return (tail - ring->head + ring->nr) % ring->nr;
}
/* Until the ring holds `n` events; false after 5 s. */
static inline int ring_wait(io_context_t ctx, unsigned n)
{
	for (long end = now_ms() + 5000; ring_count(ctx) < n && now_ms() < end;)
		usleep(200);
	return ring_count(ctx) == n;
}

/* `n` (up to 1024) cached reads in one io_submit; data first, first + 1, ... */
static inline int submit_reads(io_context_t ctx, long n, long first)
{
	static struct iocb cb[1024], *list[1024];
	static char byte[1024];
	static int fd = -1;

	if (fd < 0)
		fd = pattern_file(0, 4096);
	MUST(fd >= 0 && n <= 1024);
	for (long i = 0; i < n; i++) {
		io_prep_pread(&cb[i], fd, &byte[i], 1, 0);
		cb[i].data = (void *)(first + i);
		list[i] = &cb[i];
	}
	return io_submit(ctx, n, list);
}
/* The same, and their events are in the ring, behind those already there. */
static inline void fill(io_context_t ctx, long n, long first)
{
	unsigned had = ring_count(ctx);
	MUST(submit_reads(ctx, n, first) == n);
	MUST(ring_wait(ctx, had + (unsigned)n));
}
/* Exactly `n` events, however many calls they take; how many came in `ms`. */
static inline long reap_all(io_context_t ctx, long n, struct io_event *ev, long ms)
{
	long got = 0, end = now_ms() + ms;
	for (int r = 0; got < n && r >= 0; got += r > 0 ? r : 0)
		if ((r = reap(ctx, 1, n - got, ev + got, ms)) == 0 || now_ms() > end)
			break;
	return got;
}
/* ev[0..n) are the good events first, first + 1, ... of submit_reads() */
static inline int in_order(const struct io_event *ev, long n, long first)
{
	for (long i = 0; i < n; i++)
		if ((long)ev[i].data != first + i || ev[i].res != 1 || ev[i].res2)
			return 0;
	return 1;
}

/* Pending polls; fire(i) makes the event with data i + 1. */
#define TRIGGERS 12
struct triggers {
	int fd[TRIGGERS];
	struct iocb cb[TRIGGERS];
};
static inline void triggers_arm(struct triggers *t, io_context_t ctx)
{
	struct iocb *list[TRIGGERS];

	for (int i = 0; i < TRIGGERS; i++) {
		t->fd[i] = eventfd(0, EFD_CLOEXEC);
		MUST(t->fd[i] >= 0);
		io_prep_poll(&t->cb[i], t->fd[i], POLLIN);
		t->cb[i].data = (void *)(i + 1L);
		list[i] = &t->cb[i];
	}
	MUST(io_submit(ctx, TRIGGERS, list) == TRIGGERS);
}
static inline void fire(struct triggers *t, int i)
{
	uint64_t one = 1;
	MUST(write(t->fd[i], &one, 8) == 8);
}
static inline void triggers_close(struct triggers *t)
{
	for (int i = 0; i < TRIGGERS; i++)
		close(t->fd[i]);
}

/* The state letter of a thread or process of anybody's, 0 if it is gone. */
static inline char task_state(pid_t tid)
{
	char path[64], buf[512];
	snprintf(path, sizeof path, "/proc/%d/stat", tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof buf - 1);
	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	char *p = strrchr(buf, ')');
	return p ? p[2] : 0;
}
/* Until the task sleeps and goes on sleeping (or is gone). */
static inline void asleep(pid_t tid)
{
	int calm = 0;
	for (long end = now_ms() + 10000; calm < 5 && now_ms() < end; usleep(1000)) {
		char state = task_state(tid);
		if (!state || state == 'Z')
			return;
		calm = state == 'S' ? calm + 1 : 0;
	}
	MUST(calm == 5);
}

/* A thread in io_getevents, or in io_pgetevents when `mask` is set. */
#define NO_TIMEOUT (-1L)
#define ERRNO_MARK 4242
struct waiter {
	io_context_t ctx;
	long min, nr;
	struct timespec ts, *timeout;
	struct io_event own[16], *ev;
	sigset_t *mask, after; /* after: the signal mask at return */
	pthread_t thread;
	volatile pid_t tid;
	volatile int done;
	int got, errno_after;
	long took;
};
static inline void *waiter_main(void *arg)
{
	struct waiter *w = arg;
	struct timespec *ts = w->timeout;
	long start = now_ms();

	w->tid = gettid();
	errno = ERRNO_MARK;
	w->got = w->mask ? io_pgetevents(w->ctx, w->min, w->nr, w->ev, ts, w->mask)
			 : io_getevents(w->ctx, w->min, w->nr, w->ev, ts);
	w->errno_after = errno;
	w->took = now_ms() - start;
	pthread_sigmask(SIG_BLOCK, NULL, &w->after);
	w->done = 1;
	return NULL;
}
/* Start it with what is set in *w; back when it sleeps or has returned. */
static inline void waiter_go(struct waiter *w)
{
	w->ev = w->ev ? w->ev : w->own;
	w->tid = w->done = 0;
	MUST(pthread_create(&w->thread, NULL, waiter_main, w) == 0);
	while (!w->tid)
		usleep(100);
	asleep(w->tid);
}
static inline void waiter_start(struct waiter *w, io_context_t ctx, long min, long nr, long ms)
{
	*w = (struct waiter){ .ctx = ctx, .min = min, .nr = nr, .ts = { ms / 1000, ms % 1000 * 1000000 } };
	w->timeout = ms == NO_TIMEOUT ? NULL : &w->ts;
	waiter_go(w);
}
/* Its answer. One that has not come back after 10 s ends the program. */
static inline int waiter_end(struct waiter *w)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 10;
	MUST(pthread_timedjoin_np(w->thread, NULL, &t) == 0);
	return w->got;
}
/* True when it is back within 5 s, false only after that. */
static inline int waiter_back(struct waiter *w)
{
	for (long end = now_ms() + 5000; !w->done && now_ms() < end;)
		usleep(200);
	return w->done;
}

/* A handler that counts. */
static volatile int handled;
static inline void count_signal(int sig)
{
	(void)sig;
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}
static inline void on_signal(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };
	MUST(sigaction(sig, &sa, NULL) == 0);
}
static inline sigset_t one_signal(int sig)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

/* Zeroed memory that children share. */
static inline void *shared_alloc(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	return p;
}
/* A child that ends with what `run` returns; it must not print. */
static inline pid_t fork_child(int (*run)(void *), void *arg)
{
	fflush(stdout);
	pid_t pid = fork();
	MUST(pid >= 0);
	if (!pid)
		_exit(run(arg));
	return pid;
}
/* Its exit code, or DIED(signal). After `ms` it is killed: DIED(SIGKILL). */
#define DIED(sig) (-50000L - (sig))
static inline long child_end(pid_t pid, long ms)
{
	int status, r;

	for (long end = now_ms() + ms; (r = waitpid(pid, &status, WNOHANG)) == 0; usleep(500))
		if (now_ms() > end)
			kill(pid, SIGKILL);
	MUST(r == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : DIED(WTERMSIG(status));
}
/* What a call answers when made in a child; DIED(signal) if that kills it. */
struct child_call {
	long (*call)(void *), *answer;
	void *arg;
};
static inline int call_in_child(void *arg)
{
	struct child_call *c = arg;
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	*c->answer = c->call(c->arg);
	return 0;
}
static inline long answer_in_child(long (*call)(void *), void *arg)
{
	static long *answer;
	struct child_call c = { call, answer = answer ? answer : shared_alloc(4096), arg };
	long end = child_end(fork_child(call_in_child, &c), 20000);
	return end ? end : *answer;
}

/* An eventfd's counter, without reading it (-1: not an eventfd). */
static inline long efd_count(int fd)
{
	char path[64], line[128];
	unsigned long n;
	long count = -1;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "eventfd-count: %lx", &n) == 1)
			count = (long)n;
	if (f)
		fclose(f);
	return count;
}
/* The counter when it has reached `n`, or what it is after 5 s. */
static inline long efd_wait(int fd, long n)
{
	for (long end = now_ms() + 5000; efd_count(fd) != n && now_ms() < end;)
		usleep(200);
	return efd_count(fd);
}
#endif

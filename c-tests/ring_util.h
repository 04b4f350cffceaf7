/* Helpers of the io_setup_*, ring_* and slots_* programs: the contract's
 * arithmetic, CPU pinning, filling a ring, mappings, faults and children. */
#ifndef AIO_RING_UTIL_H
#define AIO_RING_UTIL_H
#include "check.h"
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/wait.h>

#define PAGE 4096UL

/* ---- the contract's arithmetic, section 2 ---- */

/* Rings and batches are sized by the possible CPUs, online or not. */
static inline unsigned possible_cpus(void)
{
	static unsigned cpus;
	char list[4096], *p = list;
	int fd;
	ssize_t n;

	if (cpus)
		return cpus;
	fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
	MUST(fd >= 0);
	n = read(fd, list, sizeof list - 1);
	MUST(n > 0);
	list[n] = 0;
	close(fd);
	for (;;) {
		long low = strtol(p, &p, 10), high = low;

		if (*p == '-')
			high = strtol(p + 1, &p, 10);
		cpus += (unsigned)(high - low + 1);
		if (*p++ != ',')
			return cpus;
	}
}

static inline unsigned long want_bytes(unsigned long n)
{
	unsigned long m = n > 4 * possible_cpus() ? n : 4 * possible_cpus();

	return (32 + 32 * (2 * m + 2) + PAGE - 1) / PAGE * PAGE;
}

static inline unsigned want_nr(unsigned long n)
{
	return (unsigned)(want_bytes(n) / PAGE * 128 - 1);
}

static inline long want_batch(unsigned long n)
{
	long batch = (want_nr(n) - 1) / (4 * possible_cpus());

	return batch ? batch : 1;
}

/* Slots that one CPU can take out of an unused ring. */
static inline long want_slots(unsigned long n)
{
	return (want_nr(n) - 1) / want_batch(n) * want_batch(n);
}

/* ---- limits ---- */

/* aio-rs reads its limit at load time: start over with it in the environment. */
static inline void use_limit(const char *limit, char **argv)
{
	const char *now = getenv("AIO_RS_MAX_NR");

	if (now && !strcmp(now, limit))
		return;
	setenv("AIO_RS_MAX_NR", limit, 1);
	execv("/proc/self/exe", argv);
	DIE("exec");
}

static inline long read_number(const char *path)
{
	char b[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	MUST(fd >= 0);
	n = read(fd, b, sizeof b - 1);
	MUST(n > 0);
	b[n] = 0;
	close(fd);
	return strtol(b, NULL, 10);
}

#define AIO_NR "/proc/sys/fs/aio-nr"
#define AIO_MAX_NR "/proc/sys/fs/aio-max-nr"

/* io_setup(n), which must work. The kernel's limit is shared with every other
 * program of the host: wait for room. NULL if there is none. */
static inline io_context_t setup_if_room(long n)
{
	io_context_t ctx = NULL;
	long end = now_ms() + 15000;
	int r;

	while ((r = io_setup((int)n, &ctx)) == -EAGAIN && !on_ours() && now_ms() < end)
		usleep(1000);
	if (r == -EAGAIN)
		return NULL;
	if (r)
		DIE("io_setup(%ld) = %d", n, r);
	return ctx;
}

static inline io_context_t setup(long n)
{
	io_context_t ctx = setup_if_room(n);

	MUST(ctx);
	return ctx;
}

/* ---- CPUs ---- */

/* The k-th CPU (from 0) this process started with, or -1. */
static inline int cpu_at(int k)
{
	static cpu_set_t all;
	static int known;

	if (!known) {
		MUST(!sched_getaffinity(0, sizeof all, &all));
		known = 1;
	}
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && k-- == 0)
			return cpu;
	return -1;
}

static inline void pin(int k)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	MUST(cpu_at(k) >= 0);
	CPU_SET(cpu_at(k), &one);
	MUST(!sched_setaffinity(0, sizeof one, &one));
}

/* ---- requests ---- */

/* A cached 4 KiB read: both libraries complete it inside io_submit. Byte i of
 * the file is the pattern of check.h. */
static inline struct iocb *cached_read(void *data)
{
	static struct iocb cb;
	static char buf[4096];
	static int fd = -1;

	if (fd < 0) {
		fd = pattern_file(0, 4096);
		MUST(fd >= 0 && pread(fd, buf, 4096, 0) == 4096);
	}
	io_prep_pread(&cb, fd, buf, 16, 0);
	cb.data = data;
	return &cb;
}

/* The same iocb again and again until io_submit refuses; how many fitted, or
 * the refusal if it is not the EAGAIN of a full ring. */
static inline long fill_with(io_context_t ctx, struct iocb *cb)
{
	for (long n = 0;; n++) {
		int r = submit1(ctx, cb);

		if (r == -EAGAIN)
			return n;
		if (r != 1)
			return SUBMIT_ERR(r);
	}
}

static inline long fill(io_context_t ctx)
{
	return fill_with(ctx, cached_read(NULL));
}

/* A poll that stays pending until the eventfd is written. */
static inline struct iocb *pending_poll(int efd)
{
	static struct iocb cb;

	io_prep_poll(&cb, efd, POLLIN);
	return &cb;
}

/* Until the ring's tail is `tail`: completions need not be inline. */
static inline int wait_tail(io_context_t ctx, unsigned tail)
{
	long end = now_ms() + 10000;

	while (ring_of(ctx)->tail != tail)
		if (now_ms() > end)
			return 0;
		else
			usleep(100);
	__sync_synchronize();
	return 1;
}

/* `n` cached reads with data 1, 2, ... n, completed and in the ring. */
static inline void put_events(io_context_t ctx, long n)
{
	struct user_ring *ring = ring_of(ctx);
	unsigned tail = (unsigned)((ring->tail + n) % ring->nr);

	for (long i = 1; i <= n; i++)
		MUST(submit1(ctx, cached_read((void *)i)) == 1);
	MUST(wait_tail(ctx, tail));
}

/* What is in the ring now, without libaio's shortcut for {0,0}. */
static inline long take(io_context_t ctx, long nr, struct io_event *ev)
{
	return reap(ctx, 0, nr, ev, 1);
}

/* Reap until `n` events came, at most `ms` between two; how many came. */
static inline long take_n(io_context_t ctx, long n, long ms)
{
	static struct io_event ev[1024];
	long got = 0;

	while (got < n) {
		long most = n - got < 1024 ? n - got : 1024;
		int r = reap(ctx, 1, most, ev, ms);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		got += r;
	}
	return got;
}

/* One cached read goes through the context: submitted, and its event comes. */
static inline void expect_works(const char *id, const char *label, io_context_t ctx)
{
	expect_event(id, label, ctx, cached_read((void *)77), 16);
}

/* io_submit, io_cancel and io_destroy refuse this value (libaio's io_getevents
 * looks into the memory first, it is checked by its own line). */
static inline void expect_unknown(const char *id, const char *label, io_context_t ctx)
{
	struct iocb cb = *cached_read(NULL);
	struct io_event ev;
	char line[160];

	snprintf(line, sizeof line, "%s, io_submit", label);
	expect(id, line, submit1(ctx, &cb), -EINVAL);
	snprintf(line, sizeof line, "%s, io_cancel", label);
	cb.key = 0;
	expect(id, line, io_cancel(ctx, &cb, &ev), -EINVAL);
	snprintf(line, sizeof line, "%s, io_destroy", label);
	expect(id, line, io_destroy(ctx), -EINVAL);
}

/* ---- mappings ---- */

/* The kernel refuses this for its own kind of mapping; a library in user space
 * cannot forbid it, so there it may succeed instead, or find no room. */
static inline void expect_mm(const char *id, const char *label, long got, long kernel)
{
	expect_documented(id, label, got == kernel, got >= 0 || got == kernel || got == -ENOMEM);
}

static inline int is_mapped(void *page)
{
	unsigned char vec;

	return mincore(page, PAGE, &vec) == 0;
}

/* `len` bytes of address space that nothing else uses. */
static inline void *reserve(size_t len)
{
	void *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	return p;
}

/* The line of /proc/self/maps that begins at `start`; its length or 0. */
static inline unsigned long map_line(void *start, char *line, size_t size)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long low, high;

	MUST(f);
	while (fgets(line, (int)size, f))
		if (sscanf(line, "%lx-%lx", &low, &high) == 2 && low == (unsigned long)start) {
			fclose(f);
			return high - low;
		}
	fclose(f);
	line[0] = 0;
	return 0;
}

/* ---- faults and children ---- */

#define DIED(sig) (-4000L - (sig))

static sigjmp_buf fault_jump;
static inline void on_fault(int sig)
{
	siglongjmp(fault_jump, sig);
}

/* io_getevents(ctx, 1, 1, 1 ms), or DIED(SIGSEGV) if the library faulted. */
static inline long getevents_or_fault(io_context_t ctx)
{
	struct sigaction sa = { .sa_handler = on_fault }, old;
	struct io_event ev;
	volatile long r;
	int sig;

	sigaction(SIGSEGV, &sa, &old);
	sig = sigsetjmp(fault_jump, 1);
	r = sig ? DIED(sig) : reap(ctx, 1, 1, &ev, 1);
	sigaction(SIGSEGV, &old, NULL);
	return r;
}

/* libaio dies of such a value, aio-rs refuses it. */
static inline void expect_fault(const char *id, const char *label, io_context_t ctx)
{
	expect_differs(id, label, getevents_or_fault(ctx), DIED(SIGSEGV), -EINVAL);
}

/* fn() in a forked child; its result, or DIED(signal). */
static inline long in_child(long (*fn)(void))
{
	int p[2], status;
	long r = -1;
	pid_t pid;

	MUST(!pipe2(p, O_CLOEXEC));
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		r = fn();
		_exit(write(p[1], &r, sizeof r) != sizeof r);
	}
	close(p[1]);
	if (read(p[0], &r, sizeof r) != sizeof r)
		r = DIED(0);
	close(p[0]);
	MUST(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? DIED(WTERMSIG(status)) : r;
}
#endif

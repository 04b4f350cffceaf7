/* Shared by every conformance program.
 *
 * A program is run on the system's libaio first and then on aio-rs; its output
 * must be the same on both. So it prints only what both must print alike: one
 * line a check, "ID label: result". ID names the line of the contract that the
 * check proves ("3.2/7": section 3.2, row 7; docs/conformance.md lists them).
 *
 * Exit: 0 all checks hold, 1 some do not, 77 cannot run here (reason printed).
 * AIO_TEST_LIB tells which library is under test: "kernel" or "ours".
 */
#ifndef AIO_CHECK_H
#define AIO_CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int check_failures;

/* True when the library under test is aio-rs. */
static inline int on_ours(void)
{
	const char *lib = getenv("AIO_TEST_LIB");
	return lib && !strcmp(lib, "ours");
}

/* True with AIO_RS_SUBMIT=kernel: aio-rs runs buffered I/O of files inside
 * io_submit, as the kernel does. */
static inline int submit_kernel(void)
{
	const char *mode = getenv("AIO_RS_SUBMIT");
	return on_ours() && mode && !strcmp(mode, "kernel");
}

/* True where aio-rs stands in front of libc: what ends a process or its program
 * without exit(3) is seen by it, too. Not so with -laio-rs. */
static inline int in_front(void)
{
	Dl_info libc_s, aio_s;

	return dladdr(dlsym(RTLD_DEFAULT, "_exit"), &libc_s) && dladdr(dlsym(RTLD_DEFAULT, "io_submit"), &aio_s) &&
	       libc_s.dli_fbase == aio_s.dli_fbase;
}

/* "EINVAL" for -22, "7" for 7: what a call returned, in words. */
static inline const char *res(long r)
{
	static char buf[8][32];
	static unsigned turn;
	char *b = buf[turn++ % 8];
	const char *name = r < 0 && r > -4096 ? strerrorname_np((int)-r) : NULL;
	if (name)
		return name;
	snprintf(b, 32, "%ld", r);
	return b;
}

static inline void check_str(const char *id, const char *label, const char *got, const char *want)
{
	int bad = strcmp(got, want) != 0;
	check_failures += bad;
	if (bad)
		printf("%s %s: %s  FAIL (want %s)\n", id, label, got, want);
	else
		printf("%s %s: %s\n", id, label, got);
	fflush(stdout);
}

/* One check: `got` is a return value or an event's res, `want` the contract's. */
static inline void expect(const char *id, const char *label, long got, long want)
{
	check_str(id, label, res(got), res(want));
}

/* A condition that must hold; prints "yes". */
static inline void expect_true(const char *id, const char *label, int cond)
{
	check_str(id, label, cond ? "yes" : "no", "yes");
}

/* For the runner, on stderr: what a check below wants of aio-rs in this mode is
 * what the kernel does. */
static inline void note_same(const char *id, int same)
{
	if (on_ours())
		fprintf(stderr, "%s %s\n", id, same ? "same" : "differs");
}

/* A deliberate difference (docs/differences.md): the kernel must answer
 * `kernel`, aio-rs must answer `ours`; both print the same neutral line. */
static inline void expect_differs(const char *id, const char *label, long got, long kernel, long ours)
{
	long want = on_ours() ? ours : kernel;
	note_same(id, ours == kernel);
	check_str(id, label, got == want ? "as documented" : res(got), "as documented");
}

/* The same where aio-rs may also answer as the kernel does. */
static inline void expect_may_differ(const char *id, const char *label, long got, long kernel, long ours)
{
	int good = got == kernel || (on_ours() && got == ours);
	note_same(id, 0);
	check_str(id, label, good ? "as documented" : res(got), "as documented");
}

/* The same for what is no single number: `kernel` must be true on the kernel,
 * `ours` on aio-rs. */
static inline void expect_documented(const char *id, const char *label, int kernel, int ours)
{
	int good = on_ours() ? ours : kernel;
	note_same(id, 0);
	check_str(id, label, good ? "as documented" : "otherwise", "as documented");
}

/* `got` within [low, high]: for counts and times, which are not printed. */
static inline void expect_between(const char *id, const char *label, long got, long low, long high)
{
	char b[64];
	snprintf(b, sizeof b, "%ld not in %ld..%ld", got, low, high);
	check_str(id, label, got >= low && got <= high ? "in range" : b, "in range");
}

static inline int check_done(void)
{
	if (check_failures)
		printf("%d check(s) FAILED\n", check_failures);
	fflush(stdout);
	return check_failures ? 1 : 0;
}

/* Leave with 77: this machine cannot show it. The reason must stand in
 * c-tests/skips.list, or the runner counts it as a failure. */
static inline void skip(const char *why)
{
	printf("SKIP %s\n", why);
	fflush(stdout);
	exit(77);
}

/* A broken test set-up (not a wrong answer of the library). */
#define DIE(...)                                                        \
	do {                                                            \
		printf("%s:%d: ", __FILE__, __LINE__);                  \
		printf(__VA_ARGS__);                                    \
		printf(" (errno %d)\n", errno);                         \
		fflush(stdout);                                         \
		_exit(1);                                               \
	} while (0)
#define MUST(cond)                                                      \
	do {                                                            \
		if (!(cond))                                            \
			DIE("MUST(%s)", #cond);                         \
	} while (0)

static inline long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Addresses that a call must refuse. */
#define KERNEL_ADDR ((void *)0xffff888000000000UL)
/* Far from where the kernel maps anything by itself: a thread's stack would
 * take the place of something just unmapped. */
static inline void *unmapped_addr(void)
{
	return (void *)0x200000000000UL;
}
/* `len` bytes of rw memory whose end touches an unmapped page. */
static inline char *edge_alloc(size_t len)
{
	size_t page = 4096, n = (len + page - 1) / page * page;
	char *p = mmap(NULL, n + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	munmap(p + n, page);
	return p + n - len;
}

/* A page for USES uses in a row, after which `spoil` takes it away; not at once, but
 * when aio-rs has had the time to forget that it was good. */
#define USES 1000
#define SPOILT 3
static inline void *worn_page(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	return p;
}
static inline const char *spoil(void *page, int how)
{
	static const char *const name[SPOILT] = { "unmapped", "PROT_NONE", "read-only" };

	usleep(30000);
	MUST((how ? mprotect(page, 4096, how == 1 ? PROT_NONE : PROT_READ) : munmap(page, 4096)) == 0);
	return name[how];
}

/* An unlinked file in AIO_TEST_DIR (default: the current directory). */
static inline int temp_file(int flags)
{
	char path[4096];
	const char *dir = getenv("AIO_TEST_DIR");
	snprintf(path, sizeof path, "%s/aio-test-XXXXXX", dir ? dir : ".");
	int fd = mkostemp(path, O_CLOEXEC);
	MUST(fd >= 0);
	if (flags) {
		int fd2 = open(path, flags | O_CLOEXEC, 0600);
		if (fd2 < 0 && errno == EINVAL)
			fd2 = -1;
		unlink(path);
		close(fd);
		return fd2;
	}
	unlink(path);
	return fd;
}
/* The same with `size` bytes of a known pattern (byte i = i * 7 + i / 256). */
static inline int pattern_file(int flags, size_t size)
{
	char path[4096], buf[65536];
	const char *dir = getenv("AIO_TEST_DIR");
	snprintf(path, sizeof path, "%s/aio-test-XXXXXX", dir ? dir : ".");
	int fd = mkostemp(path, O_CLOEXEC);
	MUST(fd >= 0);
	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof buf ? size - at : sizeof buf;
		for (size_t i = 0; i < n; i++)
			buf[i] = (char)((at + i) * 7 + (at + i) / 256);
		MUST(pwrite(fd, buf, n, (off_t)at) == (ssize_t)n);
		at += n;
	}
	fsync(fd);
	int fd2 = open(path, (flags ? flags : O_RDWR) | O_CLOEXEC);
	unlink(path);
	close(fd);
	return fd2;
}

/* Submit one; its event within `ms` (event.res in *out). Returns io_submit's answer. */
static inline int submit1(io_context_t ctx, struct iocb *cb)
{
	struct iocb *list[1] = { cb };
	return io_submit(ctx, 1, list);
}
static inline int reap(io_context_t ctx, long min, long nr, struct io_event *ev, long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	return io_getevents(ctx, min, nr, ev, &ts);
}
#define NO_EVENT (-4095L)
/* io_submit of one iocb, then the res of its event; a refusal is returned as
 * SUBMIT_ERR(error) so that it cannot be taken for an event's error. */
#define SUBMIT_ERR(e) ((e) - 100000L)
static inline long run_within(io_context_t ctx, struct iocb *cb, long ms)
{
	struct io_event ev;
	int r = submit1(ctx, cb);
	if (r != 1)
		return SUBMIT_ERR(r);
	r = reap(ctx, 1, 1, &ev, ms);
	if (r != 1)
		return NO_EVENT;
	if (ev.obj != cb || ev.data != cb->data || ev.res2 != 0)
		return NO_EVENT - 1;
	return (long)ev.res;
}
static inline long run1(io_context_t ctx, struct iocb *cb)
{
	return run_within(ctx, cb, 10000);
}
/* The event must be in the ring when io_submit returns. */
static inline long run_inline(io_context_t ctx, struct iocb *cb)
{
	return run_within(ctx, cb, 0);
}
static inline const char *run_str(long r)
{
	static char b[4][48];
	static unsigned turn;
	char *s = b[turn++ % 4];
	if (r == NO_EVENT)
		return "no event";
	if (r == NO_EVENT - 1)
		return "bad event";
	if (r <= SUBMIT_ERR(1) && r > SUBMIT_ERR(-4096))
		snprintf(s, 48, "io_submit %s", res(r + 100000));
	else
		snprintf(s, 48, "EV %s", res(r));
	return s;
}
/* io_submit refuses with `err`. */
static inline void expect_refused(const char *id, const char *label, io_context_t ctx, struct iocb *cb, long err)
{
	check_str(id, label, run_str(run1(ctx, cb)), run_str(SUBMIT_ERR(err)));
}
/* io_submit accepts; the event has this res. */
static inline void expect_event(const char *id, const char *label, io_context_t ctx, struct iocb *cb, long want)
{
	check_str(id, label, run_str(run1(ctx, cb)), run_str(want));
}

/* The same, and the event is in the ring when io_submit returns. */
static inline void expect_inline(const char *id, const char *label, io_context_t ctx, struct iocb *cb, long want)
{
	check_str(id, label, run_str(run_inline(ctx, cb)), run_str(want));
}
/* The kernel does it inline, aio-rs perhaps later, but if `same`. */
static inline void expect_soon(const char *id, const char *label, io_context_t ctx, struct iocb *cb, long want, int same)
{
	note_same(id, same);
	check_str(id, label, run_str(run_within(ctx, cb, on_ours() && !same ? 10000 : 0)), run_str(want));
}

/* What an eventfd has counted, 0 if nothing; never waits, and needs no poll(2),
 * which fails when RLIMIT_NOFILE is 0. */
static inline long eventfd_take(int efd)
{
	int flags = fcntl(efd, F_GETFL);
	uint64_t n = 0;

	fcntl(efd, F_SETFL, flags | O_NONBLOCK);
	if (read(efd, &n, 8) != 8)
		n = 0;
	fcntl(efd, F_SETFL, flags);
	return (long)n;
}
/* The same for the RESFD of `want` requests whose events were reaped: an event is
 * in the ring before its eventfd is signalled, so what is missing is waited for.
 * One too many would come right behind. */
static inline long eventfd_collect(int efd, long want)
{
	long n = 0;

	for (long end = now_ms() + 10000; n < want && now_ms() < end; usleep(200))
		n += eventfd_take(efd);
	usleep(1000);
	return n + eventfd_take(efd);
}

/* The ring as programs read it. */
struct user_ring {
	unsigned id, nr;
	volatile unsigned head, tail;
	unsigned magic, compat, incompat, header_length;
	struct io_event events[];
};
static inline struct user_ring *ring_of(io_context_t ctx)
{
	return (struct user_ring *)ctx;
}
#endif

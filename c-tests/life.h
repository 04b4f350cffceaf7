/* Shared by the pin_, stress_, destroy_, fork_, exec_, exit_, thread_ and
 * life_ programs: children whose answers the parent checks, tagged data, and
 * the slots of a context.
 *
 * Only the parent prints. A child leaves its answers in `shared` and exits.
 */
#ifndef AIO_LIFE_H
#define AIO_LIFE_H
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

/* Memory that a child and its parent both see, zeroed. */
static inline void *shared_alloc(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	return p;
}

/* Page-aligned private memory, zeroed: good for O_DIRECT. */
static inline void *page_alloc(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	return p;
}

/* How a child ended: its exit code, DIED(signal), or NO_END after `ms` (the
 * child is killed then, so that nothing is left behind). */
#define NO_END (-1000)
#define DIED(sig) (128 + (sig))
static inline int child_end(pid_t pid, long ms)
{
	long until = now_ms() + ms;
	int status;
	pid_t got;

	while ((got = waitpid(pid, &status, WNOHANG)) == 0) {
		if (now_ms() > until) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return NO_END;
		}
		usleep(500);
	}
	MUST(got == pid);
	return WIFSIGNALED(status) ? DIED(WTERMSIG(status)) : WEXITSTATUS(status);
}

/* Run `fn(arg)` in a forked child; its end. The child must not print. */
static inline pid_t fork_child(int (*fn)(void *), void *arg)
{
	fflush(stdout);
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	return pid;
}
static inline int in_child(int (*fn)(void *), void *arg)
{
	return child_end(fork_child(fn, arg), 20000);
}

/* Another open file description of the same file, named or not. */
static inline int reopen(int fd, int flags)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

/* Tagged data: each 512-byte sector holds nothing but tag + its number, so a
 * byte from another file, place or time shows. */
static inline void tag_fill(void *buf, size_t len, uint64_t tag, uint64_t sector)
{
	uint64_t *w = buf;
	for (size_t i = 0; i < len / 8; i++)
		w[i] = tag + sector + i / 64;
}
/* Number of words that are not what tag_fill would have put there. */
static inline long tag_wrong(const void *buf, size_t len, uint64_t tag, uint64_t sector)
{
	const uint64_t *w = buf;
	long wrong = 0;
	for (size_t i = 0; i < len / 8; i++)
		wrong += w[i] != tag + sector + i / 64;
	return wrong;
}
/* An unlinked file of `size` tagged bytes on the disk (synced). */
static inline int tagged_file(size_t size, uint64_t tag)
{
	uint64_t buf[8192];
	int fd = temp_file(0);
	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof buf ? size - at : sizeof buf;
		tag_fill(buf, n, tag, at / 512);
		MUST(pwrite(fd, buf, n, (off_t)at) == (ssize_t)n);
		at += n;
	}
	MUST(fsync(fd) == 0);
	return fd;
}
static inline long file_wrong(int fd, size_t size, uint64_t tag)
{
	uint64_t buf[8192];
	long wrong = 0;
	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof buf ? size - at : sizeof buf;
		if (pread(fd, buf, n, (off_t)at) != (ssize_t)n)
			return -1;
		wrong += tag_wrong(buf, n, tag, at / 512);
		at += n;
	}
	return wrong;
}

/* Exactly `want` events into ev[], in as many calls as it takes. */
static inline long reap_all(io_context_t ctx, long want, struct io_event *ev, long ms)
{
	long until = now_ms() + ms, got = 0;
	while (got < want && now_ms() <= until) {
		int r = reap(ctx, 1, want - got, ev + got, 1000);
		if (r < 0 && r != -EINTR)
			return r;
		got += r > 0 ? r : 0;
	}
	return got;
}

/* A context that works: one read comes back whole. 0, or what failed. */
static inline long works(io_context_t ctx)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char buf[16] = { 1 };
	struct iocb cb;

	MUST(zero >= 0);
	io_prep_pread(&cb, zero, buf, sizeof buf, 0);
	cb.data = &cb;
	long r = run1(ctx, &cb);
	close(zero);
	return r != sizeof buf ? r : buf[0] || buf[15] ? -1 : 0;
}

/* The events of a ring, read as programs read it. */
static inline unsigned ring_count(io_context_t ctx)
{
	struct user_ring *ring = ring_of(ctx);
	unsigned head = ring->head, tail = ring->tail;
	return (tail + ring->nr - head) % ring->nr;
}

static inline void pin_cpu(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	MUST(sched_setaffinity(0, sizeof set, &set) == 0);
}

/* Fill the context from this thread with inline reads until EAGAIN; how many
 * it took (or io_submit's other error). The events stay in the ring. */
static inline long fill_slots(io_context_t ctx)
{
	static char byte;
	struct iocb cb, *list[1] = { &cb };
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	long n = 0;
	int r;

	MUST(zero >= 0);
	io_prep_pread(&cb, zero, &byte, 1, 0);
	while ((r = io_submit(ctx, 1, list)) == 1)
		n++;
	close(zero);
	return r == -EAGAIN ? n : r;
}
static inline void drain(io_context_t ctx)
{
	struct io_event ev[64];
	while (reap(ctx, 0, 64, ev, 0) > 0)
		;
}

/* Wait until `*flag` is at least `n`; false after 10 s. */
static inline int wait_flag(volatile int *flag, int n)
{
	for (long until = now_ms() + 10000; *flag < n && now_ms() < until;)
		usleep(500);
	return *flag >= n;
}

/* Wait until thread `tid` of this process sleeps (in a call that blocks). */
static inline int wait_asleep(pid_t tid)
{
	char path[64], b[256], *p;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	for (long until = now_ms() + 10000; now_ms() < until; usleep(1000)) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, b, sizeof b - 1);
		close(fd);
		b[n > 0 ? n : 0] = 0;
		p = strrchr(b, ')');
		if (p && p[2] == 'S')
			return 1;
	}
	return 0;
}

static inline int is_mapped(const void *page)
{
	unsigned char vec;
	return mincore((void *)page, 4096, &vec) == 0;
}

/* A kit: descriptors for one request of each kind, opened beforehand, so that
 * kit_run() can show that a context still does all of its work after the
 * process has lost its privileges, its descriptors' room or its root. */
enum { KIT_CACHED, KIT_COLD, KIT_DIRECT_READ, KIT_DIRECT_WRITE, KIT_WRITE, KIT_BIG_WRITE, KIT_SYNC, KIT_PIPE, KIT_POLL, KIT_KINDS };
struct kit {
	int fd, direct, out, pipe[2], polled, resfd;
	char *buf[KIT_KINDS];
	uint64_t runs;
};
#define KIT_FILE (1UL << 20)
#define KIT_TAG 0x1f1f000000000000ULL
static inline void kit_open(struct kit *k)
{
	k->fd = tagged_file(KIT_FILE, KIT_TAG);
	k->direct = reopen(k->fd, O_RDWR | O_DIRECT);
	k->out = tagged_file(KIT_FILE, 0);
	k->polled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	k->resfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(pipe2(k->pipe, O_CLOEXEC) == 0);
	MUST(k->direct >= 0 && k->polled >= 0 && k->resfd >= 0);
	for (int i = 0; i < KIT_KINDS; i++)
		if (!k->buf[i])
			k->buf[i] = page_alloc(KIT_FILE);
	k->runs = 0;
}
static inline void kit_close(struct kit *k)
{
	int fds[] = { k->fd, k->direct, k->out, k->polled, k->resfd, k->pipe[0], k->pipe[1] };
	for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++)
		close(fds[i]);
}
/* One request of each kind in cb[]; the tag of what they write. */
static inline uint64_t kit_prepare(struct kit *k, struct iocb *cb)
{
	uint64_t tag = ((uint64_t)getpid() << 44) + (++k->runs << 32);

	posix_fadvise(k->fd, 131072, 65536, POSIX_FADV_DONTNEED);
	memset(k->buf[KIT_CACHED], 0, 4096);
	memset(k->buf[KIT_COLD], 0, 65536);
	memset(k->buf[KIT_DIRECT_READ], 0, 4096);
	memset(k->buf[KIT_PIPE], 0, 4);
	tag_fill(k->buf[KIT_DIRECT_WRITE], 4096, KIT_TAG, 1024);
	tag_fill(k->buf[KIT_WRITE], 4096, tag, 0);
	tag_fill(k->buf[KIT_BIG_WRITE], KIT_FILE / 2, tag, 1024);
	MUST(write(k->pipe[1], "data", 4) == 4);
	io_prep_pread(&cb[KIT_CACHED], k->fd, k->buf[KIT_CACHED], 4096, 4096);
	io_prep_pread(&cb[KIT_COLD], k->fd, k->buf[KIT_COLD], 65536, 131072);
	io_prep_pread(&cb[KIT_DIRECT_READ], k->direct, k->buf[KIT_DIRECT_READ], 4096, 8192);
	io_prep_pwrite(&cb[KIT_DIRECT_WRITE], k->direct, k->buf[KIT_DIRECT_WRITE], 4096, KIT_FILE / 2);
	io_prep_pwrite(&cb[KIT_WRITE], k->out, k->buf[KIT_WRITE], 4096, 0);
	io_prep_pwrite(&cb[KIT_BIG_WRITE], k->out, k->buf[KIT_BIG_WRITE], KIT_FILE / 2, KIT_FILE / 2);
	io_prep_fsync(&cb[KIT_SYNC], k->out);
	io_prep_pread(&cb[KIT_PIPE], k->pipe[0], k->buf[KIT_PIPE], 100, 0);
	io_prep_poll(&cb[KIT_POLL], k->polled, POLLIN);
	for (int i = 0; i < KIT_KINDS; i++) {
		cb[i].data = (void *)(uintptr_t)i;
		io_set_eventfd(&cb[i], k->resfd);
	}
	return tag;
}
/* The kind of an event whose res is that of success, or -1. */
static inline int kit_good(struct io_event *ev, struct iocb *cb)
{
	static const long want[KIT_KINDS] = { 4096, 65536, 4096, 4096, 4096, KIT_FILE / 2, 0, 4, POLLIN };
	unsigned kind = (unsigned)(uintptr_t)ev->data;
	long r = kind == KIT_POLL && (long)ev->res > 0 ? (long)(ev->res & POLLIN) : (long)ev->res;

	return kind < KIT_KINDS && r == want[kind] && ev->obj == &cb[kind] ? (int)kind : -1;
}
/* A bit for each kind whose data is not where it belongs. */
static inline long kit_wrong(struct kit *k, uint64_t tag)
{
	long bad = 0;

	bad |= (tag_wrong(k->buf[KIT_CACHED], 4096, KIT_TAG, 8) != 0) << KIT_CACHED;
	bad |= (tag_wrong(k->buf[KIT_COLD], 65536, KIT_TAG, 256) != 0) << KIT_COLD;
	bad |= (tag_wrong(k->buf[KIT_DIRECT_READ], 4096, KIT_TAG, 16) != 0) << KIT_DIRECT_READ;
	bad |= (file_wrong(k->fd, KIT_FILE, KIT_TAG) != 0) << KIT_DIRECT_WRITE;
	MUST(pread(k->out, k->buf[KIT_CACHED], 4096, 0) == 4096);
	bad |= (tag_wrong(k->buf[KIT_CACHED], 4096, tag, 0) != 0) << KIT_WRITE;
	MUST(pread(k->out, k->buf[KIT_BIG_WRITE], KIT_FILE / 2, KIT_FILE / 2) == KIT_FILE / 2);
	bad |= (tag_wrong(k->buf[KIT_BIG_WRITE], KIT_FILE / 2, tag, 1024) != 0) << KIT_BIG_WRITE;
	bad |= (memcmp(k->buf[KIT_PIPE], "data", 4) != 0) << KIT_PIPE;
	return bad;
}
/* One request of each kind, all in flight together. 0 if all came out right,
 * otherwise a bit for each kind that did not; io_submit's error if refused. */
static inline long kit_run(io_context_t ctx, struct kit *k)
{
	struct iocb cb[KIT_KINDS], *list[KIT_KINDS];
	struct io_event ev[KIT_KINDS];
	uint64_t tag = kit_prepare(k, cb), one = 1;
	long bad = (1 << KIT_KINDS) - 1;

	for (int i = 0; i < KIT_KINDS; i++)
		list[i] = &cb[i];
	int r = io_submit(ctx, KIT_KINDS, list);
	if (r != KIT_KINDS)
		return r < 0 ? r : -ENOMSG;
	MUST(write(k->polled, &one, 8) == 8);
	if (reap_all(ctx, KIT_KINDS, ev, 10000) != KIT_KINDS)
		return -ETIME;
	for (int i = 0; i < KIT_KINDS; i++) {
		int kind = kit_good(&ev[i], cb);
		if (kind >= 0)
			bad &= ~(1L << kind);
	}
	bad |= kit_wrong(k, tag);
	eventfd_take(k->polled);
	return eventfd_collect(k->resfd, KIT_KINDS) == KIT_KINDS ? bad : bad | 1 << KIT_KINDS;
}
/* The same where neither a descriptor nor memory is to be had. The kernel's AIO
 * needs none. aio-rs runs cached reads and small writes; all else it may refuse
 * with EAGAIN, or answer with an event that says what was lacking. Whatever it
 * accepts has its event. 0, or a bit for each kind that did otherwise. */
static inline long kit_run_starved(io_context_t ctx, struct kit *k)
{
	const long must = 1L << KIT_CACHED | 1L << KIT_WRITE;
	struct iocb cb[KIT_KINDS];
	struct io_event ev[KIT_KINDS + 1];
	uint64_t tag, one = 1;
	long bad = 0, undone = 0, accepted = 0, got;

	if (!on_ours())
		return kit_run(ctx, k);
	tag = kit_prepare(k, cb);
	for (int i = 0; i < KIT_KINDS; i++) {
		int r = submit1(ctx, &cb[i]);
		accepted += r == 1;
		undone |= (long)(r == -EAGAIN) << i;
		bad |= (long)(r != 1 && r != -EAGAIN) << i;
	}
	MUST(write(k->polled, &one, 8) == 8);
	got = reap_all(ctx, accepted, ev, 10000);
	if (got != accepted || reap(ctx, 1, 1, ev + got, 5) != 0)
		return -ETIME;
	for (int i = 0; i < got; i++) {
		int kind = kit_good(&ev[i], cb);
		long r = (long)ev[i].res;
		if (kind < 0)
			*(r == -EAGAIN || r == -EMFILE || r == -ENOMEM ? &undone : &bad) |= 1L << (uintptr_t)ev[i].data;
	}
	bad |= (kit_wrong(k, tag) & ~undone) | (undone & must);
	/* as it was before, for the next run */
	if (undone & 1L << KIT_PIPE)
		MUST(read(k->pipe[0], k->buf[KIT_PIPE], 4) == 4);
	eventfd_take(k->polled);
	return eventfd_collect(k->resfd, accepted) == accepted ? bad : bad | 1 << KIT_KINDS;
}
#endif

/* Reads of the page cache, many in a call, which aio-rs makes together once a thread
 * has had thousands of them; and what can be in their way. */
#ifndef AIO_MANY_READS_H
#define AIO_MANY_READS_H
#include "check.h"
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>

#define MANY 40
#define CHUNK 512
#define CHUNKS 128 /* of the file */

struct many {
	io_context_t ctx;
	int fd;
	struct iocb cb[MANY], *list[MANY];
	struct io_event ev[MANY];
	char buf[MANY][CHUNK];
};

static inline char many_byte(long at)
{
	return (char)(at * 7 + at / 256);
}

static inline void many_prep(struct many *m, long first)
{
	for (int i = 0; i < MANY; i++) {
		m->list[i] = &m->cb[i];
		io_prep_pread(m->list[i], m->fd, m->buf[i], CHUNK, (first + i * 5) % CHUNKS * CHUNK);
	}
	memset(m->buf, 0x55, sizeof m->buf);
}

/* Whether the event of read i is the next one, with this res and the data to it. */
static inline int many_good(struct many *m, int event, int i, long res)
{
	struct io_event *ev = &m->ev[event];
	int good = ev->obj == m->list[i] && (long)ev->res == res;

	for (long at = 0; good && at < res; at++)
		good = m->buf[i][at] == many_byte(m->list[i]->u.c.offset + at);
	return good;
}

/* Rounds of reads; how many of them were as they should be. */
static inline int many_rounds(struct many *m, int rounds)
{
	int good = 0;

	for (int r = 0; r < rounds; r++) {
		int all;
		many_prep(m, r);
		all = io_submit(m->ctx, MANY, m->list) == MANY && reap(m->ctx, MANY, MANY, m->ev, 10000) == MANY;
		for (int i = 0; all && i < MANY; i++)
			all = many_good(m, i, i, CHUNK);
		good += all;
	}
	return good;
}

static inline struct many *many_new(int fd)
{
	struct many *m = calloc(1, sizeof *m);

	m->fd = fd;
	MUST(fd >= 0 && io_setup(MANY * 2, &m->ctx) == 0);
	return m;
}

/* A file, and a descriptor of it that is sure to be read without waiting. */
static inline struct many *many_warm(void)
{
	struct many *m = many_new(pattern_file(0, CHUNKS * CHUNK));
	expect("3.10/0", "40 reads in a call, 200 times", many_rounds(m, 200), 200);
	return m;
}

/* Submits, and says whether `n` were taken and all `n` events came. */
static inline int many_run(struct many *m, int n)
{
	return io_submit(m->ctx, MANY, m->list) == n && reap(m->ctx, n, MANY, m->ev, 10000) == n;
}

static inline void many_mixed(struct many *m)
{
	static char block[CHUNK];
	int good = 0, efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	eventfd_t count = 0;

	many_prep(m, 0);
	m->list[3]->u.c.offset = CHUNKS * CHUNK - 100;
	m->list[7]->u.c.offset = CHUNKS * CHUNK;
	m->list[11]->u.c.buf = unmapped_addr();
	m->list[15]->u.c.buf = edge_alloc(100);
	for (int i = 20; i < 23; i++)
		io_set_eventfd(m->list[i], efd);
	MUST(many_run(m, MANY));
	for (int i = 0; i < MANY; i++)
		if (i == 11 || i == 15)
			good += m->ev[i].obj == m->list[i] && (long)m->ev[i].res == (i == 11 ? -EFAULT : 100);
		else
			good += many_good(m, i, i, i == 3 ? 100 : i == 7 ? 0 : CHUNK);
	expect("3.10/0", "the file's end and bad buffers among 40 reads", good, MANY);
	MUST(eventfd_read(efd, &count) == 0);
	expect("3.10/0", "three of them with an eventfd", (long)count, 3);

	memset(block, 'w', CHUNK);
	many_prep(m, 0);
	m->list[9]->u.c.offset = m->list[30]->u.c.offset = 8 * CHUNK;
	io_prep_pwrite(m->list[20], m->fd, block, CHUNK, 8 * CHUNK);
	MUST(many_run(m, MANY));
	expect_true("3.10/0", "a write among them: read before it", many_good(m, 9, 9, CHUNK));
	expect_true("3.10/0", "and behind it", m->ev[30].obj == m->list[30] && !memcmp(m->buf[30], block, CHUNK));
	for (int i = 0; i < CHUNK; i++)
		block[i] = many_byte(8 * CHUNK + i);
	MUST(pwrite(m->fd, block, CHUNK, 8 * CHUNK) == CHUNK);
	close(efd);
}

static inline void many_refused(struct many *m)
{
	int good = 0;

	many_prep(m, 0);
	m->list[25]->aio_fildes = -1;
	MUST(many_run(m, 25));
	for (int i = 0; i < 25; i++)
		good += many_good(m, i, i, CHUNK);
	expect("3.10/0", "a bad one at 25: those before it", good, 25);
}

/* The number that was read from so often names another file. */
static inline void many_reused(struct many *m)
{
	int saved = fcntl(m->fd, F_DUPFD_CLOEXEC, 0), p[2], good = 0;
	char bytes[MANY * 8], got[8];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = many_byte((long)i);
	MUST(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0 && write(p[1], bytes, 100) == 100);
	MUST(dup3(p[0], m->fd, O_CLOEXEC) == m->fd);
	many_prep(m, 0);
	MUST(many_run(m, MANY));
	for (int i = 0; i < MANY; i++)
		good += m->ev[i].obj == m->list[i] && (long)m->ev[i].res == (i ? -EAGAIN : 100);
	expect("3.10/0", "from a pipe with less than one of them asks for", good, MANY);
	expect_true("3.10/0", "the first has it all", !memcmp(m->buf[0], bytes, 100));
	MUST(dup3(saved, m->fd, O_CLOEXEC) == m->fd && many_rounds(m, 200) == 200);
	close(p[0]);
	close(p[1]);

	good = 0;
	MUST(pipe2(p, O_CLOEXEC) == 0 && write(p[1], bytes, sizeof bytes) == sizeof bytes);
	MUST(dup3(p[0], m->fd, O_CLOEXEC) == m->fd);
	many_prep(m, 0);
	for (int i = 0; i < MANY; i++)
		m->list[i]->u.c.nbytes = 6;
	MUST(many_run(m, MANY));
	for (int i = 0; i < MANY; i++)
		good += m->ev[i].obj == m->list[i] && m->ev[i].res == 6 && !memcmp(m->buf[i], bytes + i * 6, 6);
	expect("3.10/0", "from a pipe in the file's place", good, MANY);
	MUST(read(p[0], got, 8) == 8);
	expect_true("3.10/0", "nothing is taken out of it twice", !memcmp(got, bytes + MANY * 6, 8));

	close(m->fd);
	many_prep(m, 0);
	expect("3.10/0", "the number closed", io_submit(m->ctx, MANY, m->list), -EBADF);
	MUST(dup3(saved, m->fd, O_CLOEXEC) == m->fd);
	expect("3.10/0", "and open again", many_rounds(m, 200), 200);
	close(saved);
	close(p[0]);
	close(p[1]);
}

/* Half of the file has left the page cache. */
static inline void many_cold(struct many *m)
{
	int good = 0;

	for (int round = 0; round < 20; round++) {
		MUST(fsync(m->fd) == 0 && posix_fadvise(m->fd, 0, CHUNKS * CHUNK / 2, POSIX_FADV_DONTNEED) == 0);
		many_prep(m, round);
		if (!many_run(m, MANY))
			DIE("round %d", round);
		for (int e = 0; e < MANY; e++)
			for (int i = 0; i < MANY; i++)
				good += m->ev[e].obj == m->list[i] && many_good(m, e, i, CHUNK);
	}
	expect("3.10/0", "some not in the page cache", good, 20 * MANY);
}

static int many_flip_fd, many_flip_to[2];
static volatile int many_flipping;

static inline void *many_flip(void *arg)
{
	for (unsigned i = 0; many_flipping; i++)
		dup3(many_flip_to[i % 2], many_flip_fd, O_CLOEXEC);
	return arg;
}

/* aio-rs looks at a file by more than one system call: it may have met both. */
static inline int many_torn(struct many *m, int i)
{
	return on_ours() && m->ev[i].obj == m->list[i] && (long)m->ev[i].res == -EBADF;
}

/* Meanwhile the number names, in turn, the file and one that cannot be read: what is
 * accepted was read, what comes behind a refused one is not accepted. */
static inline void many_flipped(struct many *m)
{
	pthread_t t;
	int wrong = 0;

	many_flip_fd = m->fd;
	many_flip_to[0] = fcntl(m->fd, F_DUPFD_CLOEXEC, 0);
	many_flip_to[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	MUST(many_flip_to[0] >= 0 && many_flip_to[1] >= 0);
	many_flipping = 1;
	MUST(pthread_create(&t, NULL, many_flip, NULL) == 0);
	for (int round = 0; round < 3000; round++) {
		many_prep(m, round);
		int n = io_submit(m->ctx, MANY, m->list);
		if (n == -EBADF)
			n = 0;
		MUST(n >= 0 && (n == 0 || reap(m->ctx, n, MANY, m->ev, 10000) == n));
		for (int i = 0; i < n; i++)
			wrong += !many_good(m, i, i, CHUNK) && !many_torn(m, i);
		wrong += reap(m->ctx, 0, MANY, m->ev, 0) != 0;
	}
	many_flipping = 0;
	MUST(pthread_join(t, NULL) == 0);
	MUST(dup3(many_flip_to[0], m->fd, O_CLOEXEC) == m->fd);
	expect("3.10/0", "another file in its place, again and again: wrong events", wrong, 0);
	close(many_flip_to[0]);
	close(many_flip_to[1]);
}

static inline void *many_thread(void *arg)
{
	struct many *m = many_new(*(int *)arg);
	long good = many_rounds(m, 100);

	io_destroy(m->ctx);
	free(m);
	return (void *)good;
}

/* Threads after one another have the same stack; and some at a time. */
static inline void many_threads(struct many *m)
{
	pthread_t t[4];
	void *good;
	long sum = 0;

	for (int i = 0; i < 8; i++) {
		MUST(pthread_create(t, NULL, many_thread, &m->fd) == 0 && pthread_join(*t, &good) == 0);
		sum += (long)good;
	}
	for (int i = 0; i < 4; i++)
		MUST(pthread_create(&t[i], NULL, many_thread, &m->fd) == 0);
	for (int i = 0; i < 4; i++) {
		MUST(pthread_join(t[i], &good) == 0);
		sum += (long)good;
	}
	expect("3.10/0", "in twelve threads", sum, 1200);
}

static inline void many_processes(struct many *m)
{
	int status;

	pid_t pid = fork();
	if (!pid)
		_exit(many_thread(&m->fd) == (void *)100 ? 0 : 1);
	MUST(waitpid(pid, &status, 0) == pid);
	expect("3.10/0", "in a child", status, 0);
	pid = vfork();
	if (!pid)
		_exit(many_rounds(m, 10) == 10 ? 0 : 1);
	MUST(waitpid(pid, &status, 0) == pid);
	expect("3.10/0", "in a child by vfork", status, 0);
	expect("3.10/0", "and then here", many_rounds(m, 100), 100);
}

static struct many *many_handlers;
static volatile sig_atomic_t many_calls, many_wrong;

static inline void many_handler(int sig)
{
	(void)sig;
	many_calls++;
	many_wrong += many_rounds(many_handlers, 1) != 1;
}

/* Signal handlers that read as well, above one that does. */
static inline void many_signals(struct many *m)
{
	struct itimerval each = { { 0, 300 }, { 0, 300 } }, off = { { 0, 0 }, { 0, 0 } };
	struct sigaction act = { .sa_handler = many_handler };
	int rounds = 0, good = 0;

	many_handlers = many_new(m->fd);
	MUST(sigaction(SIGALRM, &act, NULL) == 0 && setitimer(ITIMER_REAL, &each, NULL) == 0);
	while (many_calls < 200) {
		int all, n = 0;
		rounds++;
		many_prep(m, rounds);
		all = io_submit(m->ctx, MANY, m->list) == MANY;
		while (all && n < MANY) {
			int r = io_getevents(m->ctx, 1, MANY - n, m->ev + n, NULL);
			all = r > 0 || r == -EINTR;
			n += r > 0 ? r : 0;
		}
		for (int i = 0; all && i < MANY; i++)
			all = many_good(m, i, i, CHUNK);
		good += all;
	}
	MUST(setitimer(ITIMER_REAL, &off, NULL) == 0);
	expect("3.10/0", "with signal handlers that read: wrong rounds", rounds - good, 0);
	expect("3.10/0", "and wrong ones of theirs", many_wrong, 0);
	io_destroy(many_handlers->ctx);
}

static inline void many_reads(void)
{
	struct many *m = many_warm();

	many_mixed(m);
	many_refused(m);
	many_reused(m);
	many_flipped(m);
	many_cold(m);
	many_threads(m);
	many_processes(m);
	many_signals(m);
	close(m->fd);
	MUST(io_destroy(m->ctx) == 0);
	free(m);
}
#endif

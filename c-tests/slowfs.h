/* A slow device: a FUSE file system whose answers can be delayed or held back.
 *
 *	struct slowfs *s = slowfs_start(16, 1 << 20);	  16 files of 1 MiB, zeros
 *	slowfs_fill(s, 0);				  pattern_byte() into file 0
 *	int fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);	  open file 0
 *	slowfs_delay(s, SLOWFS_READ, 300);		  each read takes 300 ms
 *	slowfs_hold(s, SLOWFS_FSYNC);			  fsyncs wait for release
 *	slowfs_wait(s, SLOWFS_FSYNC, 2);		  until 2 fsyncs have arrived
 *	slowfs_release(s, SLOWFS_FSYNC);		  all of them go on
 *	slowfs_fail(s, SLOWFS_WRITE, EIO);		  writes fail from now on
 *	slowfs_seen(s, op), slowfs_done(s, op)		  requests arrived, answered
 *	slowfs_interrupts(s)				  FUSE_INTERRUPTs seen
 *	slowfs_data(s, 0)				  the device's bytes
 *	slowfs_log(s, n), slowfs_logged(s)		  the n-th request of all
 *	slowfs_stop(s);					  optional
 *
 * slowfs_start() skips the program when it is not run by root or there is no
 * /dev/fuse. Call it before io_setup and threads, from the main thread (the
 * server dies with the thread that started it). O_DIRECT files are asynchronous
 * (FUSE_ASYNC_DIO); buffered ones have no read-ahead, and every slowfs_open()
 * of one drops its page cache, so that the next read is cold. A held or delayed
 * write reaches slowfs_data() when it is answered. FUSE itself does one fsync
 * of a file at a time.
 *
 * Nothing is left behind, whatever happens: the mount is a detached one (no
 * path, no mount table: it goes with the last descriptor), the server has
 * PR_SET_PDEATHSIG, and its death ends all requests with ECONNABORTED. A held
 * request goes on by itself after SLOWFS_HOLD_MAX ms, since a killed process
 * cannot die before its I/O is done.
 */
#ifndef AIO_SLOWFS_H
#define AIO_SLOWFS_H
#include "check.h"
#include <linux/fuse.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { SLOWFS_READ, SLOWFS_WRITE, SLOWFS_FSYNC, SLOWFS_OPS };
#define SLOWFS_HOLD_MAX 20000
#define SLOWFS_LOG 4096 /* the log is a ring: the newest 4096 requests */
#define SLOWFS_PENDING 1024
#define SLOWFS_ROOM (8UL << 20) /* a file may grow by this */
#define SLOWFS_MAX_IO (1U << 20)

struct slowfs_req {
	int op, file;
	uint64_t offset;
	unsigned len;
	volatile unsigned in, out; /* ticks of arrival and answer; 0: not yet */
};
struct slowfs {
	/* the test's own */
	pid_t server;
	int mnt;
	/* shared with the server */
	int nfiles;
	size_t room;
	char *data;
	volatile int delay[SLOWFS_OPS], hold[SLOWFS_OPS], fail[SLOWFS_OPS];
	volatile unsigned seen[SLOWFS_OPS], done[SLOWFS_OPS], interrupts, tick, logged;
	struct slowfs_req log[SLOWFS_LOG];
	volatile size_t size[];
};

static inline void slowfs_delay(struct slowfs *s, int op, int ms) { s->delay[op] = ms; }
static inline void slowfs_hold(struct slowfs *s, int op) { s->hold[op] = 1; }
static inline void slowfs_release(struct slowfs *s, int op) { s->hold[op] = 0; }
static inline void slowfs_fail(struct slowfs *s, int op, int err) { s->fail[op] = err; }
static inline unsigned slowfs_seen(struct slowfs *s, int op) { return s->seen[op]; }
static inline unsigned slowfs_done(struct slowfs *s, int op) { return s->done[op]; }
static inline unsigned slowfs_interrupts(struct slowfs *s) { return s->interrupts; }
static inline unsigned slowfs_logged(struct slowfs *s) { return s->logged; }
static inline struct slowfs_req *slowfs_log(struct slowfs *s, unsigned n) { return &s->log[n % SLOWFS_LOG]; }
static inline char *slowfs_data(struct slowfs *s, int file) { return s->data + s->room * file; }
static inline char pattern_byte(size_t i) { return (char)(i * 7 + i / 256); }
static inline void slowfs_fill(struct slowfs *s, int file)
{
	for (size_t i = 0; i < s->size[file]; i++)
		slowfs_data(s, file)[i] = pattern_byte(i);
}
/* Until `n` requests have arrived since the start; false after 10 s. */
static inline int slowfs_wait(struct slowfs *s, int op, unsigned n)
{
	for (long end = now_ms() + 10000; s->seen[op] < n && now_ms() < end;)
		usleep(500);
	return s->seen[op] >= n;
}

/* The server: one thread, no malloc, no stdio (it may be the child of a
 * process with threads). */
struct slowfs_pending {
	int used, op;
	uint64_t unique;
	struct slowfs_req *req;
	struct slowfs_req r;
	long since, due;
	char *bytes; /* a write's */
};
static struct slowfs_pending slowfs_pend[SLOWFS_PENDING];

static inline void slowfs_answer(int dev, uint64_t unique, int err, const void *out, size_t len)
{
	struct fuse_out_header h = { .len = sizeof h + (err ? 0 : len), .error = -err, .unique = unique };
	struct iovec v[2] = { { &h, sizeof h }, { (void *)out, err ? 0 : len } };
	if (writev(dev, v, 2) < 0 && errno != ENOENT) /* ENOENT: the asker is gone */
		_exit(0);
}

static inline void slowfs_attr(struct slowfs *s, uint64_t ino, struct fuse_attr *a)
{
	memset(a, 0, sizeof *a);
	a->ino = ino;
	a->nlink = 1;
	a->blksize = 4096;
	a->mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0777 : S_IFREG | 0666;
	a->size = ino == FUSE_ROOT_ID ? 0 : s->size[ino - 2];
}

static inline void slowfs_finish(struct slowfs *s, int dev, struct slowfs_pending *p)
{
	struct slowfs_req *r = &p->r;
	struct fuse_write_out wo = { .size = r->len };
	const void *out = NULL;
	size_t len = 0, size = s->size[r->file];
	int err = s->fail[p->op];

	if (p->op == SLOWFS_WRITE) {
		if (!err && r->offset + r->len > s->room)
			err = ENOSPC;
		if (!err) {
			memcpy(slowfs_data(s, r->file) + r->offset, p->bytes, r->len);
			if (r->offset + r->len > size)
				s->size[r->file] = r->offset + r->len;
		}
		munmap(p->bytes, r->len);
		out = &wo;
		len = sizeof wo;
	} else if (p->op == SLOWFS_READ && r->offset < size) {
		out = slowfs_data(s, r->file) + r->offset;
		len = size - r->offset < r->len ? size - r->offset : r->len;
	}
	p->used = 0;
	p->req->out = ++s->tick;
	s->done[p->op]++;
	slowfs_answer(dev, p->unique, err, out, len);
}

/* Answer what is due; how long until the next look (-1: nothing waits). */
static inline int slowfs_due(struct slowfs *s, int dev)
{
	long now = now_ms(), wait = -1;

	for (int i = 0; i < SLOWFS_PENDING; i++) {
		struct slowfs_pending *p = &slowfs_pend[i];
		long left = p->due - now;
		if (!p->used)
			continue;
		if (s->hold[p->op] && now - p->since < SLOWFS_HOLD_MAX)
			left = 1;
		if (left <= 0)
			slowfs_finish(s, dev, p);
		else if (wait < 0 || left < wait)
			wait = left;
	}
	return wait;
}

static inline void slowfs_queue(struct slowfs *s, struct fuse_in_header *h, int op, uint64_t offset, unsigned len, char *bytes)
{
	struct slowfs_pending *p = slowfs_pend;

	while (p->used)
		if (++p == slowfs_pend + SLOWFS_PENDING)
			_exit(1);
	p->used = 1;
	p->op = op;
	p->unique = h->unique;
	p->since = now_ms();
	p->due = p->since + s->delay[op];
	if (bytes && len) {
		p->bytes = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memcpy(p->bytes, bytes, len);
	}
	p->r = (struct slowfs_req){ op, (int)h->nodeid - 2, offset, len, s->tick + 1, 0 };
	p->req = slowfs_log(s, s->logged);
	*p->req = p->r;
	s->tick++;
	s->logged++;
	__atomic_add_fetch(&s->seen[op], 1, __ATOMIC_SEQ_CST);
}

static inline void slowfs_request(struct slowfs *s, int dev, struct fuse_in_header *h)
{
	void *arg = h + 1;
	uint64_t ino = h->nodeid;

	switch (h->opcode) {
	case FUSE_INIT: {
		struct fuse_init_in *in = arg;
		struct fuse_init_out o = {
			.major = FUSE_KERNEL_VERSION, .minor = in->minor < 31 ? in->minor : 31,
			.flags = in->flags & (FUSE_ASYNC_DIO | FUSE_BIG_WRITES | FUSE_MAX_PAGES),
			.max_background = 1000, .congestion_threshold = 900,
			.max_write = SLOWFS_MAX_IO, .time_gran = 1, .max_pages = SLOWFS_MAX_IO / 4096,
		};
		slowfs_answer(dev, h->unique, 0, &o, sizeof o);
		return;
	}
	case FUSE_LOOKUP: { /* names are numbers */
		struct fuse_entry_out o = { .generation = 1, .attr_valid = 3600, .entry_valid = 3600 };
		long n = 0;
		for (char *c = arg; *c; c++)
			n = *c < '0' || *c > '9' || n > 9999 ? 1L << 30 : n * 10 + *c - '0';
		o.nodeid = (uint64_t)n + 2;
		if (n < s->nfiles)
			slowfs_attr(s, o.nodeid, &o.attr);
		slowfs_answer(dev, h->unique, n < s->nfiles ? 0 : ENOENT, &o, sizeof o);
		return;
	}
	case FUSE_SETATTR: {
		struct fuse_setattr_in *in = arg;
		if ((in->valid & FATTR_SIZE) && in->size <= s->room) {
			if (in->size < s->size[ino - 2])
				memset(slowfs_data(s, (int)ino - 2) + in->size, 0, s->size[ino - 2] - in->size);
			s->size[ino - 2] = in->size;
		}
	}
	/* fallthrough */
	case FUSE_GETATTR: {
		struct fuse_attr_out o = { .attr_valid = 3600 };
		slowfs_attr(s, ino, &o.attr);
		slowfs_answer(dev, h->unique, 0, &o, sizeof o);
		return;
	}
	case FUSE_OPEN: {
		struct fuse_open_in *in = arg;
		struct fuse_open_out o = { .open_flags = in->flags & O_DIRECT ? FOPEN_DIRECT_IO : 0 };
		slowfs_answer(dev, h->unique, 0, &o, sizeof o);
		return;
	}
	case FUSE_READ: {
		struct fuse_read_in *in = arg;
		slowfs_queue(s, h, SLOWFS_READ, in->offset, in->size, NULL);
		return;
	}
	case FUSE_WRITE: {
		struct fuse_write_in *in = arg;
		slowfs_queue(s, h, SLOWFS_WRITE, in->offset, in->size, (char *)(in + 1));
		return;
	}
	case FUSE_FSYNC:
		slowfs_queue(s, h, SLOWFS_FSYNC, 0, 0, NULL);
		return;
	case FUSE_RELEASE:
		slowfs_answer(dev, h->unique, 0, NULL, 0);
		return;
	case FUSE_INTERRUPT: /* counted, and otherwise not listened to */
		s->interrupts++;
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return;
	case FUSE_DESTROY:
		_exit(0);
	default:
		slowfs_answer(dev, h->unique, ENOSYS, NULL, 0);
	}
}

static inline void slowfs_serve(struct slowfs *s, int dev, pid_t parent)
{
	static char buf[SLOWFS_MAX_IO + 65536] __attribute__((aligned(8)));
	struct pollfd p;
	sigset_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_NAME, "slowfs");
	/* the test's pipes, files and stdout are not ours to keep open */
	MUST(dup2(dev, 0) == 0);
	if (syscall(SYS_close_range, 1U, ~0U, 0U))
		for (int fd = 1; fd < 65536; fd++)
			close(fd);
	p = (struct pollfd){ .fd = 0, .events = POLLIN };
	for (;;) {
		poll(&p, 1, slowfs_due(s, 0));
		for (;;) {
			ssize_t n = read(0, buf, sizeof buf);
			if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOENT))
				break;
			if (n < (ssize_t)sizeof(struct fuse_in_header))
				_exit(0); /* ENODEV: unmounted */
			slowfs_request(s, 0, (void *)buf);
			slowfs_due(s, 0);
		}
	}
}

/* fsopen, fsconfig, fsmount: a mount that is in no mount table. */
static inline int detached_mount(const char *type, const char *const *keys_values)
{
	enum { SET_FLAG, SET_STRING, CREATE = 6 };
	int fs = (int)syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */), mnt = -1;

	if (fs < 0)
		return -1;
	for (; *keys_values; keys_values += 2)
		if (syscall(SYS_fsconfig, fs, keys_values[1] ? SET_STRING : SET_FLAG, keys_values[0], keys_values[1], 0))
			goto out;
	if (!syscall(SYS_fsconfig, fs, CREATE, NULL, NULL, 0))
		mnt = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
out:
	close(fs);
	return mnt;
}

static inline struct slowfs *slowfs_start(int nfiles, size_t size)
{
	size_t room = (size + SLOWFS_ROOM + 4095) & ~4095UL;
	size_t head = (sizeof(struct slowfs) + (unsigned)nfiles * sizeof(size_t) + 4095) & ~4095UL;
	struct slowfs *s = mmap(NULL, head + room * (unsigned)nfiles, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	pid_t self = getpid(), server;
	char num[16];
	const char *opt[] = { "fd", num, "rootmode", "40000", "user_id", "0", "group_id", "0", "allow_other", NULL, NULL };
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	MUST(s != MAP_FAILED);
	if (geteuid() || dev < 0)
		skip("no FUSE (needs root and /dev/fuse)");
	s->nfiles = nfiles;
	s->room = room;
	s->data = (char *)s + head;
	for (int i = 0; i < nfiles; i++)
		s->size[i] = size;
	snprintf(num, sizeof num, "%d", dev);
	s->mnt = detached_mount("fuse", opt);
	if (s->mnt < 0)
		skip("no FUSE (needs root and /dev/fuse)");
	fflush(stdout);
	server = fork();
	MUST(server >= 0);
	if (!server)
		slowfs_serve(s, dev, self);
	s->server = server;
	close(dev);
	return s;
}

static inline int slowfs_open(struct slowfs *s, int file, int flags)
{
	char name[16];
	snprintf(name, sizeof name, "%d", file);
	int fd = openat(s->mnt, name, flags | O_CLOEXEC);
	MUST(fd >= 0);
	return fd;
}

static inline void slowfs_stop(struct slowfs *s)
{
	close(s->mnt);
	kill(s->server, SIGKILL);
	waitpid(s->server, NULL, 0);
}
#endif

/* Shared by the submit_* and target_* programs. */
#ifndef AIO_SUBMIT_UTIL_H
#define AIO_SUBMIT_UTIL_H
#include "check.h"
#include <limits.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PAGE 4096
/* For pattern_file, to which 0 means O_RDWR. */
#define RDONLY (O_RDONLY | O_CLOEXEC)
/* What a key holds before io_submit; the library writes 0. */
#define KEY_MARK 0xdeadbeefU
#define DATA_MARK ((void *)0x5ca1ab1eUL)
/* iocb.flags, and the field that must be zero (libaio.h names neither). */
#define FLAG_RESFD 1U
#define FLAG_IOPRIO 2U
#define reserved2 u.c.__pad3

static inline void prep(struct iocb *cb, int op, int fd, void *buf, size_t n, long long offset)
{
	memset(cb, 0, sizeof *cb);
	cb->data = DATA_MARK;
	cb->key = KEY_MARK;
	cb->aio_lio_opcode = (short)op;
	cb->aio_fildes = fd;
	cb->u.c.buf = buf;
	cb->u.c.nbytes = n;
	cb->u.c.offset = offset;
}

static inline io_context_t new_ctx(int nr)
{
	io_context_t ctx = NULL;
	MUST(io_setup(nr, &ctx) == 0);
	return ctx;
}

/* A number that names no open descriptor (call after io_setup). */
static inline int closed_fd(void)
{
	int fd = 9999;
	while (fcntl(fd, F_GETFD) >= 0)
		fd--;
	return fd;
}

/* Slots are counted by CPU: stay on one when the ring is to be full. */
static inline void pin_cpu(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	MUST(sched_setaffinity(0, sizeof one, &one) == 0);
}

/* A context without a free slot: unreaped empty reads fill it. */
static inline io_context_t full_ctx(int fd)
{
	io_context_t ctx;
	struct iocb cb;
	long n = 0;
	int r;
	pin_cpu();
	ctx = new_ctx(1);
	prep(&cb, IO_CMD_PREAD, fd, NULL, 0, 0);
	while ((r = submit1(ctx, &cb)) == 1)
		MUST(++n < 100000);
	MUST(r == -EAGAIN && n > 0);
	return ctx;
}

/* Nothing is in the ring. */
static inline int ring_empty(io_context_t ctx)
{
	return ring_of(ctx)->head == ring_of(ctx)->tail;
}

static inline const char *key_str(unsigned key)
{
	return key == 0 ? "cleared" : key == KEY_MARK ? "kept" : "spoilt";
}

/* io_submit refuses with `err`; key afterwards 0 ("cleared") or as before ("kept"). */
static inline void expect_refused_key(const char *id, const char *label, io_context_t ctx, struct iocb *cb, long err,
				      const char *key)
{
	char got[96], want[96];
	cb->key = KEY_MARK;
	long r = run1(ctx, cb);
	snprintf(got, sizeof got, "%s, key %s", run_str(r), key_str(cb->key));
	snprintf(want, sizeof want, "%s, key %s", run_str(SUBMIT_ERR(err)), key);
	check_str(id, label, got, want);
}

/* The descriptor of a tmpfs of that size, mounted nowhere; -1 without the right to. */
static inline int tmpfs_dir(const char *size)
{
	int mnt, fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -1;
	MUST(fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0) == 0);
	MUST(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0);
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	MUST(mnt >= 0);
	close(fs);
	return mnt;
}
static inline int tmpfs_file(const char *size, int flags)
{
	int fd, dir = tmpfs_dir(size);
	if (dir < 0)
		skip("no right to mount a tmpfs");
	fd = openat(dir, "f", O_CREAT | O_CLOEXEC | (flags ? flags : O_RDWR), 0600);
	MUST(fd >= 0);
	close(dir);
	return fd;
}

/* Memory that a child shares with its parent. */
static inline void *shared_alloc(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	return p;
}
/* Runs fn in a child and returns its wait status. */
static inline int in_child(void (*fn)(void))
{
	int status;
	pid_t pid;
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		fn();
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	return status;
}
static inline void expect_child(const char *id, const char *label, int status, int want_signal)
{
	expect(id, label, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) ? 1000 : 0, want_signal);
}
#endif

/* The AIO system calls by their numbers, through libc's syscall(2).
 *
 * Each returns what libaio would, -errno or the value; BAD_ERRNO when the
 * convention of syscall(2) was broken: -1 and errno, which a success leaves. */
#ifndef AIO_RAW_H
#define AIO_RAW_H
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>

/* Linked with libaio even where no function of it is called: what stands in for
 * it must be loaded (--as-needed). */
void *const libaio_is_used __attribute__((used)) = (void *)io_setup;

#define BAD_ERRNO (-4000L)
#define RAW(...)                                                                           \
	({                                                                                 \
		errno = 1234;                                                              \
		long r_ = syscall(__VA_ARGS__);                                            \
		r_ >= 0	    ? (errno == 1234 ? r_ : BAD_ERRNO) :                           \
		r_ == -1 ? (errno > 0 && errno < 1000 ? (long)-errno : BAD_ERRNO) :        \
			   BAD_ERRNO;                                                      \
	})

static inline long raw_setup(unsigned long nr, void *ctxp)
{
	return RAW(SYS_io_setup, nr, ctxp);
}
static inline long raw_destroy(io_context_t ctx)
{
	return RAW(SYS_io_destroy, ctx);
}
static inline long raw_submit(io_context_t ctx, long nr, void *list)
{
	return RAW(SYS_io_submit, ctx, nr, list);
}
static inline long raw_submit1(io_context_t ctx, struct iocb *cb)
{
	return raw_submit(ctx, 1, &cb);
}
static inline long raw_cancel(io_context_t ctx, void *cb, void *result)
{
	return RAW(SYS_io_cancel, ctx, cb, result);
}
static inline long raw_getevents(io_context_t ctx, long min, long nr, void *ev, void *timeout)
{
	return RAW(SYS_io_getevents, ctx, min, nr, ev, timeout);
}
struct raw_sigset {
	const void *mask;
	size_t size;
};
static inline long raw_pgetevents(io_context_t ctx, long min, long nr, void *ev, void *timeout, void *usig)
{
	return RAW(SYS_io_pgetevents, ctx, min, nr, ev, timeout, usig);
}

static struct timespec __attribute__((unused)) at_once, ten_seconds = { 10, 0 }, ms20 = { 0, 20000000 };

/* Is the ring the kernel's own? */
static inline int kernels_ring(io_context_t ctx)
{
	char line[512], start[32];
	int found = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	snprintf(start, sizeof start, "%lx-", (unsigned long)ctx);
	while (fgets(line, sizeof line, maps))
		found |= !strncmp(line, start, strlen(start)) && strstr(line, "/[aio]");
	fclose(maps);
	return found;
}

/* One PREAD of 16 bytes of `fd` and its event, all by number. */
static inline long raw_read(io_context_t ctx, int fd)
{
	static char buf[16];
	struct io_event ev;
	struct iocb cb;

	io_prep_pread(&cb, fd, buf, sizeof buf, 0);
	long r = raw_submit1(ctx, &cb);
	if (r != 1)
		return SUBMIT_ERR(r);
	r = raw_getevents(ctx, 1, 1, &ev, &ten_seconds);
	return r == 1 && ev.obj == &cb ? (long)ev.res : NO_EVENT;
}
/* The start of `fd` by libaio's functions: the event's res. */
static inline long libaio_read(io_context_t ctx, int fd)
{
	static char buf[16];
	struct iocb cb;

	io_prep_pread(&cb, fd, buf, sizeof buf, 0);
	return run1(ctx, &cb);
}
#endif

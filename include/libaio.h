/* libaio.h: Linux asynchronous I/O, the header of aio-rs.
 *
 * Source compatible with libaio 0.3.113: a program that includes libaio's header
 * compiles with this one unchanged, in C and in C++.
 *
 * Made from src/capi by `make header`; do not edit.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef __LIBAIO_H
#define __LIBAIO_H

#include <sys/types.h>
#include <signal.h>
#include <string.h>

/* The kernel's structures are the same for 32 and 64 bits: each pointer and each
 * long fills 64 bits, with a pad where the high half would be. */
#if !defined(__BYTE_ORDER__) || !defined(__SIZEOF_LONG__)
#error "this compiler does not tell its byte order or the size of a long"
#endif
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define AIO_RS_BIG_ENDIAN
#else
#define AIO_RS_LITTLE_ENDIAN
#endif
#if __SIZEOF_LONG__ == 4
#define AIO_RS_32BIT
#endif

struct timespec;
struct sockaddr;
struct iovec;

/**
 * Operations, for `iocb.aio_lio_opcode`.
 */
enum io_iocb_cmd {
        IO_CMD_PREAD = 0,
        IO_CMD_PWRITE = 1,
        IO_CMD_FSYNC = 2,
        IO_CMD_FDSYNC = 3,
        IO_CMD_POLL = 5,
        IO_CMD_NOOP = 6,
        IO_CMD_PREADV = 7,
        IO_CMD_PWRITEV = 8,
};

/**
 * A context. Opaque; its address is that of the completion ring.
 */
struct io_context;

/**
 * A handle to a context; set it to 0 before io_setup.
 */
typedef struct io_context *io_context_t;

/**
 * Arguments of the reads and writes; with IO_CMD_PREADV and IO_CMD_PWRITEV
 * `buf` is the iovec array and `nbytes` its length. The result is the number
 * of bytes moved, or -errno.
 */
struct io_iocb_common {
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad1;
#endif
        void *buf;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad1;
#endif
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad2;
#endif
        unsigned long nbytes;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad2;
#endif
        long long offset;
        long long __pad3;
        unsigned int flags;
        unsigned int resfd;
};

/**
 * The same for a vector, with its own names.
 */
struct io_iocb_vector {
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad1;
#endif
        const struct iovec *vec;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad1;
#endif
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad2;
#endif
        unsigned long nr;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad2;
#endif
        long long offset;
};

/**
 * Arguments of IO_CMD_POLL. The result is the set of events, or -errno.
 */
struct io_iocb_poll {
#if defined(AIO_RS_BIG_ENDIAN)
        unsigned int __pad1;
#endif
        int events;
#if defined(AIO_RS_LITTLE_ENDIAN)
        unsigned int __pad1;
#endif
};

/**
 * Not used by any operation.
 */
struct io_iocb_sockaddr {
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad1;
#endif
        struct sockaddr *addr;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad1;
#endif
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad2;
#endif
        unsigned long len;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad2;
#endif
};

/**
 * The arguments of a request, by kind.
 */
union io_iocb_args {
        struct io_iocb_common c;
        struct io_iocb_vector v;
        struct io_iocb_poll poll;
        struct io_iocb_sockaddr saddr;
};

/**
 * One request. `data` comes back in the event; `aio_rw_flags` takes RWF_*.
 */
struct iocb {
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad1;
#endif
        void *data;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad1;
#endif
#if defined(AIO_RS_BIG_ENDIAN)
        unsigned int aio_rw_flags;
#endif
        unsigned int key;
#if defined(AIO_RS_LITTLE_ENDIAN)
        unsigned int aio_rw_flags;
#endif
        short aio_lio_opcode;
        short aio_reqprio;
        int aio_fildes;
        union io_iocb_args u;
};

/**
 * One completion. `res` and `res2` are signed: cast them to long.
 */
struct io_event {
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad1;
#endif
        void *data;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad1;
#endif
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad2;
#endif
        struct iocb *obj;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad2;
#endif
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad3;
#endif
        unsigned long res;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad3;
#endif
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __pad4;
#endif
        unsigned long res2;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __pad4;
#endif
};

typedef enum io_iocb_cmd io_iocb_cmd_t;

/**
 * What io_queue_run calls for a completion; kept in `iocb.data`.
 */
typedef void (*io_callback_t)(io_context_t ctx, struct iocb *iocb, long res, long res2);

/**
 * The signal mask as the system call takes it.
 */
struct io_sigset {
        unsigned long ss;
        unsigned long ss_len;
};

/**
 * The same for a 32-bit program on a 64-bit kernel.
 */
struct io_sigset_compat {
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_BIG_ENDIAN))
        unsigned int __ss_pad;
#endif
        unsigned long ss;
#if (defined(AIO_RS_32BIT) && defined(AIO_RS_LITTLE_ENDIAN))
        unsigned int __ss_pad;
#endif
        unsigned long ss_len;
};

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * Makes a context for `maxevents` requests at a time and stores it in `*ctxp`,
 * which must be 0.
 *
 * Returns 0, or
 * - -EFAULT: `ctxp` cannot be read or written,
 * - -EINVAL: `*ctxp` is not 0, `maxevents` is 0 or above 4194304,
 * - -EAGAIN: more than AIO_RS_MAX_NR events would be in use by this process,
 * - -ENOMEM: no memory (RLIMIT_AS, mlockall) for the ring.
 */
int io_setup(int maxevents, io_context_t *ctxp);

/**
 * Destroys a context: cancels its polls, waits for its other requests, and
 * drops its unread events.
 *
 * Returns 0, or -EINVAL: no such context. Threads that wait in io_getevents
 * return with what they have, or -EINVAL. Not interrupted by signals.
 */
int io_destroy(io_context_t ctx);

/**
 * Submits the `nr` requests of the array `ios`.
 *
 * Returns how many were accepted before the first that was refused; if that was
 * the first of all
 * - -EINVAL: no such context, `nr` negative, or a bad field in the iocb,
 * - -EFAULT: the array, the iocb, a vector or a buffer's range is bad,
 * - -EBADF: the descriptor is not open, or not for this kind of transfer,
 * - -EAGAIN: the context has no slot free,
 * - -EOPNOTSUPP: `aio_rw_flags` has a flag that the file does not support,
 * - -EPERM: a real-time I/O priority without the right to it.
 *
 * Errors of the transfer itself are in its event. A write may raise SIGPIPE or
 * SIGXFSZ in the calling thread.
 */
int io_submit(io_context_t ctx, long nr, struct iocb **ios);

/**
 * Tries to stop a request. Its event comes through the ring; `evt` is not used.
 *
 * Returns -EINPROGRESS when it was stopped (the event's res is 0 for a poll,
 * -ECANCELED for the others), or
 * - -EFAULT: the iocb cannot be read,
 * - -EINVAL: no such context, no such request, or it cannot be stopped any more.
 */
int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *evt);

/**
 * Takes up to `nr` events into `events`, waiting until `min_nr` are there or
 * `timeout` has passed. `timeout` NULL or negative: no limit; zero: no waiting.
 * With `min_nr` 0 it waits only for buffered I/O that was submitted before it:
 * the kernel has that done when io_submit returns.
 *
 * Returns the number of events, or
 * - -EFAULT: `timeout` or `events` is bad (no event is lost),
 * - -EINVAL: no such context, or not 0 <= `min_nr` <= `nr`,
 * - -EINTR: a signal handler ran while nothing had been taken yet, whatever
 *   SA_RESTART says.
 */
int io_getevents(io_context_t ctx,
                 long min_nr,
                 long nr,
                 struct io_event *events,
                 struct timespec *timeout);

/**
 * io_getevents with the thread's signal mask replaced by `*sigmask` while it
 * waits, atomically. `sigmask` NULL: like io_getevents.
 *
 * Returns as io_getevents; -EFAULT also for a bad `sigmask`. A signal that the
 * mask lets through is handled before the call returns, and is -EINTR only when
 * there is no event to return.
 */
int io_pgetevents(io_context_t ctx,
                  long min_nr,
                  long nr,
                  struct io_event *events,
                  struct timespec *timeout,
                  sigset_t *sigmask);

/**
 * io_setup for `maxevents` > 0, whatever `*ctxp` holds; -EINVAL otherwise, and
 * -EFAULT for a `ctxp` that cannot be written.
 */
int io_queue_init(int maxevents, io_context_t *ctxp);

/**
 * io_destroy.
 */
int io_queue_release(io_context_t ctx);

/**
 * Calls the callback of each event that is there, in ring order, until none is
 * left; also of those that callbacks submit. Returns 0 or what io_getevents says.
 * Every event's `data` is a callback, as io_set_callback stores it.
 */
int io_queue_run(io_context_t ctx);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#undef AIO_RS_BIG_ENDIAN
#undef AIO_RS_LITTLE_ENDIAN
#undef AIO_RS_32BIT

#ifdef __cplusplus
extern "C" {
#endif

/* Preparing requests. Each clears the whole iocb, so set `data`, the eventfd and
 * other extras afterwards. */

/* For io_queue_run: the function to call when the request is done. */
static __inline__ void io_set_callback(struct iocb *iocb, io_callback_t cb)
{
	iocb->data = (void *)cb;
}

static __inline__ void io_prep_pread(struct iocb *iocb, int fd, void *buf, size_t count,
				     long long offset)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_PREAD;
	iocb->aio_fildes = fd;
	iocb->u.c.buf = buf;
	iocb->u.c.nbytes = count;
	iocb->u.c.offset = offset;
}

static __inline__ void io_prep_pwrite(struct iocb *iocb, int fd, void *buf, size_t count,
				      long long offset)
{
	io_prep_pread(iocb, fd, buf, count, offset);
	iocb->aio_lio_opcode = IO_CMD_PWRITE;
}

static __inline__ void io_prep_preadv(struct iocb *iocb, int fd, const struct iovec *iov,
				      int iovcnt, long long offset)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_PREADV;
	iocb->aio_fildes = fd;
	iocb->u.v.vec = iov;
	iocb->u.v.nr = (unsigned long)iovcnt;
	iocb->u.v.offset = offset;
}

static __inline__ void io_prep_pwritev(struct iocb *iocb, int fd, const struct iovec *iov,
				       int iovcnt, long long offset)
{
	io_prep_preadv(iocb, fd, iov, iovcnt, offset);
	iocb->aio_lio_opcode = IO_CMD_PWRITEV;
}

/* The same with RWF_* flags, as preadv2 and pwritev2 take them. */
static __inline__ void io_prep_preadv2(struct iocb *iocb, int fd, const struct iovec *iov,
				       int iovcnt, long long offset, int flags)
{
	io_prep_preadv(iocb, fd, iov, iovcnt, offset);
	iocb->aio_rw_flags = (unsigned)flags;
}

static __inline__ void io_prep_pwritev2(struct iocb *iocb, int fd, const struct iovec *iov,
					int iovcnt, long long offset, int flags)
{
	io_prep_pwritev(iocb, fd, iov, iovcnt, offset);
	iocb->aio_rw_flags = (unsigned)flags;
}

/* One shot: completes when one of `events` (POLLIN, ...) is there. */
static __inline__ void io_prep_poll(struct iocb *iocb, int fd, int events)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_POLL;
	iocb->aio_fildes = fd;
	iocb->u.poll.events = events;
}

static __inline__ void io_prep_fsync(struct iocb *iocb, int fd)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_FSYNC;
	iocb->aio_fildes = fd;
}

static __inline__ void io_prep_fdsync(struct iocb *iocb, int fd)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_FDSYNC;
	iocb->aio_fildes = fd;
}

/* Prepare, set the callback and submit in one. */
static __inline__ int io_poll(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd,
			      int events)
{
	io_prep_poll(iocb, fd, events);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

static __inline__ int io_fsync(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd)
{
	io_prep_fsync(iocb, fd);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

static __inline__ int io_fdsync(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd)
{
	io_prep_fdsync(iocb, fd);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

/* Have 1 added to this eventfd when the event can be read. */
static __inline__ void io_set_eventfd(struct iocb *iocb, int eventfd)
{
	iocb->u.c.flags |= 1u << 0; /* IOCB_FLAG_RESFD */
	iocb->u.c.resfd = (unsigned)eventfd;
}

#ifdef __cplusplus
}
#endif

#endif /* __LIBAIO_H */

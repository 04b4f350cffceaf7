/* Every offset, size and value of libaio.h, and every prototype and helper.
 *
 * Nothing of this is run: it compiles, or the header is wrong. tests/layout.rs
 * compiles it with our header and with the system's, as C and C++, for 32 and 64
 * bits and for both byte orders. */
#include <libaio.h>
#include <stddef.h>

#ifdef __cplusplus
#define CHECK(cond) static_assert(cond, #cond)
#else
#define CHECK(cond) _Static_assert(cond, #cond)
#endif

/* A pointer or a long fills 64 bits; where in them it lies: */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOW(slot, type) ((slot) + 8 - sizeof(type))
#define SECOND_IF_BIG 4
#else
#define LOW(slot, type) (slot)
#define SECOND_IF_BIG 0
#endif
#define OFFSET(type, field, at) CHECK(offsetof(type, field) == (at))
#define SIZE(type, field, size) CHECK(sizeof(((type *)0)->field) == (size))

CHECK(sizeof(struct iocb) == 64);
OFFSET(struct iocb, data, LOW(0, void *));
OFFSET(struct iocb, key, 8 + SECOND_IF_BIG);
OFFSET(struct iocb, aio_rw_flags, 12 - SECOND_IF_BIG);
OFFSET(struct iocb, aio_lio_opcode, 16);
OFFSET(struct iocb, aio_reqprio, 18);
OFFSET(struct iocb, aio_fildes, 20);
OFFSET(struct iocb, u, 24);
OFFSET(struct iocb, u.c.buf, LOW(24, void *));
OFFSET(struct iocb, u.c.nbytes, LOW(32, long));
OFFSET(struct iocb, u.c.offset, 40);
OFFSET(struct iocb, u.c.__pad3, 48);
OFFSET(struct iocb, u.c.flags, 56);
OFFSET(struct iocb, u.c.resfd, 60);
OFFSET(struct iocb, u.v.vec, LOW(24, void *));
OFFSET(struct iocb, u.v.nr, LOW(32, long));
OFFSET(struct iocb, u.v.offset, 40);
OFFSET(struct iocb, u.poll.events, 24 + SECOND_IF_BIG);
OFFSET(struct iocb, u.poll.__pad1, 28 - SECOND_IF_BIG);
OFFSET(struct iocb, u.saddr.addr, LOW(24, void *));
OFFSET(struct iocb, u.saddr.len, LOW(32, long));
SIZE(struct iocb, key, 4);
SIZE(struct iocb, aio_rw_flags, 4);
SIZE(struct iocb, aio_lio_opcode, 2);
SIZE(struct iocb, aio_reqprio, 2);
SIZE(struct iocb, aio_fildes, 4);
SIZE(struct iocb, u, 40);
SIZE(struct iocb, u.c.nbytes, sizeof(long));
SIZE(struct iocb, u.c.offset, 8);
SIZE(struct iocb, u.c.flags, 4);
SIZE(struct iocb, u.c.resfd, 4);
CHECK(sizeof(struct io_iocb_common) == 40);
CHECK(sizeof(struct io_iocb_vector) == 24);
CHECK(sizeof(struct io_iocb_poll) == 8);
CHECK(sizeof(struct io_iocb_sockaddr) == 16);

CHECK(sizeof(struct io_event) == 32);
OFFSET(struct io_event, data, LOW(0, void *));
OFFSET(struct io_event, obj, LOW(8, void *));
OFFSET(struct io_event, res, LOW(16, long));
OFFSET(struct io_event, res2, LOW(24, long));
SIZE(struct io_event, res, sizeof(long));
SIZE(struct io_event, res2, sizeof(long));

CHECK(sizeof(struct io_sigset) == 2 * sizeof(long));
OFFSET(struct io_sigset, ss, 0);
OFFSET(struct io_sigset, ss_len, sizeof(long));
CHECK(sizeof(struct io_sigset_compat) == 8 + sizeof(long));
OFFSET(struct io_sigset_compat, ss, LOW(0, long));
OFFSET(struct io_sigset_compat, ss_len, 8);

CHECK(sizeof(io_context_t) == sizeof(void *));
CHECK(sizeof(io_callback_t) == sizeof(void *));
CHECK(sizeof(io_iocb_cmd_t) == sizeof(enum io_iocb_cmd));
CHECK(IO_CMD_PREAD == 0);
CHECK(IO_CMD_PWRITE == 1);
CHECK(IO_CMD_FSYNC == 2);
CHECK(IO_CMD_FDSYNC == 3);
CHECK(IO_CMD_POLL == 5);
CHECK(IO_CMD_NOOP == 6);
CHECK(IO_CMD_PREADV == 7);
CHECK(IO_CMD_PWRITEV == 8);

/* What a program writes: it must compile without a word from the compiler. */
int use_everything(io_context_t ctx, struct iocb *cb, struct io_event *ev, io_callback_t done,
		   const struct iovec *iov, char *buf);

int use_everything(io_context_t ctx, struct iocb *cb, struct io_event *ev, io_callback_t done,
		   const struct iovec *iov, char *buf)
{
	int (*setup)(int, io_context_t *) = io_setup;
	int (*destroy)(io_context_t) = io_destroy;
	int (*submit)(io_context_t, long, struct iocb *[]) = io_submit;
	int (*cancel)(io_context_t, struct iocb *, struct io_event *) = io_cancel;
	int (*getevents)(io_context_t, long, long, struct io_event *, struct timespec *) =
		io_getevents;
	int (*pgetevents)(io_context_t, long, long, struct io_event *, struct timespec *,
			  sigset_t *) = io_pgetevents;
	int (*queue_init)(int, io_context_t *) = io_queue_init;
	int (*queue_release)(io_context_t) = io_queue_release;
	int (*queue_run)(io_context_t) = io_queue_run;
	int sum = setup(1, &ctx) + queue_init(1, &ctx) + submit(ctx, 1, &cb);
	io_iocb_cmd_t cmd = IO_CMD_NOOP;
	enum io_iocb_cmd same = cmd;

	io_prep_pread(cb, 0, buf, 1, 0);
	io_prep_pwrite(cb, 0, buf, 1, 0);
	io_prep_preadv(cb, 0, iov, 1, 0);
	io_prep_pwritev(cb, 0, iov, 1, 0);
	io_prep_preadv2(cb, 0, iov, 1, 0, 0);
	io_prep_pwritev2(cb, 0, iov, 1, 0, 0);
	io_prep_poll(cb, 0, 1);
	io_prep_fsync(cb, 0);
	io_prep_fdsync(cb, 0);
	io_set_callback(cb, done);
	io_set_eventfd(cb, 0);
	done(ctx, cb, (long)ev->res, (long)ev->res2);
	cb->data = buf;
	cb->u.c.buf = buf;
	cb->u.v.vec = iov;
	cb->u.saddr.addr = (struct sockaddr *)buf;
	cb->aio_lio_opcode = (short)same;
	ev->obj = cb;
	sum += io_poll(ctx, cb, done, 0, 1) + io_fsync(ctx, cb, done, 0) +
	       io_fdsync(ctx, cb, done, 0);
	sum += cancel(ctx, cb, ev) + getevents(ctx, 0, 1, ev, NULL) +
	       pgetevents(ctx, 0, 1, ev, NULL, NULL);
	return sum + queue_run(ctx) + queue_release(ctx) + destroy(ctx);
}

/* Events that are there at once, later, or not yet; addresses that nobody else
 * uses. */
#ifndef AIO_EVENTS_H
#define AIO_EVENTS_H
#include "check.h"

/* An address with nothing mapped. mmap() of itself never goes there, so that no
 * thread stack or ring of the library gets in the way, as it may where the test
 * itself has unmapped something. */
#define NOWHERE ((void *)0x10000000000UL)
/* `len` bytes in such parts, with nothing mapped behind them. */
static inline void *map_apart(size_t len)
{
	static char *next = (char *)0x11000000000UL;
	char *p = mmap(next, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	MUST(p == next);
	next += len + (1 << 20);
	return p;
}

/* The res of cb's event, waiting up to `ms` for it. */
static inline long event_of(io_context_t ctx, struct iocb *cb, long ms)
{
	struct io_event ev;
	if (reap(ctx, 1, 1, &ev, ms) != 1)
		return NO_EVENT;
	return ev.obj == cb && ev.data == cb->data && !ev.res2 ? (long)ev.res : NO_EVENT - 1;
}
static inline void expect_reaped(const char *id, const char *label, io_context_t ctx, struct iocb *cb, long ms, long want)
{
	check_str(id, label, run_str(event_of(ctx, cb, ms)), run_str(want));
}
/* io_submit accepts, no event for now. */
static inline void expect_pending(const char *id, const char *label, io_context_t ctx, struct iocb *cb)
{
	int r = submit1(ctx, cb);
	long got = r == 1 ? event_of(ctx, cb, 20) : SUBMIT_ERR(r);
	check_str(id, label, run_str(got), run_str(NO_EVENT));
}
#endif

/* Shared by the sleeper_ programs: O_DIRECT reads of a file whose data tells
 * where it came from, submitted DEPTH at a time. */
#ifndef AIO_SLEEPER_H
#define AIO_SLEEPER_H
#include "life.h"
#include <sys/eventfd.h>

#define DEPTH 8L
#define SLEEPER_BLOCKS 256
static int sleeper_fd;
static char *sleeper_buf;
static struct iocb sleeper_cb[DEPTH];
static int sleeper_at[DEPTH];

static inline void sleeper_open(void)
{
	sleeper_fd = pattern_file(O_RDWR | O_DIRECT, SLEEPER_BLOCKS * 4096);
	sleeper_buf = page_alloc(DEPTH * 4096);
	MUST(sleeper_fd >= 0);
}

/* Block `at` of the file, as pattern_file() has written it. */
static inline int sleeper_good(int i)
{
	size_t first = (size_t)sleeper_at[i] * 4096;

	for (size_t j = 0; j < 4096; j++)
		if (sleeper_buf[(size_t)i * 4096 + j] != (char)((first + j) * 7 + (first + j) / 256))
			return 0;
	return 1;
}
static inline int sleeper_data_good(void)
{
	for (int i = 0; i < DEPTH; i++)
		if (!sleeper_good(i))
			return 0;
	return 1;
}

static inline long sleeper_submit(io_context_t ctx, int seed)
{
	struct iocb *list[DEPTH];

	memset(sleeper_buf, 0xee, DEPTH * 4096);
	for (int i = 0; i < DEPTH; i++) {
		sleeper_at[i] = (seed * 31 + i * 17) % SLEEPER_BLOCKS;
		io_prep_pread(&sleeper_cb[i], sleeper_fd, sleeper_buf + i * 4096, 4096, sleeper_at[i] * 4096L);
		list[i] = &sleeper_cb[i];
	}
	return io_submit(ctx, DEPTH, list);
}

/* Good events of those, up to `want` within `ms`; without waiting if that is 0. */
static inline long sleeper_reap(io_context_t ctx, long want, long ms)
{
	struct io_event ev[DEPTH];
	long n = 0, end = now_ms() + ms;

	do {
		long r = reap(ctx, ms ? 1 : 0, want - n, ev, ms);
		if (r < 0)
			return r;
		for (long i = 0; i < r; i++) {
			long k = ev[i].obj - sleeper_cb;
			n += k >= 0 && k < DEPTH && ev[i].res == 4096 && sleeper_good((int)k);
		}
	} while (n < want && ms && now_ms() < end);
	return n;
}

/* The evidence: 0, or how many rounds went wrong. */
static inline long sleeper_rounds(io_context_t ctx, int rounds)
{
	long bad = 0;

	for (int i = 0; i < rounds; i++)
		bad += sleeper_submit(ctx, i) != DEPTH || sleeper_reap(ctx, DEPTH, 10000) != DEPTH;
	return bad;
}
#endif

/* One io_submit takes at most ring nr iocbs, however many slots come free
 * meanwhile. They come free inside the call: each read's data is put over head. */
#include "ring_util.h"
#include <pthread.h>

#define MANY 1000

static volatile int stop;

/* A program that reaps at once, on another thread. */
static void *reaper(void *arg)
{
	struct user_ring *ring = ring_of(arg);

	while (!stop)
		ring->head = ring->tail;
	return NULL;
}

int main(void)
{
	static struct iocb cb[MANY], *list[MANY];
	static unsigned heads[MANY];
	io_context_t ctx = setup(1);
	struct user_ring *ring = ring_of(ctx);
	long nr = ring->nr, most = 0, least = MANY;
	int fd = temp_file(0);
	pthread_t t;

	pin(0);
	/* iocb k finds k events before it, and says that all are reaped */
	for (long k = 0; k < MANY; k++) {
		heads[k] = (unsigned)(k % nr);
		io_prep_pread(&cb[k], fd, (void *)&ring->head, 4, k * 4);
		list[k] = &cb[k];
	}
	MUST(pwrite(fd, heads, sizeof heads, 0) == (ssize_t)sizeof heads);
	expect("2/14", "slots freed inside the call", io_submit(ctx, MANY, list), nr);
	expect_true("2/14", "all completed", wait_tail(ctx, 0));
	expect("2/14", "all but the last reaped", ring->head, nr - 1);
	/* a second call begins where the first was cut */
	expect("2/14", "the second call", io_submit(ctx, MANY - nr, list + nr), nr);
	expect_true("2/14", "all completed", wait_tail(ctx, 0));
	io_destroy(ctx);

	ctx = setup(1);
	for (int k = 0; k < MANY; k++)
		list[k] = cached_read(NULL);
	MUST(!pthread_create(&t, NULL, reaper, ctx));
	for (int i = 0; i < 200; i++) {
		long r = io_submit(ctx, MANY, list);

		if (r == -EAGAIN)
			continue;
		most = r > most ? r : most;
		least = r < least ? r : least;
	}
	stop = 1;
	pthread_join(t, NULL);
	expect_between("2/14", "another thread frees slots: the most", most, 1, nr);
	expect_between("2/14", "another thread frees slots: the least", least, 1, nr);
	io_destroy(ctx);
	return check_done();
}

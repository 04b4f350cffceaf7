/* io_submit cuts nr to the ring's nr. The slots alone stop it earlier, so
 * another thread frees slots all the time, the way user space does it. */
#include "submit_util.h"
#include <pthread.h>

#define ENTRIES 4096
#define LEN 65536

static io_context_t ctx;
static volatile int stop;

static void *free_slots(void *unused)
{
	struct user_ring *ring = ring_of(ctx);
	while (!stop)
		__atomic_store_n(&ring->head, __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
	return unused;
}

int main(void)
{
	static struct iocb *list[ENTRIES];
	static char buf[LEN];
	struct iocb cb;
	pthread_t reaper;
	int most = 0, least = ENTRIES, bad = 0;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) < 2)
		skip("one CPU: no slot is freed during a call");

	int fd = pattern_file(0, LEN);
	ctx = new_ctx(1);
	/* Long reads, so that the other thread gets its turn during a call. */
	prep(&cb, IO_CMD_PREAD, fd, buf, LEN, 0);
	for (int i = 0; i < ENTRIES; i++)
		list[i] = &cb;
	MUST(pthread_create(&reaper, NULL, free_slots, NULL) == 0);
	for (long end = now_ms() + 6000; now_ms() < end && most < (int)ring_of(ctx)->nr;) {
		int r = io_submit(ctx, ENTRIES, list);
		if (r == -EAGAIN)
			continue;
		bad += r <= 0;
		most = r > most ? r : most;
		least = r < least ? r : least;
	}
	/* And a while longer: never more. */
	for (int i = 0; i < 200; i++) {
		int r = io_submit(ctx, ENTRIES, list);
		most = r > most ? r : most;
	}
	stop = 1;
	pthread_join(reaper, NULL);
	expect("3.1/3", "calls that failed", bad, 0);
	expect("3.1/3", "most accepted by one call of 4096", most, (long)ring_of(ctx)->nr);
	expect_true("3.1/3", "every call took some", least > 0 && least <= most);
	expect("3.1/3", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

/* Four submitters and two reapers on one small ring: no event lost, none twice. */
#include "ring_util.h"
#include <pthread.h>

#define SUBMITTERS 4
#define EACH 50000
#define TOTAL (SUBMITTERS * EACH)

static io_context_t ctx;
static unsigned char seen[TOTAL];
static long reaped, wrong, errors;
static int fd;

static void *submitter(void *arg)
{
	long first = (long)arg * EACH;
	static __thread char buf[16];
	struct iocb cb[8], *list[8];

	for (long n = 0; n < EACH;) {
		int want = (int)(EACH - n < 8 ? EACH - n : 8), r;

		for (int i = 0; i < want; i++) {
			io_prep_pread(&cb[i], fd, buf, 16, 0);
			cb[i].data = (void *)(first + n + i);
			list[i] = &cb[i];
		}
		r = io_submit(ctx, want, list);
		if (r == -EAGAIN) {
			sched_yield();
		} else if (r < 1) {
			__sync_fetch_and_add(&errors, 1);
			return NULL;
		} else {
			n += r;
		}
	}
	return NULL;
}

static void *reaper(void *arg)
{
	struct io_event ev[64];
	long quiet = now_ms();

	while (__sync_fetch_and_add(&reaped, 0) < TOTAL) {
		int r = reap(ctx, 1, 64, ev, 100);

		if (r < 0)
			__sync_fetch_and_add(&errors, 1);
		if (r < 0 || (r == 0 && now_ms() - quiet > 10000))
			break;
		if (r > 0)
			quiet = now_ms();
		for (int i = 0; i < r; i++) {
			long k = (long)ev[i].data;

			if (k < 0 || k >= TOTAL || ev[i].res != 16 || ev[i].res2)
				__sync_fetch_and_add(&wrong, 1);
			else
				__sync_fetch_and_add(&seen[k], 1);
		}
		__sync_fetch_and_add(&reaped, r);
	}
	return arg;
}

int main(void)
{
	pthread_t s[SUBMITTERS], r[2];
	long lost = 0, doubled = 0;

	ctx = setup(1);
	fd = pattern_file(0, 4096);
	for (long i = 0; i < 2; i++)
		MUST(!pthread_create(&r[i], NULL, reaper, NULL));
	for (long i = 0; i < SUBMITTERS; i++)
		MUST(!pthread_create(&s[i], NULL, submitter, (void *)i));
	for (int i = 0; i < SUBMITTERS; i++)
		pthread_join(s[i], NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(r[i], NULL);
	for (long i = 0; i < TOTAL; i++) {
		lost += seen[i] == 0;
		doubled += seen[i] > 1;
	}
	expect("2/22", "reaped", reaped, TOTAL);
	expect("2/22", "lost", lost, 0);
	expect("2/22", "doubled", doubled, 0);
	expect("2/22", "wrong", wrong, 0);
	expect("2/22", "failed calls", errors, 0);
	expect("2/22", "nothing left", take(ctx, 1, &(struct io_event){ 0 }), 0);
	expect("2/22", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

/* io_destroy while threads submit as fast as they can: every io_submit answers
 * 1, EAGAIN or EINVAL, and at the return of io_destroy exactly the accepted
 * requests have completed, as their eventfd tells. */
#include "life.h"

#define THREADS 3
#define ROUNDS 25
static io_context_t ctx;
static int zero, never, direct, resfd;
static volatile int started;
static long accepted, odd;

static void *submitter(void *arg)
{
	char *buf = page_alloc(4096);
	struct iocb cb[3], *list[3];
	long mine = 0, strange = 0, kind = (long)(intptr_t)arg;
	int r;

	io_prep_pread(&cb[0], zero, buf, 64, 0);
	io_prep_pread(&cb[1], direct, buf, 4096, 0);
	io_prep_poll(&cb[2], never, POLLIN);
	for (int i = 0; i < 3; i++) {
		list[i] = &cb[i];
		io_set_eventfd(&cb[i], resfd);
	}
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
	do {
		r = io_submit(ctx, 1, &list[kind++ % 3]);
		mine += r == 1;
		strange += r != 1 && r != -EAGAIN && r != -EINVAL;
	} while (r != -EINVAL && !strange);
	__atomic_fetch_add(&accepted, mine, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&odd, strange, __ATOMIC_SEQ_CST);
	munmap(buf, 4096);
	return NULL;
}

int main(void)
{
	long bad = 0, miscounted = 0, idle = 0;
	pthread_t t[THREADS];

	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	never = eventfd(0, EFD_CLOEXEC);
	resfd = eventfd(0, EFD_CLOEXEC);
	direct = reopen(tagged_file(65536, 0), O_RDONLY | O_DIRECT);
	MUST(zero >= 0 && direct >= 0);
	for (int round = 0; round < ROUNDS; round++) {
		ctx = NULL;
		started = 0;
		accepted = 0;
		MUST(io_setup(4000, &ctx) == 0);
		for (int i = 0; i < THREADS; i++)
			MUST(pthread_create(&t[i], NULL, submitter, (void *)(intptr_t)i) == 0);
		MUST(wait_flag(&started, THREADS));
		usleep((unsigned)round * 100);
		bad += io_destroy(ctx) != 0;
		/* The requests accepted are done now; the threads have their
		 * EINVAL, or will have it. */
		long signalled = eventfd_take(resfd);
		for (int i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		miscounted += signalled != accepted;
		idle += accepted == 0;
		bad += eventfd_take(resfd) != 0;
	}
	expect("8/11", "odd answers of io_submit", odd, 0);
	expect("8/11", "io_destroy failed, or events after it", bad, 0);
	expect("8/11", "rounds where completions are not the accepted requests", miscounted, 0);
	expect_between("8/11", "rounds in which nothing was accepted", idle, 0, ROUNDS / 2);
	return check_done();
}

/* io_cancel while the poll fires: the answer is EINPROGRESS or EINVAL, and in
 * any case there is one event.
 */
#include "wait_util.h"

static io_context_t ctx;
static int fd;
static volatile unsigned go, fired;

static void *firing(void *arg)
{
	uint64_t one = 1;

	(void)arg;
	for (unsigned round = 1;; round++) {
		while (go < round)
			;
		if (go == ~0U)
			return NULL;
		MUST(write(fd, &one, 8) == 8);
		__atomic_store_n(&fired, round, __ATOMIC_SEQ_CST);
	}
}

int main(void)
{
	long bad_answer = 0, bad_count = 0, bad_res = 0, rounds = 0, until = now_ms() + 2000;
	struct io_event ev[4];
	struct iocb cb;
	pthread_t thread;
	uint64_t n;

	fd = eventfd(0, EFD_CLOEXEC);
	MUST(fd >= 0);
	new_context(8, &ctx);
	MUST(pthread_create(&thread, NULL, firing, NULL) == 0);
	while (rounds < 5000 && now_ms() < until) {
		rounds++;
		io_prep_poll(&cb, fd, POLLIN);
		MUST(submit1(ctx, &cb) == 1);
		__atomic_store_n(&go, (unsigned)rounds, __ATOMIC_SEQ_CST);
		for (volatile int spin = 0; spin < rounds % 64 * 20; spin++)
			;
		int r = io_cancel(ctx, &cb, ev);
		bad_answer += r != -EINPROGRESS && r != -EINVAL;
		while (fired < rounds)
			;
		bad_count += reap(ctx, 1, 4, ev, 5000) != 1;
		/* EINVAL: it had fired. EINPROGRESS: either of the two came first. */
		bad_res += ev[0].obj != &cb || !((ev[0].res & POLLIN) || (ev[0].res == 0 && r == -EINPROGRESS));
		MUST(read(fd, &n, 8) == 8);
	}
	bad_count += reap(ctx, 1, 4, ev, 20);
	go = ~0U;
	MUST(pthread_join(thread, NULL) == 0);
	expect_between("7/11", "rounds of cancel against fire", rounds, 20, 5000);
	expect("7/11", "answers other than EINPROGRESS and EINVAL", bad_answer, 0);
	expect("7/11", "rounds without exactly one event", bad_count, 0);
	expect("7/11", "events that do not fit the answer", bad_res, 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

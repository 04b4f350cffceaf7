/* A process ends while its threads are inside the library: submitting, waiting
 * for events with and without time limit, making and destroying contexts. It
 * ends at once and with its own exit code, whoever calls exit. */
#include "life.h"

#define RUNS 12
static io_context_t ctx;
static struct kit kits[2];
static volatile int running;
enum { MAIN_EXIT, THREAD_EXIT, UNDERSCORE, WAYS };
static const char *const names[WAYS] = { "exit() by main", "exit() by a thread", "_exit" };

static void *submitter(void *arg)
{
	struct kit *kit = arg;
	struct iocb cb, *list[1] = { &cb };
	struct io_event ev[16];

	io_prep_pread(&cb, kit->direct, kit->buf[0], 4096, 0);
	__atomic_fetch_add(&running, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		io_submit(ctx, 1, list);
		reap(ctx, 0, 16, ev, 1);
	}
	return NULL;
}
static void *maker(void *arg)
{
	struct kit *kit = arg;

	__atomic_fetch_add(&running, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		io_context_t mine = NULL;
		if (io_setup(8, &mine) == 0) {
			kit_run(mine, kit);
			io_destroy(mine);
		}
	}
	return NULL;
}
static void *waiter(void *arg)
{
	static io_context_t quiet;
	struct io_event ev[4];

	(void)arg;
	MUST(io_setup(8, &quiet) == 0);
	__atomic_fetch_add(&running, 1, __ATOMIC_SEQ_CST);
	io_getevents(quiet, 4, 4, ev, NULL);
	return NULL;
}
static void *leaver(void *arg)
{
	(void)arg;
	exit(9);
}

static int child(void *arg)
{
	pthread_t t;

	MUST(io_setup(64, &ctx) == 0);
	MUST(pthread_create(&t, NULL, waiter, NULL) == 0);
	MUST(pthread_create(&t, NULL, submitter, &kits[0]) == 0);
	MUST(pthread_create(&t, NULL, maker, &kits[1]) == 0);
	MUST(wait_flag(&running, 3));
	usleep((unsigned)getpid() % 20 * 500);
	switch ((int)(intptr_t)arg) {
	case THREAD_EXIT:
		MUST(pthread_create(&t, NULL, leaver, NULL) == 0);
		pause();
		break;
	case UNDERSCORE:
		_exit(9);
	}
	exit(9);
}

int main(void)
{
	char label[96];

	for (int way = 0; way < WAYS; way++) {
		long odd = 0;
		for (int run = 0; run < RUNS; run++) {
			kit_open(&kits[0]);
			kit_open(&kits[1]);
			odd += in_child(child, (void *)(intptr_t)way) != 9;
			kit_close(&kits[0]);
			kit_close(&kits[1]);
		}
		snprintf(label, sizeof label, "%s with busy threads: odd ends", names[way]);
		expect("9/11", label, odd, 0);
	}
	return check_done();
}

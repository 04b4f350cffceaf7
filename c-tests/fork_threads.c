/* fork while other threads are inside the library: the child, a single thread
 * with whatever state they left, makes its own context and works; the parent's
 * threads notice nothing. */
#include "life.h"

#define THREADS 4
#define FORKS 48
static volatile int stop;
static long rounds[THREADS], failures;

/* Threads 0 and 1 share a context that lives on, 2 and 3 make theirs anew. */
static io_context_t common;
static void *worker(void *arg)
{
	long me = (long)(intptr_t)arg;
	io_context_t ctx = common;
	struct kit kit = { 0 };
	struct iocb cb[4], *list[4];
	struct io_event ev[8];
	char buf[4][512];

	if (me >= 2)
		kit_open(&kit);
	int fd = tagged_file(65536, 0);
	for (int i = 0; i < 4; i++) {
		io_prep_pread(&cb[i], fd, buf[i], 512, i * 512);
		list[i] = &cb[i];
	}
	while (!stop) {
		long bad = 0;
		if (me < 2) {
			int r = io_submit(ctx, 4, list);
			bad = r < 0 && r != -EAGAIN;
			bad += reap(ctx, 0, 8, ev, 1) < 0;
		} else {
			ctx = NULL;
			bad = io_setup(8, &ctx) || kit_run(ctx, &kit) || io_destroy(ctx);
		}
		__atomic_fetch_add(&failures, bad != 0, __ATOMIC_RELAXED);
		__atomic_fetch_add(&rounds[me], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* 0 if all went well, else where it went wrong. */
static int child(void *arg)
{
	struct kit *kit = arg;
	io_context_t ctx = NULL;

	if (io_setup(8, &ctx) || ring_of(ctx)->id != 0)
		return 1;
	if (kit_run(ctx, kit))
		return 2;
	if (io_submit(common, 0, NULL) != -EINVAL)
		return 3;
	/* A grandchild, before and after which the context works. */
	pid_t pid = fork();
	if (pid == 0)
		_exit(io_submit(ctx, 0, NULL) == -EINVAL ? 0 : 1);
	if (child_end(pid, 10000) || works(ctx))
		return 4;
	return io_destroy(ctx) ? 5 : 0;
}

int main(void)
{
	static struct kit kits[2];
	pthread_t t[THREADS];
	pid_t pid[FORKS];
	long bad = 0;

	kit_open(&kits[0]);
	kit_open(&kits[1]);
	MUST(io_setup(64, &common) == 0);
	for (int i = 0; i < THREADS; i++)
		MUST(pthread_create(&t[i], NULL, worker, (void *)(intptr_t)i) == 0);
	while (!rounds[0] || !rounds[1] || !rounds[2] || !rounds[3])
		usleep(1000);
	/* Two children at a time. */
	for (int i = 0; i < FORKS; i += 2) {
		for (int j = 0; j < 2; j++)
			pid[j] = fork_child(child, &kits[j]);
		for (int j = 0; j < 2; j++)
			bad += child_end(pid[j], 20000) != 0;
	}
	stop = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	expect("9/4", "children that went wrong", bad, 0);
	expect("9/2", "failures in the parent's threads", failures, 0);
	expect("9/2", "the parent's context works", (drain(common), works(common)), 0);
	expect("9/2", "io_destroy", io_destroy(common), 0);
	return check_done();
}

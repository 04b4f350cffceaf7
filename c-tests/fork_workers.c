/* The pattern of nginx and MariaDB: a context before the fork, workers that
 * each make their own (often at the same address), all of them busy on the
 * same files at the same time, and workers that are killed in the middle. */
#include "life.h"

#define WORKERS 6
#define KILLED 2	/* the first two end by SIGKILL */
static struct shared {
	volatile int ready;
	volatile long loops[WORKERS], bad[WORKERS];
	volatile int stop;
} *sh;
static struct kit kits[WORKERS];

static int worker(void *arg)
{
	long me = (long)(intptr_t)arg;
	io_context_t ctx = NULL;

	if (io_setup(16, &ctx))
		return 1;
	__atomic_fetch_add(&sh->ready, 1, __ATOMIC_SEQ_CST);
	while (!sh->stop || sh->loops[me] < 20) {
		sh->bad[me] += kit_run(ctx, &kits[me]) != 0;
		sh->loops[me]++;
	}
	return io_destroy(ctx) ? 2 : 0;
}

int main(void)
{
	io_context_t ctx = NULL;
	pid_t pid[WORKERS];
	struct kit kit = { 0 };
	long bad = 0;

	sh = shared_alloc(sizeof *sh);
	kit_open(&kit);
	for (int i = 0; i < WORKERS; i++)
		kit_open(&kits[i]);
	MUST(io_setup(16, &ctx) == 0);
	expect("9/4", "before the workers start", kit_run(ctx, &kit), 0);
	for (int i = 0; i < WORKERS; i++)
		pid[i] = fork_child(worker, (void *)(intptr_t)i);
	expect("9/4", "workers with a context", wait_flag(&sh->ready, WORKERS) ? sh->ready : 0, WORKERS);
	for (int i = 0; i < 20; i++)
		bad += kit_run(ctx, &kit) != 0;
	expect("9/4", "rounds gone wrong in the parent", bad, 0);

	for (int i = 0; i < KILLED; i++) {
		kill(pid[i], SIGKILL);
		expect("9/4", "end of a killed worker", child_end(pid[i], 20000), DIED(SIGKILL));
	}
	sh->stop = 1;
	for (int i = KILLED; i < WORKERS; i++)
		expect("9/4", "end of a worker", child_end(pid[i], 20000), 0);
	for (int i = bad = 0; i < WORKERS; i++)
		bad += sh->bad[i];
	expect("9/4", "rounds gone wrong in the workers", bad, 0);
	expect("9/4", "the parent's context afterwards", kit_run(ctx, &kit), 0);
	expect("9/4", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

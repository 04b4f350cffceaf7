/* Slots are handed to CPUs in batches: what one CPU holds, another cannot get. */
#include "ring_util.h"
#include <pthread.h>
#include <sys/eventfd.h>

static void stranded(int n)
{
	io_context_t ctx = setup(n);
	char label[96];

	pin(1);
	MUST(submit1(ctx, cached_read(NULL)) == 1);
	pin(0);
	snprintf(label, sizeof label, "io_setup(%d): one from CPU 1, then from CPU 0", n);
	expect("2/20", label, fill(ctx), want_slots(n) - want_batch(n));
	pin(1);
	snprintf(label, sizeof label, "io_setup(%d): then from CPU 1", n);
	expect("2/20", label, fill(ctx), want_batch(n) - 1);
	io_destroy(ctx);
}

/* Polls submitted here are completed by a write on the other CPU. */
static int efd;

static void *writer(void *arg)
{
	pin(1);
	MUST(write(efd, &(uint64_t){ 1 }, 8) == 8);
	return arg;
}

static void completed_elsewhere(int n)
{
	long slots = want_slots(n), batch = want_batch(n), came = 0, got;
	io_context_t ctx = setup(n);
	char label[96];

	pin(0);
	for (int turn = 0; turn < 5; turn++) {
		pthread_t t;

		for (long i = 0; i < slots / 2; i++)
			MUST(submit1(ctx, pending_poll(efd)) == 1);
		MUST(!pthread_create(&t, NULL, writer, NULL) && !pthread_join(t, NULL));
		came += take_n(ctx, slots / 2, 10000);
		MUST(read(efd, &(uint64_t){ 0 }, 8) == 8);
	}
	snprintf(label, sizeof label, "io_setup(%d): completed on CPU 1, all reaped", n);
	expect("2/21", label, came, slots / 2 * 5);
	got = fill(ctx);
	/* CPU 1 may keep 2 * batch - 1, and CPU 0 a part of a batch it cannot get */
	snprintf(label, sizeof label, "io_setup(%d): then from CPU 0", n);
	expect_between("2/21", label, got, want_nr(n) - 1 - (2 * batch - 1) - (batch - 1), slots);
	snprintf(label, sizeof label, "io_setup(%d): as many as asked for", n);
	expect_true("2/23", label, got >= n);
	/* nothing is lost: the rest is CPU 1's */
	pin(1);
	got += fill(ctx);
	snprintf(label, sizeof label, "io_setup(%d): then from CPU 1", n);
	expect_between("2/21", label, got, slots - batch, want_nr(n) - 1);
	expect("2/21", "all come", take_n(ctx, got, 10000), got);
	io_destroy(ctx);
}

int main(void)
{
	if (cpu_at(1) < 0)
		skip("one CPU");
	efd = eventfd(0, EFD_CLOEXEC);
	MUST(efd >= 0);
	stranded(1);
	stranded(128);
	stranded(1000);
	completed_elsewhere(1);
	completed_elsewhere(128);
	completed_elsewhere(1000);
	return check_done();
}

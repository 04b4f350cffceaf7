/* A reactor as Seastar has it, one a thread: submits by number, takes events out
 * of the ring itself where the header says that it may, makes the call otherwise,
 * and sleeps in io_pgetevents, which a signal from another thread ends. */
#include "raw.h"
#include <signal.h>

#define SLOTS 64
#define BLOCK 4096
#define TOTAL (400 * SLOTS)

struct reactor {
	pthread_t thread;
	int fd;
	io_context_t ctx;
	struct iocb cb[SLOTS];
	char *buf;
	int busy[SLOTS], writing[SLOTS];
	unsigned stamp[SLOTS];
	long submitted, reaped, bad, from_ring, by_call;
};

/* As its try_reap_events: from the ring, or -1 where the call is to be made. */
static long from_ring(struct reactor *r, long min, long nr, struct io_event *ev)
{
	struct user_ring *ring = ring_of(r->ctx);

	if (ring->magic != 0xa10a10a1 || ring->incompat != 0 || ring->header_length != sizeof *ring)
		return -1;
	unsigned head = ring->head, tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
	unsigned there = (tail < head ? tail + ring->nr : tail) - head;
	if ((long)there < min)
		return -1;
	long n = there < nr ? there : nr;
	for (long i = 0; i < n; i++)
		ev[i] = ring->events[(head + i) % ring->nr];
	__atomic_store_n(&ring->head, (unsigned)((head + n) % ring->nr), __ATOMIC_RELEASE);
	return n;
}

static void fill_block(struct reactor *r, int slot, unsigned stamp)
{
	for (unsigned i = 0; i < BLOCK / 4; i++)
		((unsigned *)(r->buf + slot * BLOCK))[i] = stamp + i;
}

static void submit_batch(struct reactor *r)
{
	struct iocb *list[SLOTS];
	long n = 0, done = 0;

	for (int s = 0; s < SLOTS && r->submitted + n < TOTAL; s++) {
		if (r->busy[s])
			continue;
		/* a write, then a read of the same, in turns */
		r->writing[s] = !r->writing[s];
		if (r->writing[s])
			fill_block(r, s, ++r->stamp[s] * 1000 + (unsigned)s);
		else
			memset(r->buf + s * BLOCK, 0, BLOCK);
		(r->writing[s] ? io_prep_pwrite : io_prep_pread)(&r->cb[s], r->fd, r->buf + s * BLOCK, BLOCK,
								 (long long)s * BLOCK);
		r->cb[s].data = (void *)(long)s;
		r->busy[s] = 1;
		list[n++] = &r->cb[s];
	}
	while (done < n) {
		long did = raw_submit(r->ctx, n - done, list + done);
		MUST(did > 0);
		done += did;
	}
	r->submitted += n;
}

static void finish(struct reactor *r, const struct io_event *ev)
{
	int s = (int)(long)ev->data;

	r->bad += s < 0 || s >= SLOTS || !r->busy[s] || ev->obj != &r->cb[s] || ev->res != BLOCK;
	for (unsigned i = 0; i < BLOCK / 4 && !r->writing[s]; i++)
		r->bad += ((unsigned *)(r->buf + s * BLOCK))[i] != r->stamp[s] * 1000 + (unsigned)s + i;
	r->busy[s] = 0;
	r->reaped++;
}

static volatile int reactors_done;
static void *reactor_main(void *arg)
{
	struct reactor *r = arg;
	struct io_event ev[SLOTS];
	struct timespec second = { 1, 0 };
	sigset_t none;
	struct raw_sigset usig = { &none, 8 };

	sigemptyset(&none);
	while (r->reaped < TOTAL) {
		submit_batch(r);
		long n = from_ring(r, 1, SLOTS, ev);
		if (n > 0)
			r->from_ring += n;
		if (n < 0) {
			/* nothing there: sleep, as when it has no other work */
			n = raw_pgetevents(r->ctx, 1, SLOTS, ev, &second, &usig);
			if (n > 0)
				r->by_call += n;
		}
		for (long i = 0; i < n; i++)
			finish(r, &ev[i]);
	}
	__atomic_add_fetch(&reactors_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void wake(int sig)
{
	(void)sig;
}

int main(void)
{
	static struct reactor r[2];
	struct sigaction sa = { .sa_handler = wake };
	sigset_t usr1;

	/* blocked but while asleep, as Seastar's alarm */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	MUST(!sigaction(SIGUSR1, &sa, NULL) && !pthread_sigmask(SIG_BLOCK, &usr1, NULL));
	for (int i = 0; i < 2; i++) {
		r[i].fd = pattern_file(O_RDWR | O_DIRECT, SLOTS * BLOCK);
		if (r[i].fd < 0)
			r[i].fd = pattern_file(O_RDWR, SLOTS * BLOCK);
		MUST(!posix_memalign((void **)&r[i].buf, BLOCK, SLOTS * BLOCK) && raw_setup(SLOTS, &r[i].ctx) == 0);
		MUST(!pthread_create(&r[i].thread, NULL, reactor_main, &r[i]));
	}
	while (reactors_done < 2) {
		pthread_kill(r[0].thread, SIGUSR1);
		pthread_kill(r[1].thread, SIGUSR1);
		usleep(2000);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(r[i].thread, NULL);
		expect("15/10", "reactor: events", r[i].reaped, TOTAL);
		expect("15/10", "reactor: wrong events or data", r[i].bad, 0);
		expect_true("15/10", "reactor: all came out of the ring or by the call",
			    r[i].from_ring + r[i].by_call == r[i].reaped && r[i].by_call > 0);
		expect("15/10", "reactor: the ring is empty", raw_getevents(r[i].ctx, 0, 1, &(struct io_event){ 0 }, &at_once),
		       0);
		expect("15/10", "reactor: io_destroy", raw_destroy(r[i].ctx), 0);
	}
	return check_done();
}

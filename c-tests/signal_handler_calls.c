/* Calls of libaio in a signal handler that interrupted another call of it on
 * the same context: no event is lost or doubled, nothing hangs.
 */
#include "wait_util.h"

#define POOL 64
enum { MAIN, HANDLER, USERS };

static io_context_t ctx;
static int file, never;
static volatile int mode; /* what the handler does: one of the phases */
enum { NOTHING, READS, CANCELS, CONTEXTS };

/* One pool of iocbs for each; data is the index over both. */
static struct iocb cb[USERS * POOL];
static char bytes[USERS * POOL][16];
static int in_flight[USERS * POOL];
static long submitted, reaped, doubled, wrong, failed, handler_runs;

static void add(long *counter, long n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_SEQ_CST);
}

static void account(const struct io_event *ev, long want)
{
	unsigned long i = (unsigned long)ev->data;

	add(&reaped, 1);
	if (i >= USERS * POOL || ev->obj != &cb[i]) {
		add(&wrong, 1);
		return;
	}
	add(&wrong, (long)ev->res != want || ev->res2 || (want == 16 && bytes[i][15] != (char)(15 * 7)));
	memset(bytes[i], 0, 16);
	add(&doubled, !__atomic_exchange_n(&in_flight[i], 0, __ATOMIC_SEQ_CST));
}

/* Up to `n` requests from the user's pool in one call. */
static void submit_some(int who, int n)
{
	struct iocb *list[8];
	int k = 0;

	for (int i = who * POOL; i < (who + 1) * POOL && k < n; i++) {
		if (__atomic_load_n(&in_flight[i], __ATOMIC_SEQ_CST))
			continue;
		if (mode == READS)
			io_prep_pread(&cb[i], file, bytes[i], 16, 0);
		else
			io_prep_poll(&cb[i], never, POLLIN);
		cb[i].data = (void *)(long)i;
		__atomic_store_n(&in_flight[i], 1, __ATOMIC_SEQ_CST);
		list[k++] = &cb[i];
	}
	if (!k)
		return;
	add(&submitted, k);
	add(&failed, io_submit(ctx, k, list) != k);
	if (mode == CANCELS)
		for (int i = 0; i < k; i++)
			add(&failed, io_cancel(ctx, list[i], &(struct io_event){ 0 }) != -EINPROGRESS);
}

static void reap_some(long min, int n, long ms)
{
	struct io_event ev[8];
	int r = reap(ctx, min, n, ev, ms);

	add(&failed, r < 0 && r != -EINTR);
	for (int i = 0; i < r; i++)
		account(&ev[i], mode == READS ? 16 : 0);
}

/* A context of one's own, from its birth to its end. */
static void whole_life(void)
{
	static char byte;
	struct io_event ev;
	io_context_t own = NULL;
	struct iocb one;

	new_context(4, &own);
	io_prep_pread(&one, file, &byte, 1, 0);
	add(&submitted, 1);
	add(&failed, submit1(own, &one) != 1);
	int r;
	while ((r = io_getevents(own, 1, 1, &ev, NULL)) == -EINTR)
		;
	add(&reaped, r == 1 && ev.obj == &one && ev.res == 1);
	add(&failed, io_destroy(own) != 0);
}

static void on_timer(int sig)
{
	int kept = errno;

	(void)sig;
	add(&handler_runs, 1);
	if (mode == CONTEXTS) {
		whole_life();
	} else if (mode != NOTHING) {
		submit_some(HANDLER, 2);
		reap_some(0, 4, 0);
	}
	errno = kept;
}

static void on_hang(int sig)
{
	static const char text[] = "a call hangs\n";
	(void)sig;
	_exit(write(1, text, sizeof text - 1) ? 1 : 1);
}

static void report(const char *id, const char *label, long least)
{
	char line[96];

	snprintf(line, sizeof line, "%s: handler runs", label);
	expect_between(id, line, handler_runs, least, 100000);
	snprintf(line, sizeof line, "%s: events lost", label);
	expect(id, line, submitted - reaped, 0);
	snprintf(line, sizeof line, "%s: events doubled", label);
	expect(id, line, doubled, 0);
	snprintf(line, sizeof line, "%s: events with wrong contents", label);
	expect(id, line, wrong, 0);
	snprintf(line, sizeof line, "%s: calls that failed", label);
	expect(id, line, failed, 0);
	submitted = reaped = doubled = wrong = failed = handler_runs = 0;
}

/* For `ms` main and handler do the same on one context. */
static void together(const char *label, int what, timer_t timer, long ms)
{
	struct itimerspec khz = { { 0, 1000000 }, { 0, 1000000 } }, off = { 0 };
	long until = now_ms() + ms;

	mode = what;
	MUST(timer_settime(timer, 0, &khz, NULL) == 0);
	for (unsigned turn = 0; now_ms() < until; turn++) {
		submit_some(MAIN, 1 + turn % 4);
		/* at once or until one comes; seldom asleep, for more than there is */
		reap_some(turn % 64 == 63 ? 8 : turn % 2, 8, turn % 2 ? 2 : 0);
	}
	MUST(timer_settime(timer, 0, &off, NULL) == 0);
	for (until = now_ms() + 5000; reaped < submitted && now_ms() < until;)
		reap_some(1, 8, 100);
	reap_some(1, 8, 20);
	report("13/10", label, ms / 30);
}

/* Each round the timer strikes once, somewhere in a context's life. */
static void contexts(timer_t timer)
{
	mode = CONTEXTS;
	for (long i = 0; i < 10; i++) {
		struct itimerspec once = { .it_value = { 0, 20000 + i * i * 300000 } };
		long before = __atomic_load_n(&handler_runs, __ATOMIC_SEQ_CST), end = now_ms() + 5000;

		MUST(timer_settime(timer, 0, &once, NULL) == 0);
		do
			whole_life();
		while (__atomic_load_n(&handler_runs, __ATOMIC_SEQ_CST) == before && now_ms() < end);
	}
	report("13/10", "io_setup to io_destroy in both", 10);
}

int main(void)
{
	struct sigevent alarm = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM }, hang = alarm;
	struct itimerspec limit = { .it_value = { 40, 0 } };
	timer_t timer, watchdog;

	file = pattern_file(0, 4096);
	never = eventfd(0, EFD_CLOEXEC);
	MUST(file >= 0 && never >= 0);
	new_context(256, &ctx);
	on_signal(SIGTERM, on_hang, 0);
	hang.sigev_signo = SIGTERM;
	MUST(timer_create(CLOCK_MONOTONIC, &hang, &watchdog) == 0);
	MUST(timer_settime(watchdog, 0, &limit, NULL) == 0);
	on_signal(SIGALRM, on_timer, SA_RESTART);
	MUST(timer_create(CLOCK_MONOTONIC, &alarm, &timer) == 0);

	together("reads in both", READS, timer, 3000);
	together("polls and io_cancel in both", CANCELS, timer, 1000);
	contexts(timer);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

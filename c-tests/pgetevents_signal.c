/* io_pgetevents and signals: its mask is in force for the call, and put back
 * at return. SA_RESTART makes no difference.
 */
#include "wait_util.h"

static io_context_t ctx;
static struct io_event ev[8];
static sigset_t none, usr1;
static struct timespec sec20 = { 20, 0 }, ms1 = { 0, 1000000 };

static int usr1_blocked(void)
{
	sigset_t now;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, SIGUSR1);
}

/* Blocked outside, let through by the mask, sent while the thread sleeps. */
static void arrives(const char *label, int flags, int have)
{
	struct waiter w = { .ctx = ctx, .min = 4, .nr = 8, .mask = &none };
	char line[128];

	handled = 0;
	on_signal(SIGUSR1, count_signal, flags);
	if (have)
		fill(ctx, have, 1);
	waiter_go(&w);
	MUST(pthread_kill(w.thread, SIGUSR1) == 0);
	snprintf(line, sizeof line, "%s, arrives while waiting, %d collected", label, have);
	expect("6/8", line, waiter_end(&w), have ? have : -EINTR);
	expect("6/8", "handler calls", handled, 1);
	expect("6/8", "SIGUSR1 is blocked afterwards", sigismember(&w.after, SIGUSR1), 1);
	expect("6/8", "errno is untouched", w.errno_after, ERRNO_MARK);
}

/* Pending before the call: what the call answers, and whether it is handled. */
static void pending(const char *id, const char *label, int there, long min, long nr, struct timespec *ts, int want, int runs)
{
	char line[128];
	long start;

	handled = 0;
	if (there)
		fill(ctx, there, 1);
	MUST(raise(SIGUSR1) == 0 && !handled);
	start = now_ms();
	expect(id, label, io_pgetevents(ctx, min, nr, ev, ts, &none), want);
	snprintf(line, sizeof line, "%s: handler calls", label);
	expect(id, line, handled, runs);
	snprintf(line, sizeof line, "%s: at once", label);
	expect_between(id, line, now_ms() - start, 0, 9000);
	expect_true(id, "the old mask is back", usr1_blocked());
	if (!runs) { /* let it go now */
		pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
		pthread_sigmask(SIG_BLOCK, &usr1, NULL);
		expect(id, "it was still pending", handled, 1);
	}
}

static void pending_before(const char *how, int flags)
{
	char l[8][96];
	static const char *const what[8] = {
		"pending, empty, 20 s", "pending, empty, NULL", "pending, 1 there, min 1", "pending, 1 there, min 2",
		"pending, empty, min 0", "pending, empty, {0,0} without magic", "pending, min 2 nr 1", "pending, empty, {0,0}",
	};

	for (int i = 0; i < 8; i++)
		snprintf(l[i], sizeof l[i], "%s, %s", how, what[i]);
	on_signal(SIGUSR1, count_signal, flags);
	pending("6/9", l[0], 0, 1, 4, &sec20, -EINTR, 1);
	pending("6/9", l[1], 0, 1, 4, NULL, -EINTR, 1);
	pending("6/10", l[2], 1, 1, 4, NULL, 1, 1);
	pending("6/10", l[3], 1, 2, 4, &sec20, 1, 1);
	pending("6/11", l[4], 0, 0, 4, &ms1, -EINTR, 1);
	ring_of(ctx)->magic = 0;
	pending("6/11", l[5], 0, 1, 4, &zero_ts, -EINTR, 1);
	ring_of(ctx)->magic = 0xa10a10a1;
	pending("6/12", l[6], 0, 2, 1, &ms1, -EINVAL, 1);
	pending("6/11", l[7], 0, 1, 4, &zero_ts, 0, 0); /* libaio's shortcut */
}

/* Not blocked outside, blocked by the mask: comes through at return. */
static volatile long handled_ms;
static void note_time(int sig)
{
	handled_ms = now_ms();
	count_signal(sig);
}
static void held_back(const char *label, int flags)
{
	struct waiter w = { .ctx = ctx, .min = 1, .nr = 4, .ts = { 1, 0 }, .timeout = &w.ts, .mask = &usr1 };
	char line[128];
	long start;

	handled = 0;
	on_signal(SIGUSR1, note_time, flags);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL); /* the thread inherits it */
	start = now_ms();
	waiter_go(&w);
	MUST(pthread_kill(w.thread, SIGUSR1) == 0);
	usleep(20000);
	snprintf(line, sizeof line, "%s, blocked by the mask: no handler while it waits", label);
	expect("6/13", line, handled, 0);
	snprintf(line, sizeof line, "%s, blocked by the mask: the answer", label);
	expect("6/13", line, waiter_end(&w), 0);
	expect_between("6/13", "after the full second", w.took, 1000, 9000);
	expect("6/13", "the handler ran at return", handled, 1);
	expect_between("6/13", "not before", handled_ms - start, 1000, 9000);
	expect("6/13", "SIGUSR1 is not blocked afterwards", sigismember(&w.after, SIGUSR1), 0);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
}

int main(void)
{
	sigemptyset(&none);
	usr1 = one_signal(SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	new_context(32, &ctx);
	arrives("handler", 0, 0);
	arrives("SA_RESTART", SA_RESTART, 0);
	arrives("handler", 0, 2);
	pending_before("handler", 0);
	pending_before("SA_RESTART", SA_RESTART);
	held_back("handler", 0);
	held_back("SA_RESTART", SA_RESTART);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

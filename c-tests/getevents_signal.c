/* io_getevents and signals. SA_RESTART makes no difference. */
#include "wait_util.h"

static io_context_t ctx;
static struct io_event ev[16];

/* A thread with nothing collected; `ms` NO_TIMEOUT or FOREVER ({-1,0}). */
#define FOREVER (-2L)
static void interrupted(const char *label, int flags, long min, long ms)
{
	struct waiter w = { .ctx = ctx, .min = min, .nr = 4, .ts = { ms == FOREVER ? -1 : ms / 1000, 0 } };
	char line[128];
	int before = handled;

	w.timeout = ms == NO_TIMEOUT ? NULL : &w.ts;
	on_signal(SIGUSR1, count_signal, flags);
	waiter_go(&w);
	MUST(pthread_kill(w.thread, SIGUSR1) == 0);
	snprintf(line, sizeof line, "%s, nothing collected", label);
	expect("5/23", line, waiter_end(&w), -EINTR);
	snprintf(line, sizeof line, "%s: handler calls", label);
	expect("5/23", line, handled - before, 1);
	snprintf(line, sizeof line, "%s: errno is untouched", label);
	expect("5/23", line, w.errno_after, ERRNO_MARK);
	snprintf(line, sizeof line, "%s: at once", label);
	expect_between("5/23", line, w.took, 0, 9000);
}

static void collected(const char *label, int flags)
{
	struct waiter w = { .ctx = ctx, .min = 4, .nr = 8 };
	struct triggers t;
	char line[128];

	on_signal(SIGUSR1, count_signal, flags);
	fill(ctx, 2, 1);
	waiter_go(&w);
	MUST(pthread_kill(w.thread, SIGUSR1) == 0);
	snprintf(line, sizeof line, "%s, 2 collected of 4: 2", label);
	expect("5/24", line, waiter_end(&w), 2);
	expect_true("5/24", "the right two", in_order(w.own, 2, 1));

	/* these come while it sleeps */
	triggers_arm(&t, ctx);
	w = (struct waiter){ .ctx = ctx, .min = 4, .nr = 8 };
	waiter_go(&w);
	fire(&t, 0);
	fire(&t, 1);
	MUST(ring_wait(ctx, 2));
	MUST(pthread_kill(w.thread, SIGUSR1) == 0);
	snprintf(line, sizeof line, "%s, 2 of 4 came meanwhile: 2", label);
	expect("5/24", line, waiter_end(&w), 2);
	for (int i = 2; i < TRIGGERS; i++)
		fire(&t, i);
	MUST(reap_all(ctx, TRIGGERS - 2, ev, 5000) == TRIGGERS - 2);
	triggers_close(&t);
}

/* A signal that runs no handler does not end the wait. */
static void no_effect(const char *label, int sig)
{
	struct waiter w;
	char line[128];
	int before = handled;

	waiter_start(&w, ctx, 1, 4, 200);
	MUST(pthread_kill(w.thread, sig) == 0);
	snprintf(line, sizeof line, "%s: no effect", label);
	expect("5/25", line, waiter_end(&w), 0);
	snprintf(line, sizeof line, "%s: after the full 200 ms", label);
	expect_between("5/25", line, w.took, 200, 8000);
	expect("5/25", "no handler ran", handled - before, 0);
}

static void ignored(void)
{
	sigset_t usr2 = one_signal(SIGUSR2);

	on_signal(SIGUSR1, SIG_IGN, 0);
	no_effect("ignored SIGUSR1", SIGUSR1);
	on_signal(SIGCHLD, SIG_DFL, 0);
	no_effect("SIGCHLD, default", SIGCHLD);
	on_signal(SIGWINCH, SIG_DFL, 0);
	no_effect("SIGWINCH, default", SIGWINCH);
	on_signal(SIGUSR2, count_signal, 0);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	no_effect("blocked SIGUSR2", SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &usr2, NULL);
}

/* Handlers that use the context their thread is waiting on. */
static volatile int in_handler;
static struct io_event handler_ev[4];
static void handler_submits(int sig)
{
	(void)sig;
	in_handler = submit_reads(ctx, 1, 77);
}
static void handler_reaps(int sig)
{
	(void)sig;
	in_handler = io_getevents(ctx, 1, 4, handler_ev, &zero_ts);
}
static void handler_both(int sig)
{
	handler_submits(sig);
	in_handler += 10 * io_getevents(ctx, 1, 4, handler_ev, &zero_ts);
}
static struct waiter w;
static int with_handler(void (*handler)(int), long min)
{
	in_handler = -9999;
	on_signal(SIGUSR1, handler, SA_RESTART);
	waiter_start(&w, ctx, min, 4, 20000);
	MUST(pthread_kill(w.thread, SIGUSR1) == 0);
	return waiter_end(&w);
}

/* The kernel ends the wait and leaves the handler's event in the ring. aio-rs
 * gives that event to the wait if it is there by then. */
static void submitting(void)
{
	int got = with_handler(handler_submits, 1), left;

	expect("5/27", "the handler's io_submit", in_handler, 1);
	expect_may_differ("5/27", "handler submits a read: the wait ends", got, -EINTR, 1);
	left = ring_wait(ctx, got != 1);
	expect_true("5/27", "its event is in the ring, unless it was the answer", left);
	if (got == 1)
		fill(ctx, 1, 77);
	expect_true("5/27", "it is the handler's", got == -EINTR || in_order(w.own, 1, 77));
}

static void handlers(void)
{
	MUST(submit_reads(ctx, 1, 1) == 1); /* opens its file before a handler does */
	MUST(reap(ctx, 1, 1, ev, 5000) == 1);

	submitting();
	expect("5/28", "handler reaps one, min 4", with_handler(handler_reaps, 4), 1);
	expect("5/28", "the waiter had taken it before: handler's io_getevents", in_handler, 0);
	expect("5/28", "handler reaps, empty ring", with_handler(handler_reaps, 1), -EINTR);
	expect("5/28", "the handler's io_getevents", in_handler, 0);
	expect("5/28", "handler submits and reaps", with_handler(handler_both, 1), -EINTR);
	expect("5/28", "io_submit 1, io_getevents 1", in_handler, 11);
	expect_true("5/28", "its event", in_order(handler_ev, 1, 77));
	expect("5/28", "nothing is left", ring_count(ctx), 0);
}

/* No thread of the program takes them, and no other may: neither one that waits
 * for requests nor one that is at work. */
static void no_thread_takes_them(void)
{
	sigset_t both = one_signal(SIGUSR1);
	struct iocb sync, *list[1] = { &sync };
	struct triggers t;
	int before = handled, fd = temp_file(0), r = 0;

	on_signal(SIGUSR1, count_signal, 0);
	on_signal(SIGRTMIN, count_signal, 0);
	sigaddset(&both, SIGRTMIN);
	MUST(pthread_sigmask(SIG_BLOCK, &both, NULL) == 0);
	triggers_arm(&t, ctx);
	io_prep_fsync(&sync, fd);
	for (int i = 0; i < 48; i++) {
		MUST(io_submit(ctx, 1, list) == 1);
		MUST(kill(getpid(), SIGUSR1) == 0 && kill(getpid(), SIGRTMIN) == 0);
		if (i % 4 == 0)
			fire(&t, i / 4);
		r += reap(ctx, 1, 16, ev, 5000);
	}
	r += (int)reap_all(ctx, 48 + TRIGGERS - r, ev, 5000);
	expect("5/25", "sent to the process, blocked in its threads: events", r, 48 + TRIGGERS);
	expect("5/25", "handler calls", handled - before, 0);
	MUST(pthread_sigmask(SIG_UNBLOCK, &both, NULL) == 0);
	expect("5/25", "handler calls when no longer blocked", handled - before, 1 + 48);
	triggers_close(&t);
	close(fd);
}

int main(void)
{
	new_context(32, &ctx);
	interrupted("handler, NULL", 0, 1, NO_TIMEOUT);
	interrupted("handler, 20 s", 0, 1, 20000);
	interrupted("handler, {-1,0}", 0, 1, FOREVER);
	interrupted("SA_RESTART, NULL", SA_RESTART, 1, NO_TIMEOUT);
	interrupted("SA_RESTART, 20 s", SA_RESTART, 1, 20000);
	interrupted("SA_RESTART, {-1,0}", SA_RESTART, 1, FOREVER);
	interrupted("SA_RESTART, NULL, min 4", SA_RESTART, 4, NO_TIMEOUT);
	collected("handler", 0);
	collected("SA_RESTART", SA_RESTART);
	ignored();
	no_thread_takes_them();
	handlers();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

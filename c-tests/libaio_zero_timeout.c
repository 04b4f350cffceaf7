/* The shortcut of io_getevents and io_pgetevents: {0,0} and a ring that looks
 * empty answer 0 in user space, whatever the other arguments are.
 */
#include "wait_util.h"

static io_context_t ctx;
static struct io_event ev[8];
static struct timespec ns1 = { 0, 1 };

static const struct {
	const char *label;
	long min, nr;
	int no_events, bad_mask;
	int otherwise;	    /* the answer of the full call, ring empty */
	int otherwise_full; /* and with events in the ring */
} cases[] = {
	{ "min 2 nr 1", 2, 1, 0, 0, -EINVAL, -EINVAL },
	{ "nr -1", 1, -1, 0, 0, -EINVAL, -EINVAL },
	{ "min -1", -1, 1, 0, 0, -EINVAL, -EINVAL },
	{ "events NULL", 1, 1, 1, 0, 0, -EFAULT },
	{ "bad sigmask", 1, 1, 0, 1, -EFAULT, -EFAULT },
};
#define CASES (sizeof cases / sizeof *cases)

static int call(size_t i, int pgetevents, struct timespec *ts)
{
	struct io_event *e = cases[i].no_events ? NULL : ev;
	if (!pgetevents)
		return io_getevents(ctx, cases[i].min, cases[i].nr, e, ts);
	return io_pgetevents(ctx, cases[i].min, cases[i].nr, e, ts, cases[i].bad_mask ? HOLE_ADDR : NULL);
}
static void all(const char *when, struct timespec *ts, int shortcut, int full)
{
	char line[128];

	for (size_t i = 0; i < CASES; i++)
		for (int p = cases[i].bad_mask; p < 2; p++) {
			int want = full ? cases[i].otherwise_full : cases[i].otherwise;
			snprintf(line, sizeof line, "%s, %s, %s", p ? "io_pgetevents" : "io_getevents", cases[i].label, when);
			expect("13/2", line, call(i, p, ts), shortcut ? 0 : want);
		}
}

static long in_child_process(void *arg)
{
	return io_getevents(ctx, 1, 8, ev, arg);
}

static void pending_signal(void)
{
	sigset_t usr1 = one_signal(SIGUSR1), none;

	sigemptyset(&none);
	on_signal(SIGUSR1, count_signal, 0);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	MUST(raise(SIGUSR1) == 0);
	expect("13/2", "pending signal, empty mask", io_pgetevents(ctx, 1, 1, ev, &zero_ts, &none), 0);
	expect("13/2", "it is not delivered", handled, 0);
	expect("13/2", "with {0,1}", io_pgetevents(ctx, 1, 1, ev, &ns1, &none), -EINTR);
	expect("13/2", "it is delivered", handled, 1);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
}

int main(void)
{
	new_context(8, &ctx);
	all("empty, {0,0}", &zero_ts, 1, 0);
	all("empty, {0,1}", &ns1, 0, 0);
	ring_of(ctx)->magic = 0;
	all("empty, {0,0}, magic gone", &zero_ts, 0, 0);
	ring_of(ctx)->magic = 0xa10a10a1;
	pending_signal();

	expect("13/2", "a child, empty, {0,0}", answer_in_child(in_child_process, &zero_ts), 0);
	expect("13/2", "a child, empty, {0,1}", answer_in_child(in_child_process, &ns1), -EINVAL);
	fill(ctx, 2, 1);
	expect("13/2", "a child, 2 events, {0,0}", answer_in_child(in_child_process, &zero_ts), -EINVAL);
	expect("13/2", "a child, 2 events, {0,1}", answer_in_child(in_child_process, &ns1), -EINVAL);
	all("2 events, {0,0}", &zero_ts, 0, 1);
	expect("13/2", "both events stayed", io_getevents(ctx, 1, 8, ev, &zero_ts), 2);
	expect_true("13/2", "and are good", in_order(ev, 2, 1));
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

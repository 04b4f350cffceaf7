/* io_pgetevents by number: the structure around the mask, which libaio always
 * fills in rightly, and no shortcut. */
#include "raw.h"
#include "wait_util.h"

static io_context_t ctx;
static struct io_event ev[4];

static long with(const void *mask, size_t size, struct timespec *timeout)
{
	struct raw_sigset usig = { mask, size };
	return raw_pgetevents(ctx, 1, 4, ev, timeout, &usig);
}

static void arguments(const sigset_t *mask)
{
	static const size_t sizes[] = { 0, 4, 7, 9, 16, 128 };
	struct raw_sigset bad = { unmapped_addr(), 7 }, good = { mask, 8 };
	char line[64];

	expect("6/1", "no structure", raw_pgetevents(ctx, 1, 4, ev, &ms20, NULL), 0);
	expect("6/1", "{NULL, 8}", with(NULL, 8, &ms20), 0);
	expect("6/1", "{NULL, 3}", with(NULL, 3, &ms20), 0);
	expect("6/2", "{mask, 8}", with(mask, 8, &ms20), 0);
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		snprintf(line, sizeof line, "{mask, %zu}", sizes[i]);
		expect("6/2", line, with(mask, sizes[i], &ms20), -EINVAL);
	}
	expect("6/3", "{unmapped, 8}", with(unmapped_addr(), 8, &ms20), -EFAULT);
	expect("6/2", "{unmapped, 7}", with(unmapped_addr(), 7, &ms20), -EINVAL);
	expect("6/3", "the structure unmapped", raw_pgetevents(ctx, 1, 4, ev, &ms20, unmapped_addr()), -EFAULT);
	expect("6/4", "timeout unmapped, {unmapped, 7}", raw_pgetevents(ctx, 1, 4, ev, unmapped_addr(), &bad), -EFAULT);
	expect("6/5", "no context", raw_pgetevents(NULL, 1, 4, ev, &ms20, &good), -EINVAL);
	expect("6/5", "no context, {unmapped, 7}", raw_pgetevents(NULL, 1, 4, ev, &ms20, &bad), -EINVAL);
	expect("6/5", "min 2 nr 1", raw_pgetevents(ctx, 2, 1, ev, &ms20, &good), -EINVAL);

	expect("15/3", "{0,0}, empty ring", with(mask, 8, &at_once), 0);
	expect("15/3", "{0,0}, {unmapped, 8}", with(unmapped_addr(), 8, &at_once), -EFAULT);
	expect("15/3", "{0,0}, {mask, 9}", with(mask, 9, &at_once), -EINVAL);
	expect("15/3", "{0,0}, no context", raw_pgetevents(NULL, 1, 4, ev, &at_once, &good), -EINVAL);
	expect("15/3", "{0,0}, unmapped context", raw_pgetevents(unmapped_addr(), 1, 4, ev, &at_once, NULL), -EINVAL);
	expect("15/3", "{0,0}, min 2 nr 1", raw_pgetevents(ctx, 2, 1, ev, &at_once, &good), -EINVAL);
}

static void pending(const char *label, const sigset_t *none, struct timespec *timeout)
{
	char line[64];

	handled = 0;
	MUST(raise(SIGUSR1) == 0 && !handled);
	expect("6/11", label, with(none, 8, timeout), -EINTR);
	snprintf(line, sizeof line, "%s: handler calls", label);
	expect("6/11", line, handled, 1);
}

int main(void)
{
	sigset_t none, usr1 = one_signal(SIGUSR1);

	sigemptyset(&none);
	MUST(raw_setup(8, &ctx) == 0);
	arguments(&none);
	on_signal(SIGUSR1, count_signal, SA_RESTART);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	pending("pending, 10 s", &none, &ten_seconds);
	pending("pending, {0,0}", &none, &at_once);
	fill(ctx, 2, 1);
	expect("6/10", "two events, a mask", with(&none, 8, &ten_seconds), 2);
	expect("15/1", "io_destroy", raw_destroy(ctx), 0);
	return check_done();
}

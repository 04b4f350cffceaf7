/* A program that locks its memory, before io_setup or after it, as databases
 * and real-time programs do; and one whose limit leaves little to lock. */
#include "life.h"
#include <sys/resource.h>

static struct kit kit;
static long *answer;

static int run(void *arg)
{
	const char *how = arg;
	io_context_t ctx = NULL, second = NULL;

	if (*how == 'b')
		MUST(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	answer[0] = io_setup(16, &ctx);
	if (answer[0])
		return 1;
	if (*how == 'u')
		answer[1] = kit_run(ctx, &kit);
	if (*how != 'b')
		MUST(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	for (int i = 0; i < 3 && !answer[1]; i++)
		answer[1] = kit_run(ctx, &kit);
	answer[2] = io_setup(1000, &second);
	answer[3] = answer[2] ? 0 : kit_run(second, &kit);
	answer[4] = io_destroy(ctx);
	munlockall();
	answer[5] = answer[2] ? 0 : kit_run(second, &kit);
	return 0;
}

/* Nobody may lock a page: not asked for, not needed. */
static int limit_zero(void *arg)
{
	struct rlimit none = { 0, 0 };
	io_context_t ctx = NULL, second = NULL;

	(void)arg;
	MUST(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
	MUST(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	answer[0] = io_setup(16, &ctx);
	if (answer[0])
		return 1;
	for (int i = 0; i < 3 && !answer[1]; i++)
		answer[1] = kit_run(ctx, &kit);
	answer[2] = io_setup(1000, &second);
	answer[3] = answer[2] ? 0 : kit_run(second, &kit);
	answer[4] = io_destroy(ctx);
	return 0;
}

int main(void)
{
	static const struct {
		const char *id, *name, *how;
		int (*child)(void *);
	} cases[] = {
		{ "life/8", "mlockall before io_setup", "before", run },
		{ "life/8", "mlockall after io_setup", "after", run },
		{ "life/8", "mlockall after first use", "used", run },
		{ "1/17", "unprivileged, RLIMIT_MEMLOCK 0", "", limit_zero },
	};
	char label[96];

	if (geteuid())
		skip("not root");
	kit_open(&kit);
	answer = shared_alloc(4096);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
#define LABEL(x) (snprintf(label, sizeof label, "%s: %s", cases[i].name, x), label)
		memset(answer, 0, 4096);
		expect(cases[i].id, LABEL("end"), in_child(cases[i].child, (void *)(uintptr_t)cases[i].how), 0);
		expect(cases[i].id, LABEL("io_setup"), answer[0], 0);
		expect(cases[i].id, LABEL("all kinds of I/O"), answer[1], 0);
		expect(cases[i].id, LABEL("another io_setup"), answer[2], 0);
		expect(cases[i].id, LABEL("all kinds of I/O on that"), answer[3], 0);
		expect(cases[i].id, LABEL("io_destroy"), answer[4], 0);
		expect(cases[i].id, LABEL("all kinds of I/O after munlockall"), answer[5], 0);
	}
	return check_done();
}

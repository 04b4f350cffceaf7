/* No descriptor to be had, before io_setup or after it, by the table being full
 * or by the limit: the kernel's AIO needs none, and so nothing fails. aio-rs has no
 * engine if the table is full at its first io_setup, and can pin no file with a
 * limit of 0: then it does what needs neither. */
#include "life.h"
#include <sys/resource.h>

static struct kit kit;
static long *answer;

static void limit(rlim_t soft)
{
	struct rlimit rl;

	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	rl.rlim_cur = soft;
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
}
/* Fill the table up to a small limit; all the kit's descriptors are inside. */
static void exhaust(void)
{
	limit(64);
	while (dup(1) >= 0)
		;
	MUST(errno == EMFILE);
}

/* Rounds of work until one fails; 0 if none does. The answers for the parent. */
static void work(io_context_t ctx, long (*run)(io_context_t, struct kit *))
{
	for (int i = 0; i < 3 && !answer[1]; i++)
		answer[1] = run(ctx, &kit);
	answer[2] = dup(1) < 0 ? errno : 0;
}

/* io_setup with the table already full: works() needs a descriptor. */
static int full_before(void *arg)
{
	io_context_t ctx = NULL;

	(void)arg;
	exhaust();
	answer[0] = io_setup(16, &ctx);
	if (answer[0])
		return 1;
	work(ctx, kit_run_starved);
	answer[3] = io_destroy(ctx);
	return 0;
}
static int full_after(void *arg)
{
	io_context_t ctx = NULL, second = NULL;

	answer[0] = io_setup(16, &ctx);
	if (answer[0])
		return 1;
	if (arg)	/* in use before */
		answer[1] = kit_run(ctx, &kit);
	exhaust();
	work(ctx, kit_run);
	answer[3] = io_destroy(ctx);
	answer[4] = io_setup(16, &second);
	if (!answer[4])
		answer[5] = kit_run(second, &kit);
	return 0;
}
/* The limit below every descriptor there is: those that are open stay good. */
static int limit_zero(void *arg)
{
	io_context_t ctx = NULL, second = NULL;

	if (!arg)
		limit(0);
	answer[0] = io_setup(16, &ctx);
	if (answer[0])
		return 1;
	limit(0);
	work(ctx, kit_run_starved);
	answer[3] = io_destroy(ctx);
	answer[4] = io_setup(16, &second);
	if (!answer[4])
		answer[5] = kit_run_starved(second, &kit);
	return 0;
}
/* Full, and with room again: the context does not care. */
static int full_and_free(void *arg)
{
	io_context_t ctx = NULL;

	(void)arg;
	answer[0] = io_setup(16, &ctx);
	if (answer[0])
		return 1;
	for (int i = 0; i < 5 && !answer[1]; i++) {
		exhaust();
		answer[1] = kit_run(ctx, &kit);
		for (int fd = 32; fd < 64; fd++)
			close(fd);
		limit(1024);
		if (!answer[1])
			answer[1] = kit_run(ctx, &kit);
	}
	exhaust();
	answer[2] = dup(1) < 0 ? errno : 0;
	answer[3] = io_destroy(ctx);
	return 0;
}

int main(void)
{
	static const struct {
		const char *id, *name;
		int (*child)(void *);
		void *arg;
	} cases[] = {
		{ "1/16", "table full before io_setup", full_before, NULL },
		{ "9/15", "table full after io_setup", full_after, NULL },
		{ "9/15", "table full after first use", full_after, "used" },
		{ "life/6", "limit 0 before io_setup", limit_zero, NULL },
		{ "9/15", "limit 0 after io_setup", limit_zero, "after" },
		{ "9/15", "table full and free in turn", full_and_free, NULL },
	};
	char label[96];

	/* All numbers of the kit below 32. */
	syscall(SYS_close_range, 3U, ~0U, 0U);
	kit_open(&kit);
	answer = shared_alloc(4096);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *id = cases[i].id;
		memset(answer, 0, 4096);
#define LABEL(x) (snprintf(label, sizeof label, "%s: %s", cases[i].name, x), label)
		expect(id, LABEL("end"), in_child(cases[i].child, cases[i].arg), 0);
		expect(id, LABEL("io_setup"), answer[0], 0);
		int starved = cases[i].child == full_before || cases[i].child == limit_zero;
		if (starved)
			expect_documented(id, LABEL("all kinds of I/O, or some"), !answer[1], !answer[1]);
		else
			expect(id, LABEL("all kinds of I/O"), answer[1], 0);
		expect(id, LABEL("no descriptor to be had"), answer[2], EMFILE);
		expect(id, LABEL("io_destroy"), answer[3], 0);
		expect(id, LABEL("another io_setup"), answer[4], 0);
		if (starved)
			expect_documented(id, LABEL("the same on that"), !answer[5], !answer[5]);
		else
			expect(id, LABEL("all kinds of I/O on that"), answer[5], 0);
	}
	return check_done();
}

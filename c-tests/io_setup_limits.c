/* The limit: nr is counted exactly as asked, the sum may reach fs.aio-max-nr but
 * not exceed it, and what is given back is free at once.
 *
 * The kernel's count is shared with the whole host, so each sequence works with
 * the room that is left, and is repeated if another program moved the count. */
#include "ring_util.h"
#include <pthread.h>

static long max_nr;

static long room(void)
{
	return on_ours() ? max_nr : max_nr - read_number(AIO_NR);
}

/* io_setup(nr), or of what is left when the sequence begins (room + nr). */
struct step {
	const char *label;
	int of_room;
	long nr, want, got;
};

static int run_steps(struct step *s, int n)
{
	io_context_t ctx[16] = { 0 };
	long left = room();
	int good = 1;

	for (int i = 0; i < n; i++) {
		s[i].got = io_setup((int)(s[i].of_room ? left + s[i].nr : s[i].nr), &ctx[i]);
		good &= s[i].got == s[i].want && (s[i].got == 0) == (ctx[i] != NULL);
	}
	for (int i = 0; i < n; i++)
		if (ctx[i])
			io_destroy(ctx[i]);
	return good && left == room();
}

static void steps(const char *id, struct step *s, int n)
{
	for (int tries = on_ours() ? 1 : 5; !run_steps(s, n) && --tries;)
		usleep(50000);
	for (int i = 0; i < n; i++)
		expect(id, s[i].label, s[i].got, s[i].want);
}
#define STEPS(id, ...)                                                  \
	do {                                                            \
		struct step list[] = { __VA_ARGS__ };                   \
		steps(id, list, (int)(sizeof list / sizeof list[0]));   \
	} while (0)

static void exactly(long nr)
{
	char one[64], more[64], rest[64];

	snprintf(one, sizeof one, "nr %ld", nr);
	snprintf(more, sizeof more, "nr %ld held, 1 too many", nr);
	snprintf(rest, sizeof rest, "nr %ld held, all the rest", nr);
	STEPS("1/2", { one, 0, nr, 0, 0 }, { more, 1, 1 - nr, -EAGAIN, 0 }, { rest, 1, -nr, 0, 0 });
}

/* The number the kernel shows; aio-rs counts for itself. */
static void shown(void)
{
	long grown = 0;

	for (int tries = 0; tries < 20; tries++) {
		io_context_t ctx = NULL;
		long before = read_number(AIO_NR), with;

		if (io_setup(100, &ctx))
			continue;
		with = read_number(AIO_NR);
		io_destroy(ctx);
		grown = with - before;
		if (read_number(AIO_NR) == before && grown == (on_ours() ? 0 : 100))
			break;
	}
	expect_differs("1/2", "fs.aio-nr after nr 100", grown, 100, 0);
}

static void over(long nr, const char *label)
{
	note_same("1/3", 0); /* the limit is aio-rs's own */
	/* a machine whose limit is raised takes some of these */
	if (nr > max_nr)
		STEPS("1/3", { label, 0, nr, -EAGAIN, 0 });
	else
		STEPS("1/3", { label, 0, nr, nr > room() ? -EAGAIN : 0, 0 });
}

/* The whole limit in a child that ends without io_destroy. */
static void process_end(int by_kill)
{
	const char *label = by_kill ? "all of it, after a killed process" : "all of it, after _exit";
	long again = -1, held = -1;

	for (int tries = on_ours() ? 1 : 5; tries--; usleep(50000)) {
		io_context_t ctx = NULL;
		long left = room();
		int p[2], status;
		pid_t pid;
		char c = 'x';

		MUST(!pipe(p));
		pid = fork();
		MUST(pid >= 0);
		if (!pid) {
			if (io_setup((int)left, &ctx) == 0)
				c = 'y';
			if (write(p[1], &c, 1) != 1 || !by_kill)
				_exit(0);
			for (;;)
				pause();
		}
		MUST(read(p[0], &c, 1) == 1);
		close(p[0]);
		close(p[1]);
		held = c == 'y';
		if (by_kill)
			kill(pid, SIGKILL);
		MUST(waitpid(pid, &status, 0) == pid);
		again = io_setup((int)left, &ctx);
		if (ctx)
			io_destroy(ctx);
		if (!again && held == 1)
			break;
	}
	expect_true("1/10", "the child had all of it", held == 1);
	expect("1/10", label, again, 0);
}

static void readonly_leaves_nothing(void)
{
	io_context_t *ctxp = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ctx = NULL;
	long left = 0, r = -1;

	MUST(ctxp != MAP_FAILED);
	for (int tries = on_ours() ? 1 : 5; tries-- && r; usleep(50000)) {
		left = room();
		for (int i = 0; i < 3; i++)
			MUST(io_setup((int)left, ctxp) != 0);
		r = io_setup((int)left, &ctx);
		if (ctx)
			io_destroy(ctx);
	}
	expect("1/13", "ctxp read-only: nothing counted", r, 0);
}

/* A request that keeps io_destroy waiting: a read of an empty pipe. The kernel
 * blocks in io_submit itself, so that takes a thread of its own. */
static int held_pipe[2];
static io_context_t held_ctx;
static volatile int submitted, destroyed;

static void *submitter(void *arg)
{
	static struct iocb cb;
	static char buf[16];

	io_prep_pread(&cb, held_pipe[0], buf, 4, 0);
	submitted = 1;
	submit1(held_ctx, &cb);
	return arg;
}

static void *destroyer(void *arg)
{
	*(long *)arg = io_destroy(held_ctx);
	destroyed = 1;
	return NULL;
}

static void free_while_destroying(void)
{
	io_context_t ctx = NULL;
	pthread_t s, d;
	long result = -1, end, all;
	int r, waited;

	MUST(!pipe(held_pipe));
	held_ctx = setup(all = room());
	MUST(!pthread_create(&s, NULL, submitter, NULL));
	while (!submitted)
		usleep(1000);
	usleep(100000);
	expect("1/9", "all held", io_setup((int)all, &ctx), -EAGAIN);
	MUST(!pthread_create(&d, NULL, destroyer, &result));
	for (end = now_ms() + 5000; (r = io_setup((int)all, &ctx)) == -EAGAIN && now_ms() < end;)
		usleep(1000);
	/* the kernel waits for the read, aio-rs may cancel it; either way it was free */
	usleep(100000);
	waited = on_ours() || !destroyed;
	expect("1/9", "all free again while io_destroy waits", r, 0);
	expect_true("1/9", "io_destroy was waiting", waited);
	MUST(write(held_pipe[1], "data", 4) == 4);
	MUST(!pthread_join(d, NULL) && !pthread_join(s, NULL));
	expect("1/9", "io_destroy", result, 0);
	if (ctx)
		io_destroy(ctx);
}

int main(int argc, char **argv)
{
	(void)argc;
	use_limit("kernel", argv);
	max_nr = read_number(AIO_MAX_NR);
	MUST(room() > 20000);

	exactly(1);
	exactly(2);
	exactly(63);
	exactly(1000);
	exactly(16384);
	STEPS("1/2", { "all of it", 1, 0, 0, 0 });
	shown();
	over(max_nr + 1, "limit + 1");
	over(131072, "131072");
	over(4194303, "4194303");
	over(4194304, "4194304");
	STEPS("1/8", { "all but one", 1, -1, 0, 0 }, { "then 2", 0, 2, -EAGAIN, 0 },
	      { "then 1", 0, 1, 0, 0 }, { "then 1 again", 0, 1, -EAGAIN, 0 });
	/* the second one stands on what the first gave back */
	STEPS("1/9", { "all of it", 1, 0, 0, 0 });
	STEPS("1/9", { "all of it after io_destroy", 1, 0, 0, 0 });
	free_while_destroying();
	process_end(0);
	process_end(1);
	readonly_leaves_nothing();
	return check_done();
}

/* A program sets up its contexts as root and then gives up its privileges, with
 * I/O in flight: everything keeps working. Dropping them must not hang either,
 * although libc has every thread of the process do it. Each in a child. */
#include "slowfs.h"
#include "life.h"
#include <grp.h>
#include <sys/resource.h>

#define NOBODY 65534
static struct slowfs *s;
static struct kit kit;
static int fd;
static char *buf;

static int drop_setuid(void)
{
	return setgid(NOBODY) || setuid(NOBODY);
}
static int drop_groups(void)
{
	return setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY);
}
static int drop_seteuid(void)
{
	return setegid(NOBODY) || seteuid(NOBODY);
}
/* No thread may be made any more by this user. */
static int drop_nproc(void)
{
	struct rlimit one = { 1, 1 };

	return setrlimit(RLIMIT_NPROC, &one) || drop_setuid();
}
/* nor may the process gain anything, as daemons ask for. */
static int drop_no_new_privs(void)
{
	return drop_nproc() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0);
}

static const struct {
	const char *name;
	int (*drop)(void);
} ways[] = {
	{ "setuid", drop_setuid },
	{ "setgroups, setresuid", drop_groups },
	{ "seteuid", drop_seteuid },
	{ "RLIMIT_NPROC 1, setuid", drop_nproc },
	{ "RLIMIT_NPROC 1, setuid, no_new_privs", drop_no_new_privs },
};
/* Used before the drop, made before it, or used for the first time after it. */
enum { USED, UNUSED, THREADED };
static int when;

static void *idle_thread(void *arg)
{
	pause();
	return arg;
}

static int child(void *arg)
{
	unsigned seen = slowfs_seen(s, SLOWFS_READ);
	io_context_t ctx = NULL;
	struct io_event ev;
	struct iocb cb;
	pthread_t t;

	if (io_setup(16, &ctx))
		return 1;
	slowfs_delay(s, SLOWFS_READ, 100);
	io_prep_pread(&cb, fd, buf, 4096, 4096);
	if (when != UNUSED) {
		if (kit_run(ctx, &kit))
			return 2;
		if (when == THREADED)
			MUST(pthread_create(&t, NULL, idle_thread, NULL) == 0);
		if (submit1(ctx, &cb) != 1 || !slowfs_wait(s, SLOWFS_READ, seen + 1))
			return 3;
	}
	if (ways[(intptr_t)arg].drop())
		return 4;
	if (geteuid() != NOBODY)
		return 5;
	if (when != UNUSED && (reap(ctx, 1, 1, &ev, 10000) != 1 || ev.res != 4096))
		return 6;
	for (int i = 0; i < 3; i++)
		if (kit_run(ctx, &kit))
			return 7;
	/* The descriptor was opened by root: that counts, not who reads. */
	if (run1(ctx, &cb) != 4096)
		return 8;
	if (io_destroy(ctx))
		return 9;
	ctx = NULL;
	if (when != UNUSED && (io_setup(16, &ctx) || works(ctx)))
		return 10;
	return 0;
}

int main(void)
{
	static const char *const whens[] = { "context in use", "context not used before", "with another thread" };
	char label[128];

	s = slowfs_start(1, 1 << 20);	/* skips unless root */
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	buf = page_alloc(4096);
	kit_open(&kit);
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
		for (when = USED; when <= THREADED; when++) {
			snprintf(label, sizeof label, "%s, %s: everything keeps working", ways[i].name, whens[when]);
			expect("9/15", label, in_child(child, (void *)(intptr_t)i), 0);
		}
	slowfs_stop(s);
	return check_done();
}

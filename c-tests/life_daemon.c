/* daemon() before io_setup, and after it with I/O in flight. After it the
 * daemon is another process: the old context is refused there, a new one works,
 * and what the process that has gone submitted is done all the same. */
#include "slowfs.h"
#include "life.h"

static struct slowfs *s;
static struct kit kit;
static int fd;
static char *buf;
static struct shared {
	volatile int finished;
	volatile pid_t pid;
	volatile long old_submit, old_getevents, old_destroy, setup, id, run, destroy;
} *sh;

static void use_new(void)
{
	io_context_t ctx = NULL;

	sh->setup = io_setup(8, &ctx);
	sh->id = ctx ? (long)ring_of(ctx)->id : -1;
	for (int i = 0; i < 5 && ctx && !(sh->run = kit_run(ctx, &kit)); i++)
		;
	sh->destroy = ctx ? io_destroy(ctx) : -1;
	sh->pid = getpid();
	sh->finished = 1;
	_exit(0);
}

/* Both close 0, 1 and 2 (they become /dev/null) and leave the directory. */
static int daemon_first(void *arg)
{
	(void)arg;
	MUST(daemon(0, 0) == 0);
	use_new();
	return 0;
}
static int daemon_after(void *arg)
{
	unsigned seen = slowfs_seen(s, SLOWFS_WRITE);
	io_context_t ctx = NULL;
	struct iocb cb, *list[1] = { &cb };
	struct io_event ev;

	(void)arg;
	MUST(io_setup(8, &ctx) == 0 && kit_run(ctx, &kit) == 0);
	io_prep_pwrite(&cb, fd, buf, 65536, 65536);
	MUST(submit1(ctx, &cb) == 1 && slowfs_wait(s, SLOWFS_WRITE, seen + 1));
	MUST(daemon(0, 0) == 0);
	sh->old_submit = io_submit(ctx, 1, list);
	sh->old_getevents = reap(ctx, 1, 1, &ev, 10);
	sh->old_destroy = io_destroy(ctx);
	use_new();
	return 0;
}

static void check(const char *what, int (*child)(void *))
{
	char label[96];

	memset(sh, 0xff, sizeof *sh);
	sh->finished = 0;
#define LABEL(x) (snprintf(label, sizeof label, "%s: %s", what, x), label)
	expect("life/2", LABEL("the process that goes"), in_child(child, NULL), 0);
	expect("life/2", LABEL("the daemon has finished"), wait_flag(&sh->finished, 1), 1);
	expect("life/2", LABEL("its end"), child_end(sh->pid, 10000), 0);
	expect("life/2", LABEL("io_setup"), sh->setup, 0);
	expect("life/2", LABEL("id"), sh->id, 0);
	expect("life/2", LABEL("all kinds of I/O"), sh->run, 0);
	expect("life/2", LABEL("io_destroy"), sh->destroy, 0);
}

int main(void)
{
	/* Daemons become children of this process, which can wait for them. */
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	s = slowfs_start(1, 1 << 20);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	sh = shared_alloc(sizeof *sh);
	buf = page_alloc(65536);
	kit_open(&kit);
	memset(buf, 'd', 65536);

	check("daemon() before io_setup", daemon_first);
	slowfs_delay(s, SLOWFS_WRITE, 200);
	check("daemon() after io_setup", daemon_after);
	expect("9/2", "old context in the daemon: io_submit", sh->old_submit, -EINVAL);
	expect("9/2", "old context in the daemon: io_getevents", sh->old_getevents, -EINVAL);
	expect("9/2", "old context in the daemon: io_destroy", sh->old_destroy, -EINVAL);
	for (long until = now_ms() + 5000; slowfs_done(s, SLOWFS_WRITE) < 1 && now_ms() < until;)
		usleep(1000);
	expect("life/2", "data of the write in flight", memcmp(slowfs_data(s, 0) + 65536, buf, 65536), 0);
	slowfs_stop(s);
	return check_done();
}

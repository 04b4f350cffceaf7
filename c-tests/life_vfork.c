/* Children that share the parent's memory share its contexts: what a vfork or
 * CLONE_VM child submits, the parent reaps. */
#include "life.h"
#include <sched.h>

static io_context_t ctx, childs;
static int fd, fd2;
static char buf[4][512];
static struct iocb cb[4];
static volatile long answer[8];

/* Runs in the parent's memory, with a copy of its descriptors. */
static int child(void *arg)
{
	struct io_event ev;
	long me = (long)(intptr_t)arg;

	io_prep_pread(&cb[0], fd, buf[0], 512, 0);
	io_prep_pread(&cb[1], fd2, buf[1], 512, 512);
	cb[0].data = (void *)(me + 0);
	cb[1].data = (void *)(me + 1);
	answer[0] = submit1(ctx, &cb[0]);
	answer[1] = submit1(ctx, &cb[1]);
	answer[2] = reap(ctx, 1, 1, &ev, 5000);
	answer[3] = answer[2] == 1 ? (long)(uintptr_t)ev.data - me : -1;
	childs = NULL;
	answer[4] = io_setup(8, &childs);
	answer[5] = childs ? (long)ring_of(childs)->id : -1;
	/* Number 2, for the child only: the parent's is another file. */
	answer[6] = close(fd);
	return 5;
}

static void check(const char *how, int end, long me)
{
	struct io_event ev[2] = { { 0 } };
	char label[96];

#define LABEL(what) (snprintf(label, sizeof label, "%s: %s", how, what), label)
	expect("9/7", LABEL("its end"), end, 5);
	expect("9/7", LABEL("io_submit in the child"), answer[0], 1);
	expect("9/7", LABEL("second io_submit in the child"), answer[1], 1);
	expect("9/7", LABEL("io_getevents in the child"), answer[2], 1);
	expect("9/7", LABEL("io_getevents in the parent"), reap(ctx, 1, 2, ev, 5000), 1);
	expect("9/7", LABEL("the one that the child left"), (long)(uintptr_t)ev[0].data + answer[3] - me, 1);
	expect("9/7", LABEL("result"), (long)ev[0].res, 512);
	expect("9/7", LABEL("wrong data"), tag_wrong(buf[0], 512, 7, 0) + tag_wrong(buf[1], 512, 7, 1), 0);
	expect("9/7", LABEL("io_setup in the child"), answer[4], 0);
	expect("9/7", LABEL("id, next to the parent's"), answer[5], 1);
	expect("9/7", LABEL("the child's context works in the parent"), works(childs), 0);
	expect("9/7", LABEL("io_destroy of it in the parent"), io_destroy(childs), 0);
	expect("9/7", LABEL("the parent's context works"), works(ctx), 0);
	expect("9/7", LABEL("the parent's descriptor is open"), fcntl(fd, F_GETFD) >= 0, 1);
	memset(buf, 0, sizeof buf);
}

int main(void)
{
	struct kit kit = { 0 };
	pid_t pid;

	fd = tagged_file(4096, 7);
	fd2 = reopen(fd, O_RDONLY);
	kit_open(&kit);
	MUST(io_setup(8, &ctx) == 0);

	pid = vfork();
	if (pid == 0)
		_exit(child((void *)100));
	check("vfork", child_end(pid, 10000), 100);

	pid = clone(child, (char *)page_alloc(65536) + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)200);
	check("CLONE_VM|CLONE_VFORK", child_end(pid, 10000), 200);

	/* The child ends while its requests are in flight. */
	pid = clone(child, (char *)page_alloc(65536) + 65536, CLONE_VM | SIGCHLD, (void *)300);
	check("CLONE_VM", child_end(pid, 10000), 300);

	expect("9/7", "all kinds of I/O in the parent afterwards", kit_run(ctx, &kit), 0);
	expect("9/7", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

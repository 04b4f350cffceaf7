/* Programs do their last I/O in exit handlers and destructors. Those run in the
 * reverse order of their registration, so some come before whatever the library
 * does at exit and some after it: contexts must work in all of them, and what
 * the very last one submits must still be done. */
#include "life.h"

#define LAST 131072
enum { BEFORE, AFTER, ON_EXIT, DESTRUCTOR, HANDLERS };
static const char *const names[HANDLERS] = {
	"atexit handler from before io_setup", "atexit handler from after io_setup", "on_exit handler", "destructor",
};
static struct shared {
	volatile long kit[HANDLERS], setup[HANDLERS], last, pid;
} *sh;
static io_context_t ctx;
static struct kit kit;
static int last_fd;
static char *last_buf;
static struct iocb last_cb;

static void use(int which)
{
	io_context_t fresh = NULL;

	sh->kit[which] = kit_run(ctx, &kit);
	sh->setup[which] = io_setup(8, &fresh);
	if (sh->setup[which] == 0)
		sh->setup[which] = works(fresh);
}
static void before(void)
{
	use(BEFORE);
}
static void after(void)
{
	use(AFTER);
}
static void on_exit_handler(int code, void *arg)
{
	(void)code;
	(void)arg;
	use(ON_EXIT);
}
__attribute__((destructor)) static void destructor(void)
{
	if (!sh || sh->pid != getpid())
		return;
	use(DESTRUCTOR);
	io_prep_pwrite(&last_cb, last_fd, last_buf, LAST, 0);
	sh->last = submit1(ctx, &last_cb);
}

static int child(void *arg)
{
	(void)arg;
	sh->pid = getpid();
	atexit(before);
	MUST(io_setup(16, &ctx) == 0 && works(ctx) == 0);
	atexit(after);
	on_exit(on_exit_handler, NULL);
	exit(0);
}

int main(void)
{
	char label[96];

	sh = shared_alloc(sizeof *sh);
	memset(sh, 0xff, sizeof *sh);
	kit_open(&kit);
	last_fd = tagged_file(LAST, 1);
	last_buf = page_alloc(LAST);
	tag_fill(last_buf, LAST, 77, 0);
	expect("9/11", "a process that does I/O while it exits", in_child(child, NULL), 0);
	for (int i = 0; i < HANDLERS; i++) {
		snprintf(label, sizeof label, "%s: all kinds of I/O", names[i]);
		expect("9/14", label, sh->kit[i], 0);
		snprintf(label, sizeof label, "%s: a new context", names[i]);
		expect("9/14", label, sh->setup[i], 0);
	}
	expect("9/14", "a last write, not waited for", sh->last, 1);
	expect("9/14", "words of it that are not in the file", file_wrong(last_fd, LAST, 77), 0);
	return check_done();
}

/* chroot into an empty directory, where there is no /proc, no /dev, no /sys and
 * no library, before io_setup or after it. AIO needs none of them. */
#include "life.h"

static struct kit kit;
static long *answer;
static char dir[4200];

static void go(void)
{
	MUST(chroot(dir) == 0 && chdir("/") == 0);
	MUST(access("/proc", F_OK) < 0 && access("/dev", F_OK) < 0);
}

/* arg: how often the context is used before; none: io_setup comes after. */
static int child(void *arg)
{
	long uses = (long)(intptr_t)arg;
	io_context_t ctx = NULL, second = NULL;

	if (uses < 0)
		go();
	answer[0] = io_setup(16, &ctx);
	if (answer[0])
		return 1;
	for (int i = 0; i < uses; i++)
		answer[1] |= kit_run(ctx, &kit);
	if (uses >= 0)
		go();
	for (int i = 0; i < 3 && !answer[1]; i++)
		answer[1] = kit_run(ctx, &kit);
	answer[2] = io_setup(16, &second);
	answer[3] = answer[2] ? 0 : kit_run(second, &kit);
	answer[4] = io_destroy(ctx);
	return 0;
}

int main(void)
{
	static const char *const names[] = { "chroot before io_setup", "chroot after io_setup", "chroot after first use" };
	const char *where = getenv("AIO_TEST_DIR");
	char label[96];

	if (geteuid())
		skip("not root");
	snprintf(dir, sizeof dir, "%s/aio-test-XXXXXX", where ? where : ".");
	MUST(mkdtemp(dir));
	kit_open(&kit);
	answer = shared_alloc(4096);
	for (int i = 0; i < 3; i++) {
#define LABEL(x) (snprintf(label, sizeof label, "%s: %s", names[i], x), label)
		memset(answer, 0, 4096);
		expect("life/9", LABEL("end"), in_child(child, (void *)(intptr_t)(i - 1)), 0);
		expect("life/9", LABEL("io_setup"), answer[0], 0);
		expect("life/9", LABEL("all kinds of I/O"), answer[1], 0);
		expect("life/9", LABEL("another io_setup"), answer[2], 0);
		expect("life/9", LABEL("all kinds of I/O on that"), answer[3], 0);
		expect("life/9", LABEL("io_destroy"), answer[4], 0);
	}
	MUST(rmdir(dir) == 0);
	return check_done();
}

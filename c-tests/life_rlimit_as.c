/* No address space to be had: a context from before goes on with all kinds of
 * I/O; io_setup says ENOMEM and leaves nothing behind. aio-rs does some of it
 * only if it was used before. */
#include "life.h"
#include <sys/resource.h>

static struct kit kit;
static long *answer;

static long pages(void)
{
	char b[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	MUST(fd >= 0 && read(fd, b, sizeof b - 1) > 0);
	close(fd);
	return atol(b);
}
/* No mapping is possible beyond what is there now. */
static void exhaust(void)
{
	struct rlimit rl;

	MUST(getrlimit(RLIMIT_AS, &rl) == 0);
	rl.rlim_cur = (rlim_t)pages() * 4096;
	MUST(setrlimit(RLIMIT_AS, &rl) == 0);
}
static void relax(void)
{
	struct rlimit rl;

	MUST(getrlimit(RLIMIT_AS, &rl) == 0);
	rl.rlim_cur = rl.rlim_max;
	MUST(setrlimit(RLIMIT_AS, &rl) == 0);
}

static int after(void *arg)
{
	io_context_t ctx = NULL, second = NULL;
	long before;

	answer[0] = io_setup(16, &ctx);
	if (answer[0])
		return 1;
	if (arg)
		answer[1] = kit_run(ctx, &kit);
	exhaust();
	answer[2] = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
	for (int i = 0; i < 5 && !answer[1]; i++)
		answer[1] = kit_run_starved(ctx, &kit);
	before = pages();
	answer[3] = io_setup(60000, &second);
	answer[4] = second != NULL;
	answer[5] = pages() - before;
	answer[6] = kit_run_starved(ctx, &kit);
	relax();
	answer[7] = io_setup(16, &second);
	answer[8] = answer[7] ? 0 : kit_run(second, &kit);
	answer[9] = io_destroy(ctx);
	return 0;
}

int main(void)
{
	char label[96];

	kit_open(&kit);
	answer = shared_alloc(4096);
	for (int used = 0; used < 2; used++) {
		const char *what = used ? "context in use" : "context not used before";
#define LABEL(x) (snprintf(label, sizeof label, "%s: %s", what, x), label)
		memset(answer, 0, 4096);
		expect("life/7", LABEL("end"), in_child(after, used ? "used" : NULL), 0);
		expect("life/7", LABEL("io_setup"), answer[0], 0);
		expect("life/7", LABEL("no address space left"), answer[2], ENOMEM);
		expect_documented("life/7", LABEL("all kinds of I/O, or some"), !answer[1], !answer[1]);
		expect("1/15", LABEL("another io_setup"), answer[3], -ENOMEM);
		expect("1/15", LABEL("it has written a context"), answer[4], 0);
		expect("1/15", LABEL("pages it left behind"), answer[5], 0);
		expect_documented("life/7", LABEL("the same after io_setup"), !answer[6], !answer[6]);
		expect("life/7", LABEL("io_setup with space again"), answer[7], 0);
		expect("life/7", LABEL("all kinds of I/O on that"), answer[8], 0);
		expect("life/7", LABEL("io_destroy"), answer[9], 0);
	}
	return check_done();
}

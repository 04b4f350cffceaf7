/* Eight writes in one io_submit, then the process ends at once, in every way.
 * All data is in the file on the kernel. aio-rs promises the same for exit(),
 * and always for O_DIRECT and for buffered writes up to 64 KiB; large buffered
 * ones that it has deferred may be lost to _exit, SIGKILL and exec. */
#include "life.h"

#define WRITES 8
#define RUNS 6
enum end { EXIT, UNDERSCORE, KILLED, EXEC, ENDS };
static const char *const end_names[ENDS] = { "exit()", "_exit", "SIGKILL", "exec" };
static const int end_codes[ENDS] = { 0, 0, DIED(SIGKILL), 0 };

/* Overwrites of a full file, or writes that extend an empty one. */
static const struct {
	const char *name;
	size_t len;
	int flags, extending, may_lose;
} kinds[] = {
	{ "8 x 128 KiB buffered", 131072, 0, 0, 1 },
	{ "8 x 128 KiB buffered, extending", 131072, 0, 1, 1 },
	{ "8 x 64 KiB buffered", 65536, 0, 1, 0 },
	{ "8 x 4 KiB buffered", 4096, 0, 0, 0 },
	{ "8 x 128 KiB O_DIRECT overwrite", 131072, O_DIRECT, 0, 0 },
	{ "8 x 128 KiB O_DIRECT extending", 131072, O_DIRECT, 1, 0 },
};

static int fd;
static unsigned kind;
static char *buf;

static int child(void *arg)
{
	static struct iocb cb[WRITES];
	struct iocb *list[WRITES];
	io_context_t ctx = NULL;
	size_t len = kinds[kind].len;

	for (unsigned i = 0; i < WRITES; i++) {
		io_prep_pwrite(&cb[i], fd, buf + i * len, len, (long long)(i * len));
		list[i] = &cb[i];
	}
	if (io_setup(WRITES, &ctx) || io_submit(ctx, WRITES, list) != WRITES)
		return 1;
	switch ((enum end)(intptr_t)arg) {
	case EXIT:
		exit(0);
	case UNDERSCORE:
		_exit(0);
	case KILLED:
		kill(getpid(), SIGKILL);
		break;
	default:
		execl("/proc/self/exe", "exit_data", "nothing", (char *)NULL);
	}
	return 2;
}

/* All data is there when the process is reaped. After a sudden end of one that
 * used aio-rs the device may still be at work for it. */
static int complete(int file, size_t size, uint64_t tag, long wait_ms)
{
	long until = now_ms() + wait_ms;

	while (file_wrong(file, size, tag) != 0) {
		if (now_ms() >= until)
			return 0;
		usleep(10000);
	}
	return 1;
}

int main(int argc, char **argv)
{
	char label[96];
	uint64_t tag = 0;

	(void)argv;
	if (argc > 1)
		return 0;
	buf = page_alloc(WRITES * 131072);
	for (kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
		size_t size = WRITES * kinds[kind].len;
		for (int how = 0; how < ENDS; how++) {
			int sudden = on_ours() && how != EXIT, may_lose = sudden && kinds[kind].may_lose;
			long lost = 0, odd = 0;

			for (int run = 0; run < RUNS; run++) {
				int plain = tagged_file(kinds[kind].extending ? 0 : size, 0);
				fd = reopen(plain, O_RDWR | kinds[kind].flags);
				MUST(fd >= 0);
				tag += 1ULL << 32;
				tag_fill(buf, size, tag, 0);
				odd += in_child(child, (void *)(intptr_t)how) != end_codes[how];
				lost += !complete(plain, size, tag, sudden && !may_lose && !lost ? 1000 : 0);
				close(fd);
				close(plain);
			}
			lost = may_lose ? 0 : lost;
			snprintf(label, sizeof label, "%s, %s: odd ends", kinds[kind].name, end_names[how]);
			expect("9/14", label, odd, 0);
			snprintf(label, sizeof label, "%s, %s: runs that lost data", kinds[kind].name, end_names[how]);
			expect("9/14", label, lost, 0);
		}
	}
	return check_done();
}

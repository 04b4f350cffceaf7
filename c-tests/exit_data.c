/* Eight writes in one io_submit, then the process ends at once, in every way.
 * The kernel has all data in the file. So has aio-rs after exit(), after _exit and
 * exec where it stands in front of libc, and of small buffered writes always; what
 * it has deferred and not yet issued is lost otherwise, but never is anything else
 * written.
 *
 * "exit_data figures [RUNS [MICROSECONDS]]" prints how often and how much each way
 * loses when the process goes on for that long behind io_submit. */
#include "life.h"

#define WRITES 8
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
	{ "8 x 4 KiB buffered, extending", 4096, 0, 1, 0 },
	{ "8 x 128 KiB O_DIRECT overwrite", 131072, O_DIRECT, 0, 1 },
	{ "8 x 128 KiB O_DIRECT extending", 131072, O_DIRECT, 1, 1 },
};
#define KINDS (sizeof kinds / sizeof *kinds)

static int fd;
static unsigned kind;
static long delay_us;
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
	if (delay_us)
		usleep((useconds_t)delay_us);
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

/* What became of one run. */
struct outcome {
	int odd_end;
	long missing;	/* writes of which a part is not in the file */
	long strange;	/* words that neither were there before nor are the child's */
};

/* A word of the file is new, or as before (0 where nothing was). */
static void look(int file, uint64_t tag, struct outcome *o)
{
	static uint64_t w[131072 / 8];
	size_t len = kinds[kind].len;

	o->missing = o->strange = 0;
	for (unsigned i = 0; i < WRITES; i++) {
		int missing = 0;
		memset(w, 0, len);
		MUST(pread(file, w, len, (off_t)(i * len)) >= 0);
		for (size_t j = 0; j < len / 8; j++) {
			uint64_t sector = (i * len + j * 8) / 512, old = kinds[kind].extending ? 0 : sector;
			missing |= w[j] != tag + sector;
			o->strange += w[j] != tag + sector && w[j] != old;
		}
		o->missing += missing;
	}
}

/* A device may still be at work for a process that ended suddenly and whose I/O
 * was not the kernel's AIO: up to `wait_ms` for what is missing. */
static struct outcome once(enum end how, long wait_ms)
{
	static uint64_t tag;
	size_t size = WRITES * kinds[kind].len;
	int plain = tagged_file(kinds[kind].extending ? 0 : size, 0);
	struct outcome o;
	struct stat st;

	fd = reopen(plain, O_RDWR | kinds[kind].flags);
	MUST(fd >= 0);
	tag += 1ULL << 32;
	tag_fill(buf, size, tag, 0);
	o.odd_end = in_child(child, (void *)(intptr_t)how) != end_codes[how];
	for (long until = now_ms() + wait_ms; look(plain, tag, &o), o.missing && now_ms() < until;)
		usleep(10000);
	MUST(fstat(plain, &st) == 0);
	o.strange += st.st_size > (off_t)size;
	close(fd);
	close(plain);
	return o;
}

static int figures(int runs)
{
	printf("%-32s %-8s %14s %22s\n", "", "", "runs with loss", "writes lost of them all");
	for (kind = 0; kind < KINDS; kind++)
		for (int how = 0; how < ENDS; how++) {
			long losing = 0, lost = 0;
			for (int run = 0; run < runs; run++) {
				long missing = once(how, 50).missing;
				losing += missing > 0;
				lost += missing;
			}
			printf("%-32s %-8s %7ld of %3d %14ld of %4d\n", kinds[kind].name, end_names[how], losing, runs,
			       lost, runs * WRITES);
		}
	return 0;
}

int main(int argc, char **argv)
{
	char label[96];

	if (argc > 1 && !strcmp(argv[1], "nothing"))
		return 0;
	buf = page_alloc(WRITES * 131072);
	delay_us = argc > 3 ? atol(argv[3]) : 0;
	if (argc > 1)
		return figures(argc > 2 ? atoi(argv[2]) : 50);
	for (kind = 0; kind < KINDS; kind++)
		for (int how = 0; how < ENDS; how++) {
			int sudden = how != EXIT, large = sudden && kinds[kind].may_lose;
			int may_lose = large && (how == KILLED || !in_front());
			long losing = 0, odd = 0, strange = 0;

			for (int run = 0; run < 6; run++) {
				struct outcome o = once(how, on_ours() && sudden && !may_lose ? 1000 : 0);
				losing += o.missing > 0;
				odd += o.odd_end;
				strange += o.strange;
			}
#define LABEL(x) (snprintf(label, sizeof label, "%s, %s: %s", kinds[kind].name, end_names[how], x), label)
			expect("9/14", LABEL("odd ends"), odd, 0);
			expect("9/14", LABEL("foreign data in the file"), strange, 0);
			if (large)
				expect_documented("9/14", LABEL("no data lost (kernel)"), losing == 0,
						  losing == 0 || may_lose);
			else
				expect("9/14", LABEL("runs that lost data"), losing, 0);
		}
	return check_done();
}

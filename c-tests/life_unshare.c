/* unshare: a thread with a descriptor table of its own submits by its own
 * numbers, which mean other files to everybody else; and processes that go into
 * new namespaces before or after io_setup. */
#include "life.h"

static struct kit kit;
static long *answer;

/* ---- a thread whose descriptor 50 is another file than everyone else's ---- */

#define NUMBER 50
#define ROUNDS 200
static io_context_t ctx;
static int common_file, own_file;

struct tally {
	int file;	/* to be put at NUMBER; its tag */
	uint64_t tag;
	long bad;
	int private_table;
};
static void *reader(void *arg)
{
	struct tally *t = arg;
	struct iocb cb[3], *list[3] = { &cb[0], &cb[1], &cb[2] };
	io_context_t mine = NULL;
	struct io_event ev[3];
	char *buf[3];

	for (int i = 0; i < 3; i++)
		buf[i] = page_alloc(65536);
	if (t->private_table) {
		MUST(unshare(CLONE_FILES) == 0);
		MUST(dup2(t->file, NUMBER) == NUMBER);
	}
	/* Whose context it is does not matter either: both, in turn. */
	MUST(io_setup(8, &mine) == 0);
	for (int round = 0; round < ROUNDS; round++) {
		int direct = reopen(NUMBER, O_RDONLY | O_DIRECT);
		uint64_t at = (uint64_t)round % 64 * 4096;

		MUST(direct >= 0);
		posix_fadvise(NUMBER, 131072, 65536, POSIX_FADV_DONTNEED);
		io_prep_pread(&cb[0], NUMBER, buf[0], 4096, (long long)at);
		io_prep_pread(&cb[1], direct, buf[1], 4096, (long long)at);
		io_prep_pread(&cb[2], NUMBER, buf[2], 65536, 131072);
		MUST(io_submit(mine, 3, list) == 3);
		close(direct);
		if (reap_all(mine, 3, ev, 10000) != 3) {
			t->bad += 1000;
			break;
		}
		t->bad += tag_wrong(buf[0], 4096, t->tag, at / 512) != 0;
		t->bad += tag_wrong(buf[1], 4096, t->tag, at / 512) != 0;
		t->bad += tag_wrong(buf[2], 65536, t->tag, 256) != 0;
	}
	io_destroy(mine);
	return NULL;
}
/* What a thread with its own table submits to the common context, and leaves. */
static void *leaver(void *arg)
{
	static struct iocb cb;

	MUST(unshare(CLONE_FILES) == 0);
	MUST(dup2(own_file, NUMBER) == NUMBER);
	io_prep_pread(&cb, reopen(NUMBER, O_RDONLY | O_DIRECT), arg, 4096, 4096);
	answer[0] = submit1(ctx, &cb);
	return NULL;
}
static void threads(void)
{
	struct tally t[2] = { { 0 } };
	struct io_event ev;
	pthread_t id[2];
	char *buf = page_alloc(4096);

	common_file = tagged_file(262144, 1ULL << 40);
	own_file = tagged_file(262144, 2ULL << 40);
	MUST(dup2(common_file, NUMBER) == NUMBER);
	t[0] = (struct tally){ .file = common_file, .tag = 1ULL << 40 };
	t[1] = (struct tally){ .file = own_file, .tag = 2ULL << 40, .private_table = 1 };
	for (int i = 0; i < 2; i++)
		MUST(pthread_create(&id[i], NULL, reader, &t[i]) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(id[i], NULL);
	expect("life/10", "thread with the common table, reads of another file", t[0].bad, 0);
	expect("life/10", "thread with its own table, reads of another file", t[1].bad, 0);
	MUST(pthread_create(&id[0], NULL, leaver, buf) == 0);
	pthread_join(id[0], NULL);
	expect("life/10", "io_submit of a thread with its own table", answer[0], 1);
	expect("life/10", "its event after it is gone", reap(ctx, 1, 1, &ev, 10000) == 1 ? (long)ev.res : NO_EVENT, 4096);
	expect("life/10", "its data", tag_wrong(buf, 4096, 2ULL << 40, 8), 0);
	expect("life/10", "all kinds of I/O afterwards", kit_run(ctx, &kit), 0);
}

/* ---- namespaces ---- */

static const struct {
	const char *name;
	int flags;
} spaces[] = {
	{ "CLONE_FILES", CLONE_FILES },
	{ "CLONE_FS", CLONE_FS },
	{ "CLONE_NEWNS", CLONE_NEWNS },
	{ "CLONE_NEWUTS|NEWIPC", CLONE_NEWUTS | CLONE_NEWIPC },
	{ "CLONE_NEWNET", CLONE_NEWNET },
	{ "CLONE_SYSVSEM", CLONE_SYSVSEM },
};
static int in_space(void *arg)
{
	io_context_t mine = NULL, second = NULL;
	long n = (long)(intptr_t)arg, flags = spaces[n / 2].flags;

	if (n % 2 == 0)
		answer[0] = unshare((int)flags) ? -errno : 0;
	answer[1] = io_setup(16, &mine);
	if (answer[1])
		return 1;
	if (n % 2) {
		answer[2] = kit_run(mine, &kit);
		answer[0] = unshare((int)flags) ? -errno : 0;
	}
	for (int i = 0; i < 3 && !answer[2]; i++)
		answer[2] = kit_run(mine, &kit);
	answer[3] = io_setup(16, &second);
	answer[4] = answer[3] ? 0 : kit_run(second, &kit);
	answer[5] = io_destroy(mine);
	return 0;
}

/* New user and pid namespaces before io_setup, as containers do. */
static int contained(void *arg)
{
	io_context_t mine = NULL;

	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS))
		return 77;
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		if (getpid() != 1)
			_exit(1);
		answer[0] = io_setup(16, &mine);
		answer[1] = answer[0] ? 0 : kit_run(mine, &kit);
		answer[2] = answer[0] ? 0 : io_destroy(mine);
		_exit(0);
	}
	return child_end(pid, 10000);
}

int main(void)
{
	char label[96];

	if (geteuid())
		skip("not root");
	answer = shared_alloc(4096);
	kit_open(&kit);
	for (unsigned i = 0; i < sizeof spaces / sizeof *spaces * 2; i++) {
		memset(answer, 0, 4096);
#define LABEL(x) (snprintf(label, sizeof label, "unshare %s %s io_setup: %s", spaces[i / 2].name, \
			   i % 2 ? "after" : "before", x), label)
		expect("life/10", LABEL("end"), in_child(in_space, (void *)(intptr_t)i), 0);
		expect("life/10", LABEL("unshare"), answer[0], 0);
		expect("life/10", LABEL("io_setup"), answer[1], 0);
		expect("life/10", LABEL("all kinds of I/O"), answer[2], 0);
		expect("life/10", LABEL("another io_setup"), answer[3], 0);
		expect("life/10", LABEL("all kinds of I/O on that"), answer[4], 0);
		expect("life/10", LABEL("io_destroy"), answer[5], 0);
	}
	memset(answer, 0, 4096);
	int end = in_child(contained, NULL);
	expect("life/10", "new user and pid namespace: end", end == 77 ? 0 : end, 0);
	expect("life/10", "new user and pid namespace: io_setup", answer[0], 0);
	expect("life/10", "new user and pid namespace: all kinds of I/O", answer[1], 0);
	expect("life/10", "new user and pid namespace: io_destroy", answer[2], 0);

	MUST(io_setup(16, &ctx) == 0);
	expect("life/10", "all kinds of I/O before the threads", kit_run(ctx, &kit), 0);
	threads();
	expect("life/10", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

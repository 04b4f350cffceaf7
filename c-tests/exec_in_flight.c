/* exec with I/O in flight: the new program starts with nothing of the old one's
 * contexts and no descriptor of the library's. The kernel waits for the I/O and
 * does all of it; so does aio-rs where it stands in front of libc. Otherwise it
 * learns nothing of exec: what was not yet issued is never done, and what was goes
 * on without anybody's waiting for it. */
#include "slowfs.h"
#include "life.h"
#include <dirent.h>

/* Reached by both programs: the old one's child and what it turns into. */
static struct shared {
	void *old_ctx;
	long start, took, old_mapped, old_submit, old_destroy, setup, id, works, descriptors;
} *sh;

/* Open descriptors, without the one that looks. */
static long count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	long n = -3;	/* ".", ".." and the directory itself */

	MUST(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* The program after exec: argv[1] is the descriptor of `sh`. */
static int after_exec(const char *arg)
{
	io_context_t ctx = NULL;
	struct iocb cb, *list[1] = { &cb };
	char byte;

	sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(arg), 0);
	MUST(sh != MAP_FAILED);
	sh->took = now_ms() - sh->start;
	sh->descriptors = count_descriptors();
	sh->old_mapped = is_mapped(sh->old_ctx);
	io_prep_pread(&cb, 0, &byte, 1, 0);
	sh->old_submit = io_submit(sh->old_ctx, 1, list);
	sh->old_destroy = io_destroy(sh->old_ctx);
	sh->setup = io_setup(8, &ctx);
	sh->id = ctx ? (long)ring_of(ctx)->id : -1;
	sh->works = ctx ? works(ctx) : -1;
	return 3;
}

static int memfd;
static struct iocb request;

static int exec_child(void *arg)
{
	char number[16];
	io_context_t ctx = NULL;

	(void)arg;
	snprintf(number, sizeof number, "%d", memfd);
	MUST(io_setup(8, &ctx) == 0);
	sh->old_ctx = ctx;
	sh->start = now_ms();
	if (submit1(ctx, &request) != 1)
		return 1;
	execl("/proc/self/exe", "exec_in_flight", number, (char *)NULL);
	return 2;
}
static int exec_from_thread(void *arg);

static void check(const char *id, const char *what, int (*child)(void *), long kernel_low)
{
	char label[96];

	memset(sh, 0xff, sizeof *sh);
#define LABEL(x) (snprintf(label, sizeof label, "%s: %s", what, x), label)
	expect(id, LABEL("the new program's end"), in_child(child, NULL), 3);
	if (kernel_low)
		expect_documented(id, LABEL("exec waits for it"), sh->took >= kernel_low && sh->took < 9000,
				  sh->took >= (in_front() ? kernel_low : 0) && sh->took < 9000);
	else
		expect_between(id, LABEL("exec takes (ms)"), sh->took, 0, 9000);
	expect(id, LABEL("old ring mapped"), sh->old_mapped, 0);
	expect(id, LABEL("io_submit with the old value"), sh->old_submit, -EINVAL);
	expect(id, LABEL("io_destroy with the old value"), sh->old_destroy, -EINVAL);
	expect(id, LABEL("io_setup"), sh->setup, 0);
	expect(id, LABEL("its id"), sh->id, 0);
	expect(id, LABEL("it works"), sh->works, 0);
	/* 0, 1, 2 and those that are meant to stay open. */
	expect(id, LABEL("open descriptors"), sh->descriptors, 4);
}

static void *exec_thread(void *arg)
{
	_exit(exec_child(arg));
}
static int exec_from_thread(void *arg)
{
	pthread_t t;

	MUST(pthread_create(&t, NULL, exec_thread, arg) == 0);
	pause();
	return 4;
}

/* Each page is the one or the other. */
static int old_or_new(const char *data, const char *old, const char *new, size_t len)
{
	for (size_t i = 0; i < len; i += 4096)
		if (memcmp(data + i, old + i, 4096) && memcmp(data + i, new + i, 4096))
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	char *buf = page_alloc(65536), *before = page_alloc(65536);
	int fd, never, resfd;
	struct slowfs *s;

	if (argc > 1)
		return after_exec(argv[1]);
	/* Whatever the runner left open must not be counted. */
	syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
	for (int i = 0; i < 3; i++)
		if (fcntl(i, F_GETFD) < 0)
			MUST(open("/dev/null", O_RDWR) == i);
	s = slowfs_start(2, 1 << 20);
	never = eventfd(0, EFD_CLOEXEC);
	resfd = eventfd(0, EFD_CLOEXEC);
	memfd = memfd_create("shared", 0);
	MUST(memfd >= 0 && ftruncate(memfd, 4096) == 0);
	sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	MUST(sh != MAP_FAILED);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);

	slowfs_delay(s, SLOWFS_READ, 300);
	io_prep_pread(&request, fd, buf, 4096, 4096);
	io_set_eventfd(&request, resfd);
	check("9/9", "read of 300 ms", exec_child, 299);
	expect_may_differ("9/9", "eventfd of the read", eventfd_take(resfd), 1, 0);
	expect_may_differ("9/9", "reads at the device", slowfs_seen(s, SLOWFS_READ), 1, 0);

	slowfs_delay(s, SLOWFS_WRITE, 300);
	memset(buf, 'w', 65536);
	memcpy(before, slowfs_data(s, 0) + 65536, 65536);
	io_prep_pwrite(&request, fd, buf, 65536, 65536);
	check("9/9", "write of 300 ms", exec_child, 299);
	for (long until = now_ms() + (on_ours() ? 1000 : 10000); slowfs_done(s, SLOWFS_WRITE) < 1 && now_ms() < until;)
		usleep(1000);
	expect_documented("9/9", "the written data is on the device", !memcmp(slowfs_data(s, 0) + 65536, buf, 65536),
			  old_or_new(slowfs_data(s, 0) + 65536, in_front() ? buf : before, buf, 65536));

	io_prep_poll(&request, never, POLLIN);
	io_set_eventfd(&request, resfd);
	check("9/10", "pending poll", exec_child, 0);
	expect_may_differ("9/10", "eventfd of the poll", eventfd_take(resfd), 1, 0);

	io_prep_pread(&request, fd, buf, 4096, 4096);
	check("9/9", "exec by another thread, read of 300 ms", exec_from_thread, 299);

	/* Not the child's: it would wait until the parent releases the read. */
	io_context_t ctx = NULL;
	struct io_event ev;
	slowfs_delay(s, SLOWFS_READ, 0);
	MUST(io_setup(8, &ctx) == 0);
	slowfs_hold(s, SLOWFS_READ);
	io_prep_pread(&request, fd, buf, 4096, 4096);
	MUST(submit1(ctx, &request) == 1);
	for (int exec = 0; exec < 2; exec++) {
		long start = now_ms();
		pid_t pid = vfork();
		if (!pid) {
			if (exec)
				execlp("true", "true", (char *)NULL);
			_exit(exec ? 9 : 0);
		}
		expect("9/9", exec ? "the parent reads, vfork and exec" : "the parent reads, vfork", child_end(pid, 9000), 0);
		expect_between("9/9", "it waits for nothing (ms)", now_ms() - start, 0, 8000);
	}
	slowfs_release(s, SLOWFS_READ);
	expect("9/9", "the parent's read", reap(ctx, 1, 1, &ev, 10000), 1);
	MUST(io_destroy(ctx) == 0);
	slowfs_stop(s);
	return check_done();
}

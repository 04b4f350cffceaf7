/* posix_spawn, system and popen with I/O in flight: the spawned program gets
 * none of the library's descriptors, can use AIO itself, and the parent's
 * requests are not disturbed by the child that shares its memory for a while. */
#include "slowfs.h"
#include "life.h"
#include <dirent.h>
#include <spawn.h>

#define SPAWNS 20
extern char **environ;

/* The spawned program: exit code 10 + number of descriptors besides 0, 1, 2. */
static int spawned(void)
{
	struct kit kit = { 0 };
	io_context_t ctx = NULL;
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	MUST(d);
	while (readdir(d))
		n++;
	closedir(d);
	if (io_setup(8, &ctx) || works(ctx) || ring_of(ctx)->id != 0)
		return 1;
	kit_open(&kit);
	if (kit_run(ctx, &kit))
		return 2;
	return 10 + n - 6;
}

static int spawn_end(int flags)
{
	char *argv[] = { "life_spawn", "child", NULL };
	posix_spawnattr_t attr;
	pid_t pid;

	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, (short)flags);
	MUST(posix_spawn(&pid, "/proc/self/exe", NULL, &attr, argv, environ) == 0);
	return child_end(pid, 10000);
}

int main(int argc, char **argv)
{
	struct kit kit = { 0 };
	io_context_t ctx = NULL;
	struct iocb cb, poll_cb;
	struct io_event ev[2];
	uint64_t one = 1;
	long bad = 0;

	(void)argv;
	if (argc > 1)
		return spawned();
	syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
	for (int i = 0; i < 3; i++)
		if (fcntl(i, F_GETFD) < 0)
			MUST(open("/dev/null", O_RDWR) == i);
	struct slowfs *s = slowfs_start(1, 1 << 20);
	int fd = slowfs_open(s, 0, O_RDWR | O_DIRECT), efd = eventfd(0, EFD_CLOEXEC);
	char *buf = page_alloc(4096);

	slowfs_fill(s, 0);
	kit_open(&kit);
	MUST(io_setup(16, &ctx) == 0);
	slowfs_hold(s, SLOWFS_READ);
	io_prep_pread(&cb, fd, buf, 4096, 8192);
	io_prep_poll(&poll_cb, efd, POLLIN);
	MUST(submit1(ctx, &cb) == 1 && submit1(ctx, &poll_cb) == 1 && slowfs_wait(s, SLOWFS_READ, 1));

	expect("life/1", "spawned program, descriptors beyond 0, 1, 2", spawn_end(0), 10);
	expect("life/1", "with signals and group reset", spawn_end(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP), 10);
	expect("life/1", "system()", WEXITSTATUS(system("exit 7")), 7);
	FILE *f = popen("echo hello", "r");
	char line[16] = "";
	expect_true("life/1", "popen()", f && fgets(line, sizeof line, f) && !strcmp(line, "hello\n"));
	expect("life/1", "pclose()", f ? pclose(f) : -1, 0);
	expect("life/1", "events meanwhile", reap(ctx, 0, 2, ev, 10), 0);

	/* In turn with I/O, and with nothing in flight. */
	slowfs_release(s, SLOWFS_READ);
	MUST(write(efd, &one, 8) == 8);
	expect("life/1", "events of the requests in flight", reap_all(ctx, 2, ev, 10000), 2);
	expect("life/1", "data of the read", memcmp(buf, slowfs_data(s, 0) + 8192, 4096), 0);
	for (int i = 0; i < SPAWNS; i++)
		bad += spawn_end(0) != 10 || kit_run(ctx, &kit) != 0;
	expect("life/1", "rounds of spawn and I/O gone wrong", bad, 0);
	expect("life/1", "io_destroy", io_destroy(ctx), 0);
	slowfs_stop(s);
	return check_done();
}

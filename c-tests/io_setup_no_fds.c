/* The program's descriptors and threads stay its own. The kernel makes none;
 * aio-rs may have threads, and descriptors out of the way that no exec inherits.
 * (1/20: the last line of the paragraph behind the table.) */
#include "ring_util.h"
#include <dirent.h>
#include <sys/eventfd.h>

#define LOW 64 /* numbers a program may count on */
#define TOP 65536

static char had[TOP];

static int tasks(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	MUST(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Calls seen(fd) for each open descriptor but the directory's own. */
static void each_fd(void (*seen)(int fd))
{
	DIR *d = opendir("/proc/self/fd");

	MUST(d);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
			seen(atoi(e->d_name));
	closedir(d);
}

static int new_low, new_any, new_inherited, still;

static void note(int fd)
{
	had[fd % TOP] = 1;
}

static void compare(int fd)
{
	if (had[fd % TOP]) {
		still++;
		return;
	}
	new_any++;
	new_low += fd < LOW;
	new_inherited += !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static int lowest_free(void)
{
	int fd = dup(2);

	close(fd);
	return fd;
}

static void same(const char *when, int before, int free_fd, int threads)
{
	char line[96];

	new_low = new_any = new_inherited = still = 0;
	each_fd(compare);
	snprintf(line, sizeof line, "%s: the program's descriptors", when);
	expect_true("1/20", line, still == before);
	note_same("1/20", 0);
	snprintf(line, sizeof line, "%s: new descriptors", when);
	expect_between("1/20", line, new_any, 0, on_ours() ? 64 : 0);
	snprintf(line, sizeof line, "%s: new low descriptors", when);
	expect("1/20", line, new_low, 0);
	snprintf(line, sizeof line, "%s: new inherited descriptors", when);
	expect("1/20", line, new_inherited, 0);
	snprintf(line, sizeof line, "%s: the lowest free descriptor", when);
	expect_true("1/20", line, lowest_free() == free_fd);
	snprintf(line, sizeof line, "%s: new threads", when);
	expect_between("1/20", line, tasks() - threads, 0, on_ours() ? 64 : 0);
}

int main(void)
{
	struct iocb cb[16], *list[16];
	static char buf[16];
	io_context_t ctx;
	int efd, pipes[2], before = 0, free_fd, threads;

	cached_read(NULL);
	efd = eventfd(0, EFD_CLOEXEC);
	MUST(efd >= 0 && !pipe(pipes));
	each_fd(note);
	for (int i = 0; i < TOP; i++)
		before += had[i];
	free_fd = lowest_free();
	threads = tasks();

	ctx = setup(32);
	same("after io_setup", before, free_fd, threads);
	for (int i = 0; i < 16; i++) {
		io_prep_poll(&cb[i], i % 2 ? efd : pipes[0], POLLIN);
		list[i] = &cb[i];
	}
	expect("1/20", "16 in flight", io_submit(ctx, 16, list), 16);
	same("16 in flight", before, free_fd, threads);
	expect_works("1/20", "a read meanwhile", ctx);
	MUST(write(efd, &(uint64_t){ 1 }, 8) == 8 && write(pipes[1], buf, 1) == 1);
	expect("1/20", "all come", take_n(ctx, 16, 10000), 16);
	same("after I/O", before, free_fd, threads);
	expect("1/20", "io_destroy", io_destroy(ctx), 0);
	same("after io_destroy", before, free_fd, threads);
	return check_done();
}

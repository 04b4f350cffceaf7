/* After the program has closed all descriptors it does not know, every number
 * that was ever in use is given to something of its own: files, sockets, pipes,
 * eventfds. The library must not take them for its own: no foreign byte may
 * appear in them, none may be read away, none may be closed, and I/O goes on. */
#include "life.h"
#include <dirent.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define MAX_FDS 512
enum what { REGULAR, SOCKET, EVENTFD, PIPE_READ, PIPE_WRITE, NULL_DEV, EPOLL, TIMER, FAMILY };

static int numbers[MAX_FDS], count;
static struct guard {
	int fd;
	enum what what;
	int peer;	/* the pair's other end, far from the numbers at stake */
	struct stat st;
} guards[MAX_FDS];
static int spare = 700;

static void note(int fd)
{
	for (int i = 0; i < count; i++)
		if (numbers[i] == fd)
			return;
	if (fd > 2 && fd < sysconf(_SC_OPEN_MAX) && count < MAX_FDS)
		numbers[count++] = fd;
}
/* All open descriptors from 3 up: on aio-rs some are the library's. */
static void note_numbers(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	MUST(d);
	while ((e = readdir(d)))
		if (atoi(e->d_name) != dirfd(d))
			note(atoi(e->d_name));
	closedir(d);
}

/* Move a descriptor to a number out of everybody's way. */
static int aside(int fd)
{
	int far = fcntl(fd, F_DUPFD_CLOEXEC, spare);
	MUST(far >= 0);
	close(fd);
	return far;
}
static void put(struct guard *g, int number, enum what what)
{
	int p[2] = { -1, -1 };

	switch (what) {
	case REGULAR:
		p[0] = tagged_file(8192, 5);
		break;
	case SOCKET:
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
		break;
	case EVENTFD:
		p[0] = eventfd(0, 0);
		break;
	case PIPE_READ:
		MUST(pipe(p) == 0);
		break;
	case PIPE_WRITE:
		MUST(pipe(p) == 0);
		int t = p[0];
		p[0] = p[1];
		p[1] = t;
		break;
	case NULL_DEV:
		p[0] = open("/dev/null", O_RDWR);
		break;
	case EPOLL:
		p[0] = epoll_create1(0);
		break;
	default:
		p[0] = timerfd_create(CLOCK_MONOTONIC, 0);
	}
	MUST(p[0] >= 0);
	p[0] = aside(p[0]);
	g->peer = p[1] >= 0 ? aside(p[1]) : -1;
	MUST(dup2(p[0], number) == number);
	close(p[0]);
	g->fd = number;
	g->what = what;
	MUST(fstat(number, &g->st) == 0);
	if (what == SOCKET)	/* a byte that must stay */
		MUST(write(g->peer, "s", 1) == 1);
	if (what == PIPE_READ)
		MUST(write(g->peer, "p", 1) == 1);
}

/* What has been done to it: 0 nothing, 1 closed or replaced, 2 touched. */
static int touched(struct guard *g)
{
	struct pollfd other = { .fd = g->peer, .events = POLLIN }, self = { .fd = g->fd, .events = POLLIN };
	struct itimerspec it;
	struct stat st;
	char b[8];

	if (fstat(g->fd, &st) || st.st_ino != g->st.st_ino || st.st_dev != g->st.st_dev || st.st_mode != g->st.st_mode)
		return 1;
	switch (g->what) {
	case REGULAR:
		return st.st_size != 8192 || lseek(g->fd, 0, SEEK_CUR) != 0 || file_wrong(g->fd, 8192, 5) ? 2 : 0;
	case SOCKET:
		if (poll(&other, 1, 0) != 0)
			return 2;
		return recv(g->fd, b, 8, MSG_PEEK | MSG_DONTWAIT) != 1 || b[0] != 's' ? 2 : 0;
	case EVENTFD:
		return poll(&self, 1, 0) != 0 ? 2 : 0;
	case PIPE_READ: {
		int n = 0;
		return ioctl(g->fd, FIONREAD, &n) || n != 1 ? 2 : 0;
	}
	case PIPE_WRITE:
		return poll(&other, 1, 0) != 0 ? 2 : 0;
	case TIMER:
		return timerfd_gettime(g->fd, &it) || it.it_value.tv_sec || it.it_value.tv_nsec ? 2 : 0;
	default:
		return 0;
	}
}
static long touched_all(void)
{
	long n = 0;
	for (int i = 0; i < count; i++)
		n += touched(&guards[i]) != 0;
	return n;
}

int main(void)
{
	io_context_t ctx = NULL, idle = NULL, fresh = NULL;
	struct kit kit = { 0 };
	char label[96];
	struct iocb cb;
	struct io_event ev;

	syscall(SYS_close_range, 3U, ~0U, 0U);
	MUST(io_setup(16, &ctx) == 0 && io_setup(16, &idle) == 0);
	for (int shift = 0; shift < FAMILY; shift++) {
		long bad = 0;

		/* Put everything to use, so that all descriptors are there. */
		count = 0;
		note_numbers();
		kit_open(&kit);
		for (int i = 0; i < 3; i++) {
			bad += kit_run(ctx, &kit) != 0;
			note_numbers();
		}
		io_prep_poll(&cb, kit.polled, POLLIN);
		MUST(submit1(ctx, &cb) == 1);
		note_numbers();
		/* The number next to each, too. */
		for (int i = 0, n = count; i < n; i++)
			note(numbers[i] + 1);
		MUST(count < MAX_FDS && count >= 7);
		unsigned polled = (unsigned)fcntl(kit.polled, F_DUPFD_CLOEXEC, 900);
		syscall(SYS_close_range, 3U, polled - 1, 0U);
		syscall(SYS_close_range, polled + 1, ~0U, 0U);
		for (int i = 0; i < count; i++)
			if (numbers[i] == (int)polled)
				numbers[i] = numbers[--count];
		for (int i = 0; i < count; i++)
			put(&guards[i], numbers[i], (enum what)((i + shift) % FAMILY));

		/* The poll that was pending all along, then new work. */
		uint64_t one = 1;
		MUST(write((int)polled, &one, 8) == 8);
		bad += reap(ctx, 1, 1, &ev, 10000) != 1 || ev.obj != &cb || !(ev.res & POLLIN);
		close((int)polled);
		kit_open(&kit);
		for (int i = 0; i < 5; i++)
			bad += kit_run(ctx, &kit) != 0;
		bad += kit_run(idle, &kit) != 0;
		fresh = NULL;
		bad += io_setup(16, &fresh) != 0 || kit_run(fresh, &kit) != 0;
		snprintf(label, sizeof label, "round %d: answers gone wrong", shift);
		expect("life/4", label, bad, 0);
		snprintf(label, sizeof label, "round %d: the program's descriptors touched", shift);
		expect("life/4", label, touched_all(), 0);
		MUST(io_destroy(fresh) == 0);
		snprintf(label, sizeof label, "round %d: touched by io_destroy", shift);
		expect("life/4", label, touched_all(), 0);
		syscall(SYS_close_range, 3U, ~0U, 0U);
	}
	expect("life/4", "io_destroy", io_destroy(ctx), 0);
	kit_open(&kit);
	expect("life/4", "the context that was idle", kit_run(idle, &kit), 0);
	expect("life/4", "its io_destroy", io_destroy(idle), 0);
	return check_done();
}

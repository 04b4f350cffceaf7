/* The same thread, asleep in io_getevents as usual: everything that can end or
 * must not end its sleep, and the results it gets. */
#include "life.h"
#include "sleeper.h"
#include "slowdisk.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static io_context_t ctx;
static struct slowfs *slow;
static int slow_fd;
static char *slow_buf;
static struct iocb slow_cb;

static void fresh(void)
{
	if (ctx)
		MUST(io_destroy(ctx) == 0);
	ctx = NULL;
	MUST(io_setup(64, &ctx) == 0);
	MUST(sleeper_rounds(ctx, 100) == 0);
}

/* A request that stays at the device until slowfs_release(). */
static void held_request(void)
{
	slowfs_hold(slow, SLOWFS_READ);
	io_prep_pread(&slow_cb, slow_fd, slow_buf, 4096, 0);
	MUST(submit1(ctx, &slow_cb) == 1);
}
static long released_request(void)
{
	struct io_event ev;

	slowfs_release(slow, SLOWFS_READ);
	return reap(ctx, 1, 1, &ev, 10000) == 1 && ev.obj == &slow_cb ? (long)ev.res : NO_EVENT;
}

static void *other_submits(void *unused)
{
	static struct iocb cb;
	static char byte;
	int fd = pattern_file(O_RDWR, 4096);

	usleep(50000);
	io_prep_pread(&cb, fd, &byte, 1, 0);
	MUST(submit1(ctx, &cb) == 1);
	close(fd);
	return unused;
}

static volatile long in_handler;
static void on_usr1(int sig)
{
	(void)sig;
	in_handler++;
}
static void on_usr2(int sig)
{
	static struct iocb cb;
	static char *buf;
	struct io_event ev;
	struct iocb *list[1] = { &cb };

	(void)sig;
	if (!buf)
		buf = sleeper_buf + 7 * 4096;
	io_prep_pread(&cb, sleeper_fd, buf, 4096, 4096);
	in_handler = io_submit(ctx, 1, list) == 1 && io_getevents(ctx, 1, 1, &ev, NULL) == 1 ? (long)ev.res : -1;
}
static void *kill_soon(void *arg)
{
	usleep(50000);
	pthread_kill(*(pthread_t *)arg, in_handler < 0 ? SIGUSR2 : SIGUSR1);
	return NULL;
}

static int refuse_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 425, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 427, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof code[0], code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

/* In a child: with requests on their way, `what` happens; then all goes on. */
enum { CLOSED, REUSED, FORKED, LOCKED };
static int after(void *what)
{
	long seen = 0;

	ctx = NULL;
	fresh();
	MUST(sleeper_submit(ctx, 1) == DEPTH);
	switch ((long)what) {
	case CLOSED:
	case REUSED:
		for (int fd = 3; fd < 8192; fd++)
			if (fd != sleeper_fd)
				close(fd);
		for (int i = 0; (long)what == REUSED && dup2(2, 4096 - i) > 0 && i < 200;)
			i++;
		break;
	case FORKED:
		for (int i = 0; i < 4; i++) {
			pid_t pid = fork();
			MUST(pid >= 0);
			if (pid == 0) {
				struct io_event ev;
				long r = reap(ctx, 1, 1, &ev, 100);
				io_context_t own = NULL;
				int bad = r != -EINVAL || io_setup(8, &own) || sleeper_rounds(own, 100);
				_exit(bad);
			}
			MUST(child_end(pid, 20000) == 0);
		}
		break;
	case LOCKED:
		MUST(refuse_io_uring() == 0);
	}
	seen += sleeper_reap(ctx, DEPTH, 10000);
	seen += sleeper_rounds(ctx, 100) == 0;
	return seen == DEPTH + 1 ? 0 : 1 + (int)seen;
}

int main(void)
{
	struct timespec ts = { 0, 150000000 };
	struct sigaction sa = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
	struct io_event ev[4];
	struct iocb cb;
	sigset_t none;
	pthread_t t, me = pthread_self();
	long from;

	sleeper_open();
	slow = slowfs_start(1, 1 << 20);
	/* A disk of its own: at the device, not refused by its file system. */
	char path[32];
	int disk = slowdisk_attach(slow, 0, path);
	slow_fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	MUST(disk >= 0 && slow_fd >= 0);
	slow_buf = page_alloc(4096);
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_handler = on_usr2;
	sigaction(SIGUSR2, &sa, NULL);
	sigemptyset(&none);

	/* Once with nothing but the held request, once behind a ring's worth. */
	for (int full = 0; full < 2; full++) {
		fresh();
		held_request();
		if (full)
			MUST(sleeper_submit(ctx, 3) == DEPTH && sleeper_reap(ctx, DEPTH, 10000) == DEPTH);
		MUST(pthread_create(&t, NULL, other_submits, NULL) == 0);
		expect("sleep/7", "another thread's read wakes it", io_getevents(ctx, 1, 4, ev, NULL), 1);
		pthread_join(t, NULL);

		from = now_ms();
		expect("sleep/8", "150 ms without an event", io_getevents(ctx, 1, 4, ev, &ts), 0);
		expect_between("sleep/8", "it slept", now_ms() - from, 149, 9000);

		in_handler = 0;
		MUST(pthread_create(&t, NULL, kill_soon, &me) == 0);
		expect("sleep/8", "a handler with SA_RESTART", io_getevents(ctx, 1, 4, ev, NULL), -EINTR);
		pthread_join(t, NULL);
		expect("sleep/8", "it ran", in_handler, 1);

		sigset_t usr1 = none, old;
		sigaddset(&usr1, SIGUSR1);
		pthread_sigmask(SIG_BLOCK, &usr1, &old);
		in_handler = 0;
		MUST(pthread_create(&t, NULL, kill_soon, &me) == 0);
		expect("sleep/9", "the mask lets the signal in", io_pgetevents(ctx, 1, 4, ev, NULL, &none), -EINTR);
		pthread_join(t, NULL);
		expect("sleep/9", "it ran", in_handler, 1);
		MUST(pthread_create(&t, NULL, kill_soon, &me) == 0);
		expect("sleep/9", "the mask keeps it out: time runs out", io_pgetevents(ctx, 1, 4, ev, &ts, &usr1), 0);
		pthread_join(t, NULL);
		expect("sleep/9", "it did not run", in_handler, 1);
		pthread_sigmask(SIG_SETMASK, &old, NULL);

		in_handler = -1;
		MUST(pthread_create(&t, NULL, kill_soon, &me) == 0);
		expect("sleep/8", "a handler that submits and waits", io_getevents(ctx, 1, 4, ev, NULL), -EINTR);
		pthread_join(t, NULL);
		expect("sleep/8", "its read", in_handler, 4096);
		expect("sleep/8", "the held request", released_request(), 4096);
	}

	/* Two at once, of which one is its own: min_nr 2. */
	fresh();
	MUST(pthread_create(&t, NULL, other_submits, NULL) == 0);
	io_prep_pread(&cb, sleeper_fd, sleeper_buf, 4096, 0);
	MUST(submit1(ctx, &cb) == 1);
	expect("sleep/7", "its own and another's", io_getevents(ctx, 2, 4, ev, NULL), 2);
	pthread_join(t, NULL);

	fresh();
	int resfd = eventfd(0, EFD_CLOEXEC);
	for (int i = 0; i < 20; i++) {
		io_prep_pread(&cb, sleeper_fd, sleeper_buf, 4096, i * 4096L);
		io_set_eventfd(&cb, resfd);
		MUST(submit1(ctx, &cb) == 1);
	}
	expect("sleep/10", "an eventfd, 20 requests", eventfd_collect(resfd, 20), 20);
	long n = 0;
	for (int r = 1; r > 0; n += r > 0 ? r : 0)
		r = reap(ctx, 0, 4, ev, 0);
	expect("sleep/10", "their events", n, 20);

	fresh();
	MUST(ftruncate(sleeper_fd, SLEEPER_BLOCKS * 4096 + 512) == 0);
	io_prep_pread(&cb, sleeper_fd, sleeper_buf, 8192, SLEEPER_BLOCKS * 4096);
	expect_event("sleep/11", "512 bytes before the end", ctx, &cb, 512);
	io_prep_pread(&cb, sleeper_fd, sleeper_buf, 4096, (SLEEPER_BLOCKS + 8) * 4096);
	expect_event("sleep/11", "behind the end", ctx, &cb, 0);
	io_prep_pread(&cb, sleeper_fd, sleeper_buf, 4096, 1);
	expect_event("sleep/11", "not aligned", ctx, &cb, -EINVAL);
	io_prep_pread(&cb, sleeper_fd, unmapped_addr(), 4096, 0);
	expect_event("sleep/11", "no memory there", ctx, &cb, -EFAULT);
	io_prep_pwrite(&cb, sleeper_fd, sleeper_buf, 4096, (SLEEPER_BLOCKS + 16) * 4096);
	expect_event("sleep/11", "a write behind the end", ctx, &cb, 4096);
	struct iovec two[2] = { { sleeper_buf, 4096 }, { sleeper_buf + 8192, 4096 } };
	io_prep_preadv(&cb, sleeper_fd, two, 2, 4096);
	expect_event("sleep/11", "two segments", ctx, &cb, 8192);
	MUST(ftruncate(sleeper_fd, SLEEPER_BLOCKS * 4096) == 0);
	MUST(io_destroy(ctx) == 0);

	expect("sleep/12", "all descriptors closed", in_child(after, (void *)CLOSED), 0);
	expect("sleep/12", "and used again", in_child(after, (void *)REUSED), 0);
	expect("sleep/12", "forks", in_child(after, (void *)FORKED), 0);
	expect("sleep/12", "io_uring refused from now on", in_child(after, (void *)LOCKED), 0);
	return check_done();
}

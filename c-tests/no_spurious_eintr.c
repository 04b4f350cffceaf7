/* Completions do not interrupt the thread that submitted, whatever it sleeps
 * in: 3,000 in each kind of sleep, handlers for all signals, none sent, EINTR never.
 */
#include "wait_util.h"
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define BATCH 50
#define ROUNDS 15
#define SLEEP_MS 6
static io_context_t ctx;
static int ep, sock[2], sem, timer, direct, file;
static char *buf;
static struct iocb cb[BATCH];

/* Sleeps of SLEEP_MS: 0 if it ran out, otherwise what ended it. */
static int in_epoll_wait(void)
{
	struct epoll_event e;
	int r = epoll_wait(ep, &e, 1, SLEEP_MS);
	return r < 0 ? errno : r;
}
static int in_recv(void)
{
	char c;
	ssize_t r = recv(sock[0], &c, 1, 0);
	return r < 0 && errno == EAGAIN ? 0 : r < 0 ? errno : 1;
}
static int in_sigtimedwait(void)
{
	struct timespec ts = { 0, SLEEP_MS * 1000000 };
	sigset_t usr2 = one_signal(SIGUSR2);
	int r = sigtimedwait(&usr2, NULL, &ts);
	return r < 0 && errno == EAGAIN ? 0 : r < 0 ? errno : 1;
}
static int in_semtimedop(void)
{
	struct timespec ts = { 0, SLEEP_MS * 1000000 };
	struct sembuf down = { 0, -1, 0 };
	int r = semtimedop(sem, &down, 1, &ts);
	return r < 0 && errno == EAGAIN ? 0 : r < 0 ? errno : 1;
}
static int in_nanosleep(void)
{
	struct timespec ts = { 0, SLEEP_MS * 1000000 };
	return nanosleep(&ts, NULL) ? errno : 0;
}

/* What the batch is made of; the res of each event, or -1: any that is > 0. */
static long prep_direct(int i, int round)
{
	io_prep_pread(&cb[i], direct, buf + i * 4096, 4096, (round * BATCH + i) % 256 * 4096L);
	return 4096;
}
static long prep_fsync(int i, int round)
{
	if (i == 0)
		MUST(pwrite(file, &round, sizeof round, 0) == sizeof round);
	io_prep_fsync(&cb[i], file);
	return 0;
}
static long prep_poll(int i, int round)
{
	struct itimerspec in = { .it_value = { 0, 3000000 } };

	(void)round;
	if (i == 0)
		MUST(timerfd_settime(timer, 0, &in, NULL) == 0);
	io_prep_poll(&cb[i], timer, POLLIN);
	return -1;
}
static long prep_cold_read(int i, int round)
{
	if (i == 0)
		posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	io_prep_pread(&cb[i], file, buf + i * 4096, 4096, (round * BATCH + i) * 7 % 256 * 4096L);
	return 4096;
}

static const struct {
	const char *name;
	int (*sleep)(void);
} sleeps[] = {
	{ "epoll_wait", in_epoll_wait }, { "recv, SO_RCVTIMEO", in_recv }, { "sigtimedwait", in_sigtimedwait },
	{ "semtimedop", in_semtimedop }, { "nanosleep", in_nanosleep },
};
static const struct {
	const char *name;
	long (*prep)(int i, int round);
} kinds[] = {
	{ "O_DIRECT reads", prep_direct }, { "FSYNC", prep_fsync }, { "polls", prep_poll }, { "cold reads", prep_cold_read },
};

static long total, during_polls;
static void sit(int kind, int how)
{
	long interrupted = 0, other = 0, bad = 0, got = 0, want = 0;
	struct iocb *list[BATCH];
	struct io_event ev[BATCH] = { 0 };
	char line[96];

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < BATCH; i++) {
			want = kinds[kind].prep(i, round);
			list[i] = &cb[i];
		}
		MUST(io_submit(ctx, BATCH, list) == BATCH);
		for (int again = 0; again < 4; again++) {
			unsigned before = ring_count(ctx);
			int ended = sleeps[how].sleep();
			interrupted += ended == EINTR;
			other += ended && ended != EINTR;
			during_polls += kinds[kind].prep == prep_poll ? ring_count(ctx) - before : 0;
			if (ring_count(ctx) == BATCH)
				break;
		}
		/* nor is there an EINTR here */
		got += reap(ctx, BATCH, BATCH, ev, 20000);
		for (int i = 0; i < BATCH; i++)
			bad += want < 0 ? (long)ev[i].res <= 0 : (long)ev[i].res != want;
	}
	total += got;
	snprintf(line, sizeof line, "%s while in %s: completions", kinds[kind].name, sleeps[how].name);
	expect("5/41", line, got, ROUNDS * BATCH);
	expect("5/41", "with another result", bad, 0);
	expect("5/41", "EINTR", interrupted, 0);
	expect("5/41", "other ends of the sleep", other, 0);
}

int main(void)
{
	struct timeval tv = { 0, SLEEP_MS * 1000 };
	static const int leave[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGTERM, SIGINT };
	sigset_t usr2 = one_signal(SIGUSR2), fatal;

	sigemptyset(&fatal);
	for (size_t i = 0; i < sizeof leave / sizeof *leave; i++)
		sigaddset(&fatal, leave[i]);
	if (unshare(CLONE_NEWIPC)) /* so that the semaphore cannot be left behind */
		errno = 0;
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (!sigismember(&fatal, sig) && (sig < 32 || sig >= SIGRTMIN))
			on_signal(sig, count_signal, 0);
	sigprocmask(SIG_BLOCK, &usr2, NULL); /* for sigtimedwait */
	ep = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) == 0);
	MUST(setsockopt(sock[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
	sem = semget(IPC_PRIVATE, 1, 0600);
	direct = pattern_file(O_RDONLY | O_DIRECT, 1 << 20);
	file = pattern_file(0, 1 << 20);
	if (direct < 0) /* no O_DIRECT on this file system */
		direct = file;
	posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM); /* no read-ahead */
	buf = aligned_alloc(4096, BATCH * 4096);
	MUST(ep >= 0 && timer >= 0 && sem >= 0 && file >= 0 && buf);
	new_context(64, &ctx);

	for (int kind = 0; kind < 4; kind++)
		for (int how = 0; how < 5; how++)
			sit(kind, how);
	expect("5/41", "completions in all", total, 15000);
	expect_between("5/41", "of the 3750 polls, fired during the sleep", during_polls, 500, 3750);
	expect("5/41", "handlers that ran", handled, 0);
	MUST(io_destroy(ctx) == 0);
	semctl(sem, 0, IPC_RMID);
	return check_done();
}

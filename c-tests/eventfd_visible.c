/* When the eventfd turns readable, the event is in the ring. */
#include "wait_util.h"
#include <sys/epoll.h>

static io_context_t ctx;
static int resfd, target;
static volatile unsigned wanted;

static void *firing(void *arg)
{
	uint64_t one = 1;

	(void)arg;
	for (unsigned round = 1;; round++) {
		while (wanted < round)
			sched_yield();
		if (wanted == ~0U)
			return NULL;
		MUST(write(target, &one, 8) == 8);
	}
}

/* Sleep in read(resfd), then look: 0 if nothing is in the ring. */
static int seen_at_wake(void)
{
	struct io_event ev[4];
	uint64_t n;

	MUST(read(resfd, &n, 8) == 8);
	return ring_count(ctx) == n && io_getevents(ctx, 1, 4, ev, &zero_ts) == (int)n;
}

static void polls(void)
{
	long rounds = 0, missed = 0, until = now_ms() + 40000;
	struct iocb cb;
	pthread_t thread;
	uint64_t n;

	target = eventfd(0, EFD_CLOEXEC);
	MUST(pthread_create(&thread, NULL, firing, NULL) == 0);
	while (rounds < 20000 && now_ms() < until) {
		rounds++;
		io_prep_poll(&cb, target, POLLIN);
		io_set_eventfd(&cb, resfd);
		MUST(submit1(ctx, &cb) == 1);
		wanted = (unsigned)rounds;
		missed += !seen_at_wake();
		MUST(read(target, &n, 8) == 8);
	}
	wanted = ~0U;
	MUST(pthread_join(thread, NULL) == 0);
	expect("11/6", "polls fired by another thread", rounds, 20000);
	expect("11/6", "not in the ring when the eventfd was readable", missed, 0);
	close(target);
}

static void direct_reads(void)
{
	int fd = pattern_file(O_RDONLY | O_DIRECT, 1 << 20);
	long rounds = 0, missed = 0, until = now_ms() + 3000;
	char *buf = aligned_alloc(4096, 4096);
	struct iocb cb;

	if (fd < 0) /* no O_DIRECT here: buffered then */
		fd = pattern_file(O_RDONLY, 1 << 20);
	while (rounds < 300 && now_ms() < until) {
		io_prep_pread(&cb, fd, buf, 4096, rounds++ % 256 * 4096);
		io_set_eventfd(&cb, resfd);
		MUST(submit1(ctx, &cb) == 1);
		missed += !seen_at_wake();
	}
	expect_between("11/6", "O_DIRECT reads", rounds, 10, 300);
	expect("11/6", "not in the ring when the eventfd was readable", missed, 0);
	free(buf);
	close(fd);
}

/* The other way round: who reaps without sleeping may see the event first, and
 * then the eventfd soon counts it. */
static void reaped_first(void)
{
	int fd = pattern_file(O_RDONLY | O_DIRECT, 1 << 20);
	char *buf = aligned_alloc(4096, 4096);
	long counted = 0;
	struct io_event ev[1];
	struct iocb cb;

	if (fd < 0)
		fd = pattern_file(O_RDONLY, 1 << 20);
	for (int i = 0; i < 200; i++) {
		io_prep_pread(&cb, fd, buf, 4096, i * 4096);
		io_set_eventfd(&cb, resfd);
		MUST(submit1(ctx, &cb) == 1);
		while (!ring_count(ctx))
			sched_yield();
		MUST(io_getevents(ctx, 1, 1, ev, &zero_ts) == 1);
		counted += eventfd_collect(resfd, 1);
	}
	note_same("11/2", 0);
	expect("11/2", "200 O_DIRECT reads reaped first: counted", counted, 200);
	free(buf);
	close(fd);
}

/* An edge-triggered watcher that never reads: one edge a completion. */
static void edges(void)
{
	int e = eventfd(0, EFD_CLOEXEC), ep = epoll_create1(EPOLL_CLOEXEC), once = 0, extra = 0;
	struct epoll_event want = { .events = EPOLLIN | EPOLLET }, got;
	struct iocb cb[2], *list[2] = { &cb[0], &cb[1] };
	int file = pattern_file(0, 4096);
	struct io_event ev[2];
	char byte;

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, e, &want) == 0);
	for (int i = 0; i < 2; i++) {
		io_prep_pread(&cb[i], file, &byte, 1, 0);
		io_set_eventfd(&cb[i], e);
	}
	for (int i = 0; i < 50; i++) {
		MUST(submit1(ctx, &cb[0]) == 1);
		once += epoll_wait(ep, &got, 1, 5000) == 1;
		MUST(reap(ctx, 1, 1, ev, 5000) == 1);
		extra += epoll_wait(ep, &got, 1, 0);
	}
	expect("11/9", "50 completions, EPOLLET, never read: epoll_wait 1", once, 50);
	expect("11/9", "edges without a completion", extra, 0);
	MUST(io_submit(ctx, 2, list) == 2);
	expect("11/9", "two completions between waits", epoll_wait(ep, &got, 1, 5000), 1);
	expect("11/9", "then", epoll_wait(ep, &got, 1, 20), 0);
	MUST(reap_all(ctx, 2, ev, 5000) == 2);
	close(e);
	close(ep);
	close(file);
}

int main(void)
{
	resfd = eventfd(0, EFD_CLOEXEC);
	MUST(resfd >= 0);
	new_context(32, &ctx);
	polls();
	direct_reads();
	reaped_first();
	edges();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

/* IOCB_FLAG_RESFD: what is counted, and when. */
#include "wait_util.h"

static io_context_t ctx;
static struct io_event ev[16];
static int file;
static char byte[16];

/* Reads with this resfd, in one io_submit. */
static struct iocb cb[16];
static int submit_with(int resfd, int n)
{
	struct iocb *list[16];

	for (int i = 0; i < n; i++) {
		io_prep_pread(&cb[i], file, &byte[i], 1, 0);
		io_set_eventfd(&cb[i], resfd);
		cb[i].data = (void *)(long)i;
		list[i] = &cb[i];
	}
	return io_submit(ctx, n, list);
}
/* read(2) of an eventfd: its value or -errno. */
static long take(int fd)
{
	uint64_t n;
	return read(fd, &n, 8) == 8 ? (long)n : -errno;
}
static void drop_events(long n)
{
	MUST(reap_all(ctx, n, ev, 5000) == n);
}

static void counting(int fd)
{
	expect("11/1", "1 completion: io_submit", submit_with(fd, 1), 1);
	expect("11/3", "inline read: counter is up when io_submit returns", efd_count(fd), 1);
	expect("11/1", "1 completion: read", take(fd), 1);
	expect("11/1", "then", take(fd), -EAGAIN);
	drop_events(1);
	expect("11/1", "7 completions: io_submit", submit_with(fd, 7), 7);
	expect("11/3", "7 inline reads: counter at return", efd_count(fd), 7);
	expect("11/1", "7 completions: read", take(fd), 7);
	expect("11/1", "then", take(fd), -EAGAIN);
	drop_events(7);
	for (int i = 0; i < 7; i++)
		MUST(submit_with(fd, 1) == 1);
	expect("11/1", "7 completions of 7 calls: read", take(fd), 7);
	drop_events(7);

	MUST(submit_with(fd, 3) == 3);
	drop_events(3);
	expect("11/2", "3 events reaped: counter", efd_count(fd), 3);
	expect("11/2", "read", take(fd), 3);
}

static void semaphore(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);

	MUST(submit_with(fd, 3) == 3);
	for (int i = 0; i < 3; i++)
		expect("11/7", "EFD_SEMAPHORE, 3 completions: read", take(fd), 1);
	expect("11/7", "fourth read", take(fd), -EAGAIN);
	drop_events(3);
	close(fd);
}

/* Refused by io_submit: not signalled. An error in the event: signalled. */
static void errors(int fd)
{
	struct iocb bad;
	int wronly = temp_file(O_WRONLY);

	io_prep_pread(&bad, wronly, byte, 1, 0);
	io_set_eventfd(&bad, fd);
	expect_refused("11/4", "PREAD of a write-only fd", ctx, &bad, -EBADF);
	io_prep_pread(&bad, file, byte, 1, -1);
	io_set_eventfd(&bad, fd);
	expect_refused("11/4", "offset -1", ctx, &bad, -EINVAL);
	io_prep_pread(&bad, file, KERNEL_ADDR, 1, 0);
	io_set_eventfd(&bad, fd);
	expect_refused("11/4", "kernel buffer", ctx, &bad, -EFAULT);
	io_prep_pread(&bad, file, byte, 1, 0);
	bad.aio_lio_opcode = 99;
	io_set_eventfd(&bad, fd);
	expect_refused("11/4", "bad opcode", ctx, &bad, -EINVAL);
	io_prep_pread(&bad, -1, byte, 1, 0);
	io_set_eventfd(&bad, fd);
	expect_refused("11/4", "bad fd", ctx, &bad, -EBADF);
	usleep(20000);
	expect("11/4", "five refused: counter", efd_count(fd), 0);
	expect("11/4", "no event either", ring_count(ctx), 0);

	io_prep_pread(&bad, file, HOLE_ADDR, 1, 0);
	io_set_eventfd(&bad, fd);
	expect_event("11/4", "unmapped buffer", ctx, &bad, -EFAULT);
	expect("11/4", "an event with an error: counter", efd_wait(fd, 1), 1);
	expect("11/4", "read", take(fd), 1);
	close(wronly);
}

static void two_eventfds(int a)
{
	int b = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct iocb *list[2] = { &cb[0], &cb[1] };

	MUST(submit_with(a, 2) == 2);
	drop_events(2);
	MUST(take(a) == 2);
	cb[1].u.c.resfd = (unsigned)b;
	MUST(io_submit(ctx, 2, list) == 2);
	expect("11/15", "two eventfds in one call: first", take(a), 1);
	expect("11/15", "two eventfds in one call: second", take(b), 1);
	drop_events(2);
	close(b);
}

/* What was counted before is there for the next iocb of the same io_submit. */
static void seen_in_call(int fd)
{
	struct iocb *list[4] = { &cb[0], &cb[1], &cb[2], &cb[3] };
	uint64_t value = 0;

	MUST(submit_with(fd, 2) == 2);
	drop_events(2);
	MUST(take(fd) == 2);
	io_prep_poll(&cb[2], fd, POLLIN);
	io_prep_pread(&cb[3], fd, &value, 8, 0);
	expect("11/3", "two reads, a poll and a read of their eventfd", io_submit(ctx, 4, list), 4);
	MUST(reap_all(ctx, 4, ev, 5000) == 4);
	for (int i = 0; i < 4; i++)
		if (ev[i].obj == &cb[2])
			expect("11/3", "the poll", (long)ev[i].res, POLLIN);
		else if (ev[i].obj == &cb[3])
			expect("11/3", "the read", (long)ev[i].res, 8);
	expect("11/3", "what it read", (long)value, 2);
	expect("11/3", "left", take(fd), -EAGAIN);
}

int main(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	file = pattern_file(0, 4096);
	MUST(fd >= 0 && file >= 0);
	new_context(32, &ctx);
	counting(fd);
	semaphore();
	errors(fd);
	seen_in_call(fd);
	two_eventfds(fd);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

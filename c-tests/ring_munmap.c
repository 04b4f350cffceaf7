/* The program unmaps the ring. The context lives on, but can be named only by
 * memory that reads as its id at its address. */
#include "ring_util.h"
#include <sys/eventfd.h>

static int wait_counter(int efd, uint64_t want)
{
	struct pollfd p = { .fd = efd, .events = POLLIN };
	uint64_t v = 0;

	return poll(&p, 1, 10000) == 1 && read(efd, &v, 8) == 8 && v == want;
}

/* A poll and a disk read that complete while there is no ring to see. */
static struct iocb poll_cb, read_cb;
static int fire, done;

static void start(io_context_t ctx)
{
	static int fd = -1;
	static char *buf;

	if (fd < 0) {
		fd = pattern_file(O_RDWR | O_DIRECT, 65536);
		if (fd < 0)
			fd = pattern_file(O_RDWR, 65536);
		MUST(fd >= 0 && !posix_memalign((void **)&buf, 4096, 4096));
	}
	memset(buf, 0, 4096);
	io_prep_poll(&poll_cb, fire, POLLIN);
	io_prep_pread(&read_cb, fd, buf, 4096, 4096);
	io_set_eventfd(&poll_cb, done);
	io_set_eventfd(&read_cb, done);
	poll_cb.data = (void *)1001;
	read_cb.data = (void *)1002;
	MUST(submit1(ctx, &poll_cb) == 1);
}

static void unmapped(void)
{
	size_t len = want_bytes(128);
	io_context_t ctx = setup(128), next;
	unsigned id = ring_of(ctx)->id;
	uint64_t one = 1;

	put_events(ctx, 1);
	start(ctx);
	MUST(submit1(ctx, &read_cb) == 1);
	expect("10/7", "munmap", munmap(ctx, len), 0);
	expect_unknown("10/7", "unmapped", ctx);
	expect_fault("10/7", "unmapped, io_getevents", ctx);
	MUST(write(fire, &one, 8) == 8);
	{
		struct pollfd p = { .fd = done, .events = POLLIN };
		uint64_t v, sum = 0;

		while (sum < 2 && poll(&p, 1, 10000) == 1 && read(done, &v, 8) == 8)
			sum += v;
		expect("10/7", "in flight: both complete", (long)sum, 2);
	}
	MUST(read(fire, &one, 8) == 8);
	next = setup(128);
	expect("10/7", "the next context's id", ring_of(next)->id - id, 1);
	/* perhaps at the same address: then the value names this one */
	expect_works("10/7", "the next context", next);
	expect("10/7", "the next context, io_destroy", io_destroy(next), 0);
}

/* In a child, whose context has id 0: what zeros name. */
static long zero_page(void)
{
	size_t len = want_bytes(128);
	io_context_t ctx = setup(128);
	struct io_event ev[8];
	uint64_t one = 1;

	put_events(ctx, 1);
	start(ctx);
	MUST(!munmap(ctx, len));
	MUST(write(fire, &one, 8) == 8 && wait_counter(done, 1));
	MUST(mmap(ctx, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == ctx);
	expect("10/8", "zero page, io_submit", submit1(ctx, &read_cb), 1);
	expect_true("10/8", "its completion", wait_counter(done, 1));
	expect("10/8", "zero page, io_getevents", take(ctx, 8, ev), 3);
	expect("10/8", "event from before munmap", (long)ev[0].data, 1);
	expect("10/8", "event of the poll", (long)ev[1].data, 1001);
	expect("10/8", "event of the new read", (long)ev[2].data, 1002);
	expect("10/8", "res of the new read", (long)ev[2].res, 4096);
	expect("10/8", "the header there: head", ring_of(ctx)->head, 0);
	expect("10/8", "the header there: tail", ring_of(ctx)->tail, 0);
	expect("10/8", "the header there: magic", ring_of(ctx)->magic, 0);
	expect("10/8", "zero page, io_getevents again", take(ctx, 8, ev), 0);
	expect("10/8", "zero page, io_destroy", io_destroy(ctx), 0);
	expect_true("10/8", "zero page unmapped", !is_mapped(ctx));
	expect_unknown("10/8", "destroyed", ctx);
	return check_failures;
}

/* munmap gives nothing back to the limit. */
static long still_counted(void)
{
	long r = -1;

	for (int tries = on_ours() ? 1 : 5; tries-- && r; usleep(50000)) {
		io_context_t ctx = setup(1000), more = NULL, rest = NULL;
		long max = read_number(AIO_MAX_NR), room;

		MUST(!munmap(ctx, want_bytes(1000)));
		room = on_ours() ? max - 1000 : max - read_number(AIO_NR);
		r = io_setup((int)room + 1, &more);
		r = r == -EAGAIN ? io_setup((int)room, &rest) : 1;
		if (on_ours())
			continue;
		/* bring it back, to be able to destroy it: zeros are id 0 */
		if (rest)
			io_destroy(rest);
		if (more)
			io_destroy(more);
		MUST(mmap(ctx, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == ctx);
		MUST(io_destroy(ctx) == 0);
	}
	return r;
}

int main(int argc, char **argv)
{
	(void)argc;
	use_limit("kernel", argv);
	fire = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(fire >= 0 && done >= 0);
	cached_read(NULL);
	check_failures += in_child(zero_page) != 0;
	expect("10/7", "aio-nr stays taken", in_child(still_counted), 0);
	unmapped();
	return check_done();
}

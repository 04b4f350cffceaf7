/* io_cancel: bad pointers, bad contexts, iocbs that are not in flight. */
#include "wait_util.h"

static io_context_t ctx;
static struct io_event ev[8];
static int fd; /* nothing ever to read */

static void bad_iocbs(void)
{
	expect("7/1", "iocb NULL", io_cancel(ctx, NULL, ev), -EFAULT);
	expect("7/1", "iocb unmapped", io_cancel(ctx, HOLE_ADDR, ev), -EFAULT);
	expect("7/1", "iocb kernel address", io_cancel(ctx, KERNEL_ADDR, ev), -EFAULT);
	expect("7/0", "iocb NULL, context NULL", io_cancel(NULL, NULL, ev), -EFAULT);
	expect("7/0", "iocb unmapped, context NULL", io_cancel(NULL, HOLE_ADDR, ev), -EFAULT);
	expect("7/0", "iocb kernel address, context 1", io_cancel((void *)1, KERNEL_ADDR, ev), -EFAULT);
	/* only the 4 bytes of its key are read */
	char *edge = edge_alloc(12);
	memset(edge, 0, 12);
	expect("7/1", "iocb whose key is the last mapped word", io_cancel(ctx, (void *)edge, ev), -EINVAL);
	expect("7/1", "iocb whose key is just unmapped", io_cancel(ctx, (void *)(edge + 4), ev), -EFAULT);
}

static void bad_contexts(struct iocb *poll)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	io_context_t gone = NULL;

	expect("7/2", "context NULL", io_cancel(NULL, poll, ev), -EINVAL);
	expect("7/2", "context 1", io_cancel((void *)1, poll, ev), -EINVAL);
	expect("7/2", "context unmapped", io_cancel(HOLE_ADDR, poll, ev), -EINVAL);
	expect("7/2", "context kernel address", io_cancel(KERNEL_ADDR, poll, ev), -EINVAL);
	expect("7/2", "context a zeroed page", io_cancel((void *)page, poll, ev), -EINVAL);
	memcpy(page, ctx, 4096);
	expect("7/2", "context a copy of the ring", io_cancel((void *)page, poll, ev), -EINVAL);
	new_context(8, &gone);
	MUST(io_destroy(gone) == 0);
	expect("7/2", "context destroyed", io_cancel(gone, poll, ev), -EINVAL);
	munmap(page, 4096);
}

static void not_in_flight(struct iocb *poll)
{
	struct iocb other, read;
	char byte;
	int file = pattern_file(0, 4096);

	MUST(file >= 0);
	memset(&other, 0, sizeof other);
	expect("7/3", "iocb never submitted, all zero", io_cancel(ctx, &other, ev), -EINVAL);
	io_prep_poll(&other, fd, POLLIN);
	expect("7/3", "iocb never submitted, a poll", io_cancel(ctx, &other, ev), -EINVAL);

	poll->key = 1;
	expect("7/3", "pending poll, key 1", io_cancel(ctx, poll, ev), -EINVAL);
	poll->key = ~0U;
	expect("7/3", "pending poll, key -1", io_cancel(ctx, poll, ev), -EINVAL);
	poll->key = 0;

	io_prep_pread(&read, file, &byte, 1, 0);
	MUST(submit1(ctx, &read) == 1 && ring_wait(ctx, 1));
	expect("7/3", "completed read, its event in the ring", io_cancel(ctx, &read, ev), -EINVAL);
	expect("7/3", "the event is still there", reap(ctx, 1, 8, ev, 5000), 1);
	expect("7/3", "and has the read's result", (long)ev[0].res, 1);
	expect("7/3", "completed read, event reaped", io_cancel(ctx, &read, ev), -EINVAL);
	read.aio_fildes = -1;
	MUST(submit1(ctx, &read) == -EBADF);
	expect("7/3", "refused iocb", io_cancel(ctx, &read, ev), -EINVAL);
	close(file);
}

static void completed_poll(struct iocb *poll)
{
	uint64_t one = 1;

	MUST(write(fd, &one, 8) == 8 && ring_wait(ctx, 1));
	expect("7/3", "completed poll, its event in the ring", io_cancel(ctx, poll, ev), -EINVAL);
	expect("7/3", "one event", reap(ctx, 1, 8, ev, 5000), 1);
	expect_true("7/3", "the poll's, with POLLIN", ev[0].obj == poll && (ev[0].res & POLLIN));
	expect("7/3", "completed poll, event reaped", io_cancel(ctx, poll, ev), -EINVAL);
}

int main(void)
{
	struct iocb poll;

	fd = eventfd(0, EFD_CLOEXEC);
	MUST(fd >= 0);
	new_context(8, &ctx);
	io_prep_poll(&poll, fd, POLLIN);
	MUST(submit1(ctx, &poll) == 1);
	bad_iocbs();
	bad_contexts(&poll);
	not_in_flight(&poll);
	expect("7/3", "the pending poll has no event yet", ring_count(ctx), 0);
	completed_poll(&poll);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

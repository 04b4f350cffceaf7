/* The six system calls by their numbers: the kernel's checks, in its order, and
 * none of what libaio adds; errno as syscall(2) sets it. */
#include "raw.h"
#include <poll.h>
#include <sys/eventfd.h>

static void setup_and_destroy(void)
{
	io_context_t ctx = NULL, one = (io_context_t)1;
	void *read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect("15/1", "io_setup(8)", raw_setup(8, &ctx), 0);
	expect_documented("15/1", "whose context it is", kernels_ring(ctx), !kernels_ring(ctx));
	expect("15/1", "again: *ctxp is not 0", raw_setup(8, &ctx), -EINVAL);
	expect("15/1", "io_destroy", raw_destroy(ctx), 0);
	expect("15/1", "io_destroy again", raw_destroy(ctx), -EINVAL);
	ctx = NULL;
	expect("1/1", "nr 0", raw_setup(0, &ctx), -EINVAL);
	expect("15/1", "ctxp NULL", raw_setup(8, NULL), -EFAULT);
	expect("15/1", "ctxp unmapped", raw_setup(8, unmapped_addr()), -EFAULT);
	expect("15/1", "ctxp in the kernel, nr 0", raw_setup(0, KERNEL_ADDR), -EFAULT);
	expect("15/1", "ctxp read-only", raw_setup(8, read_only), -EFAULT);
	expect("15/1", "*ctxp 1, nr 0", raw_setup(0, &one), -EINVAL);
	expect("1/4", "nr 4194305", raw_setup(4194305, &ctx), -EINVAL);
	expect("1/7", "nr 0x100000001", raw_setup(0x100000001, &ctx), 0);
	expect("1/7", "its ring", ring_of(ctx)->nr, 127);
	expect("15/1", "io_destroy", raw_destroy(ctx), 0);
	expect("15/1", "io_destroy(NULL)", raw_destroy(NULL), -EINVAL);
	expect("15/1", "io_destroy(1)", raw_destroy(one), -EINVAL);
	expect("15/1", "io_destroy of unmapped memory", raw_destroy(unmapped_addr()), -EINVAL);
	expect("15/1", "io_destroy of a zeroed page", raw_destroy(read_only), -EINVAL);
	ctx = NULL;
	expect("15/2", "the number's high half does not count", RAW(SYS_io_setup | 7L << 32, 8, &ctx), 0);
	expect("15/2", "nor here", RAW(SYS_io_destroy | 1L << 63, ctx), 0);
}

static void submit_and_cancel(io_context_t ctx, int fd)
{
	struct iocb cb, poll, *list[2] = { &cb, NULL };
	char buf[16];
	int efd = eventfd(0, EFD_CLOEXEC);
	struct io_event ev[4];

	io_prep_pread(&cb, fd, buf, 16, 0);
	expect("15/1", "nr 0", raw_submit(ctx, 0, NULL), 0);
	expect("15/1", "nr -1, no context", raw_submit(NULL, -1, NULL), -EINVAL);
	expect("15/1", "no context, array NULL", raw_submit(NULL, 1, NULL), -EINVAL);
	expect("15/1", "array NULL", raw_submit(ctx, 1, NULL), -EFAULT);
	expect("15/1", "two, one of them NULL", raw_submit(ctx, 2, list), 1);
	expect("15/1", "its event", raw_getevents(ctx, 1, 4, ev, &ten_seconds), 1);
	expect("15/1", "res", (long)ev[0].res, 16);
	cb.aio_fildes = -1;
	expect("15/1", "a bad descriptor", raw_submit1(ctx, &cb), -EBADF);
	cb.aio_fildes = fd;
	cb.aio_lio_opcode = 99;
	expect("15/1", "a bad opcode", raw_submit1(ctx, &cb), -EINVAL);

	io_prep_poll(&poll, efd, POLLIN);
	expect("15/1", "a poll", raw_submit1(ctx, &poll), 1);
	expect("15/1", "io_cancel, no iocb", raw_cancel(ctx, NULL, NULL), -EFAULT);
	expect("15/1", "io_cancel, no context and no iocb", raw_cancel(NULL, NULL, NULL), -EFAULT);
	expect("15/1", "io_cancel, no context", raw_cancel(NULL, &poll, NULL), -EINVAL);
	expect("15/1", "io_cancel of another", raw_cancel(ctx, &cb, ev), -EINVAL);
	expect("15/1", "io_cancel", raw_cancel(ctx, &poll, NULL), -EINPROGRESS);
	expect("15/1", "once more", raw_cancel(ctx, &poll, NULL), -EINVAL);
	expect("15/1", "its event", raw_getevents(ctx, 1, 4, ev, &ten_seconds), 1);
	expect_true("15/1", "is the poll's", ev[0].obj == &poll);
	close(efd);
}

static void getevents(io_context_t ctx, int fd)
{
	struct io_event ev[4];
	struct iocb cb;
	char buf[16];

	/* What libaio answers by itself when the ring is empty. */
	expect("15/3", "{0,0}, empty ring", raw_getevents(ctx, 1, 4, ev, &at_once), 0);
	expect("15/3", "{0,0}, min 2 nr 1", raw_getevents(ctx, 2, 1, ev, &at_once), -EINVAL);
	expect("15/3", "{0,0}, nr -1", raw_getevents(ctx, 0, -1, ev, &at_once), -EINVAL);
	/* Where libaio would look at the ring first. */
	expect("15/3", "no context", raw_getevents(NULL, 0, 1, ev, &at_once), -EINVAL);
	expect("15/3", "garbage", raw_getevents((void *)-1, 0, 1, ev, &at_once), -EINVAL);
	expect("15/3", "unmapped", raw_getevents(unmapped_addr(), 0, 1, ev, &at_once), -EINVAL);
	expect("15/3", "unaligned", raw_getevents((void *)ctx + 8, 0, 1, ev, &at_once), -EINVAL);
	expect("15/1", "timeout unmapped, no context", raw_getevents(NULL, 2, 1, NULL, unmapped_addr()), -EFAULT);
	expect("15/1", "20 ms", raw_getevents(ctx, 1, 1, ev, &ms20), 0);
	io_prep_pread(&cb, fd, buf, 16, 0);
	MUST(raw_submit1(ctx, &cb) == 1);
	expect("15/1", "events NULL", raw_getevents(ctx, 1, 1, NULL, &at_once), -EFAULT);
	expect("15/1", "the event is still there", raw_getevents(ctx, 1, 1, ev, NULL), 1);
}

int main(void)
{
	int fd = pattern_file(O_RDWR, 4096);
	io_context_t ctx = NULL;

	setup_and_destroy();
	MUST(raw_setup(8, &ctx) == 0);
	submit_and_cancel(ctx, fd);
	getevents(ctx, fd);
	expect("15/1", "io_destroy", raw_destroy(ctx), 0);
	return check_done();
}

/* Every call answers -errno itself and leaves errno as it was. */
#include "wait_util.h"

static io_context_t ctx;
static struct io_event ev[8];
static struct timespec ms1 = { 0, 1000000 };

/* One call: its answer, with errno marked before and looked at afterwards. */
#define CALL(label, call, want)                                          \
	do {                                                             \
		errno = ERRNO_MARK;                                      \
		long got_ = (call);                                      \
		int errno_ = errno;                                      \
		expect("13/1", label, got_, want);                       \
		expect("13/1", label ": errno", errno_, ERRNO_MARK);     \
	} while (0)

static void callback(io_context_t c, struct iocb *cb, long r, long r2)
{
	(void)c, (void)cb, (void)r, (void)r2;
}

static void failing(void)
{
	io_context_t taken = (void *)1, fresh = NULL;
	struct iocb bad, *list[1] = { &bad }, *null[1] = { NULL };
	sigset_t *mask = HOLE_ADDR;

	CALL("io_setup, *ctxp set", io_setup(8, &taken), -EINVAL);
	CALL("io_setup, nr 0", io_setup(0, &fresh), -EINVAL);
	CALL("io_setup, ctxp NULL", io_setup(8, NULL), -EFAULT);
	CALL("io_destroy, NULL", io_destroy(NULL), -EINVAL);
	CALL("io_destroy, unmapped", io_destroy(HOLE_ADDR), -EINVAL);
	CALL("io_submit, nr -1", io_submit(ctx, -1, list), -EINVAL);
	CALL("io_submit, context NULL", io_submit(NULL, 1, list), -EINVAL);
	CALL("io_submit, array NULL", io_submit(ctx, 1, NULL), -EFAULT);
	CALL("io_submit, iocb NULL", io_submit(ctx, 1, null), -EFAULT);
	io_prep_pread(&bad, -1, &ev, 1, 0);
	CALL("io_submit, bad fd", io_submit(ctx, 1, list), -EBADF);
	CALL("io_cancel, iocb NULL", io_cancel(ctx, NULL, ev), -EFAULT);
	CALL("io_cancel, not in flight", io_cancel(ctx, &bad, ev), -EINVAL);
	CALL("io_getevents, context NULL", io_getevents(NULL, 1, 1, ev, NULL), -EINVAL);
	CALL("io_getevents, nr -1", io_getevents(ctx, 1, -1, ev, NULL), -EINVAL);
	CALL("io_pgetevents, context NULL", io_pgetevents(NULL, 1, 1, ev, NULL, NULL), -EINVAL);
	CALL("io_pgetevents, mask unmapped", io_pgetevents(ctx, 1, 1, ev, &ms1, mask), -EFAULT);
	CALL("io_queue_init, 0", io_queue_init(0, &fresh), -EINVAL);
	CALL("io_queue_init, INT_MAX", io_queue_init(INT_MAX, &fresh), -EINVAL);
	CALL("io_queue_release, NULL", io_queue_release(NULL), -EINVAL);
	CALL("io_queue_run, NULL", io_queue_run(NULL), -EINVAL);
}

static void succeeding(void)
{
	int fd = eventfd(0, EFD_CLOEXEC), file = temp_file(0);
	struct iocb poll, write, sync, *list[2] = { &write, &sync };
	io_context_t fresh = NULL;

	CALL("io_setup", io_setup(8, &fresh), 0);
	CALL("io_destroy", io_destroy(fresh), 0);
	CALL("io_queue_init", io_queue_init(8, &fresh), 0);
	CALL("io_queue_release", io_queue_release(fresh), 0);
	CALL("io_submit, nr 0", io_submit(ctx, 0, NULL), 0);
	io_prep_poll(&poll, fd, POLLIN);
	CALL("io_submit, a poll", submit1(ctx, &poll), 1);
	CALL("io_getevents, 1 ms", io_getevents(ctx, 1, 1, ev, &ms1), 0);
	CALL("io_getevents, {0,0}", io_getevents(ctx, 1, 1, ev, &zero_ts), 0);
	CALL("io_pgetevents, 1 ms", io_pgetevents(ctx, 1, 1, ev, &ms1, NULL), 0);
	CALL("io_cancel, pending poll", io_cancel(ctx, &poll, ev), -EINPROGRESS);
	CALL("io_getevents, 1", io_getevents(ctx, 1, 1, ev, NULL), 1);
	io_prep_pwrite(&write, file, "data", 4, 0);
	io_prep_fsync(&sync, file);
	CALL("io_submit, write and FSYNC", io_submit(ctx, 2, list), 2);
	CALL("io_pgetevents, 2", io_pgetevents(ctx, 2, 2, ev, NULL, NULL), 2);
	CALL("io_queue_run, empty", io_queue_run(ctx), 0);
	io_set_callback(&write, callback);
	MUST(submit1(ctx, &write) == 1 && ring_wait(ctx, 1));
	CALL("io_queue_run, one", io_queue_run(ctx), 0);
	/* an error in the event is not a call's error */
	io_prep_pread(&write, file, HOLE_ADDR, 4, 0);
	CALL("io_submit, unmapped buffer", submit1(ctx, &write), 1);
	CALL("io_getevents, its event", io_getevents(ctx, 1, 1, ev, NULL), 1);
	expect("13/1", "res of it", (long)ev[0].res, -EFAULT);
	close(fd);
	close(file);
}

int main(void)
{
	new_context(8, &ctx);
	failing();
	succeeding();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

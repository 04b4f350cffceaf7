/* fork while the parent's I/O is at the device: the child exits at once, the
 * parent gets event and data; the child's own I/O is the child's. */
#include "slowfs.h"
#include "life.h"

#define READS 4
static int own_fd;
static long *answer;

static int leave(void *arg)
{
	(void)arg;
	return 7;
}
static int leave_by_exit(void *arg)
{
	(void)arg;
	exit(8);
}
/* A child that does I/O of its own on a descriptor of the parent's. */
static int own_io(void *arg)
{
	io_context_t ctx = NULL;
	struct iocb cb;
	char *buf = page_alloc(4096);

	(void)arg;
	answer[0] = io_setup(8, &ctx);
	io_prep_pwrite(&cb, own_fd, buf, 4096, 0);
	answer[1] = run1(ctx, &cb);
	answer[2] = io_destroy(ctx);
	return 9;
}

int main(void)
{
	struct slowfs *s = slowfs_start(3, 1 << 20);
	char *buf[READS];
	struct iocb cb[READS], sync, poll_cb;
	struct io_event ev[READS + 2];
	io_context_t ctx = NULL;
	int efd = eventfd(0, EFD_CLOEXEC), resfd = eventfd(0, EFD_CLOEXEC);
	long wrong = 0;
	int fd, sync_fd;
	uint64_t one = 1;

	slowfs_fill(s, 0);
	answer = shared_alloc(4096);
	/* FUSE holds a lock on the file during FSYNC: a file for each. */
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	sync_fd = slowfs_open(s, 1, O_RDWR | O_DIRECT);
	own_fd = slowfs_open(s, 2, O_RDWR | O_DIRECT);
	MUST(io_setup(8, &ctx) == 0);
	slowfs_hold(s, SLOWFS_READ);
	slowfs_hold(s, SLOWFS_FSYNC);
	for (int i = 0; i < READS; i++) {
		buf[i] = page_alloc(4096);
		io_prep_pread(&cb[i], fd, buf[i], 4096, (i + 1) * 4096);
		io_set_eventfd(&cb[i], resfd);
		MUST(submit1(ctx, &cb[i]) == 1);
	}
	io_prep_fsync(&sync, sync_fd);
	io_prep_poll(&poll_cb, efd, POLLIN);
	MUST(submit1(ctx, &sync) == 1 && submit1(ctx, &poll_cb) == 1);
	MUST(slowfs_wait(s, SLOWFS_READ, READS) && slowfs_wait(s, SLOWFS_FSYNC, 1));

	expect("9/6", "child that calls _exit", in_child(leave, NULL), 7);
	expect("9/6", "child that calls exit", in_child(leave_by_exit, NULL), 8);
	expect("9/6", "child with I/O of its own", in_child(own_io, NULL), 9);
	expect("9/6", "its io_setup", answer[0], 0);
	expect("9/6", "its write", answer[1], 4096);
	expect("9/6", "its io_destroy", answer[2], 0);
	expect("9/6", "the parent's reads are still at the device", slowfs_done(s, SLOWFS_READ), 0);
	expect("9/6", "events for the parent so far", reap(ctx, 1, 1, ev, 20), 0);

	slowfs_release(s, SLOWFS_READ);
	slowfs_release(s, SLOWFS_FSYNC);
	MUST(write(efd, &one, 8) == 8);
	expect("9/6", "events for the parent", reap_all(ctx, READS + 2, ev, 10000), READS + 2);
	for (int i = 0; i < READS + 2; i++)
		wrong += ev[i].obj == &sync ? ev[i].res != 0 :
			 ev[i].obj == &poll_cb ? !(ev[i].res & POLLIN) : ev[i].res != 4096;
	expect("9/6", "wrong results", wrong, 0);
	for (int i = 0; i < READS; i++)
		wrong += memcmp(buf[i], slowfs_data(s, 0) + (i + 1) * 4096, 4096) != 0;
	expect("9/6", "wrong data", wrong, 0);
	expect("9/6", "eventfd, shared with the children", eventfd_collect(resfd, READS), READS);
	expect("9/6", "reads at the device in all", slowfs_seen(s, SLOWFS_READ), READS);
	expect("9/6", "io_destroy", io_destroy(ctx), 0);
	slowfs_stop(s);
	return check_done();
}

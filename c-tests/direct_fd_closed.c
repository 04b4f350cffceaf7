/* The file of a request in flight stays open for it, whatever becomes of the
 * descriptors. */
#include "events.h"
#include "slowfs.h"

#define LEN 8192

int main(void)
{
	struct slowfs *s = slowfs_start(3, 1 << 20);
	char *in = aligned_alloc(4096, LEN), *out = aligned_alloc(4096, LEN);
	struct iocb r, w, *both[2] = { &r, &w };
	struct io_event ev[2];
	io_context_t ctx = 0;
	int fd, n;

	for (int i = 0; i < LEN; i++)
		slowfs_data(s, 0)[i] = pattern_byte((size_t)i);
	memset(slowfs_data(s, 1), 'o', LEN);
	memset(out, 'W', LEN);
	MUST(io_setup(8, &ctx) == 0);

	slowfs_hold(s, SLOWFS_READ);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	io_prep_pread(&r, fd, in, LEN, 0);
	MUST(submit1(ctx, &r) == 1 && slowfs_wait(s, SLOWFS_READ, 1));
	close(fd);
	n = slowfs_open(s, 1, O_RDWR | O_DIRECT);
	MUST(n == fd); /* the number now names another file */
	slowfs_release(s, SLOWFS_READ);
	expect_reaped("3.7/17", "read, fd closed and its number reused", ctx, &r, 10000, LEN);
	expect("3.7/17", "read, fd closed: data", memcmp(in, slowfs_data(s, 0), LEN), 0);
	close(n);

	slowfs_hold(s, SLOWFS_WRITE);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	io_prep_pwrite(&w, fd, out, LEN, 65536);
	MUST(submit1(ctx, &w) == 1 && slowfs_wait(s, SLOWFS_WRITE, 1));
	close(fd);
	n = slowfs_open(s, 1, O_RDWR | O_DIRECT);
	MUST(n == fd);
	slowfs_release(s, SLOWFS_WRITE);
	expect_reaped("3.7/17", "write, fd closed and its number reused", ctx, &w, 10000, LEN);
	expect("3.7/17", "write, fd closed: data", memcmp(out, slowfs_data(s, 0) + 65536, LEN), 0);
	expect_true("3.7/17", "the other file is untouched", slowfs_data(s, 1)[0] == 'o' && slowfs_data(s, 1)[65536] == 0);

	memset(in, 0, LEN);
	memset(out, 'V', LEN);
	slowfs_hold(s, SLOWFS_READ);
	slowfs_hold(s, SLOWFS_WRITE);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	io_prep_pread(&r, fd, in, LEN, 0);
	io_prep_pwrite(&w, fd, out, LEN, 131072);
	MUST(io_submit(ctx, 2, both) == 2);
	MUST(slowfs_wait(s, SLOWFS_READ, 2) && slowfs_wait(s, SLOWFS_WRITE, 2));
	MUST(!syscall(SYS_close_range, 3U, ~0U, 0U));
	slowfs_release(s, SLOWFS_READ);
	slowfs_release(s, SLOWFS_WRITE);
	n = reap(ctx, 2, 2, ev, 10000);
	expect("3.7/17", "read and write, all descriptors closed: events", n, 2);
	expect_true("3.7/17", "both complete", n == 2 && ev[0].res == LEN && ev[1].res == LEN);
	expect("3.7/17", "data read", memcmp(in, slowfs_data(s, 0), LEN), 0);
	expect("3.7/17", "data written", memcmp(out, slowfs_data(s, 0) + 131072, LEN), 0);
	expect("3.7/17", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

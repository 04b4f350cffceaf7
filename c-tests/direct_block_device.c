/* O_DIRECT on a block device: alignment as on files, a partial transfer up to
 * the bad page, and the end of the device. */
#include "direct_held.h"

#define SIZE (1 << 20)

int main(void)
{
	struct slowfs *s = slowfs_start(1, SIZE);
	char *buf = aligned_alloc(4096, 8192), path[32];
	io_context_t ctx = 0;
	struct iocb cb;
	int fd;

	slowdisk_attach(s, 0, path);
	slowfs_fill(s, 0);
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	MUST(fd >= 0 && io_setup(8, &ctx) == 0);
	alignment_rules("device", ctx, fd, 4096);

	io_prep_pread(&cb, fd, buf, 4096, SIZE);
	expect_soon("3.7/14", "read at the end", ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf, 4096, SIZE + 4096);
	expect_soon("3.7/14", "read after the end", ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf, 100, SIZE);
	expect_soon("3.7/9", "device: read at the end, length 100", ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf, 4096, SIZE + 1);
	expect_soon("3.7/9", "device: read after the end, offset unaligned", ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf, 4096, SIZE - 1);
	expect_soon("3.7/10", "device: read before the end, offset unaligned", ctx, &cb, -EINVAL, 0);
	memset(buf, 0, 8192);
	io_prep_pread(&cb, fd, buf, 8192, SIZE - 4096);
	expect_event("3.7/14", "read across the end", ctx, &cb, 4096);
	expect("3.7/14", "read across the end: data", memcmp(buf, slowfs_data(s, 0) + SIZE - 4096, 4096), 0);

	memset(buf, 'e', 8192);
	io_prep_pwrite(&cb, fd, buf, 4096, SIZE);
	expect_soon("3.7/14", "write at the end", ctx, &cb, -ENOSPC, 0);
	io_prep_pwrite(&cb, fd, buf, 4096, SIZE + 4096);
	expect_soon("3.7/14", "write after the end", ctx, &cb, -ENOSPC, 0);
	io_prep_pwrite(&cb, fd, buf, 8192, SIZE - 4096);
	expect_in_flight("3.7/14", "write across the end", s, SLOWFS_WRITE, ctx, &cb, 4096);
	expect("3.7/14", "write across the end: data", memcmp(buf, slowfs_data(s, 0) + SIZE - 4096, 4096), 0);

	io_prep_pread(&cb, fd, buf, 8192, 0);
	expect_in_flight("3.7/1", "device: read", s, SLOWFS_READ, ctx, &cb, 8192);
	expect("3.7/1", "device: read: data", memcmp(buf, slowfs_data(s, 0), 8192), 0);
	memset(buf, 'w', 8192);
	io_prep_pwrite(&cb, fd, buf, 8192, 65536);
	expect_in_flight("3.7/1", "device: write", s, SLOWFS_WRITE, ctx, &cb, 8192);
	expect("3.7/1", "device: write: data", memcmp(buf, slowfs_data(s, 0) + 65536, 8192), 0);
	cb.aio_rw_flags = 2; /* RWF_DSYNC */
	expect_in_flight("3.7/3", "device: write, RWF_DSYNC: the sync too", s, SLOWFS_FSYNC, ctx, &cb, 8192);
	close(fd);
	fd = open(path, O_RDWR | O_DIRECT | O_SYNC | O_CLOEXEC);
	MUST(fd >= 0);
	io_prep_pwrite(&cb, fd, buf, 8192, 65536);
	expect_in_flight("3.7/3", "device: write, O_SYNC: the sync too", s, SLOWFS_FSYNC, ctx, &cb, 8192);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

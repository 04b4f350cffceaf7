/* O_DIRECT on XFS: alignment and end of file as on ext4, but all writes are
 * asynchronous, extending ones too. */
#include "direct_held.h"

int main(void)
{
	struct slowfs *s = slowfs_start(1, 320UL << 20);
	io_context_t ctx = 0;
	char path[32];
	int mnt, fd;

	slowdisk_attach(s, 0, path);
	mnt = slowdisk_mount("xfs", path);
	if (mnt < 0)
		skip("no XFS (needs mkfs.xfs)");
	MUST(io_setup(8, &ctx) == 0);
	fd = held_file(mnt, WRITTEN, 0);
	alignment_rules("XFS", ctx, fd, -EFAULT);
	eof_rules("XFS", ctx, fd);
	file_system_rules("XFS", s, mnt, ctx, 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

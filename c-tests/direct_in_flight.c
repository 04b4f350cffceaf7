/* O_DIRECT on ext4, on a disk that can be held back: reads and overwrites are
 * in flight when io_submit returns; the kernel waits inside io_submit for
 * writes that extend the file or fill a hole. */
#include "direct_held.h"

int main(void)
{
	struct slowfs *s = slowfs_start(1, 64 << 20);
	io_context_t ctx = 0;
	char path[32];
	int mnt;

	slowdisk_attach(s, 0, path);
	mnt = slowdisk_mount("ext4", path);
	if (mnt < 0)
		skip("no ext4 (needs mkfs.ext4)");
	MUST(io_setup(8, &ctx) == 0);
	file_system_rules("ext4", s, mnt, ctx, 1);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

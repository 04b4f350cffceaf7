/* The event of an FSYNC says that the writes submitted before it are on the
 * disk: ext4 on a disk whose bytes can be looked at. */
#include "events.h"
#include "slowdisk.h"

#define LEN (1 << 20)

int main(void)
{
	struct slowfs *s = slowfs_start(1, 64 << 20);
	char *a = malloc(LEN), *b = malloc(LEN), path[32], *at = NULL;
	struct iocb w[2], f, *list[3] = { w, w + 1, &f };
	struct io_event ev[3];
	io_context_t ctx = 0;
	int mnt, fd, missing[2] = { 0, 0 }, bad = 0;

	slowdisk_attach(s, 0, path);
	mnt = slowdisk_mount("ext4", path);
	if (mnt < 0)
		skip("no ext4 (needs mkfs.ext4)");
	fd = openat(mnt, "f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	memset(a, 0xa5, LEN);
	memcpy(a, "where the file is", 17);
	MUST(fd >= 0 && pwrite(fd, a, LEN, 0) == LEN && !fsync(fd) && io_setup(8, &ctx) == 0);
	for (size_t i = 0; i + LEN <= s->size[0] && !at; i += 1024)
		if (!memcmp(slowfs_data(s, 0) + i, a, LEN))
			at = slowfs_data(s, 0) + i;
	MUST(at); /* a new file has its 1 MiB in one piece */

	for (int r = 0; r < 40; r++) {
		int d = r % 2, small = r % 4 > 1, len = small ? 4096 : LEN;
		memset(a, 'A' + r % 16, LEN);
		memset(b, 'a' + r % 16, LEN);
		io_prep_pwrite(w, fd, a, (size_t)len, 0);
		io_prep_pwrite(w + 1, fd, b, 4096, LEN - 4096);
		(d ? io_prep_fdsync : io_prep_fsync)(&f, fd);
		MUST(io_submit(ctx, 3, list) == 3);
		for (int n = 0; n < 3; n++) {
			MUST(reap(ctx, 1, 1, ev, 10000) == 1);
			bad += ev->res != (ev->obj == &f ? 0 : ev->obj == w ? (unsigned)len : 4096);
			if (ev->obj == &f)
				missing[d] += memcmp(at, a, small ? 4096 : LEN - 4096) || memcmp(at + LEN - 4096, b, 4096);
		}
	}
	expect("3.10/0", "writes and a sync in one call, 40 times: bad results", bad, 0);
	expect("3.10/0", "FSYNC's event, but a write not on the disk", missing[0], 0);
	expect("3.10/0", "FDSYNC's event, but a write not on the disk", missing[1], 0);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

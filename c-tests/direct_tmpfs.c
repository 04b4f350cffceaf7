/* O_DIRECT on tmpfs: no alignment rule, and nothing to wait for. */
#include "events.h"
#include <sys/vfs.h>
#define TMPFS 0x01021994

int main(void)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	char *buf = aligned_alloc(4096, 65536), *hole;
	io_context_t ctx = 0;
	struct statfs fs;
	struct iocb cb;

	if (fd < 0 || fstatfs(fd, &fs) || fs.f_type != TMPFS)
		skip("no tmpfs with O_DIRECT at /dev/shm");
	MUST(io_setup(8, &ctx) == 0);
	for (int i = 0; i < 65536; i++)
		buf[i] = (char)(i * 7 + i / 256);
	io_prep_pwrite(&cb, fd, buf, 65536, 0);
	expect_inline("3.7/13", "extending write", ctx, &cb, 65536);
	io_prep_pwrite(&cb, fd, buf + 1, 100, 1);
	expect_inline("3.7/13", "write, nothing aligned", ctx, &cb, 100);
	memset(buf, 0, 8192);
	io_prep_pread(&cb, fd, buf + 3, 101, 1);
	expect_inline("3.7/13", "read, nothing aligned", ctx, &cb, 101);
	expect_true("3.7/13", "read, nothing aligned: data", buf[2] == 0 && buf[3] == 7 && buf[103] == (char)(101 * 7) && buf[104] == 0);
	io_prep_pread(&cb, fd, buf, 8192, 65536 - 77);
	expect_inline("3.7/13", "read across EOF, offset unaligned", ctx, &cb, 77);
	io_prep_pread(&cb, fd, buf, 4096, 65536);
	expect_inline("3.7/13", "read at EOF", ctx, &cb, 0);
	hole = map_apart(4096);
	io_prep_pread(&cb, fd, hole, 8192, 0);
	expect_inline("3.7/8", "tmpfs: read, second page unmapped", ctx, &cb, 4096);
	io_prep_pwrite(&cb, fd, hole, 8192, 0);
	expect_inline("3.7/8", "tmpfs: write, second page unmapped", ctx, &cb, 4096);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

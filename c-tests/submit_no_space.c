/* A full file system: a short count first, then ENOSPC, both in the event. */
#include "submit_util.h"

#define SIZE 16384

int main(void)
{
	struct iocb cb;
	int fd = tmpfs_file("16k", O_RDWR);
	char *buf = edge_alloc(2 * SIZE);
	io_context_t ctx = new_ctx(4);

	memset(buf, 'x', 2 * SIZE);
	prep(&cb, IO_CMD_PWRITE, fd, buf, 2 * SIZE, 0);
	expect_inline("3.5/12", "half fits", ctx, &cb, SIZE);
	cb.u.c.offset = SIZE;
	expect_inline("3.5/12", "nothing fits", ctx, &cb, -ENOSPC);
	cb.u.c.nbytes = 16;
	expect_inline("3.5/12", "not even a little", ctx, &cb, -ENOSPC);
	cb.u.c.offset = SIZE - 8;
	expect_inline("3.5/12", "8 of 16 fit", ctx, &cb, 8);
	cb.u.c.offset = 100;
	expect_inline("3.5/12", "overwriting needs no space", ctx, &cb, 16);
	expect("3.5/12", "file size", lseek(fd, 0, SEEK_END), SIZE);
	expect("3.5/12", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

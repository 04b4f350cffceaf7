/* The rules of O_DIRECT that are the same on every disk file system and block
 * device (contract 3.7), for the programs of each. */
#ifndef AIO_DIRECT_RULES_H
#define AIO_DIRECT_RULES_H
#include "events.h"
#include <sys/uio.h>

/* The alignment that an O_DIRECT file asks of lengths and offsets. */
static inline unsigned direct_unit(int fd)
{
	struct statx x = { 0 };
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) || !(x.stx_mask & STATX_DIOALIGN))
		return 512;
	return x.stx_dio_offset_align;
}
/* ... and of buffers. */
static inline unsigned direct_mem_unit(int fd)
{
	struct statx x = { 0 };
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) || !(x.stx_mask & STATX_DIOALIGN))
		return 512;
	return x.stx_dio_mem_align;
}
static inline const char *on(const char *where, const char *what)
{
	static char b[128];
	snprintf(b, sizeof b, "%s: %s", where, what);
	return b;
}

/* Lengths, offsets and addresses; fd has 64 KiB at least. `half` is the res of
 * 8192 bytes whose second page is unmapped. */
static inline void alignment_rules(const char *w, io_context_t ctx, int fd, long half)
{
	unsigned u = direct_unit(fd), mu = direct_mem_unit(fd);
	char *buf = aligned_alloc(4096, 65536), *hole = map_apart(4096); /* a second page is not there */
	struct iovec v[2];
	struct iocb cb;
	long as;

	memset(buf, 'a', 65536);
	memset(hole, 'h', 4096);
	for (int write = 0; write < 2; write++) {
		void (*prep)(struct iocb *, int, void *, size_t, long long) = write ? io_prep_pwrite : io_prep_pread;
		const char *n[][2] = {
			{ "read 4096 at 4096", "overwrite 4096 at 4096" },
			{ "read, length 100", "write, length 100" },
			{ "read, offset 1", "write, offset 1" },
			{ "read, buf+1", "write, buf+1" },
			{ "read, buf+4", "write, buf+4" },
			{ "read, length, offset, buf+ of one unit", "write, length, offset, buf+ of one unit" },
			{ "read, buf NULL", "write, buf NULL" },
			{ "read, buf unmapped", "write, buf unmapped" },
			{ "read, buf unmapped, unaligned", "write, buf unmapped, unaligned" },
			{ "read, second page unmapped", "write, second page unmapped" },
			{ "read, nbytes 0", "write, nbytes 0" },
			{ "read, buf+1 within a page: as pread", "write, buf+1 within a page: as pwrite" },
		};
		prep(&cb, fd, buf, 4096, 4096);
		expect_event("3.7/1", on(w, n[0][write]), ctx, &cb, 4096);
		prep(&cb, fd, buf, 100, 0);
		expect_soon("3.7/4", on(w, n[1][write]), ctx, &cb, -EINVAL, 0);
		prep(&cb, fd, buf, u, 1);
		expect_soon("3.7/4", on(w, n[2][write]), ctx, &cb, -EINVAL, 0);
		prep(&cb, fd, buf + 1, 4096, 0);
		expect_soon("3.7/4", on(w, n[3][write]), ctx, &cb, -EINVAL, 0);
		prep(&cb, fd, buf + 4, 4096, 0); /* a disk with 4-byte DMA takes this one */
		expect_event("3.7/4", on(w, n[4][write]), ctx, &cb, mu > 4 ? -EINVAL : 4096);
		/* 6.18 takes any address if the buffer is within one page */
		prep(&cb, fd, buf + 1, u, 0);
		as = write ? pwrite(fd, buf + 1, u, 0) : pread(fd, buf + 1, u, 0);
		as = as < 0 ? -errno : as;
		expect_true("3.7/4", on(w, n[11][write]), run1(ctx, &cb) == as);
		prep(&cb, fd, buf + u, u, u);
		expect_event("3.7/5", on(w, n[5][write]), ctx, &cb, u);
		prep(&cb, fd, NULL, 4096, 0);
		expect_soon("3.7/7", on(w, n[6][write]), ctx, &cb, -EFAULT, 0);
		prep(&cb, fd, NOWHERE, 4096, 0);
		expect_soon("3.7/7", on(w, n[7][write]), ctx, &cb, -EFAULT, 0);
		prep(&cb, fd, (char *)NOWHERE + 1, 4096, 0);
		expect_soon("3.7/7", on(w, n[8][write]), ctx, &cb, -EFAULT, 0);
		prep(&cb, fd, hole, 8192, 8192);
		expect_event("3.7/8", on(w, n[9][write]), ctx, &cb, half);
		prep(&cb, fd, buf, 0, 0);
		expect_inline("3.7/12", on(w, n[10][write]), ctx, &cb, 0);
	}
	v[0] = (struct iovec){ buf, 4096 };
	v[1] = (struct iovec){ buf + 16384, 4096 };
	io_prep_preadv(&cb, fd, v, 2, 0);
	expect_event("3.7/6", on(w, "preadv 2 x 4096"), ctx, &cb, 8192);
	v[0].iov_len = v[1].iov_len = 2048;
	expect_event("3.7/6", on(w, "preadv 2 x 2048"), ctx, &cb, 4096);
	v[0].iov_len = 100;
	v[1].iov_len = 3996;
	expect_event("3.7/6", on(w, "preadv 100 + 3996"), ctx, &cb, -EINVAL);
	free(buf);
	munmap(hole, 4096);
}

/* Reads about the end of a file of exactly 64 KiB, then of 64 KiB + 100. */
static inline void eof_rules(const char *w, io_context_t ctx, int fd)
{
	char *buf = aligned_alloc(4096, 65536);
	struct iocb cb;

	MUST(!ftruncate(fd, 65536));
	io_prep_pread(&cb, fd, buf, 4096, 65536);
	expect_soon("3.7/9", on(w, "read at EOF"), ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf, 4096, 1 << 20);
	expect_soon("3.7/9", on(w, "read beyond EOF"), ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf, 100, 65536);
	expect_soon("3.7/9", on(w, "read at EOF, length 100"), ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf, 4096, 65537);
	expect_soon("3.7/9", on(w, "read beyond EOF, offset unaligned"), ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf + 1, 100, 65536 + 77);
	expect_soon("3.7/9", on(w, "read beyond EOF, nothing aligned"), ctx, &cb, 0, 0);
	io_prep_pread(&cb, fd, buf, 4096, 65535);
	expect_event("3.7/10", on(w, "read below EOF, offset unaligned"), ctx, &cb, -EINVAL);
	io_prep_pread(&cb, fd, buf, 8192, 65536 - 4096);
	expect_event("3.7/11", on(w, "8192 across EOF"), ctx, &cb, 4096);
	MUST(!ftruncate(fd, 65536 + 100));
	expect_event("3.7/11", on(w, "8192 across EOF of 64K + 100"), ctx, &cb, 4196);
	io_prep_pread(&cb, fd, buf, 4096, 65536);
	expect_event("3.7/11", on(w, "the last block of 64K + 100"), ctx, &cb, 100);
	MUST(!ftruncate(fd, 65536));
	free(buf);
}
#endif

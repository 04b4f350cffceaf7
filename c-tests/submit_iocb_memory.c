/* io_submit: where an iocb may lie. */
#include "submit_util.h"

int main(void)
{
	char buf[16] = "0123456789abcdef", *page, *p;
	struct iocb cb, *where;
	struct stat st;
	uint64_t n;

	int fd = temp_file(0), efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	io_context_t ctx = new_ctx(1);

	/* Not aligned. */
	p = malloc(256);
	prep(&cb, IO_CMD_PWRITE, fd, buf, 16, 0);
	memcpy(p + 5, &cb, sizeof cb);
	where = (struct iocb *)(p + 5);
	expect("3.2/9", "iocb not aligned", submit1(ctx, where), 1);
	struct io_event ev;
	expect("3.2/9", "its event", reap(ctx, 1, 1, &ev, 10000), 1);
	expect_true("3.2/9", "obj, data, res", ev.obj == where && ev.data == DATA_MARK && ev.res == 16);
	free(p);

	/* The last byte of a page is the last of the iocb; one byte further is too far. */
	where = (struct iocb *)edge_alloc(sizeof cb);
	*where = cb;
	expect_inline("3.2/10", "iocb ends with its page", ctx, where, 16);
	for (int have = 63; have > 0; have -= have > 48 ? 1 : 16) {
		char label[64];
		p = edge_alloc((size_t)have);
		memcpy(p, &cb, (size_t)have);
		snprintf(label, sizeof label, "only %d bytes of the iocb are mapped", have);
		expect("3.2/10", label, submit1(ctx, (struct iocb *)p), -EFAULT);
		if (have >= 12)
			expect_true("3.2/10", "key unchanged", !memcmp(p + 8, &cb.key, 4));
	}
	/* Across two mapped pages is fine. */
	page = edge_alloc(2 * PAGE);
	where = (struct iocb *)(page + PAGE - 24);
	memcpy(where, &cb, sizeof cb);
	expect_inline("3.2/10", "iocb across two mapped pages", ctx, where, 16);
	/* Readable start, PROT_NONE end. */
	memcpy(where, &cb, sizeof cb);
	MUST(mprotect(page + PAGE, PAGE, PROT_NONE) == 0);
	expect("3.2/10", "iocb runs into PROT_NONE", submit1(ctx, where), -EFAULT);

	/* Read-only: the key cannot be written, so nothing is done. */
	MUST(ftruncate(fd, 0) == 0);
	page = edge_alloc(PAGE);
	where = (struct iocb *)page;
	prep(where, IO_CMD_PWRITE, fd, buf, 16, 0);
	where->u.c.flags = FLAG_RESFD;
	where->u.c.resfd = (unsigned)efd;
	MUST(mprotect(page, PAGE, PROT_READ) == 0);
	expect("3.2/11", "iocb read-only", submit1(ctx, where), -EFAULT);
	MUST(fstat(fd, &st) == 0);
	expect("3.2/11", "nothing written", st.st_size, 0);
	expect_true("3.2/11", "no event, no count", ring_empty(ctx) && read(efd, &n, 8) < 0);
	/* More often than there are slots: none is lost. */
	int other = 0;
	for (int i = 0; i < 500; i++)
		other += submit1(ctx, where) != -EFAULT;
	expect("3.2/11", "500 times", other, 0);
	prep(&cb, IO_CMD_PWRITE, fd, buf, 16, 0);
	expect_inline("3.2/11", "a good one afterwards", ctx, &cb, 16);

#define READONLY_WITH(label, change, want)                               \
	do {                                                             \
		MUST(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0); \
		prep(where, IO_CMD_PWRITE, fd, buf, 16, 0);              \
		change;                                                  \
		MUST(mprotect(page, PAGE, PROT_READ) == 0);              \
		expect("3.2/11", label, submit1(ctx, where), want);      \
	} while (0)
	READONLY_WITH("read-only, bad opcode", where->aio_lio_opcode = 99, -EFAULT);
	READONLY_WITH("read-only, key already 0", where->key = 0, -EFAULT);
	READONLY_WITH("read-only, poll", (where->aio_lio_opcode = IO_CMD_POLL, where->aio_fildes = efd), -EFAULT);
	READONLY_WITH("read-only, fsync", where->aio_lio_opcode = IO_CMD_FSYNC, -EFAULT);
	READONLY_WITH("read-only, bad fd", where->aio_fildes = closed_fd(), -EBADF);
	MUST(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
	prep(where, IO_CMD_PWRITE, fd, buf, 16, 0);
	expect_inline("3.2/11", "the same page writable again", ctx, where, 16);
	MUST(mprotect(page, PAGE, PROT_READ) == 0);
	expect("3.2/11", "and read-only again", submit1(ctx, where), -EFAULT);
	munmap(page, PAGE);
	expect("3.2/6", "and unmapped", submit1(ctx, where), -EFAULT);

	for (int how = 0; how < SPOILT; how++) {
		const char *id = how == 2 ? "3.2/11" : "3.2/6";
		char label[64];
		int good = 0;
		page = worn_page();
		where = (struct iocb *)(page + 64);
		prep(where, IO_CMD_PREAD, fd, buf, 16, 0);
		for (int i = 0; i < USES; i++)
			good += run1(ctx, where) == 16;
		expect(id, "iocb in constant use", good, USES);
		snprintf(label, sizeof label, "then %s", spoil(page, how));
		expect(id, label, submit1(ctx, where), -EFAULT);
	}
	expect_true("3.2/6", "ring empty at the end", ring_empty(ctx));
	expect("3.2/6", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

/* RWF_APPEND, RWF_NOAPPEND and O_APPEND: where a write goes. */
#include "submit_util.h"

#define APPEND 0x10
#define NOAPPEND 0x20

static io_context_t ctx;
static struct iocb cb;
static int fd;

static void write_at(const char *what, long long offset, int flags)
{
	prep(&cb, IO_CMD_PWRITE, fd, (void *)(uintptr_t)what, strlen(what), offset);
	cb.aio_rw_flags = (unsigned)flags;
}

static void holds(const char *id, const char *label, const char *want)
{
	char got[64] = "";
	ssize_t n = pread(fd, got, sizeof got - 1, 0);
	got[n > 0 ? n : 0] = 0;
	check_str(id, label, got, want);
}

int main(void)
{
	char buf[16];

	fd = temp_file(0);
	MUST(fd >= 0 && pwrite(fd, "abcdefgh", 8, 0) == 8 && lseek(fd, 3, SEEK_SET) == 3);
	ctx = new_ctx(8);
	write_at("12", 0, APPEND);
	expect_inline("3.4/4", "APPEND write, offset 0", ctx, &cb, 2);
	holds("3.4/4", "the file", "abcdefgh12");
	write_at("34", 1000, APPEND);
	expect_inline("3.4/4", "APPEND write, offset 1000", ctx, &cb, 2);
	holds("3.4/4", "the file", "abcdefgh1234");
	expect("3.4/4", "f_pos", lseek(fd, 0, SEEK_CUR), 3);
	write_at("X", -1, APPEND);
	expect_refused_key("3.4/4", "APPEND write, offset -1", ctx, &cb, -EINVAL, "cleared");
	prep(&cb, IO_CMD_PREAD, fd, buf, 4, 2);
	cb.aio_rw_flags = APPEND;
	expect_inline("3.4/4", "APPEND read, offset 2", ctx, &cb, 4);
	expect_true("3.4/4", "reads from the offset", !memcmp(buf, "cdef", 4));
	cb.aio_rw_flags = NOAPPEND;
	expect_inline("3.4/5", "NOAPPEND read", ctx, &cb, 4);
	cb.aio_rw_flags = APPEND | NOAPPEND;
	expect_refused_key("3.4/6", "APPEND + NOAPPEND read", ctx, &cb, -EINVAL, "cleared");
	write_at("ZZ", 0, NOAPPEND);
	expect_inline("3.4/5", "NOAPPEND write", ctx, &cb, 2);
	holds("3.4/5", "the file", "ZZcdefgh1234");
	write_at("YY", 0, APPEND | NOAPPEND);
	expect_refused_key("3.4/6", "APPEND + NOAPPEND write", ctx, &cb, -EINVAL, "cleared");
	holds("3.4/6", "the file", "ZZcdefgh1234");

	/* The same file, open O_APPEND. */
	MUST(fcntl(fd, F_SETFL, O_APPEND) == 0);
	write_at("56", 0, 0);
	expect_inline("3.4/4", "O_APPEND fd, offset 0", ctx, &cb, 2);
	holds("3.4/4", "the file", "ZZcdefgh123456");
	write_at("QQ", 2, NOAPPEND);
	expect_inline("3.4/5", "O_APPEND fd, NOAPPEND write, offset 2", ctx, &cb, 2);
	holds("3.4/5", "the file", "ZZQQefgh123456");
	write_at("78", 2, APPEND);
	expect_inline("3.4/4", "O_APPEND fd, APPEND write, offset 2", ctx, &cb, 2);
	holds("3.4/4", "the file", "ZZQQefgh12345678");
	write_at("YY", 0, APPEND | NOAPPEND);
	expect_refused_key("3.4/6", "O_APPEND fd, APPEND + NOAPPEND write", ctx, &cb, -EINVAL, "cleared");
	expect("3.4/4", "f_pos", lseek(fd, 0, SEEK_CUR), 3);

	/* O_DIRECT: the end of the file is aligned here. */
	int direct = pattern_file(O_RDWR | O_DIRECT, 2 * PAGE);
	char *page = edge_alloc(PAGE);
	struct stat st;
	memset(page, 'd', PAGE);
	prep(&cb, IO_CMD_PWRITE, direct, page, PAGE, 0);
	cb.aio_rw_flags = APPEND;
	expect_event("3.4/4", "O_DIRECT, APPEND write, offset 0", ctx, &cb, PAGE);
	MUST(fstat(direct, &st) == 0);
	expect("3.4/4", "size", st.st_size, 3 * PAGE);
	memset(page, 0, PAGE);
	MUST(pread(direct, page, PAGE, 2 * PAGE) == PAGE);
	expect_true("3.4/4", "data at the old end", page[0] == 'd' && page[PAGE - 1] == 'd');
	MUST(pread(direct, page, PAGE, 0) == PAGE);
	expect_true("3.4/4", "offset 0 untouched", page[0] == 0 && page[1] == 7);
	expect_true("3.4/4", "ring empty at the end", ring_empty(ctx));
	expect("3.4/4", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

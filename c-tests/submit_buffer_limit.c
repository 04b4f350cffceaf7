/* Where a buffer is a kernel address: io_submit refuses what ends above the
 * last user page, mapped or not, after the length is cut to 0x7ffff000. */
#include "submit_util.h"

#define MOST 0x7ffff000L

/* The end of user space: one page below 2^47, or 2^56 with five-level tables. */
static char *user_end(void)
{
	void *want = (void *)(1UL << 48);
	void *p = mmap(want, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p != MAP_FAILED)
		munmap(p, PAGE);
	return (char *)(p == want ? 1UL << 56 : 1UL << 47) - PAGE;
}

/* Nothing that can be read or written at `page`; false if the kernel, which
 * places stack and libraries at random, has something there. */
static int keep_free(char *page)
{
	void *p = mmap(page, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return p == page;
}

int main(int argc, char **argv)
{
	/* From the end; a file answers EFAULT in the event, /dev/null takes all. */
	static const struct {
		const char *id, *name;
		long from_end;
		size_t n;
		int good;
		long null;
	} at[] = {
		{ "3.6/3", "16 bytes up to the end", -16, 16, 1, 16 },
		{ "3.6/3", "17 bytes, one too far", -16, 17, 0, 0 },
		{ "3.6/3", "1 byte at the end", 0, 1, 0, 0 },
		{ "3.6/3", "1 byte after the end", 1, 1, 0, 0 },
		{ "3.6/3", "16 bytes a page after the end", PAGE, 16, 0, 0 },
		{ "3.5/2", "0 bytes at the end", 0, 0, 1, 0 },
		{ "3.5/2", "0 bytes after the end", 1, 0, 0, 0 },
		{ "3.5/4", "1 << 40 bytes, cut up to the end", -MOST, 1UL << 40, 1, MOST },
		{ "3.5/4", "1 << 40 bytes, cut one too far", -MOST + 1, 1UL << 40, 0, 0 },
		{ "3.5/4", "SSIZE_MAX bytes, cut up to the end", -MOST, SSIZE_MAX, 1, MOST },
		{ "3.5/4", "SSIZE_MAX bytes, cut one too far", -MOST + 1, SSIZE_MAX, 0, 0 },
	};
	char label[96], *end = user_end();
	struct iocb cb;

	(void)argc;
	/* the next program is placed anew */
	if (!keep_free(end - PAGE) || !keep_free(end - MOST))
		MUST(execv("/proc/self/exe", argv));
	int fd = pattern_file(0, PAGE), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	io_context_t ctx = new_ctx(8);
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		snprintf(label, sizeof label, "pread, %s", at[i].name);
		prep(&cb, IO_CMD_PREAD, fd, end + at[i].from_end, at[i].n, 0);
		if (!at[i].good)
			expect_refused_key(at[i].id, label, ctx, &cb, -EFAULT, "cleared");
		else
			expect_inline(at[i].id, label, ctx, &cb, at[i].n ? -EFAULT : 0);
		snprintf(label, sizeof label, "/dev/null pwrite, %s", at[i].name);
		prep(&cb, IO_CMD_PWRITE, null, end + at[i].from_end, at[i].n, 0);
		if (!at[i].good)
			expect_refused_key(at[i].id, label, ctx, &cb, -EFAULT, "cleared");
		else
			expect_inline(at[i].id, label, ctx, &cb, at[i].null);
	}
	expect_true("3.6/3", "ring empty at the end", ring_empty(ctx));
	expect("3.6/3", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

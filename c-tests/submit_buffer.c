/* Buffer addresses, buffered files: what io_submit refuses and what is an
 * error or a short count in the event. */
#include "submit_util.h"

static io_context_t ctx;
static struct iocb cb;

static void set(int op, int fd, void *buf, size_t n, long long offset)
{
	prep(&cb, op, fd, buf, n, offset);
}

int main(void)
{
	char good[16] = "0123456789abcdef";

	int fd = pattern_file(0, 16384), ro = pattern_file(RDONLY, 16384), wo = temp_file(O_WRONLY);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(fd >= 0 && ro >= 0 && wo >= 0 && null >= 0 && zero >= 0 && readonly != MAP_FAILED && none != MAP_FAILED);
	ctx = new_ctx(8);

	set(IO_CMD_PREAD, fd, NULL, 16, 0);
	expect_inline("3.6/1", "pread, NULL", ctx, &cb, -EFAULT);
	set(IO_CMD_PREAD, fd, unmapped_addr(), 16, 0);
	expect_inline("3.6/1", "pread, unmapped", ctx, &cb, -EFAULT);
	set(IO_CMD_PREAD, fd, readonly, 16, 0);
	expect_inline("3.6/1", "pread, read-only", ctx, &cb, -EFAULT);
	set(IO_CMD_PREAD, fd, none, 16, 0);
	expect_inline("3.6/1", "pread, PROT_NONE", ctx, &cb, -EFAULT);
	set(IO_CMD_PWRITE, fd, NULL, 16, 0);
	expect_inline("3.6/2", "pwrite, NULL", ctx, &cb, -EFAULT);
	set(IO_CMD_PWRITE, fd, unmapped_addr(), 16, 0);
	expect_inline("3.6/2", "pwrite, unmapped", ctx, &cb, -EFAULT);
	set(IO_CMD_PWRITE, fd, none, 16, 0);
	expect_inline("3.6/2", "pwrite, PROT_NONE", ctx, &cb, -EFAULT);
	set(IO_CMD_PWRITE, fd, unmapped_addr(), 16, 16384);
	expect_inline("3.6/2", "pwrite at the end, unmapped", ctx, &cb, -EFAULT);
	expect("3.6/2", "the file has not grown", lseek(fd, 0, SEEK_END), 16384);
	set(IO_CMD_PWRITE, fd, readonly, 16, 0);
	expect_inline("3.6/2", "pwrite, read-only is fine", ctx, &cb, 16);

	set(IO_CMD_PREAD, fd, KERNEL_ADDR, 16, 0);
	expect_refused_key("3.6/3", "pread, kernel address", ctx, &cb, -EFAULT, "cleared");
	set(IO_CMD_PWRITE, fd, KERNEL_ADDR, 16, 0);
	expect_refused_key("3.6/3", "pwrite, kernel address", ctx, &cb, -EFAULT, "cleared");
	set(IO_CMD_PREAD, fd, (void *)-8L, 16, 0);
	expect_refused_key("3.6/3", "pread, last 8 bytes of all", ctx, &cb, -EFAULT, "cleared");
	set(IO_CMD_PREAD, closed_fd(), KERNEL_ADDR, 16, 0);
	expect_refused_key("3.6/3", "kernel address, bad fd", ctx, &cb, -EBADF, "kept");
	set(IO_CMD_PREAD, wo, KERNEL_ADDR, 16, 0);
	expect_refused_key("3.6/3", "kernel address, pread of O_WRONLY", ctx, &cb, -EBADF, "cleared");
	set(IO_CMD_PWRITE, ro, KERNEL_ADDR, 16, 0);
	expect_refused_key("3.6/3", "kernel address, pwrite of O_RDONLY", ctx, &cb, -EBADF, "cleared");

	/* A buffer that ends early. */
	char *two = edge_alloc(PAGE), *eight = edge_alloc(8), want[PAGE], back[PAGE];
	MUST(pread(ro, want, PAGE, PAGE) == PAGE);
	set(IO_CMD_PREAD, fd, two, 2 * PAGE, PAGE);
	expect_inline("3.6/4", "pread of 8192, second page unmapped", ctx, &cb, PAGE);
	expect_true("3.6/4", "the first page is there", !memcmp(two, want, PAGE));
	set(IO_CMD_PREAD, fd, eight, 16, PAGE);
	expect_inline("3.6/4", "pread of 16, 8 mapped", ctx, &cb, 8);
	expect_true("3.6/4", "the 8 bytes are there", !memcmp(eight, want, 8));
	memset(two, 'w', PAGE);
	set(IO_CMD_PWRITE, fd, two, 2 * PAGE, 0);
	expect_inline("3.6/4", "pwrite of 8192, second page unmapped", ctx, &cb, PAGE);
	MUST(pread(fd, back, PAGE, 0) == PAGE);
	expect_true("3.6/4", "one page written", !memcmp(back, two, PAGE));
	MUST(pread(fd, back, PAGE, PAGE) == PAGE);
	expect_true("3.6/4", "and not the next", !memcmp(back, want, PAGE));
	memset(eight, '8', 8);
	set(IO_CMD_PWRITE, fd, eight, 16, 100);
	expect_inline("3.6/4", "pwrite of 16, 8 mapped", ctx, &cb, 8);
	MUST(pread(fd, back, 16, 100) == 16);
	expect_true("3.6/4", "8 bytes written", !memcmp(back, "88888888wwwwwwww", 16));

	set(IO_CMD_PREAD, fd, unmapped_addr(), 16, 16384);
	expect_inline("3.6/5", "pread at the end, unmapped", ctx, &cb, 0);
	set(IO_CMD_PREAD, fd, unmapped_addr(), 16, 1 << 20);
	expect_inline("3.6/5", "pread beyond the end, unmapped", ctx, &cb, 0);
	set(IO_CMD_PREAD, fd, NULL, 16, 16384);
	expect_inline("3.6/5", "pread at the end, NULL", ctx, &cb, 0);

	set(IO_CMD_PWRITE, null, unmapped_addr(), 16, 0);
	expect_inline("3.6/6", "/dev/null pwrite, unmapped", ctx, &cb, 16);
	set(IO_CMD_PREAD, null, unmapped_addr(), 16, 0);
	expect_inline("3.6/6", "/dev/null pread, unmapped", ctx, &cb, 0);
	set(IO_CMD_PREAD, zero, unmapped_addr(), 16, 0);
	expect_inline("3.6/6", "/dev/zero pread, unmapped", ctx, &cb, -EFAULT);
	set(IO_CMD_PWRITE, null, KERNEL_ADDR, 16, 0);
	expect_refused_key("3.6/6", "/dev/null pwrite, kernel address", ctx, &cb, -EFAULT, "cleared");

	/* The same with a buffer that is good: nothing above did harm. */
	set(IO_CMD_PWRITE, fd, good, 16, 0);
	expect_inline("3.6/1", "pwrite, good buffer", ctx, &cb, 16);
	set(IO_CMD_PREAD, fd, back, 16, 0);
	expect_inline("3.6/1", "pread, good buffer", ctx, &cb, 16);
	expect_true("3.6/1", "what was written", !memcmp(back, good, 16));
	expect_true("3.6/1", "ring empty at the end", ring_empty(ctx));
	expect("3.6/1", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

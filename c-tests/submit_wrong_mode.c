/* Reading what is open for writing, and the reverse: refused by io_submit
 * itself, before buffer and offset are looked at. */
#include "submit_util.h"
#include <sys/uio.h>

static char buf[16];
static struct iovec vec = { buf, sizeof buf };

int main(void)
{
	static const struct {
		const char *name;
		int op;
	} op[] = {
		{ "pread on O_WRONLY", IO_CMD_PREAD }, { "preadv on O_WRONLY", IO_CMD_PREADV },
		{ "pwrite on O_RDONLY", IO_CMD_PWRITE }, { "pwritev on O_RDONLY", IO_CMD_PWRITEV },
	};
	const struct {
		const char *id, *name;
		void *buf;
		size_t n;
		long long offset;
	} with[] = {
		{ "3.3/14", "good buffer", NULL, 16, 0 },
		{ "3.3/14", "nbytes 0", NULL, 0, 0 },
		{ "3.3/14", "buffer unmapped", unmapped_addr(), 16, 0 },
		{ "3.3/14", "buffer at a kernel address", KERNEL_ADDR, 16, 0 },
		{ "3.3/14", "nbytes 0, buffer at a kernel address", KERNEL_ADDR, 0, 0 },
		{ "3.3/14", "nbytes SSIZE_MAX", NULL, SSIZE_MAX, 0 },
		{ "3.3/15", "offset -1", NULL, 16, -1 },
		{ "3.3/15", "kernel buffer, offset -1", KERNEL_ADDR, 16, -1 },
		{ "3.3/15", "unmapped buffer, offset LLONG_MIN", unmapped_addr(), 16, LLONG_MIN },
	};
	char label[96];
	struct iocb cb;

	int ro = pattern_file(RDONLY, PAGE), wo = pattern_file(O_WRONLY, PAGE);
	int efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	io_context_t ctx = new_ctx(8);
	for (size_t i = 0; i < sizeof op / sizeof *op; i++)
		for (size_t j = 0; j < sizeof with / sizeof *with; j++) {
			int vector = i % 2, read = i < 2;
			void *good = vector ? (void *)&vec : buf;
			size_t n = with[j].n == 16 && vector ? 1 : with[j].n;
			prep(&cb, op[i].op, read ? wo : ro, with[j].buf ? with[j].buf : good, n, with[j].offset);
			cb.u.c.flags = FLAG_RESFD;
			cb.u.c.resfd = (unsigned)efd;
			snprintf(label, sizeof label, "%s, %s", op[i].name, with[j].name);
			expect_refused_key(with[j].id, label, ctx, &cb, -EBADF, "cleared");
		}
	expect_true("3.3/14", "no event", ring_empty(ctx) && reap(ctx, 1, 1, &(struct io_event){ 0 }, 50) == 0);
	expect("3.3/14", "eventfd not signalled", eventfd_take(efd), 0);
	expect("3.3/14", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

/* How many requests fit: completed but unreaped, or in flight, one by one or in
 * one call. From one CPU, as the count is split over the CPUs. */
#include "ring_util.h"
#include <sys/eventfd.h>

static int efd;

static void one_by_one(const char *row, int n)
{
	char label[96];
	io_context_t ctx = setup(n);

	snprintf(label, sizeof label, "io_setup(%d), reads unreaped", n);
	expect(row, label, fill(ctx), want_slots(n));
	expect("2/12", label, submit1(ctx, cached_read(NULL)), -EAGAIN);
	expect("2/12", "all come", take_n(ctx, want_slots(n), 10000), want_slots(n));
	/* and again, the ring now beginning anywhere */
	snprintf(label, sizeof label, "io_setup(%d), again", n);
	expect("2/12", label, fill(ctx), want_slots(n));
	io_destroy(ctx);
}

static void pending(int n)
{
	char label[96];
	io_context_t ctx = setup(n);

	snprintf(label, sizeof label, "io_setup(%d), polls in flight", n);
	expect("2/12", label, fill_with(ctx, pending_poll(efd)), want_slots(n));
	expect("2/12", label, submit1(ctx, cached_read(NULL)), -EAGAIN);
	MUST(write(efd, &(uint64_t){ 1 }, 8) == 8);
	expect("2/12", "all come", take_n(ctx, want_slots(n), 10000), want_slots(n));
	MUST(read(efd, &(uint64_t){ 0 }, 8) == 8);
	expect("2/12", "then a poll fits", submit1(ctx, pending_poll(efd)), 1);
	io_destroy(ctx);
}

static void one_call(int n)
{
	static struct iocb *list[200000];
	char label[96];
	io_context_t ctx = setup(n);

	for (int i = 0; i < 200000; i++)
		list[i] = cached_read(NULL);
	snprintf(label, sizeof label, "io_setup(%d), io_submit(200000)", n);
	expect("2/13", label, io_submit(ctx, 200000, list), want_slots(n));
	snprintf(label, sizeof label, "io_setup(%d), once more", n);
	expect("2/13", label, io_submit(ctx, 200000, list), -EAGAIN);
	expect("2/13", "all come", take_n(ctx, want_slots(n), 10000), want_slots(n));
	io_destroy(ctx);
}

/* The formula, and that nobody gets less than asked for. */
static void formula(int n)
{
	char label[96];
	io_context_t ctx = setup(n);
	long got = fill(ctx);

	snprintf(label, sizeof label, "io_setup(%d)", n);
	expect("2/9", label, got, want_slots(n));
	snprintf(label, sizeof label, "io_setup(%d), at least as many as asked for", n);
	expect_true("2/23", label, got >= n);
	io_destroy(ctx);
}

int main(void)
{
	static const int sizes[] = { 1, 31, 62, 63, 64, 126, 127, 128, 190, 255, 500, 1000, 2047, 5000 };

	efd = eventfd(0, EFD_CLOEXEC);
	MUST(efd >= 0);
	pin(0);
	one_by_one("2/1", 1);
	one_by_one("2/1", 31);
	one_by_one("2/3", 128);
	one_by_one("2/4", 1000);
	pending(1);
	pending(128);
	pending(1000);
	one_call(1);
	one_call(128);
	one_call(1000);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		formula(sizes[i]);
	return check_done();
}

/* io_submit: nr, the context and the pointer array. */
#include "submit_util.h"

int main(void)
{
	struct iocb cb, *list[4] = { &cb, &cb, &cb, &cb };
	char buf[16], *raw, *zero;
	struct io_event ev[4];
	struct user_ring *copy;

	int fd = pattern_file(0, PAGE);
	io_context_t ctx = new_ctx(8), gone = new_ctx(8);
	prep(&cb, IO_CMD_PREAD, fd, buf, sizeof buf, 0);

	expect("3.2/1", "nr 0, array good", io_submit(ctx, 0, list), 0);
	expect("3.2/1", "nr 0, array NULL", io_submit(ctx, 0, NULL), 0);
	expect("3.2/1", "nr 0, array unmapped", io_submit(ctx, 0, unmapped_addr()), 0);
	expect_true("3.2/1", "nr 0: iocb not touched", cb.key == KEY_MARK && ring_empty(ctx));

	/* A context that is none, in every shape. */
	zero = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	copy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(zero != MAP_FAILED && copy != MAP_FAILED);
	memcpy(copy, ctx, PAGE);
	MUST(io_destroy(gone) == 0);
	const struct {
		const char *name;
		void *ctx;
	} no_ctx[] = {
		{ "0", NULL }, { "1", (void *)1 }, { "unmapped", unmapped_addr() }, { "kernel address", KERNEL_ADDR },
		{ "zero page", zero }, { "copy of a ring", copy }, { "ring + 8", (char *)ctx + 8 }, { "destroyed", gone },
	};
	for (size_t i = 0; i < sizeof no_ctx / sizeof *no_ctx; i++) {
		char label[64];
		snprintf(label, sizeof label, "nr 0, ctx %s", no_ctx[i].name);
		expect("3.2/2", label, io_submit(no_ctx[i].ctx, 0, list), -EINVAL);
		snprintf(label, sizeof label, "nr 1, array good, ctx %s", no_ctx[i].name);
		expect("3.1/2", label, io_submit(no_ctx[i].ctx, 1, list), -EINVAL);
		snprintf(label, sizeof label, "nr 1, array unmapped, ctx %s", no_ctx[i].name);
		expect("3.2/5", label, io_submit(no_ctx[i].ctx, 1, unmapped_addr()), -EINVAL);
		snprintf(label, sizeof label, "nr -1, ctx %s", no_ctx[i].name);
		expect("3.2/3", label, io_submit(no_ctx[i].ctx, -1, list), -EINVAL);
	}
	expect("3.2/3", "nr -1", io_submit(ctx, -1, list), -EINVAL);
	expect("3.2/3", "nr LONG_MIN", io_submit(ctx, LONG_MIN, list), -EINVAL);
	expect("3.2/3", "nr LONG_MIN, ctx 0", io_submit(NULL, LONG_MIN, list), -EINVAL);
	expect_true("3.2/3", "iocb not touched", cb.key == KEY_MARK && ring_empty(ctx));

	expect("3.2/4", "array NULL", io_submit(ctx, 1, NULL), -EFAULT);
	expect("3.2/4", "array unmapped", io_submit(ctx, 1, unmapped_addr()), -EFAULT);
	expect("3.2/4", "array at a kernel address", io_submit(ctx, 1, KERNEL_ADDR), -EFAULT);

	/* Two pointers, then nothing. */
	struct iocb **two = (struct iocb **)edge_alloc(2 * sizeof *two);
	two[0] = two[1] = &cb;
	expect("3.2/8", "two pointers before an unmapped page, nr 4", io_submit(ctx, 4, two), 2);
	expect("3.2/8", "events", reap(ctx, 2, 4, ev, 10000), 2);
	expect("3.2/8", "two pointers before an unmapped page, nr LONG_MAX", io_submit(ctx, LONG_MAX, two), 2);
	expect("3.2/8", "events, nr LONG_MAX", reap(ctx, 2, 4, ev, 10000), 2);
	expect("3.2/8", "nr 2, array ends with its page", io_submit(ctx, 2, two), 2);
	expect("3.2/8", "events, nr 2", reap(ctx, 2, 4, ev, 10000), 2);
	/* Half a pointer is no pointer. */
	char *half = edge_alloc(12);
	memcpy(half, two, 12);
	expect("3.2/8", "one pointer and a half, nr 2", io_submit(ctx, 2, (struct iocb **)half), 1);
	expect("3.2/8", "events, one and a half", reap(ctx, 1, 4, ev, 10000), 1);
	expect("3.2/4", "half a pointer", io_submit(ctx, 1, (struct iocb **)edge_alloc(4)), -EFAULT);

	for (int how = 0; how < SPOILT - 1; how++) {
		struct iocb **worn = worn_page();
		char label[64];
		int good = 0;
		worn[7] = &cb;
		for (int i = 0; i < USES; i++)
			good += io_submit(ctx, 1, worn + 7) == 1 && reap(ctx, 1, 4, ev, 10000) == 1;
		expect("3.2/4", "array in constant use", good, USES);
		snprintf(label, sizeof label, "then %s", spoil(worn, how));
		expect("3.2/4", label, io_submit(ctx, 1, worn + 7), -EFAULT);
	}

	raw = malloc(64);
	memcpy(raw + 3, list, sizeof list);
	expect("3.2/9", "array not aligned", io_submit(ctx, 4, (struct iocb **)(raw + 3)), 4);
	expect("3.2/9", "events", reap(ctx, 4, 4, ev, 10000), 4);
	free(raw);
	expect_true("3.2/4", "ring empty at the end", ring_empty(ctx));
	expect("3.2/1", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

/* The ring as user space sees it: header, sizes, the mapping. */
#include "ring_util.h"

static void new_ring(void)
{
	io_context_t ctx = setup(128), two = setup(1);
	struct user_ring *ring = ring_of(ctx);

	expect("2/7", "id", ring->id, 0);
	expect("2/7", "id of the second ring", ring_of(two)->id, 1);
	expect("2/7", "head", ring->head, 0);
	expect("2/7", "tail", ring->tail, 0);
	expect_true("2/7", "magic", ring->magic == 0xa10a10a1);
	expect("2/7", "compat", ring->compat, 1);
	expect("2/7", "incompat", ring->incompat, 0);
	expect("2/7", "header_length", ring->header_length, 32);
	io_destroy(two);

	/* the records stand from byte 32 on, each 32 bytes */
	for (int i = 0; i < 3; i++) {
		struct iocb *cb = cached_read((void *)(0x1111L + i));
		struct io_event ev;

		MUST(submit1(ctx, cb) == 1 && wait_tail(ctx, i + 1));
		memcpy(&ev, (char *)ctx + 32 + 32 * i, sizeof ev);
		expect_true("2/0", "record: data", ev.data == (void *)(0x1111L + i));
		expect_true("2/0", "record: obj", ev.obj == cb);
		expect("2/0", "record: res", (long)ev.res, 16);
		expect("2/0", "record: res2", (long)ev.res2, 0);
	}
	expect("2/7", "head, three completed", ring->head, 0);
	expect("2/7", "tail, three completed", ring->tail, 3);
	io_destroy(ctx);
}

/* Rows 1..6 of the table, then sizes for the formula (line 8). */
static const struct {
	const char *id;
	int n;
} sizes[] = {
	{ "2/1", 1 }, { "2/1", 2 }, { "2/1", 7 }, { "2/1", 8 }, { "2/1", 31 }, { "2/1", 61 },
	{ "2/1", 62 }, { "2/2", 63 }, { "2/2", 64 }, { "2/3", 128 }, { "2/4", 1000 }, { "2/5", 4096 },
	{ "2/8", 3 }, { "2/8", 9 }, { "2/8", 32 }, { "2/8", 100 }, { "2/8", 126 }, { "2/8", 127 },
	{ "2/8", 190 }, { "2/8", 191 }, { "2/8", 255 }, { "2/8", 256 }, { "2/8", 511 }, { "2/8", 2046 },
	{ "2/8", 2047 }, { "2/8", 5000 }, { "2/8", 10001 }, { "2/8", 16384 },
};

static void size(const char *id, int n)
{
	io_context_t ctx = setup(n);
	char label[64], line[512];

	snprintf(label, sizeof label, "io_setup(%d): nr", n);
	expect(id, label, ring_of(ctx)->nr, want_nr(n));
	snprintf(label, sizeof label, "io_setup(%d): mapping", n);
	expect(id, label, (long)map_line(ctx, line, sizeof line), (long)want_bytes(n));
	/* the last record's place can be written */
	memset(&ring_of(ctx)->events[want_nr(n) - 1], 0, sizeof(struct io_event));
	io_destroy(ctx);
}

/* One token of the mapping's VmFlags line. */
static int has_flag(const char *flags, const char *flag)
{
	char token[8];

	snprintf(token, sizeof token, " %s ", flag);
	return strstr(flags, token) != NULL;
}

static void vm_flags(void *start, char *flags, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long low, high;
	int here = 0;

	MUST(f);
	flags[0] = 0;
	while (fgets(flags, (int)size, f)) {
		if (sscanf(flags, "%lx-%lx", &low, &high) == 2)
			here = low == (unsigned long)start;
		if (here && !strncmp(flags, "VmFlags:", 8))
			break;
		flags[0] = 0;
	}
	fclose(f);
}

static io_context_t shown;

static long magic_in_child(void)
{
	return ring_of(shown)->magic == 0xa10a10a1 && ring_of(shown)->tail == 2;
}

static void mapping(void)
{
	static const char *const on[] = { "rd", "wr", "sh", "mr", "mw", "ms" };
	static const char *const off[] = { "ex", "lo", "dc", "wf" };
	char line[512], label[64];

	shown = setup(128);
	put_events(shown, 2);
	MUST(map_line(shown, line, sizeof line));
	expect_true("2/10", "rw-s, offset 0", strstr(line, " rw-s 00000000 ") != NULL);
	expect_differs("2/10", "named /[aio]", strstr(line, " /[aio] (deleted)\n") != NULL, 1, 0);
	vm_flags(shown, line, sizeof line);
	for (int i = 0; i < 6; i++) {
		snprintf(label, sizeof label, "VmFlags has %s", on[i]);
		expect_true("2/10", label, has_flag(line, on[i]));
	}
	for (int i = 0; i < 4; i++) {
		snprintf(label, sizeof label, "VmFlags has not %s", off[i]);
		expect_true("2/10", label, line[0] && !has_flag(line, off[i]));
	}
	/* only a driver's own mmap can say DONTEXPAND, or that it may never be executed */
	expect_mm("2/10", "VmFlags has de", has_flag(line, "de"), 1);
	expect_mm("2/10", "VmFlags has not me", !has_flag(line, "me"), 1);
	expect("2/10", "a forked child sees the ring", in_child(magic_in_child), 1);
	io_destroy(shown);
}

int main(void)
{
	new_ring();
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		size(sizes[i].id, sizes[i].n);
	mapping();
	return check_done();
}

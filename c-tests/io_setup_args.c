/* io_setup: what is refused for its arguments alone, and in which order. */
#include "ring_util.h"

static io_context_t *unmapped(void)
{
	return unmapped_addr();
}

/* A refusal leaves *ctxp as it was. */
static void refused(const char *id, const char *label, unsigned nr, uintptr_t old, long want)
{
	io_context_t ctx = (io_context_t)old;
	char line[160];
	int r = io_setup((int)nr, &ctx);

	expect(id, label, r, want);
	snprintf(line, sizeof line, "%s: *ctxp unchanged", label);
	expect_true(id, line, ctx == (io_context_t)old);
	if (!r)
		io_destroy(ctx);
}

static void too_many(void)
{
	refused("1/1", "nr 0", 0, 0, -EINVAL);
	refused("1/4", "nr 4194305", 4194305, 0, -EINVAL);
	refused("1/4", "nr 0x7fffffff", 0x7fffffff, 0, -EINVAL);
	refused("1/4", "nr 0xfffffff0", 0xfffffff0, 0, -EINVAL);
	refused("1/4", "nr -1", 0xffffffff, 0, -EINVAL);
	/* nr * 2 wraps in 32 bits, so these are not "too large" but over the limit */
	refused("1/5", "nr 0x80000000", 0x80000000, 0, -EAGAIN);
	refused("1/5", "nr 0x80000001", 0x80000001, 0, -EAGAIN);
	refused("1/5", "nr 0x80000010", 0x80000010, 0, -EAGAIN);
}

static void ctxp_in_use(void)
{
	refused("1/11", "*ctxp 1, nr 8", 8, 1, -EINVAL);
	refused("1/11", "*ctxp 1, nr 0", 0, 1, -EINVAL);
	refused("1/11", "*ctxp 1, nr over the limit", (unsigned)read_number(AIO_MAX_NR) + 1, 1, -EINVAL);
	refused("1/11", "*ctxp 1, nr 4194305", 4194305, 1, -EINVAL);
	/* step 2 stands before step 4: EINVAL, not the EAGAIN of 1/5 */
	refused("1/0", "*ctxp 1, nr 0x80000000", 0x80000000, 1, -EINVAL);
}

static void ctxp_unreadable(void)
{
	expect("1/12", "ctxp NULL", io_setup(8, NULL), -EFAULT);
	expect("1/12", "ctxp unmapped", io_setup(8, unmapped()), -EFAULT);
	expect("1/12", "ctxp kernel address", io_setup(8, KERNEL_ADDR), -EFAULT);
	expect("1/12", "ctxp NULL, nr 0", io_setup(0, NULL), -EFAULT);
	expect("1/12", "ctxp unmapped, nr 0", io_setup(0, unmapped()), -EFAULT);
	expect("1/12", "ctxp kernel address, nr 0", io_setup(0, KERNEL_ADDR), -EFAULT);
	/* step 1 stands before steps 3 and 4 too */
	expect("1/0", "ctxp NULL, nr too large", io_setup(4194305, NULL), -EFAULT);
	expect("1/0", "ctxp NULL, nr over the limit", io_setup(INT32_MIN, NULL), -EFAULT);
	/* the last half of *ctxp is not there */
	expect("1/12", "ctxp runs into an unmapped page", io_setup(8, (void *)edge_alloc(4)), -EFAULT);
}

static int shared_mappings(void)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");
	int n = 0;

	MUST(f);
	while (fgets(line, sizeof line, f))
		n += strstr(line, " rw-s ") != NULL;
	fclose(f);
	return n;
}

/* *ctxp can be read but not written: found last, so everything is undone. */
static void ctxp_readonly(void)
{
	io_context_t *ctxp, ctx = setup(8);
	int before;

	io_destroy(ctx);
	ctxp = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(ctxp != MAP_FAILED);
	expect("1/13", "ctxp read-only", io_setup(8, ctxp), -EFAULT);
	before = shared_mappings();
	for (int i = 0; i < 8; i++)
		if (io_setup(8, ctxp) != -EFAULT)
			expect("1/13", "ctxp read-only, again", 0, -EFAULT);
	expect("1/13", "mappings left behind", shared_mappings() - before, 0);
	ctx = setup(8);
	expect("1/13", "id of the next context", ring_of(ctx)->id, 0);
	expect("1/13", "the next context's destruction", io_destroy(ctx), 0);
	/* a refusal for nr comes before the write */
	expect("1/0", "ctxp read-only, nr 0", io_setup(0, ctxp), -EINVAL);
	expect("1/0", "ctxp read-only, nr over the limit", io_setup(INT32_MIN, ctxp), -EAGAIN);
}

static void ctxp_unaligned(void)
{
	char mem[32] = { 0 };
	io_context_t ctx;

	expect("1/14", "ctxp unaligned", io_setup(8, (void *)(mem + 3)), 0);
	memcpy(&ctx, mem + 3, sizeof ctx);
	expect_works("1/14", "the context", ctx);
	expect("1/14", "bytes around it", mem[2] | mem[11], 0);
	io_destroy(ctx);
}

/* The register may hold more than the int of the prototype. */
static void wide_nr(void)
{
	int (*wide)(long, io_context_t *);
	void *fn = (void *)io_setup;
	io_context_t ctx = NULL;

	memcpy(&wide, &fn, sizeof wide);
	expect("1/7", "nr 0x100000001", wide(0x100000001L, &ctx), 0);
	if (!ctx)
		return;
	expect("1/7", "ring nr", ring_of(ctx)->nr, want_nr(1));
	io_destroy(ctx);
}

int main(int argc, char **argv)
{
	(void)argc;
	use_limit("kernel", argv);
	too_many();
	ctxp_in_use();
	ctxp_unreadable();
	ctxp_readonly();
	ctxp_unaligned();
	wide_nr();
	return check_done();
}

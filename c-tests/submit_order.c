/* Which of two faults in one iocb does io_submit report? Every fault is put
 * together with every later one: the earlier must win, and the key must be
 * cleared exactly when the order has reached step 11. */
#include "submit_util.h"

enum fault {
	STRADDLE, RESERVED2, NBYTES, FULL, BADFD, RESFD, READONLY,
	OPCODE, IOPRIO, RWFLAGS, MODE, NOITER, BUFFER, OFFSET, FAULTS
};
static const struct {
	const char *id, *name;
	long err;
	const char *key;
} fault[FAULTS] = {
	[STRADDLE] = { "3.1/5", "iocb half unmapped", -EFAULT, "kept" },
	[RESERVED2] = { "3.1/6", "reserved2", -EINVAL, "kept" },
	[NBYTES] = { "3.1/7", "nbytes over SSIZE_MAX", -EINVAL, "kept" },
	[FULL] = { "3.1/8", "no slot", -EAGAIN, "kept" },
	[BADFD] = { "3.1/9", "bad fd", -EBADF, "kept" },
	[RESFD] = { "3.1/10", "resfd no eventfd", -EINVAL, "kept" },
	[READONLY] = { "3.1/11", "iocb read-only", -EFAULT, "kept" },
	[OPCODE] = { "3.1/12", "opcode 99", -EINVAL, "cleared" },
	[IOPRIO] = { "3.1/12", "(a) bad ioprio", -EINVAL, "cleared" },
	[RWFLAGS] = { "3.1/12", "(b) unknown rw_flags", -EOPNOTSUPP, "cleared" },
	[MODE] = { "3.1/12", "(c) wrong mode", -EBADF, "cleared" },
	[NOITER] = { "3.1/12", "(d) no write_iter", -EINVAL, "cleared" },
	[BUFFER] = { "3.1/12", "(e) kernel buffer", -EFAULT, "cleared" },
	[OFFSET] = { "3.1/12", "(f) offset -1", -EINVAL, "cleared" },
};

static io_context_t ctx, full;
static int rw_fd, ro_fd, full_rw_fd, full_ro_fd;
static char buf[16] = "0123456789abcdef";

/* Two faults that cannot be in one iocb. */
static int apart(enum fault a, enum fault b)
{
	if (a == STRADDLE)
		return b == READONLY || b == RESFD || b == IOPRIO;
	return a == BADFD && (b == MODE || b == NOITER);
}

static void fill(struct iocb *cb, enum fault a, enum fault b)
{
#define HAS(f) (a == (f) || b == (f))
	int ro = HAS(MODE), dev_full = HAS(NOITER);
	prep(cb, HAS(OPCODE) ? 99 : IO_CMD_PWRITE, dev_full ? (ro ? full_ro_fd : full_rw_fd) : ro ? ro_fd : rw_fd,
	     HAS(BUFFER) ? KERNEL_ADDR : buf, HAS(NBYTES) ? (size_t)SSIZE_MAX + 1 : sizeof buf, HAS(OFFSET) ? -1 : 0);
	if (HAS(RESERVED2))
		cb->reserved2 = 1;
	if (HAS(BADFD))
		cb->aio_fildes = closed_fd();
	if (HAS(RESFD)) {
		cb->u.c.flags |= FLAG_RESFD;
		cb->u.c.resfd = (unsigned)rw_fd;
	}
	if (HAS(IOPRIO)) {
		cb->u.c.flags |= FLAG_IOPRIO;
		cb->aio_reqprio = 4 << 13;
	}
	if (HAS(RWFLAGS))
		cb->aio_rw_flags = 0x200;
}

static void both(enum fault a, enum fault b)
{
	static struct iocb plain;
	static char *edge, *page;
	struct iocb cb, *where = &plain;
	char label[96], got[96], want[96];

	fill(&cb, a, b);
	if (HAS(STRADDLE)) {
		/* All up to reserved2 can be read, flags and resfd cannot. */
		if (!edge)
			edge = edge_alloc(56);
		memcpy(edge, &cb, 56);
		where = (struct iocb *)edge;
	} else if (HAS(READONLY)) {
		if (!page)
			page = edge_alloc(PAGE);
		mprotect(page, PAGE, PROT_READ | PROT_WRITE);
		memcpy(page, &cb, sizeof cb);
		mprotect(page, PAGE, PROT_READ);
		where = (struct iocb *)page;
	} else {
		plain = cb;
	}
	if (a == b)
		snprintf(label, sizeof label, "%s", fault[a].name);
	else
		snprintf(label, sizeof label, "%s before %s", fault[a].name, fault[b].name);
	int r = submit1(HAS(FULL) ? full : ctx, where);
	snprintf(got, sizeof got, "%s, key %s", res(r), key_str(where->key));
	snprintf(want, sizeof want, "%s, key %s", res(fault[a].err), fault[a].key);
	check_str(fault[a].id, label, got, want);
}

int main(void)
{
	struct iocb cb, *list[1] = { &cb };
	struct stat st;

	rw_fd = temp_file(0);
	ro_fd = pattern_file(RDONLY, PAGE);
	full_rw_fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	full_ro_fd = open("/dev/full", O_RDONLY | O_CLOEXEC);
	MUST(rw_fd >= 0 && ro_fd >= 0 && full_rw_fd >= 0 && full_ro_fd >= 0);
	full = full_ctx(ro_fd);
	ctx = new_ctx(8);

	/* Faults of the call come before all faults of an iocb. */
	prep(&cb, 99, -1, NULL, 0, 0);
	expect("3.1/1", "nr -1, array unmapped", io_submit(ctx, -1, unmapped_addr()), -EINVAL);
	expect("3.1/1", "nr -1, array good", io_submit(ctx, -1, list), -EINVAL);
	expect("3.1/2", "ctx unknown, array unmapped", io_submit(NULL, 1, unmapped_addr()), -EINVAL);
	expect("3.1/2", "ctx unknown, bad fd", io_submit(NULL, 1, list), -EINVAL);
	expect("3.1/2", "ctx unknown, nr 0", io_submit(NULL, 0, list), -EINVAL);
	list[0] = unmapped_addr();
	expect("3.1/2", "ctx unknown, iocb unmapped", io_submit(NULL, 1, list), -EINVAL);
	expect("3.1/4", "pointer cannot be read", io_submit(ctx, 1, unmapped_addr()), -EFAULT);
	expect("3.1/4", "pointer cannot be read before no slot", io_submit(full, 1, unmapped_addr()), -EFAULT);
	expect("3.1/5", "iocb unmapped", io_submit(ctx, 1, list), -EFAULT);
	expect("3.1/5", "iocb unmapped before no slot", io_submit(full, 1, list), -EFAULT);

	for (int a = 0; a < FAULTS; a++)
		for (int b = a; b < FAULTS; b++)
			if (!apart(a, b))
				both(a, b);

	/* None of it had an effect. */
	MUST(fstat(rw_fd, &st) == 0);
	expect("3.1/0", "file size after all refusals", st.st_size, 0);
	expect_true("3.1/0", "no event from a refused iocb", ring_empty(ctx));
	prep(&cb, IO_CMD_PWRITE, rw_fd, buf, sizeof buf, 0);
	expect_inline("3.1/0", "without a fault", ctx, &cb, sizeof buf);
	expect_true("3.1/0", "key cleared by a good submit", cb.key == 0);
	expect("3.1/0", "io_destroy", io_destroy(ctx), 0);
	expect("3.1/0", "io_destroy of the full one", io_destroy(full), 0);
	return check_done();
}

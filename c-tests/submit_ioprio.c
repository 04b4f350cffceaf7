/* IOCB_FLAG_IOPRIO: aio_reqprio is class << 13 | hint << 3 | level. */
#include "submit_util.h"

#define PRIO(class, level) ((short)((class) << 13 | (level)))

static int fd, ro;
static struct { long rt, rt0, be, idle, later; } *seen;

static long try(io_context_t ctx, short prio)
{
	static char buf[16];
	struct iocb cb;
	prep(&cb, IO_CMD_PREAD, fd, buf, 16, 0);
	cb.u.c.flags = FLAG_IOPRIO;
	cb.aio_reqprio = prio;
	return run1(ctx, &cb);
}

static void unprivileged(void)
{
	io_context_t before = new_ctx(4), after;
	MUST(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	after = new_ctx(4);
	seen->rt = try(after, PRIO(1, 4));
	seen->rt0 = try(after, PRIO(1, 0));
	seen->be = try(after, PRIO(2, 0));
	seen->idle = try(after, PRIO(3, 7));
	/* It counts who submits, not who made the context. */
	seen->later = try(before, PRIO(1, 4));
}

int main(void)
{
	static const int level[] = { 0, 1, 4, 7, 9, 0x1ff8, 0x1fff };
	char label[64], buf[16];
	struct iocb cb;

	/* Root of a container may lack it. */
	if (geteuid() != 0 || syscall(SYS_ioprio_set, 1, 0, PRIO(1, 4)) != 0)
		skip("no right to real-time I/O priority");
	MUST(syscall(SYS_ioprio_set, 1, 0, 0) == 0);
	fd = pattern_file(0, PAGE);
	ro = pattern_file(RDONLY, PAGE);
	seen = shared_alloc(PAGE);

	/* First the child, while this process has no context. */
	MUST(in_child(unprivileged) == 0);
	check_str("3.3/8", "class 1 level 4, unprivileged", run_str(seen->rt), "io_submit EPERM");
	check_str("3.3/8", "class 1 level 0, unprivileged", run_str(seen->rt0), "io_submit EPERM");
	check_str("3.3/8", "class 1, context made as root", run_str(seen->later), "io_submit EPERM");
	check_str("3.3/8", "class 2, unprivileged", run_str(seen->be), "EV 16");
	check_str("3.3/8", "class 3, unprivileged", run_str(seen->idle), "EV 16");

	io_context_t ctx = new_ctx(8);
	check_str("3.3/6", "reqprio 0", run_str(try(ctx, 0)), "EV 16");
	for (int class = 1; class <= 3; class++)
		for (size_t i = 0; i < sizeof level / sizeof *level; i++) {
			snprintf(label, sizeof label, "class %d, level and hint 0x%x", class, level[i]);
			check_str("3.3/6", label, run_str(try(ctx, PRIO(class, level[i]))), "EV 16");
		}

#define BAD(id, label, prio, descr, more, want)                                  \
	do {                                                                     \
		prep(&cb, IO_CMD_PWRITE, descr, buf, 16, 0);                     \
		cb.u.c.flags = FLAG_IOPRIO;                                      \
		cb.aio_reqprio = prio;                                           \
		more;                                                            \
		expect_refused_key(id, label, ctx, &cb, want, "cleared");        \
	} while (0)
	BAD("3.3/7", "class 0 level 1", PRIO(0, 1), fd, (void)0, -EINVAL);
	BAD("3.3/7", "class 0 level 7", PRIO(0, 7), fd, (void)0, -EINVAL);
	for (int class = 4; class <= 7; class++) {
		snprintf(label, sizeof label, "class %d", class);
		BAD("3.3/7", label, PRIO(class, 0), fd, (void)0, -EINVAL);
		snprintf(label, sizeof label, "class %d level 4", class);
		BAD("3.3/7", label, PRIO(class, 4), fd, (void)0, -EINVAL);
	}
	BAD("3.3/16", "bad ioprio, wrong mode", PRIO(4, 0), ro, (void)0, -EINVAL);
	BAD("3.3/16", "good ioprio, wrong mode", PRIO(2, 0), ro, (void)0, -EBADF);
	BAD("3.3/16", "bad rw_flags, wrong mode", PRIO(2, 0), ro, cb.aio_rw_flags = 0x200, -EOPNOTSUPP);
	BAD("3.3/16", "bad rw_flags, wrong mode, no ioprio", 0, ro, (cb.aio_rw_flags = 0x200, cb.u.c.flags = 0),
	    -EOPNOTSUPP);
	BAD("3.3/16", "bad ioprio, bad rw_flags", PRIO(4, 0), fd, cb.aio_rw_flags = 0x200, -EINVAL);

	/* O_DIRECT carries it to the device. */
	int direct = pattern_file(O_RDWR | O_DIRECT, PAGE);
	char *page = edge_alloc(PAGE);
	prep(&cb, IO_CMD_PREAD, direct, page, PAGE, 0);
	cb.u.c.flags = FLAG_IOPRIO;
	for (int class = 1; class <= 3; class++) {
		cb.aio_reqprio = PRIO(class, 3);
		snprintf(label, sizeof label, "class %d level 3, O_DIRECT", class);
		expect_event("3.3/6", label, ctx, &cb, PAGE);
	}
	expect_true("3.3/7", "ring empty at the end", ring_empty(ctx));
	expect("3.3/7", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

/* io_queue_run: callbacks in ring order until the ring is empty; the inline
 * helpers io_poll, io_fsync, io_fdsync.
 */
#include "wait_util.h"

static io_context_t ctx;
static int file, calls, wrong, more;
static char byte;
static struct iocb cb[16], *expected[16];
static long expected_res[16];

static void callback(io_context_t c, struct iocb *iocb, long r, long r2)
{
	wrong += c != ctx || calls > 15 || iocb != expected[calls] || r != expected_res[calls] || r2 != 0;
	calls++;
}
/* The i-th callback to come. */
static void expect_call(int i, struct iocb *iocb, long r)
{
	expected[i] = iocb;
	expected_res[i] = r;
}
static void prep(int i, void *buf)
{
	io_prep_pread(&cb[i], file, buf, 1, 0);
	io_set_callback(&cb[i], callback);
}
static void run(const char *label, int want_calls)
{
	char line[96];

	calls = wrong = 0;
	expect("13/8", label, io_queue_run(ctx), 0);
	snprintf(line, sizeof line, "%s: callbacks", label);
	expect("13/8", line, calls, want_calls);
	snprintf(line, sizeof line, "%s: callbacks with other arguments or order", label);
	expect("13/8", line, wrong, 0);
	expect("13/8", "ring empty", ring_count(ctx), 0);
}

static void plain(void)
{
	struct iocb *list[16];

	run("empty", 0);
	for (int i = 0; i < 10; i++) {
		prep(i, &byte);
		list[i] = &cb[i];
		expect_call(i, &cb[i], 1);
	}
	MUST(io_submit(ctx, 10, list) == 10 && ring_wait(ctx, 10));
	run("10 reads", 10);
	/* failed operations are called back too */
	prep(0, HOLE_ADDR);
	prep(1, &byte);
	expect_call(0, &cb[0], -EFAULT);
	expect_call(1, &cb[1], 1);
	MUST(submit1(ctx, &cb[0]) == 1 && ring_wait(ctx, 1) && submit1(ctx, &cb[1]) == 1 && ring_wait(ctx, 2));
	run("a failed read and a good one", 2);
	expect("13/8", "context NULL", io_queue_run(NULL), -EINVAL);
}

/* Each of these calls submits the next, `more` of them. */
static void submits_more(io_context_t c, struct iocb *iocb, long r, long r2)
{
	callback(c, iocb, r, r2);
	if (calls <= more) {
		io_set_callback(&cb[calls], submits_more);
		MUST(submit1(c, &cb[calls]) == 1 && ring_wait(c, 1));
	}
}
static void chain(void)
{
	for (int i = 0; i < 8; i++) {
		prep(i, &byte);
		expect_call(i, &cb[i], 1);
	}
	more = 7;
	io_set_callback(&cb[0], submits_more);
	MUST(submit1(ctx, &cb[0]) == 1 && ring_wait(ctx, 1));
	run("each callback submits one more", 8);
}

static void helpers(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;
	struct {
		const char *label;
		int answer, opcode;
	} h[3] = { { "io_poll", 0, IO_CMD_POLL }, { "io_fsync", 0, IO_CMD_FSYNC }, { "io_fdsync", 0, IO_CMD_FDSYNC } };

	for (int i = 0; i < 3; i++) {
		memset(&cb[0], 0xff, sizeof cb[0]);
		expect_call(0, &cb[0], i ? 0 : POLLIN);
		if (i == 0)
			h[i].answer = io_poll(ctx, &cb[0], callback, fd, POLLIN);
		else if (i == 1)
			h[i].answer = io_fsync(ctx, &cb[0], callback, file);
		else
			h[i].answer = io_fdsync(ctx, &cb[0], callback, file);
		expect("13/9", h[i].label, h[i].answer, 1);
		expect_true("13/9", "the iocb it prepared",
			    cb[0].aio_lio_opcode == h[i].opcode && cb[0].data == (void *)callback && cb[0].key == 0 &&
				    cb[0].aio_fildes == (i ? file : fd) && !cb[0].aio_reqprio && !cb[0].u.c.flags);
		if (i == 0) {
			expect("13/9", "io_poll: nothing yet", reap(ctx, 0, 1, &(struct io_event){ 0 }, 0), 0);
			MUST(write(fd, &one, 8) == 8);
		}
		MUST(ring_wait(ctx, 1));
		run(h[i].label, 1);
	}
	expect("13/9", "io_poll, bad fd", io_poll(ctx, &cb[0], callback, -1, POLLIN), -EBADF);
	expect("13/9", "io_fsync, bad fd", io_fsync(ctx, &cb[0], callback, -1), -EBADF);
	expect("13/9", "io_fdsync, an eventfd", io_fdsync(ctx, &cb[0], callback, fd), -EINVAL);
	close(fd);
}

static long run_null_callback(void *arg)
{
	struct iocb c;
	io_context_t own = NULL;

	(void)arg;
	new_context(8, &own);
	io_prep_pread(&c, file, &byte, 1, 0);
	MUST(submit1(own, &c) == 1 && ring_wait(own, 1));
	return io_queue_run(own);
}

int main(void)
{
	file = pattern_file(0, 4096);
	MUST(file >= 0);
	new_context(32, &ctx);
	plain();
	chain();
	helpers();
	expect("13/8", "data NULL: death by SIGSEGV", answer_in_child(run_null_callback, NULL), DIED(SIGSEGV));
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

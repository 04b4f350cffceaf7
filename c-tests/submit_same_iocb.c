/* One iocb may be submitted again while it is in flight: one event each time. */
#include "submit_util.h"
#include <poll.h>

int main(void)
{
	char buf[16];
	struct iocb cb, *list[3] = { &cb, &cb, &cb };
	struct io_event ev[8];
	int ok;

	int fd = pattern_file(0, PAGE), efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	io_context_t ctx = new_ctx(8);

	prep(&cb, IO_CMD_PREAD, fd, buf, 16, 0);
	expect("3.2/14", "a read three times in one call", io_submit(ctx, 3, list), 3);
	expect("3.2/14", "events", reap(ctx, 3, 8, ev, 10000), 3);
	ok = 1;
	for (int i = 0; i < 3; i++)
		ok &= ev[i].obj == &cb && ev[i].data == DATA_MARK && ev[i].res == 16 && ev[i].res2 == 0;
	expect_true("3.2/14", "each obj, data, res", ok);

	/* A poll stays in flight until we say so. */
	prep(&cb, IO_CMD_POLL, efd, NULL, 0, 0);
	cb.u.poll.events = POLLIN;
	expect("3.2/14", "a poll three times in one call", io_submit(ctx, 3, list), 3);
	cb.data = (void *)1;
	cb.key = KEY_MARK;
	expect("3.2/14", "again while in flight, other data", submit1(ctx, &cb), 1);
	expect_true("3.2/14", "key cleared again", cb.key == 0);
	cb.data = (void *)2;
	expect("3.2/14", "and again", submit1(ctx, &cb), 1);
	expect("3.2/14", "nothing yet", reap(ctx, 0, 8, ev, 0), 0);
	MUST(eventfd_write(efd, 1) == 0);
	expect("3.2/14", "events after the write", reap(ctx, 5, 8, ev, 10000), 5);
	int first = 0, second = 0, third = 0;
	for (int i = 0; i < 5; i++) {
		ok &= ev[i].obj == &cb && ((long)ev[i].res & POLLIN) && ev[i].res2 == 0;
		first += ev[i].data == DATA_MARK;
		second += ev[i].data == (void *)1;
		third += ev[i].data == (void *)2;
	}
	expect_true("3.2/14", "each with the data of its submit", ok && first == 3 && second == 1 && third == 1);
	expect("3.2/14", "no further event", reap(ctx, 1, 8, ev, 50), 0);
	expect("3.2/14", "io_destroy", io_destroy(ctx), 0);
	return check_done();
}

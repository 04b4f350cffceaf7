/* io_cancel of requests that wait for data or for the disk. The kernel cancels
 * none of them; aio-rs those that have not been started or sleep.
 */
#include "wait_util.h"
#include <sys/ioctl.h>
#include <sys/socket.h>

static io_context_t ctx;
static struct io_event ev[8];
static char *buf;

/* On the kernel it blocks in here. */
static volatile pid_t submitter;
static void *submit_thread(void *arg)
{
	submitter = gettid();
	return (void *)(long)submit1(ctx, arg);
}

static void blocked(const char *what, int rfd, int wfd, int write_it)
{
	char label[128];
	struct iocb cb;
	pthread_t t;
	void *answer;
	int there = -1;

	if (write_it)
		io_prep_pwrite(&cb, wfd, buf, 4096, 0);
	else
		io_prep_pread(&cb, rfd, buf, 4096, 0);
	submitter = 0;
	MUST(pthread_create(&t, NULL, submit_thread, &cb) == 0);
	while (!submitter)
		usleep(100);
	asleep(submitter); /* or gone */
	snprintf(label, sizeof label, "%s: no event before", what);
	expect("7/4", label, ring_count(ctx), 0);
	snprintf(label, sizeof label, "%s: io_cancel", what);
	expect_differs("7/4", label, io_cancel(ctx, &cb, ev), -EINVAL, -EINPROGRESS);
	/* let the kernel's go on: 5 bytes to read, or room for 4096 */
	if (write_it)
		MUST(read(rfd, buf, 4096) == 4096);
	else
		MUST(write(wfd, "hello", 5) == 5);
	MUST(pthread_join(t, &answer) == 0);
	snprintf(label, sizeof label, "%s: io_submit", what);
	expect("7/4", label, (long)answer, 1);
	snprintf(label, sizeof label, "%s: one event", what);
	expect("7/4", label, reap(ctx, 1, 8, ev, 10000), 1);
	snprintf(label, sizeof label, "%s: its res", what);
	expect_differs("7/4", label, (long)ev[0].res, write_it ? 4096 : 5, -ECANCELED);
	snprintf(label, sizeof label, "%s: no second event", what);
	expect("7/4", label, reap(ctx, 1, 8, ev, 20), 0);
	if (!write_it) {
		MUST(ioctl(rfd, FIONREAD, &there) == 0);
		snprintf(label, sizeof label, "%s: bytes left to read", what);
		expect_differs("7/4", label, there, 0, 5);
	}
}

static void blocked_ones(void)
{
	int p[2], sv[2], full[2];

	MUST(pipe2(p, O_CLOEXEC) == 0 && pipe2(full, O_CLOEXEC) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	blocked("read of an empty pipe", p[0], p[1], 0);
	blocked("read of an empty socket", sv[0], sv[1], 0);
	MUST(fcntl(full[1], F_SETPIPE_SZ, 4096) == 4096);
	memset(buf, 'x', 4096);
	MUST(write(full[1], buf, 4096) == 4096);
	blocked("write to a full pipe", full[0], full[1], 1);
	for (int i = 0; i < 2; i++)
		close(p[i]), close(sv[i]), close(full[i]);
}

/* On its way to the disk, or done: EINVAL and the whole result. What aio-rs
 * had not started yet it may cancel. In rounds, since the disk is quick. */
static void on_disk(const char *what, struct iocb *cb, long want)
{
	char label[128];
	int odd = 0, first = 0;

	for (int i = 0; i < 20; i++) {
		if (submit1(ctx, cb) != 1) {
			odd++;
			break;
		}
		int r = io_cancel(ctx, cb, ev), again = io_cancel(ctx, cb, ev);
		odd += reap(ctx, 1, 8, ev, 20000) != 1 || ev[0].obj != cb;
		if (on_ours() && r == -EINPROGRESS)
			odd += (long)ev[0].res != -ECANCELED || again != -EINVAL;
		else
			odd += r != -EINVAL || again != -EINVAL || (long)ev[0].res != want;
		first += io_cancel(ctx, cb, ev) != -EINVAL;
	}
	snprintf(label, sizeof label, "%s: rounds with a wrong answer or event", what);
	expect("7/4", label, odd, 0);
	snprintf(label, sizeof label, "%s: later cancels other than EINVAL", what);
	expect("7/4", label, first, 0);
	expect("7/4", "nothing left", reap(ctx, 1, 8, ev, 20), 0);
}

int main(void)
{
	struct iocb cb;
	int direct, file = temp_file(0);

	buf = aligned_alloc(4096, 4 << 20);
	MUST(buf);
	new_context(64, &ctx);
	memset(buf, 'b', 4 << 20);
	blocked_ones();

	direct = pattern_file(O_RDWR | O_DIRECT, 4 << 20);
	if (direct >= 0) {
		io_prep_pread(&cb, direct, buf, 4 << 20, 0);
		on_disk("O_DIRECT read", &cb, 4 << 20);
		io_prep_pwrite(&cb, direct, buf, 1 << 20, 0);
		on_disk("O_DIRECT write", &cb, 1 << 20);
		close(direct);
	}
	MUST(pwrite(file, buf, 4 << 20, 0) == 4 << 20);
	io_prep_fsync(&cb, file);
	on_disk("FSYNC", &cb, 0);
	MUST(io_destroy(ctx) == 0);
	close(file);
	return check_done();
}

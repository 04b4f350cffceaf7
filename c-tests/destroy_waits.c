/* io_destroy waits for I/O at the device: when it returns, the data is in the
 * buffer or on the device, and eventfds are signalled. Signals do not cut it
 * short. */
#include "slowfs.h"
#include "life.h"
#include <sys/time.h>

static volatile int alarms;
static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static struct slowfs *s;
static int fd, resfd;

/* One request of 300 ms, then io_destroy at once. */
static void waits(const char *id, const char *what, int op, struct iocb *cb)
{
	unsigned seen = slowfs_seen(s, op), done = slowfs_done(s, op);
	io_context_t ctx = NULL;
	char label[96];

	MUST(io_setup(8, &ctx) == 0);
	slowfs_delay(s, op, 300);
	io_set_eventfd(cb, resfd);
	long from = now_ms();
	MUST(submit1(ctx, cb) == 1);
	MUST(slowfs_wait(s, op, seen + 1));
	snprintf(label, sizeof label, "%s in flight: io_destroy", what);
	expect(id, label, io_destroy(ctx), 0);
	snprintf(label, sizeof label, "%s in flight: it waited (ms)", what);
	expect_between(id, label, now_ms() - from, 299, 9000);
	snprintf(label, sizeof label, "%s in flight: the device has answered", what);
	expect(id, label, slowfs_done(s, op) - done, 1);
	snprintf(label, sizeof label, "%s in flight: eventfd", what);
	expect(id, label, eventfd_take(resfd), 1);
	snprintf(label, sizeof label, "%s in flight: ring mapped afterwards", what);
	expect(id, label, is_mapped(ctx), 0);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval every_20ms = { { 0, 20000 }, { 0, 20000 } }, off = { { 0, 0 }, { 0, 0 } };
	char *buf = page_alloc(65536);
	struct iocb cb;

	s = slowfs_start(1, 1 << 20);
	slowfs_fill(s, 0);
	fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	resfd = eventfd(0, EFD_CLOEXEC);

	io_prep_pread(&cb, fd, buf, 65536, 65536);
	waits("8/6", "O_DIRECT read", SLOWFS_READ, &cb);
	expect("8/6", "O_DIRECT read: data", memcmp(buf, slowfs_data(s, 0) + 65536, 65536), 0);

	memset(buf, 'w', 65536);
	io_prep_pwrite(&cb, fd, buf, 65536, 131072);
	waits("8/6", "O_DIRECT write", SLOWFS_WRITE, &cb);
	expect("8/6", "O_DIRECT write: data", memcmp(buf, slowfs_data(s, 0) + 131072, 65536), 0);

	io_prep_fsync(&cb, fd);
	waits("8/6", "FSYNC", SLOWFS_FSYNC, &cb);

	/* The same under a rain of signals, with and without SA_RESTART. */
	for (int restart = 0; restart < 2; restart++) {
		sa.sa_flags = restart ? SA_RESTART : 0;
		sigaction(SIGALRM, &sa, NULL);
		alarms = 0;
		memset(buf, 0, 65536);
		io_prep_pread(&cb, fd, buf, 65536, 65536);
		setitimer(ITIMER_REAL, &every_20ms, NULL);
		waits("8/7", restart ? "read, signals (SA_RESTART)" : "read, signals", SLOWFS_READ, &cb);
		setitimer(ITIMER_REAL, &off, NULL);
		expect_true("8/7", "signals were handled", alarms > 0);
		expect("8/7", "data", memcmp(buf, slowfs_data(s, 0) + 65536, 65536), 0);
	}
	slowfs_stop(s);
	return check_done();
}

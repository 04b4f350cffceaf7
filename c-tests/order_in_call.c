/* The order of the iocbs of one call and of their events: buffered ones and
 * appending ones as they stand in the array, asynchronous ones as they complete. */
#include "events.h"
#include "many_reads.h"
#include "slowdisk.h"

static io_context_t ctx;

/* Write A, write B, read of one range: all of many read B. */
static void write_write_read(void)
{
	int fd = pattern_file(O_RDWR, 65536), wrong = 0, unordered = 0;
	static char a[4096], b[4096], got[4096];
	struct iocb cb[3], *list[3] = { cb, cb + 1, cb + 2 };
	struct io_event ev[3];

	for (int round = 0; round < 2000; round++) {
		long at = round % 16 * 4096;
		memset(a, round, 4096);
		memset(b, round + 1, 4096);
		memset(got, round + 2, 4096);
		io_prep_pwrite(cb, fd, a, 4096, at);
		io_prep_pwrite(cb + 1, fd, b, 4096, at);
		io_prep_pread(cb + 2, fd, got, 4096, at);
		if (io_submit(ctx, 3, list) != 3 || reap(ctx, 3, 3, ev, 10000) != 3)
			DIE("round %d", round);
		wrong += memcmp(got, b, 4096) != 0;
		for (int i = 0; i < 3; i++)
			unordered += ev[i].obj != list[i] || ev[i].res != 4096;
	}
	expect("3.10/0", "write A, write B, read, 2000 times: not B", wrong, 0);
	expect("3.10/0", "write A, write B, read, 2000 times: events out of order", unordered, 0);
	close(fd);
}

/* n appending writes of one call. */
static void append(const char *label, int n, int flags, int rw_flags, size_t len)
{
	int fd = temp_file(O_RDWR | flags), wrong = 0, unordered = 0;
	char *buf = aligned_alloc(4096, len * (unsigned)n), *back = aligned_alloc(4096, len), text[128];
	struct iocb cb[32], *list[32];
	struct io_event ev[32];

	MUST(fd >= 0);
	for (int i = 0; i < n; i++) {
		memset(buf + len * (unsigned)i, 'A' + i, len);
		io_prep_pwrite(cb + i, fd, buf + len * (unsigned)i, len, 0);
		cb[i].aio_rw_flags = rw_flags;
		list[i] = cb + i;
	}
	MUST(io_submit(ctx, n, list) == n && reap(ctx, n, n, ev, 10000) == n);
	for (int i = 0; i < n; i++) {
		unordered += ev[i].obj != list[i] || ev[i].res != len;
		MUST(pread(fd, back, len, (off_t)len * i) >= 0);
		wrong += memcmp(back, buf + len * (unsigned)i, len) != 0;
	}
	snprintf(text, sizeof text, "%s: out of place", label);
	expect("3.10/0", text, wrong, 0);
	snprintf(text, sizeof text, "%s: events out of order", label);
	expect("3.10/0", text, unordered, 0);
	close(fd);
	free(buf);
	free(back);
}

/* Two O_DIRECT reads, the first slower: the second's event is the first. */
static void completion_order(struct slowfs *s)
{
	int fd = slowfs_open(s, 0, O_RDWR | O_DIRECT);
	char *buf = aligned_alloc(4096, 8192);
	struct iocb cb[2];
	struct io_event ev[2];

	slowfs_delay(s, SLOWFS_READ, 1000);
	io_prep_pread(cb, fd, buf, 4096, 0);
	io_prep_pread(cb + 1, fd, buf + 4096, 4096, 4096);
	MUST(submit1(ctx, cb) == 1 && slowfs_wait(s, SLOWFS_READ, 1));
	slowfs_delay(s, SLOWFS_READ, 0);
	MUST(submit1(ctx, cb + 1) == 1 && reap(ctx, 2, 2, ev, 10000) == 2);
	expect_true("3.10/0", "asynchronous: events in completion order", ev[0].obj == cb + 1 && ev[1].obj == cb);
	close(fd);
	free(buf);
}

/* ext4: an O_DIRECT write is at the disk; the flush of the FSYNC behind it gets
 * there too. (FUSE itself would do as well, but there a thread that writes holds
 * the lock that FSYNC needs.) */
static void fsync_beside_direct_write(struct slowfs *s)
{
	char *buf = aligned_alloc(4096, 65536), path[32];
	struct iocb w, f;
	struct io_event ev[2];
	unsigned seen;
	int mnt, fd;

	slowdisk_attach(s, 1, path);
	mnt = slowdisk_mount("ext4", path);
	if (mnt < 0)
		skip("no ext4 (needs mkfs.ext4)");
	fd = openat(mnt, "f", O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	memset(buf, 'w', 65536);
	MUST(fd >= 0 && pwrite(fd, buf, 65536, 0) == 65536 && !fsync(fd));
	seen = slowfs_seen(s, SLOWFS_WRITE);
	slowfs_hold(s, SLOWFS_WRITE);
	io_prep_pwrite(&w, fd, buf, 65536, 0);
	MUST(submit1(ctx, &w) == 1 && slowfs_wait(s, SLOWFS_WRITE, seen + 1));
	seen = slowfs_seen(s, SLOWFS_FSYNC);
	slowfs_hold(s, SLOWFS_FSYNC);
	io_prep_fdsync(&f, fd);
	MUST(submit1(ctx, &f) == 1);
	expect_true("3.10/0", "FDSYNC behind an O_DIRECT write: both at the disk", slowfs_wait(s, SLOWFS_FSYNC, seen + 1));
	slowfs_release(s, SLOWFS_FSYNC);
	expect("3.10/0", "the FDSYNC's event first", reap(ctx, 1, 1, ev, 10000) == 1 && ev[0].obj == &f ? (long)ev[0].res : NO_EVENT, 0);
	slowfs_release(s, SLOWFS_WRITE);
	expect("3.10/0", "then the write's", reap(ctx, 1, 1, ev, 10000) == 1 && ev[0].obj == &w ? (long)ev[0].res : NO_EVENT, 65536);
	close(fd);
	free(buf);
}

int main(void)
{
	struct slowfs *s = slowfs_start(2, 64 << 20);

	MUST(io_setup(64, &ctx) == 0);
	write_write_read();
	many_reads();
	append("26 O_APPEND writes", 26, O_APPEND, 0, 1000);
	append("26 RWF_APPEND writes", 26, 0, 16, 1000);
	append("8 O_APPEND|O_DIRECT writes", 8, O_APPEND | O_DIRECT, 0, 4096);
	completion_order(s);
	fsync_beside_direct_write(s);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

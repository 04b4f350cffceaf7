/* What io_submit does itself, on disks: buffered transfers (the kernel returns
 * with the event), and what it only starts: O_DIRECT, FSYNC. */
#include "direct_held.h"

#define LEN (1 << 20)
static io_context_t ctx;
static char *buf;
static struct iocb cb;

static int is_pattern(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != pattern_byte(i))
			return 0;
	return 1;
}

static void buffered(void)
{
	static const struct {
		const char *label;
		int flags, rw_flags;
	} sync[] = { { "O_SYNC write", O_SYNC, 0 }, { "O_DSYNC write", O_DSYNC, 0 }, { "write with RWF_DSYNC", 0, 2 } };
	int fd = pattern_file(O_RDWR, LEN);
	char *back = malloc(LEN);

	memset(buf, 0, LEN);
	MUST(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	io_prep_pread(&cb, fd, buf, LEN, 0);
	expect_soon("3.10/1", "1 MiB read, not cached", ctx, &cb, LEN, submit_kernel());
	expect_true("3.10/1", "1 MiB read, not cached: data", is_pattern(buf, LEN));
	memset(buf, 0, LEN);
	/* inline in every case */
	expect("3.10/2", "1 MiB read, cached: io_submit", submit1(ctx, &cb), 1);
	expect_reaped("3.10/2", "1 MiB read, cached: event at once", ctx, &cb, 0, LEN);
	expect_true("3.10/2", "1 MiB read, cached: data", is_pattern(buf, LEN));
	memset(buf, 'b', LEN);
	io_prep_pwrite(&cb, fd, buf, LEN, 0);
	expect_soon("3.10/2", "1 MiB overwrite", ctx, &cb, LEN, submit_kernel());
	MUST(pread(fd, back, LEN, 0) == LEN);
	expect("3.10/2", "1 MiB overwrite: data", memcmp(buf, back, LEN), 0);
	close(fd);
	for (unsigned i = 0; i < sizeof sync / sizeof *sync; i++) {
		char label[64];
		fd = pattern_file(O_RDWR | sync[i].flags, LEN);
		memset(buf, 'c' + (int)i, LEN);
		io_prep_pwrite(&cb, fd, buf, LEN, 0);
		cb.aio_rw_flags = sync[i].rw_flags;
		snprintf(label, sizeof label, "1 MiB %s", sync[i].label);
		expect_soon("3.10/3", label, ctx, &cb, LEN, submit_kernel());
		MUST(pread(fd, back, LEN, 0) == LEN);
		snprintf(label, sizeof label, "1 MiB %s: data", sync[i].label);
		expect("3.10/3", label, memcmp(buf, back, LEN), 0);
		close(fd);
	}
	free(back);
}

/* ext4 on a disk that can be held back. */
static void slow_disk(struct slowfs *s, int mnt)
{
	int fd = openat(mnt, "big", O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600), ds, plain;
	unsigned writes, flushes;

	memset(buf, 'd', LEN);
	MUST(fd >= 0 && pwrite(fd, buf, LEN, 0) == LEN && !fsync(fd));
	ds = openat(mnt, "big", O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
	plain = openat(mnt, "plain", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	MUST(ds >= 0 && plain >= 0);

	memset(buf, 0, LEN);
	io_prep_pread(&cb, fd, buf, LEN, 0);
	expect_in_flight("3.10/4", "O_DIRECT 1 MiB read", s, SLOWFS_READ, ctx, &cb, LEN);
	expect_true("3.10/4", "O_DIRECT 1 MiB read: data", buf[0] == 'd' && buf[LEN - 1] == 'd');
	io_prep_pwrite(&cb, fd, buf, LEN, 0);
	expect_in_flight("3.10/4", "O_DIRECT 1 MiB overwrite", s, SLOWFS_WRITE, ctx, &cb, LEN);
	io_prep_pwrite(&cb, ds, buf, LEN, 0);
	expect_in_flight("3.10/4", "O_DIRECT 1 MiB overwrite with O_DSYNC", s, SLOWFS_WRITE, ctx, &cb, LEN);
	expect_in_flight("3.10/4", "O_DIRECT 1 MiB overwrite with O_DSYNC, its sync", s, SLOWFS_FSYNC, ctx, &cb, LEN);
	io_prep_pwrite(&cb, fd, buf, LEN, LEN);
	expect_waited_for("3.10/5", "O_DIRECT 1 MiB extending write", s, SLOWFS_WRITE, ctx, &cb, LEN);

	for (int i = 0; i < 16; i++)
		MUST(pwrite(plain, buf, LEN, (off_t)i * LEN) == LEN);
	writes = slowfs_done(s, SLOWFS_WRITE);
	flushes = slowfs_done(s, SLOWFS_FSYNC);
	io_prep_fsync(&cb, plain);
	expect_in_flight("3.10/6", "FSYNC of a dirty 16 MiB file", s, SLOWFS_WRITE, ctx, &cb, 0);
	expect_true("3.10/6", "the disk has written and flushed", slowfs_done(s, SLOWFS_WRITE) >= writes + 16 && slowfs_done(s, SLOWFS_FSYNC) > flushes);
}

/* A buffered read that the page cache does not have. The kernel waits for it,
 * aio-rs does not unless told to (so it gets a device that is slower by far). */
static void cold_read(struct slowfs *s)
{
	int delay = on_ours() ? 1500 : 300, fd = slowfs_open(s, 1, O_RDWR);
	long from = now_ms(), took;

	slowfs_delay(s, SLOWFS_READ, delay);
	io_prep_pread(&cb, fd, buf, 4096, 0);
	expect("3.10/7", "slow device, uncached read: io_submit", submit1(ctx, &cb), 1);
	took = now_ms() - from;
	expect_differs("3.10/7", "io_submit waits for the device", took >= delay - 1, 1, submit_kernel());
	expect_reaped("3.10/7", "event", ctx, &cb, on_ours() ? 10000 : 0, 4096);
	expect_true("3.10/7", "data", is_pattern(buf, 4096));
	slowfs_delay(s, SLOWFS_READ, 0);

	slowfs_delay(s, SLOWFS_FSYNC, delay);
	close(fd);
	fd = slowfs_open(s, 1, O_RDWR | O_SYNC);
	io_prep_pwrite(&cb, fd, buf, 4096, 0);
	from = now_ms();
	expect("3.10/3", "slow device, O_SYNC write: io_submit", submit1(ctx, &cb), 1);
	took = now_ms() - from;
	expect_differs("3.10/3", "io_submit waits for the sync", took >= delay - 1, 1, submit_kernel());
	expect_reaped("3.10/3", "slow device, O_SYNC write: event", ctx, &cb, on_ours() ? 10000 : 0, 4096);
	expect_true("3.10/3", "slow device, O_SYNC write: the event is not before the sync", now_ms() - from >= delay - 1);
	slowfs_delay(s, SLOWFS_FSYNC, 0);
}

int main(void)
{
	struct slowfs *s = slowfs_start(2, 64 << 20);
	char path[32];
	int mnt;

	slowdisk_attach(s, 0, path);
	mnt = slowdisk_mount("ext4", path);
	if (mnt < 0)
		skip("no ext4 (needs mkfs.ext4)");
	slowfs_fill(s, 1);
	buf = aligned_alloc(4096, LEN);
	MUST(io_setup(8, &ctx) == 0);
	buffered();
	slow_disk(s, mnt);
	cold_read(s);
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

/* What becomes of an O_DIRECT request whose buffer is unmapped, protected,
 * replaced or moved while the disk works on it: it uses the pages that it was
 * submitted with. */
#include "direct_held.h"

#define LEN 8192
static struct slowfs *s;
static io_context_t ctx;
static const char *where;
static int fd;
static char pattern[LEN];

static char *map(int fill)
{
	return memset(map_apart(LEN), fill, LEN);
}
static void map_over(char *at, int fill)
{
	MUST(mmap(at, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
	memset(at, fill, LEN);
}
static int all(const char *p, int c)
{
	for (int i = 0; i < LEN; i++)
		if (p[i] != (char)c)
			return 0;
	return 1;
}
/* `cb` is at the disk, which has not answered. */
static void start(int op, struct iocb *cb)
{
	unsigned seen = slowfs_seen(s, op);
	slowfs_hold(s, op);
	MUST(submit1(ctx, cb) == 1);
	MUST(slowfs_wait(s, op, seen + 1));
}
static void finish(const char *label, int op, struct iocb *cb)
{
	slowfs_release(s, op);
	expect_reaped("3.7/15", on(where, label), ctx, cb, 10000, LEN);
}

static void reads(void)
{
	char *p, *q;
	struct iocb cb;

	p = map('b');
	io_prep_pread(&cb, fd, p, LEN, 0);
	start(SLOWFS_READ, &cb);
	MUST(!munmap(p, LEN));
	map_over(p, 'n');
	finish("read, buffer unmapped", SLOWFS_READ, &cb);
	expect_true("3.7/15", on(where, "a new mapping at its address is untouched"), all(p, 'n'));

	start(SLOWFS_READ, &cb);
	MUST(!mprotect(p, LEN, PROT_NONE));
	finish("read, buffer PROT_NONE", SLOWFS_READ, &cb);
	MUST(!mprotect(p, LEN, PROT_READ | PROT_WRITE));
	expect_true("3.7/15", on(where, "it has the data"), !memcmp(p, pattern, LEN));

	memset(p, 'b', LEN);
	start(SLOWFS_READ, &cb);
	map_over(p, 'c');
	finish("read, buffer covered by another mapping", SLOWFS_READ, &cb);
	expect_true("3.7/15", on(where, "that mapping is untouched"), all(p, 'c'));

	memset(p, 'b', LEN);
	start(SLOWFS_READ, &cb);
	q = map(0);
	MUST(mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	map_over(p, 'm');
	finish("read, buffer moved by mremap", SLOWFS_READ, &cb);
	expect_true("3.7/15", on(where, "the data is at its new place"), !memcmp(q, pattern, LEN));
	expect_true("3.7/15", on(where, "and not at the old one"), all(p, 'm'));

	memset(p, 'b', LEN);
	start(SLOWFS_READ, &cb);
	MUST(!madvise(p, LEN, MADV_DONTNEED));
	finish("read, buffer given to MADV_DONTNEED", SLOWFS_READ, &cb);
	expect_true("3.7/15", on(where, "the data is not visible"), all(p, 0));
	munmap(p, LEN);
	munmap(q, LEN);
}

static void write_unmapped(void)
{
	char *p = map('W'), *back = aligned_alloc(4096, LEN);
	struct iocb cb;

	io_prep_pwrite(&cb, fd, p, LEN, 16384);
	start(SLOWFS_WRITE, &cb);
	MUST(!munmap(p, LEN));
	map_over(p, 'x');
	slowfs_release(s, SLOWFS_WRITE);
	expect_reaped("3.7/16", on(where, "write, buffer unmapped"), ctx, &cb, 10000, LEN);
	MUST(pread(fd, back, LEN, 16384) == LEN);
	expect_true("3.7/16", on(where, "write, buffer unmapped: data on the disk"), all(back, 'W'));
	munmap(p, LEN);
	free(back);
}

/* The read fills the first half of the page; the parent writes to the second. */
static void forked(void)
{
	char *p = map('f'), c;
	struct iocb cb;
	int go[2], st;
	pid_t pid;

	MUST(!pipe(go));
	io_prep_pread(&cb, fd, p, 2048, 0);
	start(SLOWFS_READ, &cb);
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1) == 0 && all(p, 'f') ? 0 : 1);
	}
	close(go[0]);
	p[4095] = 'P';
	slowfs_release(s, SLOWFS_READ);
	expect_reaped("3.7/18", on(where, "read, forked meanwhile"), ctx, &cb, 10000, 2048);
	expect_true("3.7/18", on(where, "the parent has the data"), !memcmp(p, pattern, 2048) && p[2048] == 'f' && p[4095] == 'P');
	close(go[1]);
	MUST(waitpid(pid, &st, 0) == pid);
	expect("3.7/18", on(where, "the child has not"), st, 0);
	munmap(p, LEN);
}

int main(void)
{
	char path[32], buf[LEN] __attribute__((aligned(4096)));
	int mnt, dev;

	s = slowfs_start(1, 64 << 20);
	slowdisk_attach(s, 0, path);
	mnt = slowdisk_mount("ext4", path);
	if (mnt < 0)
		skip("no ext4 (needs mkfs.ext4)");
	dev = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	MUST(dev >= 0 && io_setup(8, &ctx) == 0);

	fd = held_file(mnt, WRITTEN, 0);
	for (int i = 0; i < LEN; i++)
		buf[i] = pattern[i] = pattern_byte((size_t)i);
	MUST(pwrite(fd, buf, LEN, 0) == LEN);
	where = "file";
	reads();
	write_unmapped();
	forked();
	fd = dev;
	where = "device";
	MUST(pread(fd, buf, LEN, 0) == LEN);
	memcpy(pattern, buf, LEN);
	reads();
	forked();
	MUST(io_destroy(ctx) == 0);
	return check_done();
}

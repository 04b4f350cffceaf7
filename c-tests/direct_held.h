/* O_DIRECT requests of a slow disk (slowdisk.h): which are in flight when
 * io_submit returns, and which the kernel waits for inside it (contract 3.7). */
#ifndef AIO_DIRECT_HELD_H
#define AIO_DIRECT_HELD_H
#include "direct_rules.h"
#include "slowdisk.h"

/* The disk holds `op` back: io_submit returns, no event. It goes on: event. */
static inline void expect_in_flight(const char *id, const char *label, struct slowfs *s, int op, io_context_t ctx, struct iocb *cb, long want)
{
	char got[128], wanted[128];
	const char *early;
	int r;

	slowfs_hold(s, op);
	r = submit1(ctx, cb);
	early = run_str(r == 1 ? event_of(ctx, cb, 30) : SUBMIT_ERR(r));
	slowfs_release(s, op);
	snprintf(got, sizeof got, "%s, then %s", early, run_str(event_of(ctx, cb, 10000)));
	snprintf(wanted, sizeof wanted, "no event, then %s", run_str(want));
	check_str(id, label, got, wanted);
}

/* The kernel does not return from io_submit before the disk is done, and then
 * with the event; aio-rs does not wait. */
static inline void expect_waited_for(const char *id, const char *label, struct slowfs *s, int op, io_context_t ctx, struct iocb *cb, long want)
{
	long from = now_ms(), took, got;
	int r;

	note_same(id, 0);
	slowfs_delay(s, op, 100);
	r = submit1(ctx, cb);
	took = now_ms() - from;
	slowfs_delay(s, op, 0);
	got = r == 1 ? event_of(ctx, cb, on_ours() ? 10000 : 0) : SUBMIT_ERR(r);
	if (!on_ours() && got == want && took < 99)
		got = NO_EVENT - 2; /* io_submit did not wait */
	check_str(id, label, run_str(got), run_str(want));
}

/* The files to write to. */
enum { WRITTEN, PREALLOCATED, SPARSE, TAIL };
static inline int held_file(int mnt, int kind, int flags)
{
	static int n;
	char name[16], page[4096];
	int fd;

	snprintf(name, sizeof name, "f%d", n++);
	fd = openat(mnt, name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	memset(page, 'o', sizeof page);
	for (int i = 0; kind == WRITTEN && i < 16; i++)
		MUST(pwrite(fd, page, 4096, i * 4096) == 4096);
	if (kind == PREALLOCATED)
		MUST(!fallocate(fd, 0, 0, 65536));
	if (kind == SPARSE)
		MUST(!ftruncate(fd, 65536));
	if (kind == TAIL)
		MUST(pwrite(fd, page, 100, 0) == 100);
	MUST(!fsync(fd) && !close(fd));
	fd = openat(mnt, name, O_RDWR | O_DIRECT | O_CLOEXEC | flags);
	MUST(fd >= 0);
	return fd;
}

static inline long wrote(int fd, const char *buf, size_t n, off_t at)
{
	char *back = aligned_alloc(4096, n);
	long r = pread(fd, back, n, at) == (ssize_t)n && !memcmp(back, buf, n);
	free(back);
	return r;
}

/* A file system's O_DIRECT transfers; `waits`: it is one that makes io_submit
 * wait for writes that change more than data (ext4). */
static inline void file_system_rules(const char *w, struct slowfs *s, int mnt, io_context_t ctx, int waits)
{
	enum { MAYBE = -1, WAITS = -2 };
	static const struct {
		const char *id, *label;
		int kind, flags, rw_flags, offset, op, at, len; /* len 0: 8192 */
	} c[] = {
		{ "3.7/1", "overwrite", WRITTEN, 0, 0, 8192, SLOWFS_WRITE, 8192, 0 },
		{ "3.7/1", "write into preallocated", PREALLOCATED, 0, 0, 8192, SLOWFS_WRITE, 8192, 0 },
		{ "3.7/3", "overwrite, O_SYNC: the sync too", WRITTEN, O_SYNC, 0, 0, SLOWFS_FSYNC, 0, 0 },
		{ "3.7/3", "overwrite, O_DSYNC: the sync too", WRITTEN, O_DSYNC, 0, 0, SLOWFS_FSYNC, 0, 0 },
		{ "3.7/3", "overwrite, RWF_SYNC: the sync too", WRITTEN, 0, 4, 0, SLOWFS_FSYNC, 0, 0 },
		{ "3.7/3", "overwrite, RWF_DSYNC: the sync too", WRITTEN, 0, 2, 0, SLOWFS_FSYNC, 0, 0 },
		{ "3.7/2", "extending write", WRITTEN, 0, 0, 65536, MAYBE, 65536, 0 },
		{ "3.7/2", "write into a hole, part of a block", SPARSE, 0, 0, 8192, WAITS, 8192, 512 },
		/* whole blocks: 6.18 does not wait */
		{ "3.7/2", "write into a hole", SPARSE, 0, 0, 8192, SLOWFS_WRITE, 8192, 0 },
		{ "3.7/2", "write over the partial last block", TAIL, 0, 0, 0, MAYBE, 0, 0 },
		{ "3.7/2", "RWF_APPEND write", WRITTEN, 0, 16, 0, MAYBE, 65536, 0 },
		{ "3.7/2", "O_APPEND write", WRITTEN, O_APPEND, 0, 0, MAYBE, 65536, 0 },
	};
	char *buf = aligned_alloc(4096, 8192);
	struct iocb cb;
	char label[128];
	int fd = held_file(mnt, WRITTEN, 0);

	io_prep_pread(&cb, fd, buf, 8192, 4096);
	expect_in_flight("3.7/1", on(w, "read"), s, SLOWFS_READ, ctx, &cb, 8192);
	close(fd);
	for (unsigned i = 0; i < sizeof c / sizeof *c; i++) {
		long len = c[i].len ? c[i].len : 8192;
		memset(buf, 'A' + (int)i, 8192);
		fd = held_file(mnt, c[i].kind, c[i].flags);
		io_prep_pwrite(&cb, fd, buf, (size_t)len, c[i].offset);
		cb.aio_rw_flags = c[i].rw_flags;
		if (c[i].op == WAITS || (c[i].op == MAYBE && waits))
			expect_waited_for(c[i].id, on(w, c[i].label), s, SLOWFS_WRITE, ctx, &cb, len);
		else
			expect_in_flight(c[i].id, on(w, c[i].label), s, c[i].op < 0 ? SLOWFS_WRITE : c[i].op, ctx, &cb, len);
		snprintf(label, sizeof label, "%s: %s: data", w, c[i].label);
		expect_true(c[i].id, label, wrote(fd, buf, (size_t)len, c[i].at));
		close(fd);
	}
	free(buf);
}
#endif
